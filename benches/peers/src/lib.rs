//! A *peer* is another runtime with the same network, in a process of its own that `benches/main.rs` starts.
//!
//! A peer reads input planes and the expected second image, runs the network once, and prints one line of JSON, [`Ready`].
//! Then it answers each line `go N` of its standard input with a line: the mean seconds of N runs, after one that is not
//! counted. The peer ends when its standard input does. `python/serving.py` is the same for peers in Python.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use cpu_time::ProcessTime;
use serde::Serialize;

/// Command line of every peer.
#[derive(Debug, Parser)]
pub struct Task {
    /// File of the network: weights or ONNX, as the peer needs it.
    pub model: PathBuf,
    /// Input planes `[C, H, W]` in natural units, little-endian f32.
    #[arg(long)]
    pub input: PathBuf,
    /// Second image `[3, H, W]` to compare with, little-endian f32.
    #[arg(long)]
    pub expected: PathBuf,
    /// Height and width of the planes, pixels.
    #[arg(long)]
    pub size: usize,
    /// Number of threads to use; a software device uses as many.
    #[arg(long)]
    pub threads: usize,
    /// Clock that the seconds are taken with.
    #[arg(long, value_enum)]
    pub clock: Clock,
}

/// Clock that seconds are taken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// CPU time of the process, divided by the number of its threads.
    Cpu,
    /// Wall-clock time.
    Wall,
}

/// Message of a peer that can be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// Device that runs the network.
    pub device: String,
    /// Number of threads that CPU time is divided by.
    pub threads: usize,
    /// Largest difference of the peer's output from the expected one, display-referred sRGB.
    pub max_error: f32,
}

impl Task {
    /// Reads the input's shape, `[1, C, H, W]`, and values.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or does not hold whole planes.
    pub fn planes(&self) -> Result<([usize; 4], Vec<f32>)> {
        let planes = read(&self.input)?;
        let area = self.size * self.size;
        ensure!(!planes.is_empty() && planes.len().is_multiple_of(area), "{} values: no planes", planes.len());
        Ok(([1, planes.len() / area, self.size, self.size], planes))
    }

    /// Checks one run's output, prints [`Ready`], and measures runs until the standard input ends.
    ///
    /// # Errors
    /// Fails if a run fails, or if the output has another size than the expected one.
    pub fn serve<Output>(
        &self,
        device: &str,
        mut run: impl FnMut() -> Result<Output>,
        values: impl FnOnce(Output) -> Result<Vec<f32>>,
    ) -> Result<()> {
        let max_error = largest_difference(&values(run()?)?, &read(&self.expected)?)?;
        let mut answers = std::io::stdout();
        let ready = Ready { device: device.into(), threads: self.threads, max_error };
        writeln!(answers, "{}", serde_json::to_string(&ready)?)?;
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            let count = line.strip_prefix("go ").and_then(|count| count.parse().ok()).filter(|&count| count > 0);
            let Some(count) = count else { bail!("asked {line:?}: expected `go N`") };
            writeln!(answers, "{}", self.seconds_of(count, &mut run)?)?;
        }
        Ok(())
    }

    fn seconds_of<Output>(&self, count: u32, run: &mut impl FnMut() -> Result<Output>) -> Result<f64> {
        run()?;
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        for _ in 0..count {
            run()?;
        }
        let seconds = match self.clock {
            Clock::Cpu => cpu.elapsed().as_secs_f64() / self.threads as f64,
            Clock::Wall => wall.elapsed().as_secs_f64(),
        };
        Ok(seconds / f64::from(count))
    }
}

fn read(path: &Path) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
}

fn largest_difference(found: &[f32], expected: &[f32]) -> Result<f32> {
    ensure!(found.len() == expected.len(), "{} values come out: expected {}", found.len(), expected.len());
    // Not `f32::max`, which would overlook a NaN.
    Ok(found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |a: f32, b| if a.is_nan() || b <= a { a } else { b }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_difference_is_found_and_nan_counts() {
        assert_eq!(largest_difference(&[1.0, 2.0, -3.0], &[1.0, 2.5, -3.0]).ok(), Some(0.5));
        assert!(largest_difference(&[f32::NAN, 1.0], &[0.0, 1.0]).is_ok_and(f32::is_nan));
        assert!(largest_difference(&[0.0], &[0.0, 0.0]).is_err());
    }
}
