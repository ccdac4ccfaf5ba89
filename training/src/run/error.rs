//! Errors of a training run.

use std::path::{Path, PathBuf};

use portrait_files::config::ConfigError;
use portrait_files::weights::WeightsFileError;
use portrait_network::WeightsError;
use thiserror::Error;

use super::checkpoint::CheckpointError;
use super::workers::WorkersError;
use crate::data::DatasetError;
use crate::networks::MobileNetError;

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
    /// The weights to start from cannot be read.
    #[error(transparent)]
    Init(#[from] WeightsFileError),
    /// The weights to start from are of another network.
    #[error(
        "--init {path}: {difference}; weights to start from are of the config's network: change `network` in the config, or name \
         another file"
    )]
    OtherNetwork {
        /// Path of the weights file.
        path: PathBuf,
        /// First difference: what was found, and what was expected.
        difference: String,
    },
    /// The features that L_P compares cannot be read.
    #[error(transparent)]
    Features(#[from] MobileNetError),
    /// The config asks for L_P, and no file of features was named.
    #[error(
        "the config's `loss.perceptual.weight` is above 0, and no file of features is named: make one with \
         `cargo xtask perceptual --out FILE`, and add `--perceptual FILE`"
    )]
    NoFeatures,
    /// The run in the folder compared other features.
    #[error(
        "{path} was trained with the features of a file whose sha256 is {expected}: --perceptual names one of {found}; name the same \
         file, or another folder to start over"
    )]
    OtherFeatures {
        /// Path of the checkpoint.
        path: PathBuf,
        /// SHA-256 of the file so far.
        expected: String,
        /// SHA-256 of the file that was named.
        found: String,
    },
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
