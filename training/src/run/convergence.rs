//! Decides from the validations when a run has converged.

use portrait_files::config::ConvergenceConfig;
use serde::{Deserialize, Serialize};

/// The validation L1 of a run so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Convergence {
    /// Mean of the last validations, after each one.
    smoothed: Vec<f64>,
    /// Validation L1 of each validation.
    raw: Vec<f64>,
}

impl Convergence {
    /// Takes note of a validation, and returns why the run has converged, if it has.
    pub fn observe(&mut self, value: f64, step: u64, config: &ConvergenceConfig) -> Option<String> {
        self.raw.push(value);
        let last = &self.raw[self.raw.len().saturating_sub(config.smoothing)..];
        self.smoothed.push(last.iter().sum::<f64>() / last.len() as f64);
        if step < config.min_steps || self.smoothed.len() <= config.window {
            return None;
        }
        let best = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let before = best(&self.smoothed[..self.smoothed.len() - config.window]);
        let now = best(&self.smoothed);
        let improvement = (before - now) / before;
        (improvement < config.min_improvement).then(|| {
            format!(
                "the best smoothed validation L1 went from {before:.5} to {now:.5} ({:.2} %) in {} validations, less \
                 than {:.2} %",
                improvement * 100.0,
                config.window,
                config.min_improvement * 100.0
            )
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CONFIG: ConvergenceConfig =
        ConvergenceConfig { smoothing: 2, window: 4, min_improvement: 0.01, min_steps: 50 };

    fn first_converged(values: impl Fn(u64) -> f64) -> Option<u64> {
        let mut state = Convergence::default();
        (1..100).find(|&index| state.observe(values(index), index * 10, &CONFIG).is_some()).map(|index| index * 10)
    }

    #[test]
    fn a_falling_metric_has_not_converged() {
        assert_eq!(first_converged(|index| 0.98_f64.powi(index as i32)), None);
    }

    #[test]
    fn a_plateau_converges_after_the_window() {
        let step = first_converged(|index| 1.0 / index.min(20) as f64).unwrap();
        assert!((240..=260).contains(&step), "{step}");
    }

    #[test]
    fn nothing_converges_before_the_least_number_of_steps() {
        assert_eq!(first_converged(|_| 1.0), Some(50));
    }
}
