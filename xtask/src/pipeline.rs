//! From seeds to figures: data sets, training, export and evaluation, one after the other. Every step resumes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::evaluate::LIKENESS;
use crate::head_studio::{self, Request};
use crate::run::{cargo, run, target_folder, workspace_root};

/// Which data to make and what to train and measure on it.
pub struct Recipe<'a> {
    /// Data sets, all in one folder.
    pub sets: Vec<Request>,
    /// Names of configs in `training/configs`, the default model's first.
    pub configs: &'a [&'a str],
    /// Further arguments of `portrait-train evaluate`.
    pub evaluate: &'a [&'a str],
}

/// What `cargo xtask reproduce` makes: the weights that ship and `training/results/report.json`.
pub fn shipped(folder: &Path) -> Recipe<'static> {
    let out = folder.join("data");
    let set = |seeds: &str, stride, samples| Request { stride, samples, ..Request::new(seeds, &out) };
    let measured = [
        set("900000..900160", 8, 16),
        set("1003000..1003832", 8, 24),
        // The warping error looks at first images alone.
        Request { clip: true, ..set("1008000..1008064", 1, 2) },
    ];
    let training = Request { light_groups: true, ..set("0..1200", 4, 16) };
    Recipe {
        sets: std::iter::once(training).chain(measured).collect(),
        configs: &["quality", "fast"],
        evaluate: &["--seeds", "1003000..1003832", "--clips", "1008000..1008064"],
    }
}

fn holds_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// Runs a recipe; its data, runs, weights and report lie in `folder`. Returns the default model's weights.
pub fn make(recipe: &Recipe, folder: &Path) -> Result<PathBuf> {
    for request in &recipe.sets {
        head_studio::render(request)?;
        head_studio::first_images(request)?;
    }
    // With the tests, whose development dependencies choose the features that Burn was built with.
    cargo("build", &["--package", "portrait_training", "--package", "xtask", "--bins", "--tests"])?;
    let train = target_folder().join("debug/portrait-train");
    let data = folder.join("data");
    let config = |name: &str| workspace_root().join("training/configs").join(name).with_extension("toml");
    let weights = |name: &str| folder.join(name).with_extension("safetensors");
    for &name in recipe.configs {
        let run_folder = folder.join("runs").join(name);
        run(Command::new(&train)
            .arg("train")
            .arg("--config")
            .arg(config(name))
            .arg("--data")
            .arg(&data)
            .arg("--out")
            .arg(&run_folder)
            .args(holds_files(&run_folder).then_some("--resume")))?;
        run(Command::new(&train)
            .args(["export", "--overwrite", "--dtype", "f16", "--last", "--checkpoint"])
            .arg(&run_folder)
            .arg("--out")
            .arg(weights(name)))?;
    }
    run(Command::new(&train)
        .args(["evaluate", "--overwrite", "--likeness"])
        .arg(LIKENESS.ensure()?)
        .arg("--weights")
        .args(recipe.configs.iter().map(|name| weights(name)))
        .arg("--data")
        .arg(&data)
        .arg("--config")
        .arg(config(recipe.configs[0]))
        .args(recipe.evaluate)
        .arg("--out")
        .arg(folder.join("report")))?;
    Ok(weights(recipe.configs[0]))
}
