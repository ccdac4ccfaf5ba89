//! Peers: the default network in other runtimes, each in a process of its own, measured in turn with ours.
//!
//! The crate in `benches/peers` holds the peers and says how they answer. A peer that cannot run, or dies, is reported by name; the
//! others go on.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bevy_portrait_realism::PortraitModel;
use portrait_network::reference::{Tensor, forward};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::device::BenchDevice;
use crate::row::{Row, Work};

/// Name of our row that peers are compared with.
pub const OURS: &str = "quality 256²";
/// Width and height of the region, pixels.
const SIDE_PX: u32 = 256;
/// Number of runs in one measurement; one more warms up.
const REPEATS: u32 = 4;
/// Maximum difference between a peer and the reference, display-referred sRGB. Half precision stays below the maximum, another network
/// does not.
const MAX_ERROR: f32 = 2.0 / 255.0;
/// Maximum time that a peer may take to get ready, tuning itself perhaps.
const READY_PATIENCE: Duration = Duration::from_secs(900);
/// Maximum time that a peer may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(300);

/// One peer of the file that `cargo xtask bench` writes: how to start it, or why that cannot be done.
#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    command: Vec<String>,
    /// Folder in which the peer is started.
    folder: Option<PathBuf>,
    /// Reason why the peer cannot be started.
    missing: Option<String>,
}

/// Message of a peer that can be measured (`portrait_peers::Ready`).
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Ready {
    device: String,
    threads: usize,
    max_error: f32,
}

struct Peer {
    row: Row,
    /// Message of a ready peer, or the reason why the peer is not measured.
    state: Result<Ready, String>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    answers: Receiver<String>,
}

/// All peers, running.
pub struct Peers {
    peers: Vec<Peer>,
    /// Folder of the peers' input and expected output, kept until the end.
    _files: Option<TempDir>,
}

impl Peers {
    /// Starts the peers of a file, one after the other.
    pub fn start(file: Option<&Path>, device: &BenchDevice) -> Result<Self> {
        let Some(file) = file else { return Ok(Self { peers: Vec::new(), _files: None }) };
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let entries: Vec<Entry> = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        let model = PortraitModel::quality()?;
        let side = SIDE_PX as usize;
        let planes = Tensor::from_fn(model.graph().spec().input_channels(), side, side, |c, y, x| {
            let value = ((c * 31 + y * 17 + x * 7) % 23) as f32 / 22.0;
            if c < 3 { value } else { value * 2.0 - 1.0 }
        });
        let expected = forward(&model, &planes)?;
        let files = tempfile::tempdir()?;
        let write = |name: &str, tensor: &Tensor| {
            let path = files.path().join(name);
            let bytes: Vec<u8> = tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(&path, bytes).map(|()| path.to_string_lossy().into_owned())
        };
        let arguments = [
            ("--input", write("planes.f32", &planes)?),
            ("--expected", write("second.f32", &expected)?),
            ("--size", SIDE_PX.to_string()),
            ("--threads", device.threads.to_string()),
            ("--clock", if device.on_cpu { "cpu" } else { "wall" }.to_string()),
        ];
        let arguments: Vec<String> = arguments.into_iter().flat_map(|(name, value)| [name.into(), value]).collect();
        let multiply_adds = model.graph().macs_per_px() * f64::from(SIDE_PX * SIDE_PX);
        let peers = entries.into_iter().map(|entry| {
            eprintln!("starting {}", entry.name);
            let row = Row::new(&entry.name, Work { multiply_adds, bytes: 0.0 });
            match entry.start(&arguments) {
                Ok((process, ready)) => Peer { row, state: Ok(ready), process: Some(process) },
                Err(error) => Peer { row, state: Err(format!("{error:#}")), process: None },
            }
        });
        Ok(Self { peers: peers.collect(), _files: Some(files) })
    }

    /// Measures each peer once.
    pub fn measure(&mut self) {
        for peer in &mut self.peers {
            let Some(process) = &mut peer.process else { continue };
            match process.seconds() {
                Ok(seconds) => peer.row.seconds.push(seconds),
                Err(error) => {
                    peer.state = Err(format!("{error:#}"));
                    peer.process = None;
                }
            }
        }
    }
}

impl Entry {
    fn start(&self, arguments: &[String]) -> Result<(Process, Ready)> {
        if let Some(reason) = &self.missing {
            bail!("{reason}");
        }
        let Some((program, own_arguments)) = self.command.split_first() else { bail!("no command") };
        let mut command = Command::new(program);
        command.args(own_arguments).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let output = child.stdout.take().context("no output")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.into_iter().try_for_each(|line| sender.send(line))
        });
        let mut process = Process { child, answers };
        let ready = process.answer(READY_PATIENCE)?;
        let ready: Ready = serde_json::from_str(&ready).with_context(|| format!("it says {ready:?}"))?;
        ensure!(
            ready.max_error <= MAX_ERROR,
            "it differs from the reference by {}, {MAX_ERROR} allowed: it runs another network",
            ready.max_error
        );
        Ok((process, ready))
    }
}

impl Process {
    fn seconds(&mut self) -> Result<f64> {
        let input = self.child.stdin.as_mut().context("no input")?;
        // If the peer has died, the answer below says so.
        let _ = writeln!(input, "go {REPEATS}").and_then(|()| input.flush());
        let answer = self.answer(ANSWER_PATIENCE)?;
        answer.parse().with_context(|| format!("it says {answer:?}"))
    }

    fn answer(&mut self, patience: Duration) -> Result<String> {
        match self.answers.recv_timeout(patience) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => bail!("no answer in {patience:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("it died: {}; its words are above", self.child.wait()?),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peers beside our default network at 256², as the table and the JSON file show them.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Time of Burn's wgpu backend on the same device, divided by ours.
    burn_wgpu_over_ours: Option<f64>,
    /// Time of ncnn on the same Vulkan device, divided by ours.
    ncnn_vulkan_over_ours: Option<f64>,
    /// Our time divided by that of ONNX Runtime on the CPU.
    ours_over_onnxruntime_cpu: Option<f64>,
    peers: Vec<PeerRow>,
}

/// Figures of one peer.
#[derive(Clone, Debug, Serialize)]
struct PeerRow {
    #[serde(flatten)]
    row: Row,
    /// Reason why the peer is not measured.
    missing: Option<String>,
    #[serde(flatten)]
    ready: Option<Ready>,
    /// Time of the peer, divided by ours.
    over_ours: Option<f64>,
}

impl Comparison {
    /// Compares peers with our row, if that was measured, and ends the peers' processes.
    pub fn new(peers: Peers, ours: Option<&Row>) -> Self {
        let rows = peers.peers.into_iter().map(|peer| {
            let (ready, missing) = match peer.state {
                Ok(ready) => (Some(ready), None),
                Err(reason) => (None, Some(reason)),
            };
            let over_ours = ready.as_ref().and(ours).map(|ours| peer.row.median_s() / ours.median_s());
            PeerRow { row: peer.row, missing, ready, over_ours }
        });
        let peers: Vec<PeerRow> = rows.collect();
        let over_ours = |name| peers.iter().find(|peer| peer.row.name == name).and_then(|peer| peer.over_ours);
        Self {
            burn_wgpu_over_ours: over_ours("burn-wgpu"),
            ncnn_vulkan_over_ours: over_ours("ncnn Vulkan"),
            ours_over_onnxruntime_cpu: over_ours("ONNX Runtime CPU").map(|ratio| 1.0 / ratio),
            peers,
        }
    }

    /// Writes the peers' part of the table.
    pub fn print(&self, f: &mut fmt::Formatter<'_>, peak_gflops: f64) -> fmt::Result {
        if self.peers.is_empty() {
            return Ok(());
        }
        let title = format!("{OURS} in other runtimes");
        let [ms, gflops, of_peak, over_ours, error] = ["ms", "GFLOP/s", "of peak", "÷ ours", "error"];
        writeln!(f, "\n{title:<32} {ms:>10} {gflops:>10} {of_peak:>8} {over_ours:>8} {error:>8}  on")?;
        for PeerRow { row, missing, ready, over_ours } in &self.peers {
            if let Some(reason) = missing {
                writeln!(f, "{:<32} not measured: {reason}", row.name)?;
            } else if let Some(Ready { device, threads, max_error }) = ready {
                write!(f, "{:<32} {:>10.3} {:>10.1} ", row.name, row.median_s() * 1e3, row.gflops())?;
                write!(f, "{:>7.0}% {:>8.2}", 100.0 * row.gflops() / peak_gflops, over_ours.unwrap_or(f64::NAN))?;
                writeln!(f, " {max_error:>8.0e}  {device}, {threads} threads")?;
            }
        }
        Ok(())
    }
}
