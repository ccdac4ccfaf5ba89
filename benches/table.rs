//! The report: a table of medians, and the same figures as JSON.

use std::fmt;

use serde::Serialize;

use crate::device::BenchDevice;
use crate::frames::Frames;
use crate::peers::{self, Comparison, Peers};
use crate::row::Row;

/// Everything that one run of the benchmark measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name and driver of the device.
    pub device: String,
    /// Clock that the seconds were taken with, for people.
    pub clock: String,
    /// Share of the device's peak of multiply-adds that the default network reaches at 256².
    pub peak_share: Option<f64>,
    /// Buffers, textures, views and bind groups that the effect makes in a frame like the one before.
    pub steady_frame_allocations: Option<f64>,
    /// Seconds from the scene's first complete frame to the first enhanced frame, with cold shader caches.
    pub first_frame_s: Option<f64>,
    /// Seconds by which the first enhanced frame comes later than the first complete frame of a start without the plugin.
    pub first_frame_later_than_without_s: Option<f64>,
    /// Seconds by which the longest frame until the suited kernels run exceeds a frame without the effect, with cold shader caches.
    pub longest_stall_s: Option<f64>,
    /// The default network in other runtimes.
    #[serde(flatten)]
    pub peers: Comparison,
    /// One row for each thing that was measured.
    pub rows: Vec<Row>,
}

impl Report {
    /// Makes the report of the rows measured on a device, the first of which is the device's peak, of the default network's peers, and of
    /// whole frames if they were measured.
    pub fn new(device: &BenchDevice, mut rows: Vec<Row>, peers: Peers, frames: Option<Frames>) -> Self {
        let clock = if device.on_cpu { format!("CPU time by {} threads", device.threads) } else { "wall time".into() };
        let ours = rows.iter().find(|row| row.name == peers::OURS);
        let peers = Comparison::new(peers, ours);
        let peak_share = ours.zip(rows.first()).map(|(ours, peak)| ours.gflops() / peak.gflops());
        let of_frames = |figure: fn(&Frames) -> f64| frames.as_ref().map(figure);
        let report = Self {
            device: device.name.clone(),
            clock,
            peak_share,
            steady_frame_allocations: of_frames(|frames| frames.steady_allocations),
            first_frame_s: of_frames(|frames| frames.first_enhanced_s),
            first_frame_later_than_without_s: of_frames(|frames| frames.later_than_without_s),
            longest_stall_s: of_frames(|frames| frames.longest_stall_s),
            peers,
            rows: Vec::new(),
        };
        rows.extend(frames.into_iter().flat_map(|frames| frames.rows));
        Self { rows, ..report }
    }

    fn peak(&self) -> f64 {
        self.rows.first().map_or(f64::NAN, Row::gflops)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; {}, medians", self.device, self.clock)?;
        writeln!(f, "{:<32} {:>10} {:>10} {:>8} {:>8}", "", "ms", "GFLOP/s", "of peak", "GB/s")?;
        for row in &self.rows {
            write!(f, "{:<32} {:>10.3}", row.name, row.median_s() * 1e3)?;
            if row.work.multiply_adds > 0.0 {
                write!(f, " {:>10.1} {:>7.0}%", row.gflops(), 100.0 * row.gflops() / self.peak())?;
            }
            if row.work.bytes > 0.0 {
                write!(f, " {:>19} {:>8.1}", "", row.work.bytes / row.median_s() / 1e9)?;
            }
            writeln!(f)?;
        }
        if let Some(allocations) = self.steady_frame_allocations {
            writeln!(f, "a steady frame allocates {allocations} objects")?;
        }
        if let Some((first_s, later_s)) = self.first_frame_s.zip(self.first_frame_later_than_without_s) {
            writeln!(f, "the first enhanced frame comes {first_s:.2} s after the scene's first complete one")?;
            writeln!(f, "and {later_s:.2} s after the first complete one of a start without the plugin")?;
        }
        if let Some(stall_s) = self.longest_stall_s {
            writeln!(
                f,
                "until the fastest kernels run, no frame takes more than {stall_s:.2} s longer than without the effect"
            )?;
        }
        self.peers.print(f, self.peak())
    }
}
