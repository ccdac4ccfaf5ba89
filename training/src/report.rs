//! What a run tells: one event a line in `metrics.jsonl`, and the same to whoever watches.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::trainer::Losses;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Data are read and training begins, or goes on.
    Started {
        /// Steps done before.
        step: u64,
        /// Pairs to train on.
        train_pairs: usize,
        /// Different faces among them.
        train_identities: usize,
        /// Pairs to validate on.
        validation_pairs: usize,
        /// Replicas that train together.
        workers: usize,
        /// Backend that computes.
        backend: String,
        /// Parameters of the generator.
        parameters: usize,
    },
    /// Some steps are done.
    Step {
        /// Steps done.
        step: u64,
        /// Where the run ends at the latest.
        max_steps: u64,
        /// Losses, each the mean since the last event of this kind.
        #[serde(flatten)]
        losses: Losses,
        /// Seconds for each step, the mean since the last event of this kind.
        seconds_per_step: f64,
    },
    /// A step was rejected: NaN or infinity.
    Rejected {
        /// Steps done.
        step: u64,
        /// What was wrong.
        reason: String,
        /// Rejected steps in a row.
        in_a_row: u64,
    },
    /// The averaged weights were measured.
    Validated {
        /// The figures.
        #[serde(flatten)]
        validation: Validation,
    },
    /// A checkpoint was written.
    Saved {
        /// Steps done.
        step: u64,
        /// Its folder.
        path: PathBuf,
    },
    /// Lines of the log that a killed run wrote in part were dropped.
    Repaired {
        /// Steps done.
        step: u64,
        /// How many lines.
        lines: usize,
    },
    /// The run ended.
    Finished(Summary),
}

/// Figures of the averaged weights on validation pairs, means over pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps done.
    pub step: u64,
    /// L1 as in the loss, weighted by importance. Decides on convergence and on the best checkpoint.
    pub weighted_l1: f64,
    /// Mean absolute difference to the reference in the face, 0–1.
    pub face_l1: f64,
    /// The same for the first rendered image: what doing nothing gives.
    pub first_face_l1: f64,
    /// Gradient energy in the face, relative to the reference's: below 1 is softer, above 1 is noisier.
    pub face_sharpness: f64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Steps done.
    pub step: u64,
    /// Whether the parameters converged, by the config's criterion.
    pub converged: bool,
    /// Why the run ended.
    pub reason: String,
    /// The best validation since the critic counts in full.
    pub best: Option<Validation>,
    /// Steps rejected.
    pub rejected: u64,
    /// The last checkpoint.
    pub checkpoint: PathBuf,
}
