//! `portrait-train`: trains, evaluates, exports and inspects the weights of Portrait Realism.

mod console;
mod evaluation;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use portrait_files::config::ConfigFile;
use portrait_files::folder::is_empty;
use portrait_files::seeds::Seeds;
use portrait_files::{atomic, weights};
use portrait_training::backend::{Training, devices};
use portrait_training::{Start, TrainOptions, averaged, describe, last_averaged, toy, train};

use console::Console;
use evaluation::Evaluation;

#[derive(Parser)]
#[command(version, about = "Trains, evaluates, exports and inspects the weights of Portrait Realism")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train until the parameters converge, or the config's limits are reached
    Train {
        /// The run as a TOML file, such as training/configs/quality.toml
        #[arg(long)]
        config: PathBuf,
        /// Folder of pairs that `portrait-dataset render` wrote
        #[arg(long)]
        data: PathBuf,
        /// New folder for checkpoints, metrics.jsonl and pictures
        #[arg(long)]
        out: PathBuf,
        /// Go on from the newest checkpoint in --out
        #[arg(long)]
        resume: bool,
        /// Start from this weights file, whose layers are those of the config's network, instead of random weights
        #[arg(long, value_name = "FILE", conflicts_with = "resume")]
        init: Option<PathBuf>,
        /// File of features that `cargo xtask perceptual` made, for a config whose loss.perceptual.weight is above 0
        #[arg(long, value_name = "FILE")]
        perceptual: Option<PathBuf>,
    },
    /// Measure weights beside the first image and two cheap rivals, or let judges compare blind pairs
    Evaluate(Evaluation),
    /// Write a checkpoint's averaged weights as the file that the plugin reads, or a network as an ONNX file
    Export(Export),
    /// Print what a weights file holds
    Inspect {
        /// The weights file
        file: PathBuf,
    },
    /// Write procedural pairs, to try everything without Blender
    Toy {
        /// New folder for the pairs
        #[arg(long)]
        out: PathBuf,
        /// Seeds to make
        #[arg(long, default_value = "0..24, 900000..900004")]
        seeds: Seeds,
        /// Width and height in pixels
        #[arg(long, default_value_t = 64)]
        size_px: usize,
    },
}

#[derive(Args)]
#[command(group(ArgGroup::new("from").required(true).args(["checkpoint", "weights"])))]
#[command(group(ArgGroup::new("to").required(true).multiple(true).args(["out", "onnx"])))]
struct Export {
    /// A checkpoint, or a run's folder for its best one
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Take a run's last checkpoint: the best one is the best by L1, which the critic's work does not lower
    #[arg(long, conflicts_with = "weights")]
    last: bool,
    /// A weights file, instead of a checkpoint
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The weights file to write
    #[arg(long)]
    out: Option<PathBuf>,
    /// How --out stores weights
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    dtype: Dtype,
    /// Factor of the residual's base layer that --out recommends, 0 to 2 (default: that of --weights, 1 for a checkpoint)
    #[arg(long, value_name = "FACTOR", requires = "out")]
    recommend_base: Option<f32>,
    /// Factor of the residual's detail layer that --out recommends, 0 to 2 (default: that of --weights, 1 for a checkpoint)
    #[arg(long, value_name = "FACTOR", requires = "out")]
    recommend_detail: Option<f32>,
    /// The ONNX file to write, in 32-bit floats, for runtimes other than the plugin
    #[arg(long)]
    onnx: Option<PathBuf>,
    /// Replace the files
    #[arg(long)]
    overwrite: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dtype {
    F32,
    F16,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Train { config, data, out, resume, init, perceptual } => {
            let start = match &init {
                Some(file) => Start::From(file),
                None if resume => Start::Resume,
                None => Start::Random,
            };
            run_training(&config, &data, &out, start, perceptual.as_deref())
        }
        Command::Evaluate(request) => request.run(),
        Command::Export(request) => export(&request),
        Command::Inspect { file } => {
            print!("{}", describe(&weights::load(&file)?));
            Ok(())
        }
        Command::Toy { out, seeds, size_px } => {
            if !is_empty(&out) {
                bail!("{} exists and is not empty: name another folder", out.display());
            }
            for seed in seeds.iter() {
                toy::write(&out, &toy::pair(seed, size_px)).with_context(|| format!("pair {seed}"))?;
            }
            println!("{} pairs written to {}", seeds.iter().count(), out.display());
            Ok(())
        }
    }
}

fn run_training(config: &Path, data: &Path, out: &Path, start: Start, perceptual: Option<&Path>) -> anyhow::Result<()> {
    let config = ConfigFile::load(config)?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || {
        // A second Ctrl-C does not wait for the checkpoint.
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("cannot listen for Ctrl-C")?;
    let options = TrainOptions { config: &config, data, out, start, perceptual, stop: &stop };
    let mut console = Console::new(config.config().run.max_steps);
    let devices = devices(config.config().run.workers);
    let summary = train::<Training>(&options, &devices, &mut |event| console.show(event))?;
    console.clear();
    println!("step {}: converged: {}; {}", summary.step, summary.converged, summary.reason);
    if let Some(best) = summary.best {
        println!("best: step {} with a validation L1 of {:.5}", best.step, best.weighted_l1);
    }
    println!("checkpoint {}", summary.checkpoint.display());
    Ok(())
}

fn export(request: &Export) -> anyhow::Result<()> {
    let (mut model, used) = match (&request.checkpoint, &request.weights) {
        (Some(path), None) if request.last => last_averaged(path)?,
        (Some(path), None) => averaged(path)?,
        (None, Some(path)) => (weights::load(path)?, path.clone()),
        _ => bail!("name either --checkpoint or --weights"),
    };
    model.recommended.base = request.recommend_base.unwrap_or(model.recommended.base);
    model.recommended.detail = request.recommend_detail.unwrap_or(model.recommended.detail);
    if let Some(out) = &request.out {
        let dtype = match request.dtype {
            Dtype::F32 => portrait_network::Dtype::F32,
            Dtype::F16 => portrait_network::Dtype::F16,
        };
        weights::save(&model, out, dtype, request.overwrite)?;
        println!("{} written from {}", out.display(), used.display());
    }
    if let Some(onnx) = &request.onnx {
        atomic::write_unless_exists(onnx, &portrait_onnx::encode(&model), request.overwrite)
            .with_context(|| format!("ONNX file {}", onnx.display()))?;
        println!("{} written from {}", onnx.display(), used.display());
    }
    Ok(())
}
