//! The steps that make a data set: heads and references with Blender as a Python module, first images with Bevy.

use std::iter::StepBy;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::groups::{self, BEVY};
use crate::plan::Step;
use crate::python::Package;
use crate::run::{cargo, run, target_folder};
use crate::vulkan;

/// Whose heads a data set shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Heads {
    /// Our own.
    Own,
    /// The one of a GLB.
    File {
        /// The GLB.
        file: PathBuf,
        /// The TOML with its settings instead of the one beside it. Scenes are made anew when they change.
        settings: Option<PathBuf>,
    },
    /// The game heads of a split.
    Cast {
        /// The folder with a GLB for each.
        folder: PathBuf,
        /// The split's name.
        split: String,
        /// The scenes of each head.
        scenes: u64,
    },
}

/// The data set to make.
#[derive(Clone)]
pub struct Request {
    /// The heads that it shows.
    pub heads: Heads,
    /// The range of seeds, `A..B`, without B.
    pub seeds: String,
    /// The step from one seed to the next, 1 or more.
    pub stride: u64,
    /// The data folder.
    pub out: PathBuf,
    /// Image width and height, in pixels.
    pub size: u32,
    /// Samples for each pixel of the reference.
    pub samples: u32,
    /// True to render each light alone as well.
    pub light_groups: bool,
    /// True if the eight seeds of an identity are frames of a turning head.
    pub clip: bool,
    /// Folders of asset packs.
    pub assets: Vec<PathBuf>,
}

impl Request {
    /// The seeds, without regard to the stride.
    pub fn range(&self) -> Result<Range<u64>> {
        let wrong = || format!("expected seeds as A..B, with A below B, found {}", self.seeds);
        let (first, end) = self.seeds.split_once("..").with_context(wrong)?;
        let (first, end): (u64, u64) = (first.parse().with_context(wrong)?, end.parse().with_context(wrong)?);
        ensure!(first < end && self.stride > 0, "{} and a stride of at least 1", wrong());
        Ok(first..end)
    }

    /// The seeds.
    fn all(&self) -> Result<StepBy<Range<u64>>> {
        Ok(self.range()?.step_by(usize::try_from(self.stride)?))
    }

    /// The number of seeds whose folder lacks a file.
    fn without(&self, file: &str) -> Result<usize> {
        Ok(self.all()?.filter(|seed| !self.out.join(format!("{seed:08}")).join(file).is_file()).count())
    }

    /// The minutes that two cores take for what is missing, roughly: of scenes with their references, and of first images.
    fn minutes(&self) -> Result<[f64; 2]> {
        Ok([minutes_of_head(self) * self.without("done.json")? as f64, 0.1 * self.without("pair.json")? as f64])
    }

    /// Asks for every seed of a range, in the data set's usual size and quality.
    pub fn new(seeds: &str, out: &Path) -> Self {
        let (seeds, out) = (seeds.into(), out.into());
        Self {
            heads: Heads::Own,
            seeds,
            stride: 1,
            out,
            size: 256,
            samples: 24,
            light_groups: false,
            clip: false,
            assets: Vec::new(),
        }
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

/// The minutes that two cores take for a head and its reference, roughly: six seconds, and twelve microseconds for each sample of
/// each pixel, three times as long where each light is rendered alone as well.
fn minutes_of_head(request: &Request) -> f64 {
    let samples = f64::from(request.size).powi(2) * f64::from(request.samples);
    (6.0 + 12e-6 * samples * if request.light_groups { 3.0 } else { 1.0 }) / 60.0
}

/// The steps that make a data set on a fresh machine.
pub fn steps(request: &Request) -> Result<Vec<Step<'_>>> {
    let mut steps = vec![vulkan::step(), HEAD_STUDIO.step(490), compile_step()];
    steps.extend(pictures(request)?);
    Ok(steps)
}

/// The step that compiles the renderer of first images.
pub fn compile_step() -> Step<'static> {
    let compile = || portrait_dataset().map(drop);
    if groups::is_compiled("bevy_pbr") {
        return Step::new("Compile the renderer of first images", 0.5, compile);
    }
    Step::new("Compile Bevy and the renderer of first images", 22.0, compile)
        .downloads(groups::download("bevy_pbr", 50))
}

/// The two steps that make what is missing of a data set.
pub fn pictures(request: &Request) -> Result<[Step<'_>; 2]> {
    let (seeds, [heads, first]) = (&request.seeds, request.minutes()?);
    Ok([
        Step::new(format!("Make heads and references of seeds {seeds}"), heads, move || render(request)),
        Step::new(format!("Render first images of seeds {seeds}"), first, move || first_images(request)),
    ])
}

/// The step that makes what is missing of a data set, scenes, references and first images.
pub fn pairs(name: String, request: Request) -> Result<Step<'static>> {
    let minutes: f64 = request.minutes()?.iter().sum();
    Ok(Step::new(name, minutes, move || {
        render(&request)?;
        first_images(&request)
    }))
}

/// The step that makes what is missing of scenes and references.
pub fn scenes(name: String, request: Request) -> Result<Step<'static>> {
    let [minutes, _] = request.minutes()?;
    Ok(Step::new(name, minutes, move || render(&request)))
}

/// The command `python -m head_studio`, which runs in a folder of its own: every path has to be absolute.
pub fn command() -> Result<Command> {
    Ok(command_of(&HEAD_STUDIO.ensure()?))
}

fn command_of(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "head_studio"]).current_dir(HEAD_STUDIO.folder());
    command
}

/// Makes heads and references with Blender.
pub fn render(request: &Request) -> Result<()> {
    run(&mut render_command(&HEAD_STUDIO.ensure()?, request)?)
}

fn render_command(python: &Path, request: &Request) -> Result<Command> {
    let mut assets = Vec::new();
    for folder in &request.assets {
        assets.extend(["--assets".into(), std::path::absolute(folder)?]);
    }
    let mut head_studio = command_of(python);
    let seeds = ["--seeds", &request.seeds];
    match &request.heads {
        Heads::Own => {
            head_studio.args(["render", "--stride", &request.stride.to_string()]).args(seeds);
        }
        Heads::File { file, settings } => {
            head_studio.arg("import").arg(std::path::absolute(file)?).args(seeds);
            if let Some(settings) = settings {
                head_studio.args(["--anew", "--settings"]).arg(std::path::absolute(settings)?);
            }
        }
        // The cast has its own seeds.
        Heads::Cast { folder, split, scenes } => {
            let scenes = scenes.to_string();
            head_studio.args(["import", "--split", split, "--scenes", &scenes, "--heads"]);
            head_studio.arg(std::path::absolute(folder)?);
        }
    }
    head_studio
        .args(["--size", &request.size.to_string(), "--samples", &request.samples.to_string(), "--out"])
        .arg(std::path::absolute(&request.out)?)
        .args(request.light_groups.then_some("--light-groups"))
        .args(request.clip.then_some("--clip"))
        .args(assets);
    Ok(head_studio)
}

/// Renders a grey sphere under each kind of light in both engines; fails where they differ by more than 5 %.
pub fn calibrate(out: &Path) -> Result<()> {
    let out = std::path::absolute(out)?;
    run(command()?.args(["calibration", "--out"]).arg(&out))?;
    run(Command::new(portrait_dataset()?).args(["calibrate", "--data"]).arg(&out))
}

/// Renders first images and the G-buffer with Bevy.
pub fn first_images(request: &Request) -> Result<()> {
    let out = std::path::absolute(&request.out)?;
    run(Command::new(portrait_dataset()?)
        .args(["render", "--seeds", &request.seeds, "--stride", &request.stride.to_string(), "--data"])
        .arg(out))
}

/// Builds `portrait-dataset`.
fn portrait_dataset() -> Result<PathBuf> {
    // With the examples, whose development dependencies choose the features that the tests were built with.
    cargo("build", &[&BEVY[..], &["--bins", "--examples"]].concat())?;
    Ok(target_folder().join("debug/portrait-dataset"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Returns the arguments of head studio for a data set with these heads, up to those that all have.
    fn arguments(heads: Heads) -> Vec<String> {
        let request = Request { heads, stride: 4, ..Request::new("500000..500180", Path::new("/data")) };
        let command = render_command("python".as_ref(), &request).unwrap();
        let all = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
        all.skip_while(|argument| argument != "head_studio")
            .skip(1)
            .take_while(|argument| argument != "--size")
            .collect()
    }

    #[test]
    fn head_studio_is_asked_for_own_heads_a_file_or_a_cast_whose_seeds_it_knows() {
        assert_eq!(arguments(Heads::Own), ["render", "--stride", "4", "--seeds", "500000..500180"]);
        let of_file = |settings| arguments(Heads::File { file: "/heads/hero.glb".into(), settings });
        let expected = ["import", "/heads/hero.glb", "--seeds", "500000..500180"];
        assert_eq!(of_file(None), expected);
        let settings = ["--anew", "--settings", "/hero/hero.toml"];
        assert_eq!(of_file(Some("/hero/hero.toml".into())), [&expected[..], &settings].concat());
        let cast = Heads::Cast { folder: "/packs/heads".into(), split: "training".into(), scenes: 10 };
        let expected = ["import", "--split", "training", "--scenes", "10", "--heads", "/packs/heads"];
        assert_eq!(arguments(cast), expected);
    }
}
