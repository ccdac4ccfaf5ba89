//! A toy dataset and run in a temporary folder.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by test binaries that each use a part")]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use image::DynamicImage;
use portrait_files::config::ConfigFile;
use portrait_files::folder::seed_folder;
use portrait_files::weights;
use portrait_network::{Dtype, Model, Plane};
use portrait_training::backend::{Training, devices};
use portrait_training::{EvaluateOptions, Event, Losses, Start, Summary, TrainError, TrainOptions, toy, train};

/// The toy config that ships.
pub const TOY_CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/toy.toml");
/// All planes that a pair may have.
pub const PLANES: [Plane; 3] = [Plane::Color, Plane::Normal, Plane::Depth];

/// A folder that is deleted in the end.
pub struct Workshop(tempfile::TempDir);

impl Workshop {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Makes a folder with the pairs of the toy config.
    pub fn with_pairs(size_px: usize) -> Self {
        let workshop = Self::new();
        write_pairs(&workshop.data(), 0..24, size_px, None);
        write_pairs(&workshop.data(), 900_000..900_004, size_px, None);
        workshop
    }

    /// Makes a folder with a single pair, 16 pixels wide, of seed 7.
    pub fn with_one_pair() -> Self {
        let workshop = Self::new();
        write_pairs(&workshop.data(), 7..8, 16, None);
        workshop
    }

    /// Returns the folder of the single pair.
    pub fn one_pair(&self) -> PathBuf {
        seed_folder(&self.data(), 7)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn run(&self, config: &ConfigFile, out: &str, resume: bool) -> Result<(Summary, Vec<Event>), TrainError> {
        self.run_until(config, out, resume, |_| false)
    }

    /// Trains, and asks the run to stop after the first event for which `last` is true.
    pub fn run_until(
        &self,
        config: &ConfigFile,
        out: &str,
        resume: bool,
        last: impl Fn(&Event) -> bool,
    ) -> Result<(Summary, Vec<Event>), TrainError> {
        self.run_from(config, out, if resume { Start::Resume } else { Start::Random }, None, last)
    }

    /// Trains from a place to begin and with a file of features, and asks the run to stop after the first event for which `last` is true.
    pub fn run_from(
        &self,
        config: &ConfigFile,
        out: &str,
        start: Start,
        perceptual: Option<&Path>,
        last: impl Fn(&Event) -> bool,
    ) -> Result<(Summary, Vec<Event>), TrainError> {
        let stop = AtomicBool::new(false);
        let (data, out) = (self.data(), self.path(out));
        let options = TrainOptions { config, data: &data, out: &out, start, perceptual, stop: &stop };
        let mut events = Vec::new();
        let devices = devices(config.config().run.workers);
        let summary = train::<Training>(&options, &devices, &mut |event| {
            stop.fetch_or(last(event), std::sync::atomic::Ordering::Relaxed);
            events.push(event.clone());
        })?;
        Ok((summary, events))
    }
}

/// Saves a network of the toy config with random weights as `random.safetensors`.
pub fn random_weights(workshop: &Workshop) -> PathBuf {
    let path = workshop.path("random.safetensors");
    let model = Model::random(toy_config(1, 1).config().graph().unwrap(), 1);
    weights::save(&model, &path, Dtype::F32, true).unwrap();
    path
}

/// Makes the options of an evaluation of the config's validation seeds, without what can be left out.
pub fn evaluation<'a>(
    config: &'a ConfigFile,
    weights: &'a [PathBuf],
    data: &'a [PathBuf],
    out: &'a Path,
) -> EvaluateOptions<'a> {
    let config = config.config();
    EvaluateOptions {
        weights,
        data,
        out,
        config,
        seeds: None,
        clips: None,
        likeness: None,
        photographs: None,
        overwrite: false,
    }
}

/// Writes toy pairs of a size, and where it is given the scene's source and kind of light.
pub fn write_pairs(data: &Path, seeds: Range<u64>, size_px: usize, scene: Option<(&str, &str)>) {
    for seed in seeds {
        toy::write(data, &toy::pair(seed, size_px)).unwrap();
        if let Some((source, light_kind)) = scene {
            write_scene(data, seed, source, light_kind);
        }
    }
}

/// Writes `scene.json` of a toy pair: its source and light, and a camera that sees 0.3 m of a head at the eyes' height.
pub fn write_scene(data: &Path, seed: u64, source: &str, light_kind: &str) {
    let scene = serde_json::json!({
        "source": source,
        "light_kind": light_kind,
        "identity_parameters": { "melanin": 0.3 },
        "camera": {
            "position": [0.0, 0.0, 1.0],
            "rotation_xyzw": [0.0, 0.0, 0.0, 1.0],
            "fov_y_rad": 2.0 * 0.15_f64.atan(),
        },
        "face": { "center": [0.0, 0.0, 0.0], "half_extents": [0.1, 0.115, 0.1] },
    });
    std::fs::write(seed_folder(data, seed).join("scene.json"), scene.to_string()).unwrap();
}

/// Picks the losses of every logged step.
pub fn step_losses(events: &[Event]) -> Vec<(u64, Losses)> {
    let steps = events.iter().filter_map(|event| match event {
        Event::Step { step, losses, .. } => Some((*step, *losses)),
        _ => None,
    });
    steps.collect()
}

/// Lists the losses of a run with one critic, for comparisons.
pub fn each(losses: &Losses) -> [f64; 8] {
    [
        losses.l1,
        losses.adversarial,
        losses.wasserstein,
        losses.penalty,
        losses.generator_gradient,
        losses.critic_gradient,
        losses.l1_image_gradient,
        losses.adversarial_image_gradient,
    ]
}

/// Makes the toy config with `max_steps` and checkpoints every `checkpoint_every` steps.
pub fn toy_config(max_steps: u64, checkpoint_every: u64) -> ConfigFile {
    toy_config_with(max_steps, checkpoint_every, &[])
}

/// Makes the toy config with other values: pairs of an entry of the file, such as `batch`, and its new value.
pub fn toy_config_with(max_steps: u64, checkpoint_every: u64, changes: &[(&str, &str)]) -> ConfigFile {
    let lengths = [("max_steps", max_steps.to_string()), ("checkpoint_every", checkpoint_every.to_string())];
    let changes = changes.iter().map(|(name, value)| (*name, value.to_string())).chain(lengths);
    let mut text = std::fs::read_to_string(TOY_CONFIG).unwrap();
    for (name, value) in changes {
        let entry = format!("{name} = ");
        let line = text.lines().find(|line| line.starts_with(&entry)).unwrap().to_string();
        text = text.replace(&line, &format!("{entry}{value}"));
    }
    ConfigFile::parse(text, TOY_CONFIG.as_ref()).unwrap()
}

/// Adds a line to a section of a config, such as `scales = 2` to `critic`.
pub fn with_line(config: &ConfigFile, section: &str, line: &str) -> ConfigFile {
    let (head, line) = (format!("[{section}]\n"), format!("{line}\n"));
    assert!(config.text().contains(&head));
    ConfigFile::parse(config.text().replace(&head, &(head.clone() + &line)), TOY_CONFIG.as_ref()).unwrap()
}

/// Reads the log's step lines, without what a clock says.
pub fn logged_steps(log: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut steps: Vec<_> = lines.filter(|line| line["event"] == "step").collect();
    for step in &mut steps {
        let timeless = step.as_object_mut().unwrap();
        assert!(timeless.remove("seconds_per_step").is_some() && timeless.remove("max_steps").is_some());
    }
    steps
}

/// Checks that an error or a text holds every part.
#[track_caller]
pub fn assert_says(said: &dyn Display, parts: &[&str]) {
    let text = said.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// Returns every file below a folder, with its content.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap_or_default());
        }
    }
    found
}

/// Changes an image in its file.
pub fn edit(path: &Path, edit: impl Fn(DynamicImage) -> DynamicImage) {
    edit(image::open(path).unwrap()).save(path).unwrap();
}
