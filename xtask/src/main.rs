//! `cargo xtask demo`, `test`, `lint`, `bench`, `gpu-code`, `dataset`, `character`, `package`, `evaluate`, `perceptual` and `reproduce`:
//! everything a fresh machine needs, and then the thing itself.

mod bench;
mod bench_table;
mod character;
mod demo;
#[cfg(test)]
mod documents;
mod evaluate;
mod gpu_code;
mod groups;
mod head_studio;
mod lint;
mod other_mesa;
mod package;
mod packages;
mod peers;
mod perceptual;
mod pipeline;
mod plan;
mod progress;
mod python;
mod run;
mod shipped;
mod smoke;
mod suite;
mod vulkan;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::evaluate::LIKENESS;
use crate::head_studio::{HEAD_STUDIO, Heads};
use crate::plan::Step;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sets a fresh machine up and runs the project")]
struct Cli {
    /// Install missing system packages without asking. Root, CI and a command without a terminal are not asked either.
    #[arg(long, global = true)]
    yes: bool,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Shows a face before and after: a window where there is a display, three pictures where there is none.
    Demo {
        /// Write pictures even where there is a display.
        #[arg(long)]
        headless: bool,
        /// Folder for before.png, after.png and side_by_side.png [default: <target>/demo]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Every test: network, plugin on a Vulkan device, the packed crates, data set, training, and a data set and weights made end to end.
    Test,
    /// Formatting, Clippy and the documentation, with warnings as errors. `.ci/run` is this, then `test`.
    Lint,
    /// Measures the network's passes on this machine's device, beside the device's own peak and the same network in other
    /// runtimes.
    Bench {
        /// Leave other runtimes out: building and installing them takes a while the first time.
        #[arg(long)]
        no_peers: bool,
        /// Measure nothing, but print the documents' table of a file that the benchmark has written, here or on another machine.
        #[arg(long, value_name = "FILE.json")]
        table: Option<PathBuf>,
        /// What the benchmark takes; `--help` lists it.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Prints what RADV, the compiler of AMD's GPUs, makes of the kernels, without such a GPU: registers, spills, instructions of the loop
    /// and the share of the peak that they allow. Needs Debian on x86-64.
    GpuCode {
        /// Folder of kernels that were written before, instead of writing them anew.
        #[arg(long)]
        from: Option<PathBuf>,
        /// Print the share of the peak of each layer as well.
        #[arg(long)]
        layers: bool,
    },
    /// Compiles the kernels of a folder in this process, whose loader `gpu-code` has chosen.
    #[command(hide = true)]
    CompileKernels {
        /// The folder.
        folder: PathBuf,
        /// File for what came of them.
        answer: PathBuf,
    },
    /// Makes a data set: heads and references with Blender, then first images with Bevy. Resumes where it stopped.
    Dataset {
        /// Take the head of this GLB instead of heads of our own.
        #[arg(long, value_name = "FILE.glb", conflicts_with_all = ["stride", "clip"])]
        import: Option<PathBuf>,
        /// Seeds to make, half-open.
        #[arg(long, value_name = "A..B")]
        seeds: String,
        /// Take every N-th seed only.
        #[arg(long, default_value_t = 1)]
        stride: u64,
        /// The data folder.
        #[arg(long)]
        out: PathBuf,
        /// Width and height of the images.
        #[arg(long, default_value_t = 256)]
        size: u32,
        /// Path-tracing samples for each pixel of the reference.
        #[arg(long, default_value_t = 24)]
        samples: u32,
        /// Also render each light alone, so that training can light the scenes anew.
        #[arg(long)]
        light_groups: bool,
        /// The eight seeds of an identity are frames of a turning head, for the warping error.
        #[arg(long, conflicts_with = "light_groups")]
        clip: bool,
        /// Folder of asset packs, as training/dataset/README.md describes; may be given several times.
        #[arg(long)]
        assets: Vec<PathBuf>,
    },
    /// Tunes weights to characters of yours: path-traced references of their heads, pairs, training, figures. Resumes where it stopped.
    Character(character::Arguments),
    /// Packs the crates for the registry and runs the README's program with what was packed.
    Package {
        /// Ask Bevy for what the README asks for, instead of what is compiled already: takes a while and several gigabytes.
        #[arg(long)]
        as_readme: bool,
    },
    /// Measures weights as `portrait-train evaluate` does, and distances between face embeddings as well. With `--photographs DIR`
    /// also distances to photographs.
    Evaluate {
        /// What `portrait-train evaluate` takes.
        #[arg(last = true, required = true)]
        arguments: Vec<OsString>,
    },
    /// Writes the features by which training configs with `loss.perceptual` compare images: MobileNetV2's, for training alone.
    Perceptual {
        /// New file, which `portrait-train train --perceptual` names.
        #[arg(long)]
        out: PathBuf,
    },
    /// Makes the data that the shipped configs name, their weights and figures, from seeds: about a day on two CPU cores. Resumes where
    /// it stopped. Heads are made as this checkout makes them.
    Reproduce {
        /// Folder for data, runs, weights and the report.
        #[arg(long)]
        out: PathBuf,
        /// Folder of asset packs, as training/dataset/README.md describes; may be given several times. Without, own heads are made of
        /// procedural parts alone, and a config that names game heads is refused.
        #[arg(long)]
        assets: Vec<PathBuf>,
    },
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if cli.yes {
        packages::answer_yes();
    }
    match cli.task {
        Task::Demo { headless, out } => demo::demo(headless, out),
        Task::Test => suite::test(),
        Task::Lint => lint::lint(),
        Task::Bench { table: Some(file), .. } => bench_table::print(&file),
        Task::Bench { no_peers, arguments, .. } => bench::bench(no_peers, &arguments),
        Task::GpuCode { from, layers } => gpu_code::gpu_code(from, layers),
        Task::CompileKernels { folder, answer } => gpu_code::compile_kernels(&folder, &answer),
        Task::Dataset { import, seeds, stride, out, size, samples, light_groups, clip, assets } => {
            let heads = import.map_or(Heads::Own, |file| Heads::File { file, settings: None });
            let request = head_studio::Request { heads, seeds, stride, out, size, samples, light_groups, clip, assets };
            plan::run("cargo xtask dataset", head_studio::steps(&request)?)
        }
        Task::Character(arguments) => character::character(arguments),
        Task::Package { as_readme } => {
            let minutes = if as_readme { 35.0 } else { 1.5 };
            let step =
                Step::new("Pack the crates and run the README's program", minutes, || package::package(as_readme));
            plan::run("cargo xtask package", vec![vulkan::step(), step])
        }
        Task::Evaluate { arguments } => evaluate::evaluate(&arguments),
        Task::Perceptual { out } => plan::run("cargo xtask perceptual", perceptual::steps(&out)),
        Task::Reproduce { out, assets } => {
            let recipe = shipped::shipped(&out, &assets)?;
            let mut steps = vec![vulkan::step(), HEAD_STUDIO.step(490), LIKENESS.step(140)];
            steps.extend(pipeline::steps(&recipe, &out)?);
            plan::run("cargo xtask reproduce", steps)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together_and_reproduce_takes_several_folders_of_packs() {
        Cli::command().debug_assert();
        let arguments = ["xtask", "reproduce", "--out", "data", "--assets", "packs", "--assets", "more"];
        let Task::Reproduce { out, assets } = Cli::try_parse_from(arguments).unwrap().task else {
            panic!("another task");
        };
        assert_eq!((out, assets), ("data".into(), vec!["packs".into(), "more".into()]));
    }
}
