//! A training run as a TOML file: network, data, losses, optimisers and its end.

use std::path::Path;

use portrait_network::{Graph, Plane, Spec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bounded;
use crate::seeds::Seeds;

mod check;

pub use check::ConfigError;

/// Maximum length of a config, in bytes. The largest network has about 10,000; parsing takes a hundred times as much memory.
pub const MAX_CONFIG_BYTES: usize = 1 << 16;
/// Maximum length of a line that an error shows, in bytes.
const MAX_SHOWN_LINE: usize = 500;

/// Number of layers of which [`PerceptualConfig::layers`] chooses.
pub const PERCEPTUAL_LAYERS: usize = 18;
/// Number of pixels that ꟻLIP's widest blur reaches to each side: three standard deviations.
pub const FLIP_RADIUS_PX: usize = 10;

/// The config of a run: everything that decides what the run learns. Each field has a default, so a file names only what
/// differs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Network to train.
    pub network: NetworkConfig,
    /// Choice of pairs, and of how batches are made of them.
    pub data: DataConfig,
    /// Losses of generator and critic.
    pub loss: LossConfig,
    /// Size of the critic and its number of steps.
    pub critic: CriticConfig,
    /// Both Adam optimisers and the moving average of the weights.
    pub optimizer: OptimizerConfig,
    /// Length of the run, and intervals of measuring and saving.
    pub run: RunConfig,
}

/// The network of a run: a preset, or a whole spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Network that `portrait_network` ships. Default: `quality`, when there is no `spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Input planes of the preset. Default: the preset's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<Plane>>,
    /// Network of one's own, instead of a preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Spec>,
}

/// A shipped network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Network for quality, [`Spec::quality`].
    Quality,
    /// Network for speed, [`Spec::fast`].
    Fast,
    /// Smallest network, for tests, [`Spec::tiny`].
    Tiny,
}

/// The choice of pairs, and of how batches are made of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Seeds to train on, all below 1,000,000. Default `0..160`.
    pub train_seeds: Seeds,
    /// Seeds to validate on. Default `900000..900080`.
    pub validation_seeds: Seeds,
    /// Chooses what training and measured pairs may not share. Default `people`.
    pub held_out: HeldOut,
    /// Side of the square crops, in pixels. Default 128.
    pub crop_px: usize,
    /// Number of crops for each step. Default 4.
    pub batch: usize,
    /// Share of the crops, 0–1, whose middle is a pixel of the face, as far as the image's edge allows. Default 0.5.
    pub on_face: f64,
    /// Mirrors half of the crops. Default true.
    pub flip: bool,
    /// Maximum deviation from 1 of a factor on both images of a crop, in sRGB. Default 0.1.
    pub gain_jitter: f32,
    /// Maximum deviation from 1 of a factor on each colour channel of both images, in sRGB. Default 0.04.
    pub white_balance_jitter: f32,
    /// Share of the crops, 0–1, that are lit anew if their pair has light groups. Default 0.75.
    pub relight: f64,
    /// Tone mappers through which crops that are lit anew are shown, by their names in `looks.toml`. Default: all of them.
    pub tone_mappings: Vec<String>,
}

/// Says what training pairs may not share with the pairs of validation and evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOut {
    /// People: nobody is both trained and measured on.
    #[default]
    People,
    /// Views of the same people, for weights that are tuned to them: no seed of a person is both trained and measured on. Seeds of
    /// the three splits differ in light, surroundings and expression as well.
    Views,
}

/// The losses. Generator: `l1_weight`·L1 + `edge_weight`·L_E + `flip_weight`·L_F + `perceptual.weight`·L_P + `steady_weight`·L_S +
/// `adv_weight`·L_G.
/// Critic: W + `gp_weight`·GP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Weight of the mean absolute difference (0–1 per channel), itself weighted by `importance`. Default 0.1.
    pub l1_weight: f64,
    /// Weight of L_E, the mean absolute difference of pixel-to-pixel differences, with the same `importance`. Default 0.
    pub edge_weight: f64,
    /// Weight of L_F, the mean of ꟻLIP's colour difference, with the same `importance`. Default 0.
    pub flip_weight: f64,
    /// Weight and layers of L_P.
    pub perceptual: PerceptualConfig,
    /// Weight of L_S, the mean absolute difference (0–1 per channel) between what the network makes of an image and what it makes of the
    /// same image moved by a few pixels. Above 0 a step takes nearly twice as long until the critic learns. Default 0.
    pub steady_weight: f64,
    /// Weight of L_G = −mean critic score of the second rendered image, the mean over the critic's scales. Default 0.1.
    pub adv_weight: f64,
    /// Weight of the critic's gradient penalty. Default 1.
    pub gp_weight: f64,
    /// Unit in which the penalty measures the gradient. Default `rms`.
    pub penalty: Penalty,
    /// Steps of the warm-up, in which `adv_weight` is 0 (the critic may already learn). Default 150.
    pub warm_up_steps: u64,
    /// Steps after the warm-up in which `adv_weight` grows to its value. Default 50.
    pub ramp_steps: u64,
    /// Weight of L1 at each kind of pixel.
    pub importance: Importance,
}

/// The loss L_P: how far the features lie apart that MobileNetV2, trained on ImageNet, has of the second rendered image and of the
/// reference image. Its weights are a file that `cargo xtask perceptual` makes and `portrait-train train --perceptual` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerceptualConfig {
    /// Weight of L_P. Default 0: no file is needed.
    pub weight: f64,
    /// Layers whose features are compared, all alike, in ascending order: 0 is the first convolution, 1 to 17 are the blocks. Layers 0
    /// and 1 have half of the image's width, 2 and 3 a quarter, 4 to 6 an eighth, 7 to 13 a sixteenth, 14 to 17 a thirty-second. The
    /// network runs as far as the last one. Default 1, 3, 6.
    pub layers: Vec<usize>,
}

/// The unit in which the norm of the critic's gradient with respect to an image of N values is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Penalty {
    /// Root mean square, (√N·‖∇‖ − 1)²: the balance of L1 and critic is the same at any crop size.
    Rms,
    /// Euclidean norm, (‖∇‖ − 1)², the literal form of the method (Gulrajani et al. 2017). At 128² the critic's gradient then
    /// outweighs L1's 2,200 : 1.
    L2,
}

/// The weight of L1 by the pixel's value in `mask.png`; values between are interpolated. All weights are divided by their mean
/// over the training set, so that L1 keeps the scale of a plain mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Importance {
    /// Weight at mask 0. Default 0.1: the background counts a little, so that it stays as it is.
    pub background: f32,
    /// Weight at mask 64. Default 0.5.
    pub hair_and_cloth: f32,
    /// Weight at mask 160. Default 1.
    pub skin: f32,
    /// Weight at mask 255, of brows, eyes and lips. Default 2.
    pub features: f32,
}

/// The critic of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CriticConfig {
    /// Channels of the 4×4 convolutions with stride 2; two 3×3 convolutions follow. Default 32, 64, 128.
    pub channels: Vec<usize>,
    /// Number of scales, each with a critic and a penalty of its own: 1, the image as it is, or 2, the image at half its width as well.
    /// Default 1.
    pub scales: usize,
    /// Number of critic steps for each generator step. Default 1.
    pub steps: usize,
    /// Step at which the critic starts to learn, at the latest when L_G counts: steps of a long warm-up are half the price without
    /// a critic. Default 0.
    pub first_step: u64,
}

/// The Adam optimisers of both networks, and the average of the generator's weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Learning rate of the generator at the start. Default 5e-4.
    pub generator_learning_rate: f64,
    /// Learning rate of the critic at the start. Default 5e-4.
    pub critic_learning_rate: f64,
    /// Share of both learning rates that is left at `run.max_steps`; they fall along half a cosine. Default 1: constant.
    pub final_rate: f64,
    /// Decay of the mean of the gradients. Default 0.5.
    pub beta1: f32,
    /// Decay of the mean of the squared gradients. Default 0.9.
    pub beta2: f32,
    /// Number that keeps a step finite where gradients are small. Default 1e-5.
    pub epsilon: f32,
    /// Decay of the moving average of the generator's weights, which is exported. Default 0.995.
    pub ema: f32,
}

/// The length of a run, and the intervals of measuring and saving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of the initial weights and of every random choice. Default 1.
    pub seed: u64,
    /// Number of replicas that train together, each on a device of its own (on the CPU: a thread) and on its equal share of
    /// every batch; `data.batch` counts all shares. This changes the speed, not what is learnt. Default 1.
    pub workers: usize,
    /// Step at which the run stops at the latest. Default 20,000.
    pub max_steps: u64,
    /// Minutes after which the run stops, counted in each process anew. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_minutes: Option<f64>,
    /// Steps between lines in `metrics.jsonl`. Default 10.
    pub log_every: u64,
    /// Steps between validations. Default 250.
    pub validate_every: u64,
    /// Maximum number of pairs that a validation looks at. Default 20.
    pub validation_pairs: usize,
    /// Steps between checkpoints. Default 250.
    pub checkpoint_every: u64,
    /// Steps between pictures of validation faces. Default 500.
    pub picture_every: u64,
    /// Maximum number of steps in a row that are rejected for NaN or infinite values before the run fails. Default 20.
    pub max_rejected: u64,
    /// Criterion by which the parameters count as converged.
    pub convergence: ConvergenceConfig,
}

/// The criterion of convergence: after `min_steps`, the best smoothed validation L1 is less than `min_improvement` (relative)
/// better than it was `window` validations ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConvergenceConfig {
    /// Number of validations that are averaged. Default 3.
    pub smoothing: usize,
    /// Number of validations to look back. Default 10.
    pub window: usize,
    /// Minimum relative improvement, 0–1. Default 0.01.
    pub min_improvement: f64,
    /// Earliest step of convergence. Default 3,000.
    pub min_steps: u64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train_seeds: Seeds::from(0..160),
            validation_seeds: Seeds::from(900_000..900_080),
            held_out: HeldOut::People,
            crop_px: 128,
            batch: 4,
            on_face: 0.5,
            flip: true,
            gain_jitter: 0.1,
            white_balance_jitter: 0.04,
            relight: 0.75,
            tone_mappings: Vec::new(),
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            l1_weight: 0.1,
            adv_weight: 0.1,
            gp_weight: 1.0,
            penalty: Penalty::Rms,
            edge_weight: 0.0,
            flip_weight: 0.0,
            perceptual: PerceptualConfig::default(),
            steady_weight: 0.0,
            warm_up_steps: 150,
            ramp_steps: 50,
            importance: Importance::default(),
        }
    }
}

impl Default for PerceptualConfig {
    fn default() -> Self {
        Self { weight: 0.0, layers: vec![1, 3, 6] }
    }
}

impl Default for Importance {
    fn default() -> Self {
        Self { background: 0.1, hair_and_cloth: 0.5, skin: 1.0, features: 2.0 }
    }
}

impl Default for CriticConfig {
    fn default() -> Self {
        Self { channels: vec![32, 64, 128], scales: 1, steps: 1, first_step: 0 }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            generator_learning_rate: 5e-4,
            critic_learning_rate: 5e-4,
            final_rate: 1.0,
            beta1: 0.5,
            beta2: 0.9,
            epsilon: 1e-5,
            ema: 0.995,
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            workers: 1,
            max_steps: 20_000,
            max_minutes: None,
            log_every: 10,
            validate_every: 250,
            validation_pairs: 20,
            checkpoint_every: 250,
            picture_every: 500,
            max_rejected: 20,
            convergence: ConvergenceConfig::default(),
        }
    }
}

impl Default for ConvergenceConfig {
    fn default() -> Self {
        Self { smoothing: 3, window: 10, min_improvement: 0.01, min_steps: 3_000 }
    }
}

/// A config, and the text it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigFile {
    config: Config,
    text: String,
}

impl ConfigFile {
    /// Reads and checks a config.
    ///
    /// # Errors
    /// Fails when the file cannot be read or parsed, or a value is out of range.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = bounded::read_text(path).map_err(|source| ConfigError::Io { path: path.into(), source })?;
        Self::parse(text, path)
    }

    /// Checks a config that is in memory; `path` is for messages only.
    ///
    /// # Errors
    /// Fails when the text cannot be parsed, or a value is out of range.
    pub fn parse(text: String, path: &Path) -> Result<Self, ConfigError> {
        if text.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLong { path: path.into(), found: text.len() });
        }
        let config: Config = toml::from_str(&text).map_err(|mut source| {
            // The message shows the line: not one that fills the screen.
            if text.lines().any(|line| line.len() > MAX_SHOWN_LINE) {
                source.set_input(None);
            }
            ConfigError::Toml { path: path.into(), source: Box::new(source) }
        })?;
        config.validate()?;
        Ok(Self { config, text })
    }

    /// Returns the checked config.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the text of the file, in UTF-8 without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the SHA-256 of the file's text, hexadecimal: that of the file, unless it is in UTF-16 or has a byte order mark.
    pub fn sha256(&self) -> String {
        Sha256::digest(self.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Config {
    /// Returns the factor on both learning rates after so many steps: 1 at first, `final_rate` from `max_steps` on (Loshchilov and
    /// Hutter 2017, without restarts).
    pub fn rate_share(&self, step: u64) -> f64 {
        let done = (step as f64 / self.run.max_steps as f64).min(1.0);
        let last = self.optimizer.final_rate;
        last + (1.0 - last) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }

    /// Returns the network to train.
    ///
    /// # Errors
    /// Fails when the spec is not valid, or both a preset and a spec are given.
    pub fn graph(&self) -> Result<Graph, ConfigError> {
        let network = &self.network;
        let mut spec = match (&network.spec, network.preset) {
            (Some(_), Some(preset)) => {
                return Err(ConfigError::Value {
                    name: "network",
                    expected: "either `preset` or `spec`",
                    found: format!("`spec` and preset {preset:?}"),
                });
            }
            (Some(spec), None) => spec.clone(),
            (None, Some(Preset::Tiny)) => Spec::tiny(&[Plane::Color]),
            (None, Some(Preset::Fast)) => Spec::fast(),
            (None, Some(Preset::Quality) | None) => Spec::quality(),
        };
        if let Some(inputs) = &network.inputs {
            spec.inputs.clone_from(inputs);
        }
        Ok(spec.validate()?)
    }

    /// Tells whether a run with `other` may go on with this config: everything but lengths and intervals is the same.
    pub fn continues(&self, other: &Self) -> bool {
        let core = |config: &Self| {
            let run = RunConfig { seed: config.run.seed, ..RunConfig::default() };
            Self { run, ..config.clone() }
        };
        core(self) == core(other)
    }
}

impl Importance {
    /// Returns the weight of L1 for each mask value.
    pub fn table(&self) -> [f32; 256] {
        let knots = [(0.0, self.background), (64.0, self.hair_and_cloth), (160.0, self.skin), (255.0, self.features)];
        std::array::from_fn(|mask| {
            let mask = mask as f32;
            let upper = knots.iter().position(|knot| knot.0 >= mask).unwrap_or(knots.len() - 1).max(1);
            let ((x0, y0), (x1, y1)) = (knots[upper - 1], knots[upper]);
            y0 + (y1 - y0) * (mask - x0) / (x1 - x0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn importance_passes_through_its_four_values() {
        let table = Importance::default().table();
        assert_eq!([table[0], table[64], table[160], table[255]], [0.1, 0.5, 1.0, 2.0]);
        assert!((table[112] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn learning_rates_fall_along_half_a_cosine() {
        let mut config = Config::default();
        assert_eq!(config.rate_share(7_000), 1.0);
        config.optimizer.final_rate = 0.1;
        config.run.max_steps = 100;
        let shares = [0, 50, 100, 900].map(|step| config.rate_share(step));
        assert!(
            shares.iter().zip([1.0, 0.55, 0.1, 0.1]).all(|(found, wanted)| (found - wanted).abs() < 1e-12),
            "{shares:?}"
        );
    }
}
