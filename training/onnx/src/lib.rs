//! The network as an ONNX file, for runtimes other than the plugin: opset 17, 32-bit floats.
//!
//! - Input `planes`, `[1, C, H, W]` in natural units (see [`portrait_network::Plane`]). H and W are free, in multiples of
//!   [`Graph::alignment_px`](portrait_network::Graph::alignment_px): repeat edge pixels to get there, and crop the output.
//! - Output `second`, the *second rendered image* `[1, 3, H, W]`, display-referred sRGB, not clamped.
//!
//! Layers keep their names. The tests run the file and compare it with [`portrait_network::reference`].

mod graph;
mod proto;

use std::path::{Path, PathBuf};

use portrait_network::{Model, files};
use thiserror::Error;

pub use graph::encode;

/// Why an ONNX file cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// It is there already.
    #[error("ONNX file {path} exists: choose another name or ask for it to be overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("ONNX file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Writes an ONNX file: whole, or not at all.
///
/// # Errors
/// When it exists and `overwrite` is false, or cannot be written.
pub fn save(model: &Model, path: &Path, overwrite: bool) -> Result<(), OnnxError> {
    if path.exists() && !overwrite {
        return Err(OnnxError::Exists { path: path.into() });
    }
    files::write_whole(path, &encode(model)).map_err(|source| OnnxError::Io { path: path.into(), source })
}
