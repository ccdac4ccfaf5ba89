//! `cargo xtask character`: weights tuned to characters of one's own, from their GLB files alone.
//!
//! Everything lies in one folder, and every step keeps what is there: scenes by the file and the settings that made them, weights and
//! figures by a digest of what they depend on. So the same command goes on wherever it stopped, and makes anew what a change asks for.

mod cast;
mod general;
mod results;
mod scenes;
mod tuning;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;

use self::cast::Cast;
use self::general::General;
use self::results::Results;
use self::scenes::{Amounts, Purpose, SEEDS_EACH};
use self::tuning::Tuning;
use crate::head_studio::{self, HEAD_STUDIO, Request};
use crate::pipeline;
use crate::plan::{self, Step};
use crate::run::{run, workspace_root};
use crate::vulkan;

/// Minimum number of training scenes: fewer teach nothing that holds in another light.
const MIN_SCENES: u64 = 8;

/// The arguments of `cargo xtask character`.
#[derive(Args)]
pub struct Arguments {
    /// GLBs of the characters. Several share one weights file.
    #[arg(required = true, value_name = "FILE.glb")]
    files: Vec<PathBuf>,
    /// Folder for everything [default: one with the character's name, here]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Render six references of each character and stop, to look at what its TOML in --out says.
    #[arg(long, conflicts_with_all = ["export_cameras", "references"])]
    look: bool,
    /// Write cameras and posed heads for references rendered elsewhere, and stop.
    #[arg(long, conflicts_with = "references")]
    export_cameras: bool,
    /// Folder of references rendered elsewhere for the exported cameras, `SEED.exr`.
    #[arg(long, value_name = "DIR")]
    references: Option<PathBuf>,
    /// Training scenes of each character, 256 pixels wide.
    #[arg(long, default_value_t = 120)]
    scenes: u64,
    /// Training scenes of each character, 512 pixels wide.
    #[arg(long, default_value_t = 24)]
    large_scenes: u64,
    /// Path-tracing samples for each pixel of a training reference.
    #[arg(long, default_value_t = 16)]
    samples: u32,
    /// Folder of pairs of other people, which are trained on as well.
    #[arg(long, value_name = "DIR")]
    general: Option<PathBuf>,
    /// Share of those pairs among the training pairs, 0 to 0.9.
    #[arg(long, default_value_t = 0.25)]
    general_share: f64,
    /// Weights to start from, of the config's network [default: assets/weights/quality.safetensors]
    #[arg(long, value_name = "FILE.safetensors")]
    from: Option<PathBuf>,
    /// How to train; seeds are filled in [default: training/configs/character.toml]
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Folder of asset packs with more surroundings, as training/dataset/README.md describes; may be given several times.
    #[arg(long)]
    assets: Vec<PathBuf>,
}

/// Does what the arguments ask for.
pub fn character(arguments: Arguments) -> Result<()> {
    let Arguments { files, out, look, export_cameras, references, scenes, large_scenes, samples, .. } = arguments;
    ensure!(
        (MIN_SCENES..=SEEDS_EACH).contains(&scenes) && large_scenes <= SEEDS_EACH,
        "--scenes {scenes} --large-scenes {large_scenes}: expected {MIN_SCENES} to {SEEDS_EACH} and at most {SEEDS_EACH}; fewer pairs \
         teach nothing that holds in another light"
    );
    ensure!((1..=65_536).contains(&samples), "--samples {samples}: expected 1 to 65536");
    let shipped = || workspace_root().join("assets/weights/quality.safetensors");
    let order = Order {
        general: arguments.general.map(|folder| General::open(&folder, arguments.general_share)).transpose()?,
        from: std::path::absolute(arguments.from.unwrap_or_else(shipped))?,
        config: arguments.config.unwrap_or_else(|| pipeline::config("character")),
        references: references.map(std::path::absolute).transpose()?,
        assets: arguments.assets,
        amounts: Amounts { scenes, large_scenes, size_px: 256, samples },
        cast: Cast::open(&files, out.as_deref())?,
    };
    order.check()?;
    let out = order.cast.out.display();
    if look {
        plan::run("cargo xtask character --look", order.look()?)?;
        println!(
            "\nThe references are in {out}/look. What they look like is in {out}/NAME.toml: change it, and look again."
        );
        return Ok(());
    }
    if export_cameras {
        plan::run("cargo xtask character --export-cameras", order.export_cameras()?)?;
        println!(
            "\nCameras and heads are in {out}/cameras. Render SEED.exr for each, then give their folder to --references."
        );
        return Ok(());
    }
    let (tuning, test) = (order.tuning(), order.amounts.seeds(&order.cast, Purpose::Test));
    let results = Results { tuning: &tuning, test };
    plan::run("cargo xtask character", order.steps(&tuning, &results)?)
}

/// Everything that is asked for.
struct Order {
    cast: Cast,
    amounts: Amounts,
    general: Option<General>,
    from: PathBuf,
    config: PathBuf,
    references: Option<PathBuf>,
    assets: Vec<PathBuf>,
}

impl Order {
    /// Checks what would fail only after hours.
    fn check(&self) -> Result<()> {
        ensure!(self.from.is_file(), "--from {}: no such file; expected weights", self.from.display());
        tuning::table(&self.config)?;
        let (from, own) = (self.from.file_stem().unwrap_or_default(), self.cast.weights_name());
        ensure!(
            from != own.as_str(),
            "{own}: the weights to start from are called so as well, and the report tells them apart by name; rename the character's file, \
             or with several characters the folder"
        );
        if let Some(references) = &self.references {
            ensure!(references.is_dir(), "--references {}: expected a folder of SEED.exr files", references.display());
            let scenes = self.outlines();
            ensure!(
                scenes.is_dir(),
                "{} is missing: expected the cameras that the references were rendered for; run with --export-cameras first",
                scenes.display()
            );
        }
        Ok(())
    }

    /// The steps before all others: head studio, and a TOML for each character, checked with its GLB.
    fn begin(&self) -> Vec<Step<'_>> {
        let mut steps = vec![HEAD_STUDIO.step(490)];
        for character in &self.cast.characters {
            let settings = self.cast.settings(character);
            let name = format!("Read {} and its {}.toml", character.file.display(), character.name);
            steps.push(Step::new(name, 0.3, move || {
                run(head_studio::command()?.arg("settings").arg(&character.file).arg("--out").arg(&settings))
            }));
        }
        steps
    }

    fn look_folder(&self) -> PathBuf {
        self.cast.out.join("look")
    }

    /// The steps of `--look`: a picture of six references for each character.
    fn look(&self) -> Result<Vec<Step<'_>>> {
        let mut steps = self.begin();
        for (place, character) in self.cast.characters.iter().enumerate() {
            let data = self.look_folder().join(&character.name);
            let picture = self.look_folder().join(format!("{}.png", character.name));
            let request = Amounts::look(&self.cast, place, &data, &self.assets);
            steps.push(head_studio::scenes(format!("Render references of {}", character.name), request)?);
            steps.push(Step::new(format!("Put them into {}.png", character.name), 0.1, move || {
                run(head_studio::command()?.arg("sheet").arg("--data").arg(&data).arg("--out").arg(&picture))
            }));
        }
        Ok(steps)
    }

    /// The data folder of scenes whose references come from elsewhere.
    fn outlines(&self) -> PathBuf {
        self.cast.out.join("cameras/scenes")
    }

    /// The steps of `--export-cameras`.
    fn export_cameras(&self) -> Result<Vec<Step<'_>>> {
        let mut steps = self.begin();
        let (data, assets) = (self.outlines(), &self.assets);
        steps.extend(self.make(|character, set| Amounts::outlines(&self.cast, character, set, &data, assets), false)?);
        steps.push(Step::new("Write cameras", 0.2, move || {
            let out = self.cast.out.join("cameras");
            run(head_studio::command()?.arg("cameras").arg("--data").arg(self.outlines()).arg("--out").arg(out))
        }));
        Ok(steps)
    }

    /// The data folder that is trained on.
    fn data(&self) -> PathBuf {
        self.cast.out.join(if self.references.is_some() { "references" } else { "data" })
    }

    /// A step for each set of each character: scenes and references, and first images if they are asked for.
    fn make(
        &self,
        request: impl Fn(&cast::Character, &scenes::Set) -> Request,
        first_images: bool,
    ) -> Result<Vec<Step<'static>>> {
        let mut steps = Vec::new();
        for (place, character) in self.cast.characters.iter().enumerate() {
            for set in self.amounts.sets(place) {
                let what = if first_images { "pairs" } else { "scenes" };
                let name = format!("Make {} {what} of {}, {}²", set.purpose.name(), character.name, set.size_px);
                let request = request(character, &set);
                let step = if first_images { head_studio::pairs } else { head_studio::scenes };
                steps.push(step(name, request)?);
            }
        }
        Ok(steps)
    }

    /// The steps that make pairs of references that were rendered elsewhere.
    fn take<'a>(&'a self, images: &'a Path) -> Result<Vec<Step<'a>>> {
        let mut steps = vec![Step::new("Check and take the references", 0.5, move || {
            let (data, out) = (self.outlines(), self.data());
            run(head_studio::command()?.arg("take").arg(images).arg("--data").arg(data).arg("--out").arg(out))
        })];
        for (place, character) in self.cast.characters.iter().enumerate() {
            for set in self.amounts.sets(place) {
                let request = Amounts::outlines(&self.cast, character, &set, &self.data(), &self.assets);
                let name =
                    format!("Render {} first images of {}, {}²", set.purpose.name(), character.name, set.size_px);
                let minutes = 0.1 * (set.seeds.end - set.seeds.start) as f64;
                steps.push(Step::new(name, minutes, move || head_studio::first_images(&request)));
            }
        }
        Ok(steps)
    }

    /// Lists everything that the weights are tuned with.
    fn tuning(&self) -> Tuning<'_> {
        Tuning {
            cast: &self.cast,
            data: self.data(),
            training: self.amounts.seeds(&self.cast, Purpose::Training),
            validation: self.amounts.seeds(&self.cast, Purpose::Validation),
            config: &self.config,
            from: &self.from,
            general: self.general.as_ref(),
        }
    }

    /// All steps from GLBs to weights and figures.
    fn steps<'a>(&'a self, tuning: &'a Tuning<'a>, results: &'a Results<'a>) -> Result<Vec<Step<'a>>> {
        let mut steps = self.begin();
        steps.extend([vulkan::step(), head_studio::compile_step()]);
        match &self.references {
            Some(images) => steps.extend(self.take(images)?),
            None => {
                let (amounts, data) = (&self.amounts, self.data());
                steps.extend(
                    self.make(|character, set| amounts.pairs(&self.cast, character, set, &data, &self.assets), true)?,
                );
            }
        }
        steps.push(pipeline::compile_step());
        steps.push(Step::new("Tune the weights", tuning.minutes()?, move || tuning.tune()));
        steps.push(Step::new("Measure what was held out", results.minutes(), move || results.measure()));
        Ok(steps)
    }
}

/// Tunes weights to the demo's head at toy size, twice: the second time everything is kept.
pub fn end_to_end(folder: &Path) -> Result<()> {
    let order = Order {
        cast: Cast::open(&[workspace_root().join("assets/heads/demo.glb")], Some(folder))?,
        amounts: Amounts { scenes: 1, large_scenes: 0, size_px: 64, samples: 2 },
        general: None,
        from: workspace_root().join("assets/weights/quality.safetensors"),
        config: pipeline::config("character_toy"),
        references: None,
        assets: Vec::new(),
    };
    order.check()?;
    let make = || -> Result<Vec<Vec<u8>>> {
        let (tuning, test) = (order.tuning(), order.amounts.seeds(&order.cast, Purpose::Test));
        let results = Results { tuning: &tuning, test };
        for step in order.steps(&tuning, &results)? {
            step.work()?;
        }
        let made = ["demo.toml", "demo.safetensors", "report.html", "before_after.png", "report/measured.txt"];
        made.iter().map(|name| tuning::read(&order.cast.out.join(name))).collect()
    };
    let first = make()?;
    let runs = || std::fs::read_dir(order.cast.out.join("training")).map(|entries| entries.count());
    let (count, trained) = (runs()?, std::fs::metadata(order.cast.weights())?.modified()?);
    ensure!(make()? == first && runs()? == count, "a second run of the same command made something else");
    ensure!(std::fs::metadata(order.cast.weights())?.modified()? == trained, "a second run trained again");
    println!("weights were tuned to the demo's head end to end in {}", folder.display());
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::cast::tests::files;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// Returns what a command line that cannot work says, before anything is installed, rendered or trained.
    fn refusal(line: &[&str]) -> String {
        let line = Line::try_parse_from(["character"].iter().chain(line)).unwrap_or_else(|error| panic!("{error}"));
        format!("{:#}", character(line.arguments).unwrap_err())
    }

    #[test]
    fn what_would_fail_after_hours_is_refused_at_once() {
        Line::command().debug_assert();
        let folder = tempfile::tempdir().unwrap();
        let heads = files(folder.path(), &["hero.glb", "quality.glb"]);
        let [hero, quality] = [&heads[0], &heads[1]].map(|file| file.to_str().unwrap());
        let out = folder.path().join("out");
        let out = out.to_str().unwrap();
        let of_hero = |more: &[&str]| refusal(&[&[hero, "--out", out][..], more].concat());
        assert!(of_hero(&["--scenes", "7"]).contains("--scenes 7 --large-scenes 24: expected 8 to 1000"));
        assert!(of_hero(&["--large-scenes", "1001"]).contains("at most 1000"));
        assert!(of_hero(&["--samples", "0"]).contains("expected 1 to 65536"));
        assert!(of_hero(&["--from", "none.safetensors"]).contains("none.safetensors: no such file; expected weights"));
        assert!(of_hero(&["--general", "none"]).contains("--general none: expected a folder of pairs"));
        assert!(of_hero(&["--config", "none.toml"]).contains("cannot read none.toml"));
        assert!(of_hero(&["--references", "none"]).contains("none: expected a folder of SEED.exr files"));
        let images = folder.path().join("images");
        std::fs::create_dir(&images).unwrap();
        assert!(of_hero(&["--references", images.to_str().unwrap()]).contains("run with --export-cameras first"));
        let broken = folder.path().join("broken.toml");
        std::fs::write(&broken, "[run\n").unwrap();
        assert!(of_hero(&["--config", broken.to_str().unwrap()]).contains("broken.toml is no TOML"));
        let same = folder.path().join("same");
        let error = refusal(&[quality, "--out", same.to_str().unwrap()]);
        assert!(error.contains("quality: the weights to start from are called so as well"), "{error}");
        assert!(refusal(&["none.glb", "--out", out]).contains("none.glb: no such file"));
    }

    #[test]
    fn looking_exporting_and_bringing_references_exclude_each_other() {
        let parses = |line: &[&str]| Line::try_parse_from([&["character", "hero.glb"][..], line].concat()).is_ok();
        assert!(parses(&["--look"]) && parses(&["--export-cameras"]) && parses(&["--references", "d"]));
        assert!(!parses(&["--look", "--export-cameras"]) && !parses(&["--export-cameras", "--references", "d"]));
        assert!(!parses(&["--look", "--references", "d"]));
    }

    #[test]
    fn steps_read_each_character_first_and_make_every_set_of_each() {
        let folder = tempfile::tempdir().unwrap();
        let order = Order {
            cast: Cast::open(&files(folder.path(), &["hero.glb", "villain.glb"]), Some(&folder.path().join("out")))
                .unwrap(),
            amounts: Amounts { scenes: 8, large_scenes: 0, size_px: 64, samples: 2 },
            general: None,
            from: workspace_root().join("assets/weights/quality.safetensors"),
            config: pipeline::config("character"),
            references: None,
            assets: Vec::new(),
        };
        order.check().unwrap();
        assert_eq!(order.begin().len(), 3);
        assert_eq!(order.look().unwrap().len(), 3 + 2 * 2);
        assert_eq!(order.export_cameras().unwrap().len(), 3 + 2 * 3 + 1);
        assert_eq!(order.data(), folder.path().join("out/data"));
    }
}
