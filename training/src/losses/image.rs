//! The losses that compare the *second rendered image* with the *reference image*: L1, L_E and L_F.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::flip::{color_difference, inner};

/// Returns L1, the mean absolute difference Σ weight·|second − reference| / (3·N·H·W), where `weight` `[N, 1, H, W]` has a mean
/// of 1 over the training set.
pub fn weighted_l1<B: Backend>(second: Tensor<B, 4>, reference: Tensor<B, 4>, weight: Tensor<B, 4>) -> Tensor<B, 1> {
    ((second - reference).abs() * weight).mean()
}

/// Returns L_E, the mean absolute difference of the images' differences from pixel to pixel, along rows and along columns, with
/// the same weights as [`weighted_l1`]. L1 hardly notices noise that is small everywhere; L_E does.
pub fn edge_l1<B: Backend>(second: Tensor<B, 4>, reference: Tensor<B, 4>, weight: Tensor<B, 4>) -> Tensor<B, 1> {
    let error = second - reference;
    let along = |axis: usize| {
        let steps = error.dims()[axis] - 1;
        let ahead = error.clone().narrow(axis, 1, steps) - error.clone().narrow(axis, 0, steps);
        (ahead.abs() * weight.clone().narrow(axis, 1, steps)).mean()
    };
    along(3) + along(2)
}

/// Returns L_F, the mean of ꟻLIP's colour difference, 0–1, with the same weights as [`weighted_l1`]; a margin of
/// [`RADIUS_PX`](super::flip::RADIUS_PX) pixels does not count.
pub fn flip_loss<B: Backend>(second: Tensor<B, 4>, reference: Tensor<B, 4>, weight: Tensor<B, 4>) -> Tensor<B, 1> {
    (color_difference(second, reference) * inner(weight)).mean()
}

#[cfg(test)]
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
}
