//! Errors of a training run.

use std::path::{Path, PathBuf};

use portrait_files::config::ConfigError;
use portrait_network::WeightsError;
use thiserror::Error;

use super::checkpoint::CheckpointError;
use super::workers::WorkersError;
use crate::data::DatasetError;

/// An error that keeps a run from starting or going on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The config is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The pairs cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The averaged weights are not finite.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The folder has files, and `--resume` was not asked for.
    #[error("{path} exists and is not empty: add --resume to go on with the run in it, or name another folder")]
    Exists {
        /// Path of the folder.
        path: PathBuf,
    },
    /// Another process trains in the folder.
    #[error("another run is writing to {path}: wait for its end or stop it, or name another folder")]
    Running {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The folder holds no checkpoint to go on from.
    #[error("{path} holds no checkpoint to resume from: leave out --resume to start a run")]
    NothingToResume {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The run in the folder was started with another config.
    #[error(
        "{path} was trained with another config: only `run` (but not `run.seed`) may differ when a run is resumed; \
         name another folder to start over"
    )]
    OtherConfig {
        /// Path of the checkpoint.
        path: PathBuf,
    },
    /// Too many steps in a row were rejected.
    #[error(
        "{count} steps in a row were rejected at step {step}, the last because {reason}; the newest checkpoint is \
         whole: resume from it with lower learning rates, or look for damaged images"
    )]
    Diverged {
        /// Steps done.
        step: u64,
        /// Steps rejected in a row.
        count: u64,
        /// Reason of the last rejection.
        reason: String,
    },
    /// One of the workers is gone.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// A log or picture cannot be written.
    #[error("{path}: {what}")]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system or encoder.
        what: String,
    },
}

impl TrainError {
    /// Makes the error of a file that cannot be written.
    pub(super) fn write(path: &Path, error: &dyn std::error::Error) -> Self {
        Self::Write { path: path.into(), what: error.to_string() }
    }
}
