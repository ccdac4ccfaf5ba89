//! The range of every value in a config.

use std::path::PathBuf;

use portrait_network::SpecError;
use thiserror::Error;

use super::{Config, FLIP_RADIUS_PX, MAX_CONFIG_BYTES, PERCEPTUAL_LAYERS};
use crate::seeds::FIRST_EVALUATION_SEED;

/// An error of reading or checking a config.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config {path}: {source}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file is longer than any config.
    #[error("config {path}: {found} bytes: expected at most {MAX_CONFIG_BYTES}; is it another file?")]
    TooLong {
        /// Path of the file.
        path: PathBuf,
        /// Length of the file, in bytes.
        found: usize,
    },
    /// The file is not TOML, or has an unknown or wrongly typed entry.
    #[error("config {path}: {source}")]
    Toml {
        /// Path of the file.
        path: PathBuf,
        /// Error of the reader.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range.
    #[error("config: `{name}`: expected {expected}, found {found}")]
    Value {
        /// Name of the entry.
        name: &'static str,
        /// Range of the entry.
        expected: &'static str,
        /// Value of the entry.
        found: String,
    },
    /// A seed is one that is kept for evaluation.
    #[error(
        "config: `data.{name}` holds seed {seed}: seeds from {FIRST_EVALUATION_SEED} on are kept for `portrait-train \
         evaluate` and may neither train nor steer a run; end the range earlier"
    )]
    EvaluationSeed {
        /// Name of the entry.
        name: &'static str,
        /// First such seed.
        seed: u64,
    },
    /// The network is not valid.
    #[error("config: the network is not valid: {0}")]
    Spec(#[from] SpecError),
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// Fails with the first value that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let alignment_px = self.graph()?.alignment_px();
        let (data, loss, optimizer, run) = (&self.data, &self.loss, &self.optimizer, &self.run);
        for (name, seeds) in [("train_seeds", &data.train_seeds), ("validation_seeds", &data.validation_seeds)] {
            if let Some(seed) = seeds.first_evaluation_seed() {
                return Err(ConfigError::EvaluationSeed { name, seed });
            }
        }
        let importance = [
            loss.importance.background,
            loss.importance.hair_and_cloth,
            loss.importance.skin,
            loss.importance.features,
        ];
        let widths = match self.critic.channels.as_slice() {
            few if few.len() <= 6 => format!("{few:?}"),
            many => format!("{} widths", many.len()),
        };
        // More than 6 are refused below.
        let min_crop = (4 << self.critic.channels.len().min(6)) * self.critic.scales.clamp(1, 2);
        let layers = &loss.perceptual.layers;
        let ascending = layers.is_sorted_by(|a, b| a < b);
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let fraction = |value: f64| (0.0..1.0).contains(&value);
        // A table keeps name, range, check and value of an entry on one line.
        #[rustfmt::skip]
        let checks = [
            ("critic.channels", "1 to 6 widths of 1 to 1024", (1..=6).contains(&self.critic.channels.len())
                && self.critic.channels.iter().all(|width| (1..=1024).contains(width)), widths),
            ("critic.scales", "1 or 2", (1..=2).contains(&self.critic.scales), self.critic.scales.to_string()),
            ("critic.steps", "1 to 10", (1..=10).contains(&self.critic.steps), self.critic.steps.to_string()),
            ("data.crop_px", "at least 4 · 2^(number of critic channels), twice that with two critic scales, at most 4096",
                (min_crop..=4096).contains(&data.crop_px), data.crop_px.to_string()),
            ("data.batch", "1 to 1024", (1..=1024).contains(&data.batch), data.batch.to_string()),
            ("data.gain_jitter", "0 up to below 1", fraction(data.gain_jitter.into()), data.gain_jitter.to_string()),
            ("data.on_face", "0 to 1", (0.0..=1.0).contains(&data.on_face), data.on_face.to_string()),
            ("data.relight", "0 to 1", (0.0..=1.0).contains(&data.relight), data.relight.to_string()),
            ("data.white_balance_jitter", "0 up to below 1", fraction(data.white_balance_jitter.into()),
                data.white_balance_jitter.to_string()),
            ("loss.l1_weight", "a number from 0", not_negative(loss.l1_weight), loss.l1_weight.to_string()),
            ("loss.edge_weight", "a number from 0", not_negative(loss.edge_weight), loss.edge_weight.to_string()),
            ("data.crop_px", "more than twice ꟻLIP's blur, 20, with `loss.flip_weight`",
                loss.flip_weight == 0.0 || data.crop_px > 2 * FLIP_RADIUS_PX, data.crop_px.to_string()),
            ("loss.flip_weight", "a number from 0", not_negative(loss.flip_weight), loss.flip_weight.to_string()),
            ("loss.perceptual.weight", "a number from 0", not_negative(loss.perceptual.weight), loss.perceptual.weight.to_string()),
            ("loss.perceptual.layers", "layers from 0 to 17 in ascending order, at least one",
                ascending && layers.last().is_some_and(|&last| last < PERCEPTUAL_LAYERS), format!("{:?}", &layers[..layers.len().min(20)])),
            ("loss.steady_weight", "a number from 0", not_negative(loss.steady_weight), loss.steady_weight.to_string()),
            ("data.crop_px", "at least twice the network's alignment with `loss.steady_weight`",
                loss.steady_weight == 0.0 || data.crop_px >= 2 * alignment_px, data.crop_px.to_string()),
            ("loss.adv_weight", "a number from 0", not_negative(loss.adv_weight), loss.adv_weight.to_string()),
            ("loss.gp_weight", "a number from 0", not_negative(loss.gp_weight), loss.gp_weight.to_string()),
            ("loss.importance", "numbers from 0, `skin` above 0",
                importance.iter().all(|weight| not_negative((*weight).into())) && loss.importance.skin > 0.0,
                format!("{importance:?}")),
            ("optimizer.generator_learning_rate", "a number above 0", positive(optimizer.generator_learning_rate),
                optimizer.generator_learning_rate.to_string()),
            ("optimizer.critic_learning_rate", "a number above 0", positive(optimizer.critic_learning_rate),
                optimizer.critic_learning_rate.to_string()),
            ("optimizer.final_rate", "above 0 to 1", optimizer.final_rate > 0.0 && optimizer.final_rate <= 1.0,
                optimizer.final_rate.to_string()),
            ("optimizer.beta1", "0 up to below 1", fraction(optimizer.beta1.into()), optimizer.beta1.to_string()),
            ("optimizer.beta2", "0 up to below 1", fraction(optimizer.beta2.into()), optimizer.beta2.to_string()),
            ("optimizer.epsilon", "a number above 0", positive(optimizer.epsilon.into()), optimizer.epsilon.to_string()),
            ("optimizer.ema", "0 up to below 1", fraction(optimizer.ema.into()), optimizer.ema.to_string()),
            ("run.workers", "a divisor of `data.batch`, at least 1: each worker takes an equal share of every batch",
                run.workers > 0 && data.batch.is_multiple_of(run.workers), format!("{} for a batch of {}", run.workers, data.batch)),
            ("run.max_minutes", "a number above 0", run.max_minutes.is_none_or(positive), format!("{:?}", run.max_minutes)),
            ("run.*_every", "at least 1", run.log_every.min(run.validate_every).min(run.checkpoint_every)
                .min(run.picture_every) > 0, "0".to_string()),
            ("run.validation_pairs", "at least 1", run.validation_pairs > 0, run.validation_pairs.to_string()),
            ("run.convergence", "`smoothing` and `window` of at least 1, `min_improvement` 0 up to below 1",
                run.convergence.smoothing > 0 && run.convergence.window > 0 && fraction(run.convergence.min_improvement),
                format!("{:?}", run.convergence)),
        ];
        match checks.into_iter().find(|check| !check.2) {
            Some((name, expected, _, found)) => Err(ConfigError::Value { name, expected, found }),
            None => Ok(()),
        }
    }
}
