//! `cargo xtask bench`: the network's passes on this machine's device, beside the most that the device can do.
//!
//! Everything is measured in turn, round after round, so that a busy moment slows all of it down alike; the figures are medians.
//! On a device that runs on the CPU they are CPU time divided by the number of its threads, which other processes disturb
//! least; on a GPU they are wall time.

mod device;
mod frames;
mod limits;
mod network;
mod peers;
mod table;
mod yardstick;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::device::BenchDevice;
use crate::peers::Peers;
use crate::table::{Report, Row};

#[derive(Parser)]
struct Arguments {
    /// Rounds; each measures everything once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Sides of the square regions, px.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 256, 512])]
    sizes: Vec<u32>,
    /// Also measure each layer of the network, at the middle one of the sizes.
    #[arg(long)]
    layers: bool,
    /// Other runtimes to measure in turn with ours: a JSON file as `cargo xtask bench` writes it.
    #[arg(long)]
    peers: Option<PathBuf>,
    /// File for the figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Leave whole frames out.
    #[arg(long)]
    no_frames: bool,
    /// Prints how long the first frame takes with the plugin `absent` or `on`, nothing else.
    #[arg(long, hide = true)]
    first_frame: Option<String>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Something that is measured: in each round once to warm up, and once by the clock.
pub struct Contender {
    /// Its row of the table.
    pub row: Row,
    /// Runs it a few times on the device and waits.
    pub run: Box<dyn FnMut(&BenchDevice)>,
    /// How many times it runs.
    pub repeats: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(plugin) = arguments.first_frame {
        println!("{}", frames::first_frame(plugin == "on")?);
        return Ok(());
    }
    let mut device = BenchDevice::new()?;
    let mut contenders = limits::contenders(&device);
    contenders.extend(network::contenders(&mut device, &arguments.sizes, arguments.layers)?);
    contenders.extend(yardstick::contenders(&mut device)?);
    let mut peers = Peers::start(arguments.peers.as_deref(), &device)?;
    for _ in 0..arguments.rounds {
        for contender in &mut contenders {
            // Lavapipe throws compiled kernels away when there are many, and compiles them again when they are next used.
            (contender.run)(&device);
            let seconds = device.seconds_of(|| (contender.run)(&device));
            contender.row.seconds.push(seconds / f64::from(contender.repeats));
        }
        peers.measure();
    }
    let frames = (!arguments.no_frames).then(|| frames::measure(&device, arguments.rounds)).transpose()?;
    let rows = contenders.into_iter().map(|contender| contender.row).collect();
    let report = Report::new(&device, rows, peers, frames);
    println!("{report}");
    if let Some(path) = arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(&path, text + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(())
}
