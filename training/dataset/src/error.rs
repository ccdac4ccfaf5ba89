//! What can go wrong between a folder of scenes and a folder of pairs.

use std::path::PathBuf;

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
    /// One seed has no folder.
    #[error("{0}: no such folder; make this seed with `python -m head_studio render`")]
    SceneMissing(PathBuf),
    /// A scene without `done.json`.
    #[error("{0}: no done.json, so the scene is unfinished; run `python -m head_studio render` again")]
    SceneUnfinished(PathBuf),
    /// A file that the scene needs is absent.
    #[error("{path}: missing, though {needed_by} names it; run `python -m head_studio render` again for this seed")]
    FileMissing {
        /// The absent file.
        path: PathBuf,
        /// The file that names it.
        needed_by: &'static str,
    },
    /// A file differs from what its manifest says.
    #[error("{path}: expected {expected} by {manifest}, found {found}; run `python -m head_studio render` again")]
    FileChanged {
        /// The broken file.
        path: PathBuf,
        /// The manifest.
        manifest: &'static str,
        /// Size or digest written in the manifest.
        expected: String,
        /// Size or digest of the file.
        found: String,
    },
    /// A JSON file that does not parse or misses a field.
    #[error("{path}: {source}; the file is broken or of another version, so make this seed again")]
    Json {
        /// The file.
        path: PathBuf,
        /// What serde says.
        source: serde_json::Error,
    },
    /// A number in `scene.json` that makes no sense.
    #[error("{path}: `{field}` is {found}; expected {expected}")]
    SceneValue {
        /// The file.
        path: PathBuf,
        /// Dotted path of the field.
        field: String,
        /// What was found.
        found: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// An image that does not decode.
    #[error("{path}: expected an {format} image: {reason}; make it again with head_studio")]
    Image {
        /// The file.
        path: PathBuf,
        /// Expected format.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// An image of another size.
    #[error("{path}: expected {expected:?} px as {said_by} says, found {found:?} px; make this seed again")]
    ImageSize {
        /// The file.
        path: PathBuf,
        /// Width and height wanted.
        expected: [u32; 2],
        /// Where the wanted size is written.
        said_by: &'static str,
        /// Width and height found.
        found: [u32; 2],
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
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl DatasetError {
    /// For `map_err` on file operations.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// For `map_err` on JSON.
    pub(crate) fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.into();
        move |source| Self::Json { path, source }
    }
}
