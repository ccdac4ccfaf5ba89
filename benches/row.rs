//! The times of one measured thing, and the figures that follow from them.

use serde::Serialize;

/// Work that one run does.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Work {
    /// Number of multiply-adds.
    pub multiply_adds: f64,
    /// Number of bytes read and written.
    pub bytes: f64,
}

/// One thing that was measured: a row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of the measured thing.
    pub name: String,
    /// Work that one run does.
    pub work: Work,
    /// Seconds that one run took, for each round.
    pub seconds: Vec<f64>,
}

impl Row {
    /// Makes a row that has not been measured yet.
    pub fn new(name: &str, work: Work) -> Self {
        Self { name: name.into(), work, seconds: Vec::new() }
    }

    /// Returns the median time of one run, seconds; NaN if nothing was measured.
    pub fn median_s(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Returns the rate of operations, 10⁹ a second. A multiply-add counts as two operations.
    pub fn gflops(&self) -> f64 {
        2.0 * self.work.multiply_adds / self.median_s() / 1e9
    }
}
