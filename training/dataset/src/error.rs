//! What can go wrong between a folder of scenes and a folder of pairs.

use std::path::PathBuf;

use portrait_files::FileError;

/// A failure of the data set tool; each message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// `--seeds` is not `A..B`.
    #[error("--seeds `{found}`: {reason}; expected A..B with whole numbers, the end excluded, such as 0..180")]
    Seeds {
        /// What was given.
        found: String,
        /// Why it was refused.
        reason: &'static str,
    },
    /// `--data` names no folder.
    #[error("--data {path}: no such folder; make scenes first: python -m head_studio render --seeds A..B --out {path}")]
    DataFolderMissing {
        /// The data folder.
        path: PathBuf,
    },
    /// The folder has none of the seeds' scenes.
    #[error(
        "--data {folder}: holds no scene of the {wanted} seeds asked for; check --seeds and --data, \
         or make them: python -m head_studio render --seeds A..B --out {folder}"
    )]
    DataFolderEmpty {
        /// The data folder.
        folder: PathBuf,
        /// How many seeds were asked for.
        wanted: usize,
    },
    /// Another process makes some of the seeds.
    #[error(
        "{folder}: another `portrait-dataset render` is at work on seeds {range} with --stride {stride}, some of which were \
         asked for; give each process seeds of its own, or wait for its end or stop it"
    )]
    Claimed {
        /// The data folder.
        folder: PathBuf,
        /// The other process's range, `A..B`.
        range: String,
        /// Its stride.
        stride: u32,
    },
    /// A glTF file that Bevy does not load.
    #[error("{path}: Bevy cannot load this glTF file: {reason}; make this seed again")]
    Gltf {
        /// The file.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// Something did not become ready in time.
    #[error("{path}: {what} within {limit_s} s; is the machine overloaded, or the file enormous?")]
    Timeout {
        /// The file at work.
        path: PathBuf,
        /// What did not happen.
        what: &'static str,
        /// The limit, seconds.
        limit_s: u64,
    },
    /// The renderer is absent or did not produce what was asked for.
    #[error("renderer: {0}")]
    Renderer(String),
    /// A pair that has not been rendered.
    #[error("{0}: no finished pair; run `portrait-dataset render` first")]
    PairMissing(PathBuf),
    /// A file that cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}
