//! The steps that make a data set: heads and references with Blender as a Python module, first images with Bevy.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::BEVY_PACKAGES;
use crate::python::Package;
use crate::run::{cargo, run, target_folder};

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
    /// Whether to render each light alone as well.
    pub light_groups: bool,
    /// Whether the eight seeds of an identity are frames of a turning head.
    pub clip: bool,
    /// Folders of asset packs.
    pub assets: Vec<PathBuf>,
}

impl Request {
    /// Every seed of a range, in the data set's usual size and quality.
    pub fn new(seeds: &str, out: &Path) -> Self {
        let (seeds, out) = (seeds.into(), out.into());
        Self { seeds, stride: 1, out, size: 256, samples: 24, light_groups: false, clip: false, assets: Vec::new() }
    }
}

/// Makes heads and references.
pub const HEAD_STUDIO: Package = Package {
    name: "head_studio",
    parent: "training/dataset",
    imports: "bpy, numpy, scipy, PIL",
    // Blender's module links to X11 and GL client libraries.
    libraries: &["libgl1", "libice6", "libsm6", "libxfixes3", "libxi6", "libxkbcommon0", "libxrender1", "libxxf86vm1"],
};

/// Heads and references, with Blender.
pub fn render(request: &Request) -> Result<()> {
    let mut assets = Vec::new();
    for folder in &request.assets {
        assets.extend(["--assets".into(), std::path::absolute(folder)?]);
    }
    run(Command::new(HEAD_STUDIO.ensure()?)
        .args(["-m", "head_studio", "render", "--seeds", &request.seeds, "--stride", &request.stride.to_string()])
        .args(["--size", &request.size.to_string(), "--samples", &request.samples.to_string(), "--out"])
        .arg(std::path::absolute(&request.out)?)
        .args(request.light_groups.then_some("--light-groups"))
        .args(request.clip.then_some("--clip"))
        .args(assets)
        .current_dir(HEAD_STUDIO.folder()))
}

/// Renders a grey sphere under each kind of light in both engines; fails where they differ by more than 5 %.
pub fn calibrate(out: &Path) -> Result<()> {
    let out = std::path::absolute(out)?;
    run(Command::new(HEAD_STUDIO.ensure()?)
        .args(["-m", "head_studio", "calibration", "--out"])
        .arg(&out)
        .current_dir(HEAD_STUDIO.folder()))?;
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
