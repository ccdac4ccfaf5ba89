//! The losses between generator and critic: the gradient penalty, and how much L_G counts at a step.

use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use portrait_files::config::{LossConfig, Penalty};

use crate::networks::Critic;

/// Keeps the square root's derivative finite at a gradient of zero.
const SQRT_EPSILON: f64 = 1e-12;

/// Returns GP, `[1]`, of the critic at `images` `[N, 3, H, W]`, differentiable with respect to the critic's weights.
pub fn gradient_penalty<B: AutodiffBackend>(
    critic: &Critic<B>,
    images: Tensor<B::InnerBackend, 4>,
    kind: Penalty,
) -> Tensor<B, 1> {
    let activations = critic.valid().activations(images).map(Tensor::from_inner);
    penalty_of(critic.image_gradient(activations), kind)
}

/// Returns the mean over images of the penalty for a gradient `[N, 3, H, W]` with respect to each.
pub fn penalty_of<B: Backend>(gradient: Tensor<B, 4>, kind: Penalty) -> Tensor<B, 1> {
    let [count, channels, height, width] = gradient.dims();
    let values = channels * height * width;
    let unit = match kind {
        Penalty::Rms => values as f64,
        Penalty::L2 => 1.0,
    };
    let squared_norm = gradient.square().reshape([count, values]).sum_dim(1) * unit;
    ((squared_norm + SQRT_EPSILON).sqrt() - 1.0).square().mean()
}

/// Returns `adv_weight` at a step: 0 in the warm-up, then a ramp, then the whole weight.
pub fn adversarial_weight(config: &LossConfig, step: u64) -> f64 {
    if step < config.warm_up_steps {
        return 0.0;
    }
    let ramped = (step - config.warm_up_steps + 1) as f64 / config.ramp_steps.max(1) as f64;
    config.adv_weight * ramped.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adversarial_weight_is_zero_then_ramps_then_stays() {
        let config = LossConfig { warm_up_steps: 10, ramp_steps: 4, adv_weight: 0.2, ..LossConfig::default() };
        let weights = [0, 9, 10, 11, 13, 1000].map(|step| adversarial_weight(&config, step));
        assert_eq!(weights, [0.0, 0.0, 0.05, 0.1, 0.2, 0.2]);
    }
}
