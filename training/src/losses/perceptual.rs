//! The loss that compares images by what a network, trained to tell things apart, sees in them (Johnson et al. 2016).

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::module::adaptive_avg_pool2d;

use crate::networks::MobileNet;

/// Keeps the loss finite where a layer sees nothing in a reference.
const EPSILON: f64 = 1e-6;

/// Returns L_P, the mean over `layers`, in ascending order, of Σ weight·|f(second) − f(reference)| / Σ |f(reference)|, each sum over one
/// image's features f and then the mean over images. `weight` `[N, 1, H, W]` has a mean of 1 over the training set. Dividing by an image's
/// own features makes layers of all scales count alike, and keeps the mean of a batch the mean of its shares.
pub fn perceptual_loss<B: Backend>(
    network: &MobileNet<B>,
    layers: &[usize],
    second: Tensor<B, 4>,
    reference: Tensor<B, 4>,
    weight: Tensor<B, 4>,
) -> Tensor<B, 1> {
    let device = reference.device();
    let of_layers = network.features(second, layers).into_iter().zip(network.features(reference, layers));
    let losses = of_layers.map(|(second, reference)| {
        let [count, channels, height, width] = reference.dims();
        let size = reference.clone().abs().reshape([count, channels * height * width]).mean_dim(1) + EPSILON;
        let weight = adaptive_avg_pool2d(weight.clone(), [height, width]) / size.reshape([count, 1, 1, 1]);
        ((second - reference).abs() * weight).mean()
    });
    // Added, not concatenated: while Burn's `cat` runs, a trainer on another thread may throw the tensors' history away.
    losses.reduce(|sum, loss| sum + loss).map_or_else(|| Tensor::zeros([1], &device), |sum| sum / layers.len() as f64)
}
