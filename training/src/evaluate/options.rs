//! The choices of whoever starts an evaluation, and its errors.

use std::path::{Path, PathBuf};

use portrait_files::config::Config;
use portrait_files::seeds::Seeds;
use portrait_files::weights::WeightsFileError;
use thiserror::Error;

use super::photographs::PhotographsOptions;
use super::tool::ToolError;
use crate::data::DatasetError;

/// An evaluation to make.
#[derive(Clone, Debug)]
pub struct EvaluateOptions<'a> {
    /// Weights files, the default model first.
    pub weights: &'a [PathBuf],
    /// Folders of pairs. Sizes and sources of the heads are found in them.
    pub data: &'a [PathBuf],
    /// Folder for the results.
    pub out: &'a Path,
    /// Config of the training run, for its seeds and importance.
    pub config: &'a Config,
    /// Seeds to measure instead of the config's validation seeds.
    pub seeds: Option<Seeds>,
    /// Seeds of clips in `data`: consecutive seeds are consecutive frames.
    pub clips: Option<Seeds>,
    /// Python interpreter with `training/likeness/requirements.txt`, to measure distances between face embeddings.
    pub likeness: Option<&'a Path>,
    /// Photographs to measure the distance to.
    pub photographs: Option<PhotographsOptions<'a>>,
    /// Writes into a folder that has files.
    pub overwrite: bool,
}

/// An error of an evaluation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The weights cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsFileError),
    /// There is no weights file, or two have one name.
    #[error("--weights: expected one or more files of different names, found {found}")]
    Names {
        /// Names of the weights files.
        found: String,
    },
    /// There is no data folder, or one is named twice.
    #[error("--data: expected one or more different folders, found {found}")]
    Folders {
        /// Paths of the folders.
        found: String,
    },
    /// The pairs cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The folder for the results is not empty.
    #[error("{path} exists and is not empty: name another folder or add --overwrite")]
    Exists {
        /// Path of the folder.
        path: PathBuf,
    },
    /// Distances between face embeddings, or to photographs, cannot be measured.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A result cannot be written.
    #[error("{path}: {what}")]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system or encoder.
        what: String,
    },
}
