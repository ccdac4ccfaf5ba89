//! The one layer that both networks are made of: a convolution with bias, zero padding and a piecewise linear activation.

use burn::module::{Module, Param, ParamId};
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::backend::Backend;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Tensor, TensorData};
use portrait_network::ConvWeights;

/// A convolution, `[N, in, H, W] → [N, out, H / stride, W / stride]`, followed by `x > 0 ? x : slope · x`.
#[derive(Module, Debug)]
pub struct Conv<B: Backend> {
    weight: Param<Tensor<B, 4>>,
    bias: Param<Tensor<B, 1>>,
    stride: usize,
    padding: usize,
    slope: f64,
}

/// Size and activation of a [`Conv`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvLayout {
    /// Channels of the result.
    pub out_channels: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Width and height of the kernel.
    pub kernel: usize,
    /// Step between two results, 1 or 2.
    pub stride: usize,
    /// Rows and columns of zeros around the input.
    pub padding: usize,
    /// Slope of the activation where the sum is not positive; 1 means no activation.
    pub slope: f64,
}

impl<B: Backend> Conv<B> {
    /// Makes a convolution with these weights, which are trained on a backend with autodiff.
    pub fn new(options: ConvLayout, weights: &ConvWeights, device: &B::Device) -> Self {
        let ConvLayout { out_channels, in_channels, kernel, stride, padding, slope } = options;
        let weight = TensorData::new(weights.weight.clone(), [out_channels, in_channels, kernel, kernel]);
        let bias = TensorData::new(weights.bias.clone(), [out_channels]);
        Self {
            weight: Param::initialized(ParamId::new(), Tensor::from_data(weight, device).require_grad()),
            bias: Param::initialized(ParamId::new(), Tensor::from_data(bias, device).require_grad()),
            stride,
            padding,
            slope,
        }
    }

    /// Returns the layer's result, after the activation.
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        self.activate(self.sum(input))
    }

    /// Returns the layer's result before the activation.
    pub fn sum(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1; 2], 1);
        conv2d(input, self.weight.val(), Some(self.bias.val()), options)
    }

    /// Applies the activation, `x > 0 ? x : slope · x`.
    pub fn activate(&self, sum: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.slope == 1.0 {
            sum
        } else if self.slope == 0.0 {
            relu(sum)
        } else {
            leaky_relu(sum, self.slope)
        }
    }

    /// Returns the activation's derivative at each value of `sum`, 1 or `slope`.
    pub fn activation_mask(&self, sum: Tensor<B, 4>) -> Tensor<B, 4> {
        let dtype = sum.dtype();
        sum.greater_elem(0.0).float().cast(dtype) * (1.0 - self.slope) + self.slope
    }

    /// Returns the gradient with respect to the input, which has `input_size` (height, width), given the gradient with respect
    /// to [`sum`](Self::sum). The result is differentiable with respect to the weight.
    pub fn input_gradient(&self, sum_gradient: Tensor<B, 4>, input_size: [usize; 2]) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let [_, _, height, width] = sum_gradient.dims();
        let kernel = weight.dims()[2];
        // Rows and columns at the end that a stride of 2 left out.
        let rest = |outputs: usize, inputs: usize| inputs + 2 * self.padding - ((outputs - 1) * self.stride + kernel);
        let rest = [rest(height, input_size[0]), rest(width, input_size[1])];
        let options = ConvTransposeOptions::new([self.stride; 2], [self.padding; 2], rest, [1; 2], 1);
        conv_transpose2d(sum_gradient, weight, None, options)
    }

    /// Reads the weights back from the device.
    pub fn weights(&self) -> ConvWeights {
        ConvWeights { weight: values(self.weight.val()), bias: values(self.bias.val()) }
    }
}

/// Reads a tensor's values back from the device.
pub fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
