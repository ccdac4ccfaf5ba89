//! Errors of the data set's files.

use std::path::PathBuf;

/// An error of a scene, manifest or image; each message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A seed has no folder.
    #[error("{0}: no such folder; make this seed with `python -m head_studio render`")]
    SceneMissing(PathBuf),
    /// A scene has no `done.json`.
    #[error("{0}: no done.json, so the scene is unfinished; run `python -m head_studio render` again")]
    SceneUnfinished(PathBuf),
    /// A file that the scene needs is missing.
    #[error("{path}: missing, though {needed_by} names it; run `python -m head_studio render` again for this seed")]
    Missing {
        /// Path of the missing file.
        path: PathBuf,
        /// Name of the file that names the missing one.
        needed_by: &'static str,
    },
    /// A name leads out of the folder that it is relative to.
    #[error("{named_by} names {name:?}: expected a file inside {folder}; do not use this data set, or make it again")]
    Outside {
        /// Path of the folder.
        folder: PathBuf,
        /// Name that leads out.
        name: String,
        /// Name of the file that holds the name.
        named_by: &'static str,
    },
    /// A file differs from what its manifest says.
    #[error("{path}: expected {expected} by {manifest}, found {found}; run `python -m head_studio render` again")]
    Changed {
        /// Path of the file.
        path: PathBuf,
        /// Name of the manifest.
        manifest: &'static str,
        /// Size or digest written in the manifest.
        expected: String,
        /// Size or digest of the file.
        found: String,
    },
    /// An image was changed by somebody after it was rendered.
    #[error(
        "{0}: expected the image that portrait-dataset rendered, found another one; to keep it, move the pair's folder to another \
         data set; to have the pair rendered again, delete its pair.json"
    )]
    Retouched(PathBuf),
    /// A JSON file does not parse, or misses a field.
    #[error("{path}: {source}; the file is broken or of another version, so make this seed again")]
    Json {
        /// Path of the file.
        path: PathBuf,
        /// Error of the reader.
        source: serde_json::Error,
    },
    /// A number in `scene.json` makes no sense.
    #[error("{path}: `{field}` is {found}; expected {expected}")]
    SceneValue {
        /// Path of the file.
        path: PathBuf,
        /// Dotted path of the field.
        field: String,
        /// Value found.
        found: String,
        /// Values that are accepted.
        expected: &'static str,
    },
    /// An image does not decode.
    #[error("{path}: expected an image in {format}: {reason}; make it again with head_studio")]
    Image {
        /// Path of the file.
        path: PathBuf,
        /// Format expected.
        format: &'static str,
        /// Error of the decoder.
        reason: String,
    },
    /// An image has another size than its manifest says.
    #[error("{path}: expected {expected}, found {found:?} px; make this seed again")]
    ImageSize {
        /// Path of the file.
        path: PathBuf,
        /// Width and height expected, and the file that says so.
        expected: String,
        /// Width and height found, in pixels.
        found: [u32; 2],
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
}

impl FileError {
    /// Makes a function for `map_err` on file operations.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Makes a function for `map_err` on JSON.
    pub fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.into();
        move |source| Self::Json { path, source }
    }
}
