//! Events of a run: one a line in `metrics.jsonl`, and the same for the function that watches.

use std::ops::Add;
use std::path::PathBuf;

use serde::Serialize;

use crate::measure::Validation;

/// The losses of one step, over the whole batch of all workers, or their means over several steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Losses {
    /// L1, the weighted mean absolute difference, before `l1_weight`.
    pub l1: f64,
    /// L_E before `edge_weight`; 0 where its weight is 0.
    pub edges: f64,
    /// L_F before `flip_weight`; 0 where its weight is 0.
    pub flip: f64,
    /// L_P before `perceptual.weight`; 0 where its weight is 0.
    pub perceptual: f64,
    /// L_S before `steady_weight`; 0 where its weight is 0. It pulls at two images, so that it has no strength in the list below.
    pub steady: f64,
    /// L_G before `adv_weight`, the mean over the critic's scales; 0 in the warm-up.
    pub adversarial: f64,
    /// W = E[D(second)] − E[D(reference)].
    pub wasserstein: f64,
    /// GP before `gp_weight`.
    pub penalty: f64,
    /// W of the critic of images at half their width; 0 without one.
    pub half_wasserstein: f64,
    /// GP of the critic of images at half their width, before `gp_weight`; 0 without one.
    pub half_penalty: f64,
    /// Norm of the generator's gradient.
    pub generator_gradient: f64,
    /// Norm of the critic's gradient, over all scales.
    pub critic_gradient: f64,
    /// Strength with which `l1_weight`·L1 pulls at the second image: RMS over images of √N·‖∇‖, with N the values of an image,
    /// the unit in which a critic that fulfils its penalty has 1.
    pub l1_image_gradient: f64,
    /// Strength with which the weighted L_E pulls at the second image, in the unit of `l1_image_gradient`.
    pub edges_image_gradient: f64,
    /// Strength with which the weighted L_F pulls at the second image, in the unit of `l1_image_gradient`.
    pub flip_image_gradient: f64,
    /// Strength with which the weighted L_P pulls at the second image, in the unit of `l1_image_gradient`.
    pub perceptual_image_gradient: f64,
    /// Strength with which the weighted L_G pulls at the second image, in the unit of `l1_image_gradient`; 0 in the warm-up. With two
    /// scales, the share of the critic of whole images.
    pub adversarial_image_gradient: f64,
    /// Strength with which the share of the critic of images at half their width pulls at the second image, in the unit of
    /// `l1_image_gradient`; 0 without one.
    pub half_adversarial_image_gradient: f64,
}

impl Losses {
    /// Multiplies every number.
    pub fn scaled(self, factor: f64) -> Self {
        self.combined(self, |value, _| value * factor)
    }

    fn combined(self, other: Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            l1: with(self.l1, other.l1),
            edges: with(self.edges, other.edges),
            flip: with(self.flip, other.flip),
            perceptual: with(self.perceptual, other.perceptual),
            steady: with(self.steady, other.steady),
            adversarial: with(self.adversarial, other.adversarial),
            wasserstein: with(self.wasserstein, other.wasserstein),
            penalty: with(self.penalty, other.penalty),
            half_wasserstein: with(self.half_wasserstein, other.half_wasserstein),
            half_penalty: with(self.half_penalty, other.half_penalty),
            generator_gradient: with(self.generator_gradient, other.generator_gradient),
            critic_gradient: with(self.critic_gradient, other.critic_gradient),
            l1_image_gradient: with(self.l1_image_gradient, other.l1_image_gradient),
            edges_image_gradient: with(self.edges_image_gradient, other.edges_image_gradient),
            flip_image_gradient: with(self.flip_image_gradient, other.flip_image_gradient),
            perceptual_image_gradient: with(self.perceptual_image_gradient, other.perceptual_image_gradient),
            adversarial_image_gradient: with(self.adversarial_image_gradient, other.adversarial_image_gradient),
            half_adversarial_image_gradient: with(
                self.half_adversarial_image_gradient,
                other.half_adversarial_image_gradient,
            ),
        }
    }
}

impl Add for Losses {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.combined(other, |a, b| a + b)
    }
}

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The data are read and training begins, or goes on.
    Started {
        /// Steps done before.
        step: u64,
        /// Pairs to train on.
        train_pairs: usize,
        /// Different people among the training pairs.
        train_identities: usize,
        /// Pairs to validate on.
        validation_pairs: usize,
        /// Replicas that train together.
        workers: usize,
        /// Name of the backend that computes.
        backend: String,
        /// Parameters of the generator.
        parameters: usize,
        /// SHA-256 of the weights file that the run started from, hexadecimal; absent for random weights.
        #[serde(skip_serializing_if = "Option::is_none")]
        init_sha256: Option<String>,
        /// SHA-256 of the file of features that L_P compares, hexadecimal; absent where its weight is 0.
        #[serde(skip_serializing_if = "Option::is_none")]
        perceptual_sha256: Option<String>,
    },
    /// Something is probably wrong with the pairs. Training begins nevertheless.
    Warned {
        /// Steps done.
        step: u64,
        /// Pairs, numbers, and what to do.
        what: String,
    },
    /// Some steps are done.
    Step {
        /// Steps done.
        step: u64,
        /// Step at which the run ends at the latest.
        max_steps: u64,
        /// Losses, each the mean since the last event of this kind.
        #[serde(flatten)]
        losses: Losses,
        /// Seconds for each step, the mean since the last event of this kind.
        seconds_per_step: f64,
    },
    /// A step was rejected for NaN or infinity.
    Rejected {
        /// Steps done.
        step: u64,
        /// Reason of the rejection.
        reason: String,
        /// Rejected steps in a row.
        in_a_row: u64,
    },
    /// The averaged weights were measured.
    Validated {
        /// Figures on the validation pairs.
        #[serde(flatten)]
        validation: Validation,
    },
    /// A checkpoint was written.
    Saved {
        /// Steps done.
        step: u64,
        /// Folder of the checkpoint.
        path: PathBuf,
    },
    /// Lines of the log that a killed run wrote in part were dropped.
    Repaired {
        /// Steps done.
        step: u64,
        /// Number of lines.
        lines: usize,
    },
    /// The run ended.
    Finished(Summary),
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Steps done.
    pub step: u64,
    /// True if the parameters converged by the config's criterion.
    pub converged: bool,
    /// Reason of the end.
    pub reason: String,
    /// Best validation since the critic counts in full.
    pub best: Option<Validation>,
    /// Steps rejected.
    pub rejected: u64,
    /// Folder of the last checkpoint.
    pub checkpoint: PathBuf,
}
