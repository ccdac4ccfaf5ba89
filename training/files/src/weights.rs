//! Weights files on disk: read up to a bound, written whole or not at all. [`portrait_network`] says what they hold.

use std::io;
use std::path::{Path, PathBuf};

use portrait_network::{Dtype, MAX_FILE_BYTES, Model, WeightsError};
use thiserror::Error;

use crate::{atomic, bounded};

/// An error of reading or writing a weights file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsFileError {
    /// The file cannot be read or written, or exists and may not be replaced.
    #[error("weights file {path}: {source}")]
    File {
        /// Path of the weights file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The weights are not as they should be.
    #[error("weights file {path}: {source}")]
    Weights {
        /// Path of the weights file.
        path: PathBuf,
        /// Error of the format.
        source: WeightsError,
    },
}

/// Reads a weights file.
///
/// # Errors
/// Fails when the file is too large, no regular file or cannot be read, and as [`Model::from_bytes`] does.
pub fn load(path: &Path) -> Result<Model, WeightsFileError> {
    Ok(load_with_content(path)?.1)
}

/// Reads a weights file, and returns its bytes as well.
///
/// # Errors
/// Fails as [`load`] does.
pub fn load_with_content(path: &Path) -> Result<(Vec<u8>, Model), WeightsFileError> {
    let content = bounded::read(path, MAX_FILE_BYTES).map_err(file_error(path))?;
    let model = Model::from_bytes(&content).map_err(weights_error(path))?;
    Ok((content, model))
}

/// Writes a weights file.
///
/// # Errors
/// Fails when the file exists and `overwrite` is false or it cannot be written, and as [`Model::to_bytes`] does.
pub fn save(model: &Model, path: &Path, dtype: Dtype, overwrite: bool) -> Result<(), WeightsFileError> {
    let content = model.to_bytes(dtype).map_err(weights_error(path))?;
    atomic::write_unless_exists(path, &content, overwrite).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> WeightsFileError + use<'_> {
    |source| WeightsFileError::File { path: path.into(), source }
}

fn weights_error(path: &Path) -> impl FnOnce(WeightsError) -> WeightsFileError + use<'_> {
    |source| WeightsFileError::Weights { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use portrait_network::{Plane, Spec};

    use super::*;

    #[test]
    fn weights_are_read_again_and_not_overwritten_unless_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let model = Model::random(Spec::tiny(&[Plane::Color]).validate().unwrap(), 7);
        assert!(load(&path).unwrap_err().to_string().contains("a.safetensors"));
        save(&model, &path, Dtype::F16, false).unwrap();
        let first = std::fs::read(&path).unwrap();
        let error = save(&model, &path, Dtype::F32, false).unwrap_err().to_string();
        assert!(error.contains("a.safetensors") && error.contains("exists"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), first);
        save(&model, &path, Dtype::F32, true).unwrap();
        assert_eq!(load(&path).unwrap(), model);
    }

    #[test]
    fn files_that_hold_no_weights_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.safetensors");
        std::fs::write(&path, "no weights").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("b.safetensors") && error.contains("not a whole safetensors file"), "{error}");
    }
}
