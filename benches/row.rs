//! A row of measurements, and its median.

use serde::Serialize;

/// The work of one run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Work {
    /// Number of multiply-adds.
    pub multiply_adds: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

/// One row of measurements.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of what was measured.
    pub name: String,
    /// Work of one run.
    pub work: Work,
    /// Seconds of one run, for each round.
    pub seconds: Vec<f64>,
}

impl Row {
    /// Makes a row that is not yet measured.
    pub fn new(name: &str, work: Work) -> Self {
        Self { name: name.into(), work, seconds: Vec::new() }
    }

    /// Returns the median seconds of one run; NaN for a row that is not measured.
    pub fn median_s(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Returns billions of floating-point operations a second. A multiply-add counts as two.
    pub fn gflops(&self) -> f64 {
        2.0 * self.work.multiply_adds / self.median_s() / 1e9
    }
}
