//! The critic: tells *reference images* from *second rendered images*, a score for each patch.
//!
//! Convolutions and leaky ReLU only. Nothing normalises over a batch or an image, so that a score's gradient with
//! respect to its image is the product of transposed convolutions and activation masks that
//! [`Critic::image_gradient`] writes down: the gradient penalty then needs first-order autodiff only.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use portrait_files::config::CriticConfig;
use portrait_network::ConvWeights;
use rand::Rng;

use super::conv::{Conv, ConvLayout};

/// Channels of an image.
const IMAGE_CHANNELS: usize = 3;
/// Slope of the leaky ReLU.
const SLOPE: f64 = 0.2;

/// Strided convolutions from an image `[N, 3, H, W]` to scores `[N, 1, H', W']`.
#[derive(Module, Debug)]
pub struct Critic<B: Backend> {
    layers: Vec<Conv<B>>,
}

/// Constants of one image on which the critic's gradient with respect to it depends, apart from the weights.
#[derive(Clone, Debug)]
pub struct Activations<B: Backend> {
    /// Derivative of each layer's activation, 1 or its slope.
    masks: Vec<Tensor<B, 4>>,
    /// Height and width of each layer's input.
    input_sizes: Vec<[usize; 2]>,
}

impl<B: Backend> Activations<B> {
    /// Converts the constants to another backend, such as the one with autodiff around this one.
    pub fn map<C: Backend>(self, convert: impl FnMut(Tensor<B, 4>) -> Tensor<C, 4>) -> Activations<C> {
        Activations { masks: self.masks.into_iter().map(convert).collect(), input_sizes: self.input_sizes }
    }
}

impl<B: Backend> Critic<B> {
    /// Makes a critic with weights drawn from ±1/√(inputs of a sum), and zero biases: a 4×4 convolution with stride 2 for each
    /// width of the config, then two 3×3 convolutions, the last without activation.
    pub fn initial(config: &CriticConfig, rng: &mut impl Rng, device: &B::Device) -> Self {
        let mut layouts = Vec::new();
        let mut in_channels = IMAGE_CHANNELS;
        for &out_channels in &config.channels {
            layouts.push(ConvLayout { out_channels, in_channels, kernel: 4, stride: 2, padding: 1, slope: SLOPE });
            in_channels = out_channels;
        }
        for (out_channels, slope) in [(in_channels, SLOPE), (1, 1.0)] {
            layouts.push(ConvLayout { out_channels, in_channels, kernel: 3, stride: 1, padding: 1, slope });
        }
        let layers = layouts.into_iter().map(|layout| {
            let fan_in = layout.in_channels * layout.kernel * layout.kernel;
            let bound = (1.0 / fan_in as f32).sqrt();
            let weight = (0..layout.out_channels * fan_in).map(|_| rng.random_range(-bound..bound)).collect();
            Conv::new(layout, &ConvWeights { weight, bias: vec![0.0; layout.out_channels] }, device)
        });
        Self { layers: layers.collect() }
    }

    /// Scores images `[N, 3, H, W]`: `[N, 1, H', W']`, high for reference images.
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        self.layers.iter().fold(image, |x, layer| layer.forward(x))
    }

    /// Computes the constants that [`image_gradient`](Self::image_gradient) needs.
    pub fn activations(&self, image: Tensor<B, 4>) -> Activations<B> {
        let mut activations = Activations { masks: Vec::new(), input_sizes: Vec::new() };
        let mut x = image;
        for layer in &self.layers {
            let [_, _, height, width] = x.dims();
            let sum = layer.sum(x);
            activations.masks.push(layer.activation_mask(sum.clone()));
            activations.input_sizes.push([height, width]);
            x = layer.activate(sum);
        }
        activations
    }

    /// Returns for each image the gradient of its mean score with respect to the image, `[N, 3, H, W]`, as a differentiable
    /// function of the weights. It is exact: the masks are constant almost everywhere.
    pub fn image_gradient(&self, activations: Activations<B>) -> Tensor<B, 4> {
        let Activations { masks, input_sizes } = activations;
        let scores = match masks.last() {
            Some(scores) => scores.ones_like(),
            None => unreachable!("a critic has two layers at least"),
        };
        let [_, channels, height, width] = scores.dims();
        let mut gradient = scores / (channels * height * width) as f64;
        for ((layer, mask), size) in self.layers.iter().zip(masks).zip(input_sizes).rev() {
            gradient = layer.input_gradient(gradient * mask, size);
        }
        gradient
    }
}
