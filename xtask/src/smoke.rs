//! A data set and weights made end to end at toy size: what `training/README.md` describes, run by the tests.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::character;
use crate::demo;
use crate::head_studio::{self, Request};
use crate::pipeline::{self, Recipe, Training, weights};
use crate::run::{target_folder, workspace_root};

/// Returns a folder in the target folder that is not there.
fn cleared(name: &str) -> Result<PathBuf> {
    let folder = target_folder().join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    Ok(folder)
}

/// Weights tuned to the demo's head as `cargo xtask character` does it.
pub fn character() -> Result<()> {
    character::end_to_end(&cleared("smoke_character")?)
}

/// Light calibration, then heads and references → first images → training → export → evaluation → the demo with the new weights.
pub fn end_to_end() -> Result<()> {
    let folder = cleared("smoke")?;
    head_studio::calibrate(&folder.join("calibration"))?;
    // Two training pairs, two of validation, and two frames of a clip.
    let set = |seeds: &str| Request { size: 64, samples: 2, ..Request::new(seeds, &folder.join("data")) };
    let sets = vec![
        Request { light_groups: true, ..set("0..2") },
        set("900000..900002"),
        Request { clip: true, ..set("1008000..1008002") },
    ];
    let recipe = Recipe {
        sets,
        trainings: &[Training { config: "toy", minutes: 0.5, init: None }],
        evaluation_minutes: 0.5,
        // The demo's head stands in: there is no photograph in this repository.
        photographs: Some(workspace_root().join("assets/heads")),
        evaluate: &["--clips", "1008000..1008002"],
    };
    for step in pipeline::steps(&recipe, &folder)? {
        step.work()?;
    }
    // So small a picture need not show a face to the detector: how many were found does not matter.
    let report = folder.join("report/report.json");
    let text = std::fs::read_to_string(report).context("the evaluation wrote no report.json")?;
    for figure in ["first_second_median", "gap_closed", "temporal", "left_out"] {
        ensure!(text.contains(figure), "report.json has no {figure}");
    }

    let pictures = folder.join("demo");
    let toy = weights(&folder, "toy");
    demo::draw(&pictures, &["--size", "96", "--weights", &toy.to_string_lossy()])?;
    for name in ["before.png", "after.png", "side_by_side.png"] {
        ensure!(pictures.join(name).is_file(), "the demo wrote no {name} with the new weights");
    }
    println!("a data set and weights were made end to end in {}", folder.display());
    Ok(())
}
