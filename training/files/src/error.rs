//! What can be wrong with a file of the data set.

use std::path::PathBuf;

/// A scene, manifest or image that cannot be used; each message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// One seed has no folder.
    #[error("{0}: no such folder; make this seed with `python -m head_studio render`")]
    SceneMissing(PathBuf),
    /// A scene without `done.json`.
    #[error("{0}: no done.json, so the scene is unfinished; run `python -m head_studio render` again")]
    SceneUnfinished(PathBuf),
    /// A file that the scene needs is absent.
    #[error("{path}: missing, though {needed_by} names it; run `python -m head_studio render` again for this seed")]
    Missing {
        /// The absent file.
        path: PathBuf,
        /// The file that names it.
        needed_by: &'static str,
    },
    /// A name that leads out of the folder it is relative to.
    #[error("{named_by} names {name:?}: expected a file inside {folder}; do not use this data set, or make it again")]
    Outside {
        /// The folder.
        folder: PathBuf,
        /// The name.
        name: String,
        /// The file that says so.
        named_by: &'static str,
    },
    /// A file differs from what its manifest says.
    #[error("{path}: expected {expected} by {manifest}, found {found}; run `python -m head_studio render` again")]
    Changed {
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
    #[error("{path}: expected an image in {format}: {reason}; make it again with head_studio")]
    Image {
        /// The file.
        path: PathBuf,
        /// Expected format.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// An image of another size.
    #[error("{path}: expected {expected}, found {found:?} px; make this seed again")]
    ImageSize {
        /// The file.
        path: PathBuf,
        /// Width and height wanted, and who says so.
        expected: String,
        /// Width and height found.
        found: [u32; 2],
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl FileError {
    /// For `map_err` on file operations.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// For `map_err` on JSON.
    pub fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.into();
        move |source| Self::Json { path, source }
    }
}
