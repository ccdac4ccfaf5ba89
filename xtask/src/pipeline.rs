//! From seeds to figures: data sets, training, export and evaluation, one after the other. Every step resumes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::evaluate::{LIKENESS, PHOTOGRAPHS};
use crate::groups;
use crate::head_studio::{self, Request};
use crate::plan::Step;
use crate::run::{run, target_folder, workspace_root};

/// Which data to make and what to train and measure on it.
pub struct Recipe<'a> {
    /// Data sets, all in one folder.
    pub sets: Vec<Request>,
    /// Trainings in their order, the default model's first.
    pub trainings: &'a [Training],
    /// Expected minutes of the evaluation.
    pub evaluation_minutes: f64,
    /// Folder of photographs to measure the distance to.
    pub photographs: Option<PathBuf>,
    /// Further arguments of `portrait-train evaluate`.
    pub evaluate: &'a [&'a str],
}

/// One run of the trainer.
pub struct Training {
    /// Name of its config in `training/configs`, and of its weights in the recipe's folder.
    pub config: &'static str,
    /// Expected minutes.
    pub minutes: f64,
    /// The earlier training whose weights it starts from, instead of random ones. Those weights are not measured.
    pub init: Option<&'static str>,
}

impl Recipe<'_> {
    /// The trainings that no other one goes on from.
    fn last(&self) -> impl Iterator<Item = &'static str> {
        let is_last = |config: &&str| self.trainings.iter().all(|other| other.init != Some(config));
        self.trainings.iter().map(|training| training.config).filter(is_last)
    }
}

fn holds_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// The steps of a recipe; its data, runs, weights and report lie in `folder`.
pub fn steps<'a>(recipe: &'a Recipe, folder: &'a Path) -> Result<Vec<Step<'a>>> {
    let mut steps = Vec::new();
    for request in &recipe.sets {
        steps.extend(head_studio::pictures(request)?);
    }
    steps.push(compile_step());
    for training in recipe.trainings {
        let what = format!("Train and export {}", training.config);
        steps.push(Step::new(what, training.minutes, move || train(training, folder)));
    }
    steps.push(Step::new("Measure the weights", recipe.evaluation_minutes, || evaluate(recipe, folder)));
    Ok(steps)
}

/// The step that compiles the trainer.
pub fn compile_step() -> Step<'static> {
    if groups::is_compiled("burn_core") {
        return Step::new("Compile the trainer", 0.5, groups::build_training);
    }
    Step::new("Compile Burn and the trainer", 5.0, groups::build_training).downloads(groups::download("burn_core", 30))
}

/// The file with the weights of a config.
pub fn weights(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).with_extension("safetensors")
}

/// The file of a config.
pub fn config(name: &str) -> PathBuf {
    workspace_root().join("training/configs").join(name).with_extension("toml")
}

/// The command `portrait-train`, once it is built.
pub fn portrait_train() -> Command {
    Command::new(target_folder().join("debug/portrait-train"))
}

fn train(training: &Training, folder: &Path) -> Result<()> {
    let name = training.config;
    let run_folder = folder.join("runs").join(name);
    let begun = holds_files(&run_folder);
    let init = training.init.filter(|_| !begun).map(|init| [PathBuf::from("--init"), weights(folder, init)]);
    run(portrait_train()
        .arg("train")
        .arg("--config")
        .arg(config(name))
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--out")
        .arg(&run_folder)
        .args(init.into_iter().flatten())
        .args(begun.then_some("--resume")))?;
    run(portrait_train()
        .args(["export", "--overwrite", "--dtype", "f16", "--last", "--checkpoint"])
        .arg(&run_folder)
        .arg("--out")
        .arg(weights(folder, name)))
}

fn evaluate(recipe: &Recipe, folder: &Path) -> Result<()> {
    let mut command = portrait_train();
    command
        .args(["evaluate", "--overwrite", "--likeness"])
        .arg(LIKENESS.ensure()?)
        .arg("--weights")
        .args(recipe.last().map(|name| weights(folder, name)))
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--config")
        .args(recipe.last().next().map(config))
        .args(recipe.evaluate)
        .arg("--out")
        .arg(folder.join("report"));
    if let Some(photographs) = &recipe.photographs {
        command.arg("--photographs").arg(photographs).arg("--photographs-python").arg(PHOTOGRAPHS.ensure()?);
    }
    run(&mut command)
}
