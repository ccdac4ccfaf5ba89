//! The losses.
//!
//! Generator: `l1_weight`·L1 + `edge_weight`·L_E + `flip_weight`·L_F + `adv_weight`·L_G with L_G = −E[D(second)].
//! Critic: W + `gp_weight`·GP with W = E[D(second)] − E[D(reference)] (Arjovsky et al. 2017) and the gradient penalty
//! of Gulrajani et al. (2017) on images between the two.

use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::config::{LossConfig, Penalty};
use crate::critic::{Critic, JUDGED};
use crate::flip_loss::{color_difference, inner};

/// Keeps the square root's derivative finite at a gradient of zero.
const SQRT_EPSILON: f64 = 1e-12;

/// Σ weight·|second − reference| / (3·N·H·W): the mean absolute difference, where `weight` `[N, 1, H, W]` has a mean
/// of 1 over the training set.
pub fn weighted_l1<B: Backend>(second: Tensor<B, 4>, reference: Tensor<B, 4>, weight: Tensor<B, 4>) -> Tensor<B, 1> {
    ((second - reference).abs() * weight).mean()
}

/// L_E: the mean absolute difference of the images' differences from pixel to pixel, along rows and along columns, with the
/// same weights as [`weighted_l1`]. L1 hardly notices noise that is small everywhere; this does.
pub fn edge_l1<B: Backend>(second: Tensor<B, 4>, reference: Tensor<B, 4>, weight: Tensor<B, 4>) -> Tensor<B, 1> {
    let error = second - reference;
    let along = |axis: usize| {
        let steps = error.dims()[axis] - 1;
        let ahead = error.clone().narrow(axis, 1, steps) - error.clone().narrow(axis, 0, steps);
        (ahead.abs() * weight.clone().narrow(axis, 1, steps)).mean()
    };
    along(3) + along(2)
}

/// L_F: the mean of ꟻLIP's colour difference, 0–1, with the same weights as [`weighted_l1`]; a margin of
/// [`RADIUS_PX`](crate::flip_loss::RADIUS_PX) pixels does not count.
pub fn flip_loss<B: Backend>(second: Tensor<B, 4>, reference: Tensor<B, 4>, weight: Tensor<B, 4>) -> Tensor<B, 1> {
    (color_difference(second, reference) * inner(weight)).mean()
}

/// GP, `[1]`, of the critic at `images` `[N, 3 or 6, H, W]`: differentiable with respect to the critic's weights.
pub fn gradient_penalty<B: AutodiffBackend>(
    critic: &Critic<B>,
    images: Tensor<B::InnerBackend, 4>,
    kind: Penalty,
) -> Tensor<B, 1> {
    let activations = critic.valid().activations(images).map(Tensor::from_inner);
    penalty_of(critic.image_gradient(activations), kind)
}

/// The mean over images of the penalty for a gradient `[N, 3 or 6, H, W]` with respect to each; only the judged image's own
/// channels, the first three, count.
pub fn penalty_of<B: Backend>(gradient: Tensor<B, 4>, kind: Penalty) -> Tensor<B, 1> {
    let gradient = gradient.narrow(1, 0, JUDGED);
    let [count, channels, height, width] = gradient.dims();
    let values = channels * height * width;
    let unit = match kind {
        Penalty::Rms => values as f64,
        Penalty::L2 => 1.0,
    };
    let squared_norm = gradient.square().reshape([count, values]).sum_dim(1) * unit;
    ((squared_norm + SQRT_EPSILON).sqrt() - 1.0).square().mean()
}

/// `adv_weight` at a step: 0 in the warm-up, then a ramp, then the whole weight.
pub fn adversarial_weight(config: &LossConfig, step: u64) -> f64 {
    if step < config.warm_up_steps {
        return 0.0;
    }
    let ramped = (step - config.warm_up_steps + 1) as f64 / config.ramp_steps.max(1) as f64;
    config.adv_weight * ramped.min(1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{ElementConversion, TensorData};

    use super::*;

    #[test]
    fn edges_count_what_differs_from_pixel_to_pixel() {
        type Cpu = crate::backend::Inner;
        let device = Default::default();
        let image =
            |values: [f32; 6]| Tensor::<Cpu, 4>::from_data(TensorData::new(values.to_vec(), [1, 1, 2, 3]), &device);
        let edges = |second: [f32; 6], weight: [f32; 6]| -> f32 {
            edge_l1(image(second), image([0.25; 6]), image(weight)).into_scalar().elem()
        };
        assert_eq!(edges([0.5; 6], [1.0; 6]), 0.0, "an even error has no edges");
        // Rows: 1, 1, 0, 0 with weights 1, 2, 1, 1; columns: 0, 1, 0 with weight 1.
        let found = edges([0.0, 1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 2.0, 1.0, 1.0, 1.0]);
        assert!((found - (3.0 / 4.0 + 1.0 / 3.0)).abs() < 1e-6, "{found}");
    }

    #[test]
    fn adversarial_weight_is_zero_then_ramps_then_stays() {
        let config = LossConfig { warm_up_steps: 10, ramp_steps: 4, adv_weight: 0.2, ..LossConfig::default() };
        let weights = [0, 9, 10, 11, 13, 1000].map(|step| adversarial_weight(&config, step));
        assert_eq!(weights, [0.0, 0.0, 0.05, 0.1, 0.2, 0.2]);
    }
}
