//! Weights from a file anywhere on the disk.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use bevy_portrait_realism::portrait_network::{MAX_FILE_BYTES, Model};
use bevy_portrait_realism::prelude::*;

/// Reads the file that `--weights` names.
///
/// # Errors
/// Fails if the file is not there, cannot be read, or holds no weights that the plugin could use.
pub fn read(path: &Path) -> Result<PortraitModel> {
    let file = path.display();
    let opened = File::open(path).with_context(|| format!("cannot open the weights {file}"))?;
    let mut bytes = Vec::new();
    opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {file}"))?;
    let model = Model::from_bytes(&bytes).with_context(|| {
        format!("{file} holds no weights: --weights takes a .safetensors file that `cargo xtask character` or `portrait-train export` wrote")
    })?;
    Ok(model.into())
}
