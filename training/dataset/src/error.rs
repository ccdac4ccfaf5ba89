//! Errors between a folder of scenes and a folder of pairs.

use std::path::PathBuf;

use portrait_files::FileError;

/// An error of the data set tool; each message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The value of `--seeds` is not `A..B`.
    #[error("--seeds `{found}`: {reason}; expected A..B with whole numbers, the end excluded, such as 0..180")]
    Seeds {
        /// Value given.
        found: String,
        /// Reason of the refusal.
        reason: &'static str,
    },
    /// The value of `--data` names no folder.
    #[error("--data {path}: no such folder; make scenes first: python -m head_studio render --seeds A..B --out {path}")]
    DataFolderMissing {
        /// Path of the data folder.
        path: PathBuf,
    },
    /// The folder has none of the seeds' scenes.
    #[error(
        "--data {folder}: holds no scene of the {wanted} seeds asked for; check --seeds and --data, \
         or make them: python -m head_studio render --seeds A..B --out {folder}"
    )]
    DataFolderEmpty {
        /// Path of the data folder.
        folder: PathBuf,
        /// Number of seeds asked for.
        wanted: usize,
    },
    /// Another process makes some of the seeds.
    #[error(
        "{folder}: another `portrait-dataset render` is at work on seeds {range} with --stride {stride}, some of which were \
         asked for; give each process seeds of its own, or wait for its end or stop it"
    )]
    Claimed {
        /// Path of the data folder.
        folder: PathBuf,
        /// Range of the other process, `A..B`.
        range: String,
        /// Stride of the other process.
        stride: u32,
    },
    /// Bevy does not load a glTF file.
    #[error("{path}: Bevy cannot load this glTF file: {reason}; make this seed again")]
    Gltf {
        /// Path of the file.
        path: PathBuf,
        /// Error of the loader.
        reason: String,
    },
    /// Something did not become ready in time.
    #[error("{path}: {what} within {limit_s} s; is the machine overloaded, or the file enormous?")]
    Timeout {
        /// Path of the file at work.
        path: PathBuf,
        /// Event that did not happen.
        what: &'static str,
        /// Limit, in seconds.
        limit_s: u64,
    },
    /// The renderer is absent or did not produce what was asked for.
    #[error("renderer: {0}")]
    Renderer(String),
    /// A pair has not been rendered.
    #[error("{0}: no finished pair; run `portrait-dataset render` first")]
    PairMissing(PathBuf),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}
