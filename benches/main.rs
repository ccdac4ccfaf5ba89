//! `cargo xtask bench`: the network's passes on this machine's device, beside the maximum that the device can do.
//!
//! Everything is measured in turn, round after round, so that a busy moment slows all of it down alike; the figures are medians.
//! On a device that runs on the CPU the figures are CPU time divided by the number of its threads, which other processes hardly
//! disturb; on a GPU they are wall time.

mod device;
#[path = "../examples/common/mod.rs"]
mod examples;
mod frames;
mod limits;
mod network;
mod pack;
mod peers;
mod plot;
mod row;
mod spirv;
mod table;
mod turning;
mod yardstick;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use bevy_portrait_realism::prelude::*;
use clap::Parser;

use crate::device::BenchDevice;
use crate::frames::Start;
use crate::peers::Peers;
use crate::row::Row;
use crate::table::Report;
use crate::turning::Turning;

#[derive(Parser)]
struct Arguments {
    /// Number of rounds; each measures everything once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Sides of the square regions, px.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 256, 512])]
    sizes: Vec<u32>,
    /// Measures each layer of the network as well, at the middle one of the sizes.
    #[arg(long)]
    layers: bool,
    /// JSON file, as `cargo xtask bench` writes it, of other runtimes to measure in turn with ours.
    #[arg(long)]
    peers: Option<PathBuf>,
    /// File for the figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Leaves whole frames out.
    #[arg(long)]
    no_frames: bool,
    /// Measures nothing but how still a turning head holds, and draws it into an SVG file.
    #[arg(long)]
    turning: Option<PathBuf>,
    /// Measures every variant of the kernels that the device runs, and not only its own and the exact one.
    #[arg(long)]
    variants: bool,
    /// Stops after about so many minutes, with fewer rounds. The last of several counts.
    #[arg(long, overrides_with = "minutes")]
    minutes: Option<f64>,
    /// Measures nothing, but makes a folder that measures on another machine, without a compiler: program, assets and a script.
    #[arg(long)]
    pack: Option<PathBuf>,
    /// Measures nothing, but writes every convolution kernel of the shipped networks into a folder, as SPIR-V.
    #[arg(long)]
    spirv: Option<PathBuf>,
    /// Measures one start with whatever shaders the driver has kept, and prints seconds, nothing else.
    #[arg(long, hide = true)]
    start: Option<Start>,
    /// Flag that cargo passes to every benchmark; it has no effect.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Something that is measured: each round runs it once to warm up, and once by the clock.
pub struct Contender {
    /// Row of the table for the contender's times.
    pub row: Row,
    /// Runs the contender `repeats` times on the device and waits.
    pub run: Box<dyn FnMut(&BenchDevice)>,
    /// Number of runs in one measurement.
    pub repeats: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(start) = arguments.start {
        frames::measure_start(start)?.iter().for_each(|seconds| println!("{seconds}"));
        return Ok(());
    }
    if let Some(folder) = arguments.spirv {
        return spirv::write(&folder);
    }
    if let Some(folder) = arguments.pack {
        return pack::pack(&folder);
    }
    if let Some(path) = arguments.turning {
        return turning_head(&path);
    }
    let begun = Instant::now();
    // The kernels get half of the time.
    let is_over =
        |share: f64| arguments.minutes.is_some_and(|minutes| begun.elapsed().as_secs_f64() > 60.0 * minutes * share);
    let mut device = BenchDevice::new()?;
    let mut contenders = limits::contenders(&device);
    contenders.extend(network::contenders(&mut device, &arguments.sizes, arguments.layers, arguments.variants)?);
    contenders.extend(yardstick::contenders(&mut device)?);
    let mut peers = Peers::start(arguments.peers.as_deref(), &device)?;
    let started = Instant::now();
    for round in 1..=arguments.rounds {
        for contender in &mut contenders {
            // Lavapipe throws compiled kernels away when there are many, and compiles them again when they are next used.
            (contender.run)(&device);
            let seconds = device.seconds_of(|| (contender.run)(&device));
            contender.row.seconds.push(seconds / f64::from(contender.repeats));
        }
        peers.measure();
        let left_s = started.elapsed().as_secs_f64() / round as f64 * (arguments.rounds - round) as f64;
        eprintln!("round {round} of {}: kernels and peers take {left_s:.0} s more", arguments.rounds);
        if is_over(0.5) {
            eprintln!("half of the time is over: frames are next");
            break;
        }
    }
    if !arguments.no_frames {
        eprintln!("measuring whole frames");
    }
    let frames =
        (!arguments.no_frames).then(|| frames::measure(&device, arguments.rounds, &|| is_over(1.0))).transpose()?;
    let rows = contenders.into_iter().map(|contender| contender.row).collect();
    let report = Report::new(&device, rows, peers, frames);
    println!("{report}");
    if let Some(path) = arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(&path, text + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Number of frames of the turning head.
const TURNING_FRAMES: usize = 24;
/// Width and height of the turning head's picture, pixels.
const TURNING_PX: u32 = 256;

fn turning_head(path: &Path) -> Result<()> {
    let mut turning = Turning::new(TURNING_PX)?;
    let with = |history| Some(PortraitRealism { history, ..Default::default() });
    let runs = [
        ("first rendered image", None),
        ("second, history 0", with(0.0)),
        ("second, history 0.5", with(0.5)),
        ("second, history 0.8", with(0.8)),
        ("second, history 0.95", with(0.95)),
    ];
    let mut lines = Vec::new();
    for (name, settings) in runs {
        lines.push((name, turning.errors(settings, TURNING_FRAMES)?));
    }
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    let first = mean(&lines[0].1);
    println!(
        "warping error of the demo's turning head at {TURNING_PX}², mean of {TURNING_FRAMES} frames, and ÷ that of the first image"
    );
    for (name, errors) in &lines {
        println!("{name:24} {:.5}  {:.3}", mean(errors), mean(errors) / first);
    }
    let picture = plot::lines("Warping error of a turning head, frame by frame", &lines);
    std::fs::write(path, picture).with_context(|| path.display().to_string())
}
