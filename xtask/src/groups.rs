//! The three groups of packages that are built by themselves, and whether large parts of them are compiled already.

use anyhow::Result;

use crate::run::{cargo, target_folder};

/// The arguments that choose the packages with Bevy, which is then compiled once and with one set of features.
pub const BEVY: [&str; 6] =
    ["--package", "bevy_portrait_realism", "--package", "portrait_dataset", "--package", "portrait_network"];
/// The arguments that choose the packages with Burn.
pub const BURN: [&str; 6] = ["--package", "portrait_training", "--package", "portrait_files", "--package", "xtask"];
/// The arguments that choose the packages with tract, which asks more of crates that Burn uses than Burn does.
pub const ONNX: [&str; 4] = ["--package", "portrait_onnx", "--package", "portrait_peers"];

/// Returns true if a crate lies compiled in the build folder, and with it most of what it needs.
pub fn is_compiled(name: &str) -> bool {
    artifacts(name).iter().any(|file| file.ends_with(".rlib"))
}

/// Returns true if a crate's metadata lies alone in the build folder, as Clippy and rustdoc need it.
pub fn is_checked(name: &str) -> bool {
    let artifacts = artifacts(name);
    let alone = |metadata: &str| !artifacts.contains(&format!("{metadata}.rlib"));
    artifacts.iter().filter_map(|file| file.strip_suffix(".rmeta")).any(alone)
}

/// The names of the files that were made of a crate.
fn artifacts(name: &str) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(target_folder().join("debug/deps")) else { return Vec::new() };
    let names = files.filter_map(|file| Some(file.ok()?.file_name().to_string_lossy().into_owned()));
    names.filter(|file| file.starts_with(&format!("lib{name}-"))).collect()
}

/// The megabytes that are downloaded for a crate and what is compiled with it: none where it has been compiled or checked.
pub fn download(name: &str, megabytes: u32) -> u32 {
    if artifacts(name).is_empty() { megabytes } else { 0 }
}

/// Builds `portrait-train`, with the features that the tests were built with.
pub fn build_training() -> Result<()> {
    // Asking for examples, of which there are none, counts in the features of development dependencies.
    cargo("build", &[&BURN[..], &["--bin", "portrait-train", "--examples"]].concat())
}
