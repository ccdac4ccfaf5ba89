//! Errors of blind pairs.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::data::DatasetError;
use crate::evaluate::options::EvaluateError;

/// An error of making or scoring blind pairs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlindError {
    /// The folder for the set has files.
    #[error("--blind {path}: the folder exists and is not empty; blind pairs are never overwritten: name a new folder")]
    Exists {
        /// Path of the folder.
        path: PathBuf,
    },
    /// Weights or data folders cannot be used.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The pairs cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The sealed key cannot be used.
    #[error("{path}: {what}; expected the sealed key that `portrait-train evaluate --blind` wrote")]
    Key {
        /// Path of the key.
        path: PathBuf,
        /// Value expected and value found.
        what: String,
    },
    /// A file of answers cannot be used.
    #[error(
        "--answers {path}: {what}; expected the file that the set's page downloads (docs/reports.md has its format)"
    )]
    Answers {
        /// Path of the file.
        path: PathBuf,
        /// Value expected and value found.
        what: String,
    },
    /// The scores cannot be added to a report.
    #[error("{path}: {what}")]
    Report {
        /// Path of the report.
        path: PathBuf,
        /// The fault, and the way out.
        what: String,
    },
    /// A file cannot be written.
    #[error("{path}: {what}")]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system or encoder.
        what: String,
    },
}

impl BlindError {
    /// Makes an error of writing a file.
    pub(super) fn write(path: &Path, what: &dyn Display) -> Self {
        Self::Write { path: path.into(), what: what.to_string() }
    }
}
