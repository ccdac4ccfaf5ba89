//! `cargo xtask lint`: formatting, Clippy and the documentation, with warnings as errors.

use std::path::PathBuf;

use anyhow::Result;

use crate::groups::{self, BEVY, BURN, ONNX};
use crate::plan::{self, Step};
use crate::run::{cargo, cargo_with};

/// Checks everything that is found without running it.
pub fn lint() -> Result<()> {
    let first = |name: &str, large: &str, (minutes, megabytes): (f64, u32), packages: &'static [&'static str]| {
        let minutes = if groups::is_checked(large) { 0.5 } else { minutes };
        let step = Step::new(format!("Clippy on {name}"), minutes, || clippy(packages, &[]));
        step.downloads(groups::download(large, megabytes))
    };
    // Every page is made of what Clippy had checked, with the same features, so that nothing is checked twice.
    let pages: [(&str, &[&str]); 3] = [
        // Asking for examples counts in the features of development dependencies, as Clippy's `--all-targets` does.
        ("the plugin's group", &[&BEVY[..], &["--lib", "--examples"]].concat()),
        ("the training's group", &["--package", "portrait_training", "--package", "portrait_files"]),
        ("the ONNX group", &ONNX),
    ];
    let mut steps = vec![
        Step::new("Formatting", 0.05, || cargo("fmt", &["--all", "--check"])),
        first("the plugin's group", "bevy_pbr", (7.0, 60), &BEVY),
        Step::new("Clippy on the plugin's group without default features", 0.5, || {
            clippy(&BEVY, &["--no-default-features"])
        }),
        first("the training's group", "burn_core", (3.0, 30), &BURN),
        first("the ONNX group", "tract_onnx", (1.0, 15), &ONNX),
    ];
    steps.extend(
        pages.map(|(name, arguments)| Step::new(format!("Documentation of {name}"), 0.3, || document(arguments))),
    );
    plan::run("cargo xtask lint", steps)
}

fn clippy(packages: &[&str], arguments: &[&str]) -> Result<()> {
    cargo("clippy", &[packages, &["--all-targets"], arguments, &["--", "--deny", "warnings"]].concat())
}

fn document(arguments: &[&str]) -> Result<()> {
    let deny = [("RUSTDOCFLAGS", PathBuf::from("--deny warnings"))];
    cargo_with(&deny, "doc", &[&["--no-deps"], arguments].concat())
}
