//! The Python side: a virtual environment with Blender as a module, and the two steps that make a data set.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, run, target_folder, workspace_root};
use crate::{BEVY_PACKAGES, packages};

/// What to make.
pub struct Request {
    /// Half-open range, `A..B`.
    pub seeds: String,
    /// Every N-th seed.
    pub stride: u64,
    /// The data folder.
    pub out: PathBuf,
    /// Image width and height, in pixels.
    pub size: u32,
    /// Samples for each pixel of the reference.
    pub samples: u32,
}

/// Libraries that Blender's module links to.
const BLENDER_LIBRARIES: [&str; 8] =
    ["libgl1", "libice6", "libsm6", "libxfixes3", "libxi6", "libxkbcommon0", "libxrender1", "libxxf86vm1"];

/// The interpreter of head_studio's virtual environment, which is made if need be.
pub fn ensure() -> Result<PathBuf> {
    let requirements = workspace_root().join("training/dataset/head_studio/requirements.txt");
    let wanted =
        std::fs::read_to_string(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let folder = target_folder().join("head_studio_venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let stamp = folder.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && imports(&python).is_ok() {
        return Ok(python);
    }
    let base = python_3_11()?;
    println!("Making head_studio's Python environment in {}", folder.display());
    run(Command::new(base).args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-deps", "-r"]).arg(&requirements))?;
    if imports(&python).is_err() {
        packages::install(
            "Blender's Python module lacks system libraries",
            &BLENDER_LIBRARIES,
            "X11 and GL client libraries",
        )?;
        imports(&python)?;
    }
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

/// Heads and references, with Blender.
pub fn render(request: &Request) -> Result<()> {
    let python = ensure()?;
    run(Command::new(python)
        .args(["-m", "head_studio", "render", "--seeds", &request.seeds, "--stride", &request.stride.to_string()])
        .args(["--size", &request.size.to_string(), "--samples", &request.samples.to_string(), "--out"])
        .arg(std::path::absolute(&request.out)?)
        .current_dir(workspace_root().join("training/dataset")))
}

/// Renders a grey sphere under each kind of light in both engines; fails where they differ by more than 5 %.
pub fn calibrate(out: &Path) -> Result<()> {
    let out = std::path::absolute(out)?;
    run(Command::new(ensure()?)
        .args(["-m", "head_studio", "calibration", "--out"])
        .arg(&out)
        .current_dir(workspace_root().join("training/dataset")))?;
    run(Command::new(portrait_dataset()?).args(["calibrate", "--data"]).arg(&out))
}

/// First images and the G-buffer, with Bevy.
pub fn first_images(request: &Request) -> Result<()> {
    let out = std::path::absolute(&request.out)?;
    run(Command::new(portrait_dataset()?)
        .args(["render", "--seeds", &request.seeds, "--stride", &request.stride.to_string(), "--data"])
        .arg(out))
}

/// Builds `portrait-dataset`.
fn portrait_dataset() -> Result<PathBuf> {
    // With the examples, whose development dependencies choose the features that the tests were built with.
    cargo("build", &[&BEVY_PACKAGES[..], &["--bins", "--examples"]].concat())?;
    Ok(target_folder().join("debug/portrait-dataset"))
}

fn imports(python: &Path) -> Result<()> {
    let output =
        Command::new(python).args(["-c", "import bpy, numpy, scipy, PIL"]).output().context("cannot start python")?;
    if !output.status.success() {
        bail!("head_studio's Python modules do not load: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Blender 5.0's module is built for Python 3.11 only.
fn python_3_11() -> Result<&'static str> {
    let find = || {
        ["python3.11", "python3", "python"].into_iter().find(|name| {
            let code = "import sys, ensurepip; print(sys.version_info[:2] == (3, 11))";
            packages::output(name, &["-c", code]).is_ok_and(|printed| printed.trim() == "True")
        })
    };
    if let Some(name) = find() {
        return Ok(name);
    }
    packages::install("Python 3.11 with venv was not found", &["python3.11", "python3.11-venv"], "Python 3.11")?;
    find().context("Python 3.11 is still not on the path")
}
