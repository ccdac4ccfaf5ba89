//! The features of MobileNetV2, trained on ImageNet, of an image. Its weights are constants, through which gradients flow to the
//! image.

use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use portrait_network::ConvWeights;

use super::mobilenet_file::{ConvShape, LayerWeights, MobileNetWeights};

/// Mean of each channel of ImageNet's images, display-referred sRGB 0–1, that torchvision's networks expect to be taken away.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of each channel, by which torchvision's networks expect the rest to be divided.
const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// The first layers of MobileNetV2, which are not trained.
#[derive(Clone, Debug)]
pub struct MobileNet<B: Backend> {
    layers: Vec<Layer<B>>,
    mean: Tensor<B, 4>,
    deviation: Tensor<B, 4>,
}

#[derive(Clone, Debug)]
struct Layer<B: Backend> {
    convs: Vec<FixedConv<B>>,
    residual: bool,
}

/// A convolution whose weights are constants.
#[derive(Clone, Debug)]
struct FixedConv<B: Backend> {
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    shape: ConvShape,
}

impl<B: Backend> MobileNet<B> {
    /// Copies weights to a device.
    pub fn new(weights: &MobileNetWeights, device: &B::Device) -> Self {
        let layer = |layer: &LayerWeights| Layer {
            convs: layer.convs.iter().map(|(shape, weights)| FixedConv::new(*shape, weights, device)).collect(),
            residual: layer.residual,
        };
        let of_channels = |values: [f32; 3]| Tensor::<B, 1>::from_floats(values, device).reshape([1, 3, 1, 1]);
        Self {
            layers: weights.layers.iter().map(layer).collect(),
            mean: of_channels(IMAGENET_MEAN),
            deviation: of_channels(IMAGENET_DEVIATION),
        }
    }

    /// Returns what each of the layers `chosen`, in ascending order, makes of images `[N, 3, H, W]`, display-referred sRGB 0–1:
    /// `[N, C, H', W']`.
    pub fn features(&self, images: Tensor<B, 4>, chosen: &[usize]) -> Vec<Tensor<B, 4>> {
        let mut x = (images - self.mean.clone()) / self.deviation.clone();
        let mut features = Vec::new();
        for (index, layer) in self.layers.iter().enumerate().take(chosen.last().map_or(0, |last| last + 1)) {
            let result = layer.convs.iter().fold(x.clone(), |x, conv| conv.forward(x));
            x = if layer.residual { x + result } else { result };
            if chosen.contains(&index) {
                features.push(x.clone());
            }
        }
        features
    }
}

impl<B: Backend> FixedConv<B> {
    fn new(shape: ConvShape, weights: &ConvWeights, device: &B::Device) -> Self {
        let sizes = [shape.out_channels, shape.in_channels / shape.groups, shape.kernel, shape.kernel];
        let weight = Tensor::from_data(TensorData::new(weights.weight.clone(), sizes), device);
        let bias = Tensor::from_data(TensorData::new(weights.bias.clone(), [shape.out_channels]), device);
        Self { weight, bias, shape }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let ConvShape { kernel, stride, groups, relu6, .. } = self.shape;
        let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1; 2], groups);
        let sum = conv2d(x, self.weight.clone(), Some(self.bias.clone()), options);
        if relu6 { sum.clamp(0.0, 6.0) } else { sum }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backend::Training;
    use crate::networks::values;

    /// Makes a layer of two convolutions, the first for each channel by itself.
    fn small() -> MobileNetWeights {
        let conv = |in_channels, out_channels, kernel: usize, groups, relu6| {
            let shape = ConvShape { in_channels, out_channels, kernel, stride: 1, groups, relu6 };
            let count = out_channels * in_channels / groups * kernel * kernel;
            let weight = (0..count).map(|at| (at as f32 * 0.7).sin()).collect();
            (shape, ConvWeights { weight, bias: vec![0.1; out_channels] })
        };
        let convs = vec![conv(3, 3, 3, 3, true), conv(3, 3, 1, 1, false)];
        MobileNetWeights { layers: vec![LayerWeights { convs, residual: true }], sha256: String::new() }
    }

    #[test]
    fn gradients_reach_the_image_and_no_weight() {
        let device = Default::default();
        let network = MobileNet::<Training>::new(&small(), &device);
        let pixels: Vec<f32> = (0..2 * 3 * 6 * 5).map(|at| (at as f32 * 0.3).cos() * 0.5 + 0.5).collect();
        let images = Tensor::from_data(TensorData::new(pixels, [2, 3, 6, 5]), &device).require_grad();
        let features = network.features(images.clone(), &[0]).remove(0);
        let gradients = features.square().sum().backward();
        assert!(values(images.grad(&gradients).unwrap()).iter().all(|value| *value != 0.0));
        for conv in &network.layers[0].convs {
            assert!(conv.weight.grad(&gradients).is_none() && conv.bias.grad(&gradients).is_none());
        }
    }
}
