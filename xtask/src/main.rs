//! `cargo xtask demo`, `test`, `bench`, `dataset`, `package`, `evaluate` and `reproduce`: everything a fresh machine needs, and then the thing itself.

mod evaluate;
mod head_studio;
mod newer_mesa;
mod package;
mod packages;
mod peers;
mod pipeline;
mod python;
mod run;
mod smoke;
mod vulkan;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::evaluate::LIKENESS;
use crate::head_studio::HEAD_STUDIO;
use crate::run::{cargo, cargo_with};

/// Packages that are built together, so that Bevy is compiled once and with one set of features.
const BEVY_PACKAGES: [&str; 6] =
    ["--package", "bevy_portrait_realism", "--package", "portrait_dataset", "--package", "portrait_network"];

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sets a fresh machine up and runs the project")]
struct Cli {
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
    /// Measures the network's passes on this machine's device, beside the device's own peak and the same network in other
    /// runtimes.
    Bench {
        /// Leave other runtimes out: building and installing them takes a while the first time.
        #[arg(long)]
        no_peers: bool,
        /// What the benchmark takes; `--help` lists it.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Makes a data set: heads and references with Blender, then first images with Bevy. Resumes where it stopped.
    Dataset {
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
    /// Packs the crates for the registry and runs the README's program with what was packed.
    Package {
        /// Ask Bevy for what the README asks for, instead of what is compiled already: takes a while and several gigabytes.
        #[arg(long)]
        as_readme: bool,
    },
    /// Measures weights as `portrait-train evaluate` does, and distances between face embeddings as well.
    Evaluate {
        /// What `portrait-train evaluate` takes.
        #[arg(last = true, required = true)]
        arguments: Vec<OsString>,
    },
    /// Makes the weights that ship and their figures again, from seeds: about a day on two CPU cores. Resumes where it stopped.
    Reproduce {
        /// Folder for data, runs, weights and the report.
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Demo { headless, out } => demo(headless, out),
        Task::Test => test(),
        Task::Bench { no_peers, arguments } => bench(no_peers, arguments),
        Task::Dataset { seeds, stride, out, size, samples, light_groups, clip, assets } => {
            let request = head_studio::Request { seeds, stride, out, size, samples, light_groups, clip, assets };
            vulkan::ensure()?;
            head_studio::render(&request)?;
            head_studio::first_images(&request)
        }
        Task::Package { as_readme } => {
            vulkan::ensure()?;
            package::package(as_readme)
        }
        Task::Evaluate { arguments } => evaluate::evaluate(&arguments),
        Task::Reproduce { out } => {
            vulkan::ensure()?;
            pipeline::make(&pipeline::shipped(&out), &out).map(drop)
        }
    }
}

fn demo(headless: bool, out: Option<PathBuf>) -> Result<()> {
    vulkan::ensure()?;
    let display = !cfg!(target_os = "linux") || std::env::var_os("DISPLAY").is_some_and(|name| !name.is_empty());
    if display && !headless {
        return cargo("run", &["--package", "bevy_portrait_realism", "--example", "portrait"]);
    }
    let out = out.unwrap_or_else(|| run::target_folder().join("demo"));
    let out = out.to_string_lossy().into_owned();
    cargo("run", &["--package", "bevy_portrait_realism", "--example", "headless", "--", "--out", &out])
}

/// In the profile of the tests: the GPU's time does not depend on it, and Bevy is not compiled again.
fn bench(no_peers: bool, mut arguments: Vec<String>) -> Result<()> {
    vulkan::ensure()?;
    if !no_peers {
        arguments.extend(["--peers".into(), peers::list()?.to_string_lossy().into_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cargo("test", &[&BEVY_PACKAGES[..], &["--bench", "network", "--"], &arguments].concat())
}

/// The kernels that the system's driver may lack the features for.
fn test_matrices() -> Result<()> {
    let Some(mut variables) = newer_mesa::ensure()? else {
        println!(
            "Not Debian on x86-64: kernels with cooperative matrices run only if this machine's own driver has them"
        );
        return Ok(());
    };
    variables.push(("PORTRAIT_REQUIRES_MATRICES", "1".into()));
    let test = ["--test", "plugin", "--", "every_variant_with_matrices"];
    cargo_with(&variables, "test", &[&BEVY_PACKAGES[..], &test].concat())
}

fn test() -> Result<()> {
    vulkan::ensure()?;
    HEAD_STUDIO.ensure()?;
    LIKENESS.ensure()?;
    let validation = vulkan::validation()?;
    cargo_with(&validation, "test", &BEVY_PACKAGES)?;
    test_matrices()?;
    package::package(false)?;
    cargo("test", &["--package", "portrait_training", "--package", "portrait_files", "--package", "xtask"])?;
    // On their own: tract asks more of crates that Burn uses than Burn does.
    cargo("test", &["--package", "portrait_onnx", "--package", "portrait_peers"])?;
    HEAD_STUDIO.test()?;
    LIKENESS.test()?;
    smoke::end_to_end()
}
