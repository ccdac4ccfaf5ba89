//! A data set and weights made end to end at toy size: what `training/README.md` describes, run by the tests.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::evaluate::LIKENESS;
use crate::head_studio::{self, Request};
use crate::run::{cargo, run, target_folder, workspace_root};

/// Identities for training and validation, two images each.
const SEEDS: [&str; 2] = ["0..2", "900000..900002"];

/// Light calibration, then heads and references → first images → training → export → evaluation → the demo with the new weights.
pub fn end_to_end() -> Result<()> {
    let folder = target_folder().join("smoke");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    head_studio::calibrate(&folder.join("calibration"))?;
    let data = folder.join("data");
    for (seeds, light_groups) in SEEDS.into_iter().zip([true, false]) {
        let request = Request { seeds: seeds.into(), stride: 1, out: data.clone(), size: 64, samples: 2, light_groups };
        head_studio::render(&request)?;
        head_studio::first_images(&request)?;
    }

    // With the tests, whose development dependencies choose the features that Burn was built with.
    cargo("build", &["--package", "portrait_training", "--package", "xtask", "--bins", "--tests"])?;
    let train = target_folder().join("debug/portrait-train");
    let config = workspace_root().join("training/configs/toy.toml");
    let (run_folder, weights) = (folder.join("run"), folder.join("toy.safetensors"));
    run(Command::new(&train)
        .arg("train")
        .arg("--config")
        .arg(&config)
        .arg("--data")
        .arg(&data)
        .arg("--out")
        .arg(&run_folder))?;
    run(Command::new(&train).arg("export").arg("--checkpoint").arg(&run_folder).arg("--out").arg(&weights))?;
    let report = folder.join("report");
    run(Command::new(&train)
        .arg("evaluate")
        .arg("--likeness")
        .arg(LIKENESS.ensure()?)
        .arg("--weights")
        .arg(&weights)
        .arg("--data")
        .arg(&data)
        .arg("--config")
        .arg(&config)
        .arg("--out")
        .arg(&report))?;
    // So small a picture need not show a face to the detector: how many were found does not matter.
    let text = std::fs::read_to_string(report.join("report.json")).context("the evaluation wrote no report.json")?;
    ensure!(text.contains("\"first_second_median\""), "report.json has no likeness");

    let pictures = folder.join("demo");
    let (pictures_text, weights_text) = (pictures.to_string_lossy(), weights.to_string_lossy());
    cargo(
        "run",
        &[
            "--package",
            "bevy_portrait_realism",
            "--example",
            "headless",
            "--",
            "--size",
            "96",
            "--out",
            &pictures_text,
            "--weights",
            &weights_text,
        ],
    )?;
    for name in ["before.png", "after.png", "side_by_side.png"] {
        ensure!(pictures.join(name).is_file(), "the demo wrote no {name} with the new weights");
    }
    println!("a data set and weights were made end to end in {}", folder.display());
    Ok(())
}
