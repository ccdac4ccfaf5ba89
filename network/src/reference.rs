//! The slow, obvious forward pass on the CPU: the referee of the shaders and of the training crate.

use thiserror::Error;

use crate::transfer::normalize_color;
use crate::{Activation, ConvWeights, Model, Op, Source, Upsampling};

/// An image or activation, `[channels, height, width]`, planar and row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Number of planes.
    pub channels: usize,
    /// Rows, in pixels.
    pub height: usize,
    /// Columns, in pixels.
    pub width: usize,
    /// Values, `channels · height · width` of them.
    pub data: Vec<f32>,
}

/// An error of the forward pass.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The input has another size than its own numbers say, or other planes than the spec's.
    #[error(
        "input of {channels}×{height}×{width} with {found} values: expected {expected_channels} channels, at least \
         1×1 pixel, and channels·height·width values"
    )]
    Shape {
        /// Channels of the input.
        channels: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// Number of values found.
        found: usize,
        /// Channels that the spec asks for.
        expected_channels: usize,
    },
}

impl Tensor {
    /// Makes an image of zeros.
    pub fn zeros(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, data: vec![0.0; channels * height * width] }
    }

    /// Makes an image pixel by pixel from `(channel, y, x)`.
    pub fn from_fn(
        channels: usize,
        height: usize,
        width: usize,
        mut value: impl FnMut(usize, usize, usize) -> f32,
    ) -> Self {
        let mut data = Vec::with_capacity(channels * height * width);
        for c in 0..channels {
            for y in 0..height {
                data.extend((0..width).map(|x| value(c, y, x)));
            }
        }
        Self { channels, height, width, data }
    }

    /// Returns the value at channel `c`, row `y`, column `x`.
    pub fn at(&self, c: usize, y: usize, x: usize) -> f32 {
        self.data[(c * self.height + y) * self.width + x]
    }

    /// Fills the image up to a size by repeating its edge pixels to the right and below.
    fn padded(&self, height: usize, width: usize) -> Self {
        Self::from_fn(self.channels, height, width, |c, y, x| self.at(c, y.min(self.height - 1), x.min(self.width - 1)))
    }

    fn cropped(&self, height: usize, width: usize) -> Self {
        Self::from_fn(self.channels, height, width, |c, y, x| self.at(c, y, x))
    }
}

/// Runs `model` on its input planes (natural units, see [`crate::Plane`]) and returns the *second rendered image*,
/// `[3, H, W]` display-referred sRGB, not clamped.
///
/// # Errors
/// Fails when the planes do not fit the model's spec.
pub fn forward(model: &Model, planes: &Tensor) -> Result<Tensor, InputError> {
    let mut layers = forward_layers(model, planes)?;
    let output = layers.pop().unwrap_or_else(|| Tensor::zeros(3, planes.height, planes.width));
    Ok(output.cropped(planes.height, planes.width))
}

/// Runs `model` as [`forward`] does, and returns the result of every layer, on the padded grid.
///
/// # Errors
/// Fails when the planes do not fit the model's spec.
pub fn forward_layers(model: &Model, planes: &Tensor) -> Result<Vec<Tensor>, InputError> {
    let graph = model.graph();
    let expected_channels = graph.spec().input_channels();
    let whole = planes.data.len() == planes.channels * planes.height * planes.width;
    if planes.channels != expected_channels || planes.height == 0 || planes.width == 0 || !whole {
        return Err(InputError::Shape {
            channels: planes.channels,
            height: planes.height,
            width: planes.width,
            found: planes.data.len(),
            expected_channels,
        });
    }
    // The layers see normalised colour; the residual is added to the image as it was given.
    let align = graph.alignment_px();
    let raw = planes.padded(planes.height.next_multiple_of(align), planes.width.next_multiple_of(align));
    let mut input = raw.clone();
    let color_values = 3 * input.height * input.width;
    input.data[..color_values].iter_mut().for_each(|value| *value = normalize_color(*value));

    // Every layer's result is kept: a later one may read it.
    let mut made: Vec<Tensor> = Vec::new();
    let mut weights = model.convs().iter();
    for (layer, node) in graph.spec().layers.iter().zip(graph.nodes()) {
        let sources: Vec<&Tensor> = node
            .sources
            .iter()
            .map(|source| match *source {
                Source::Input => &input,
                Source::Layer(index) => &made[index],
            })
            .collect();
        let first = sources[0];
        let output = match layer.op {
            Op::SpaceToDepth { factor } => space_to_depth(first, factor),
            Op::Conv { out_channels, kernel, stride, activation } => match weights.next() {
                Some(weights) => conv(first, weights, out_channels, kernel, stride, activation),
                None => unreachable!("a model holds weights for each convolution of its graph"),
            },
            Op::Upsample { mode: Upsampling::Nearest } => {
                Tensor::from_fn(node.channels, first.height * 2, first.width * 2, |c, y, x| first.at(c, y / 2, x / 2))
            }
            Op::Upsample { mode: Upsampling::PixelShuffle } => {
                Tensor::from_fn(node.channels, first.height * 2, first.width * 2, |c, y, x| {
                    first.at(c * 4 + y % 2 * 2 + x % 2, y / 2, x / 2)
                })
            }
            Op::Concat => Tensor {
                channels: node.channels,
                data: sources.iter().flat_map(|source| source.data.iter().copied()).collect(),
                ..*first
            },
            Op::Add => Tensor::from_fn(node.channels, first.height, first.width, |c, y, x| {
                sources.iter().map(|source| source.at(c, y, x)).sum()
            }),
            Op::OutputResidual { scale } => {
                Tensor::from_fn(3, raw.height, raw.width, |c, y, x| raw.at(c, y, x) + scale * first.at(c, y, x))
            }
        };
        made.push(output);
    }
    Ok(made)
}

fn space_to_depth(input: &Tensor, factor: usize) -> Tensor {
    let area = factor * factor;
    Tensor::from_fn(input.channels * area, input.height / factor, input.width / factor, |c, y, x| {
        input.at(c / area, y * factor + c % area / factor, x * factor + c % factor)
    })
}

fn conv(
    input: &Tensor,
    weights: &ConvWeights,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    activation: Activation,
) -> Tensor {
    let pad = kernel / 2;
    let slope = activation.negative_slope();
    Tensor::from_fn(out_channels, input.height / stride, input.width / stride, |out, y, x| {
        let mut sum = weights.bias[out];
        for c in 0..input.channels {
            for ky in 0..kernel {
                for kx in 0..kernel {
                    let (sy, sx) = (y * stride + ky, x * stride + kx);
                    if sy < pad || sx < pad || sy - pad >= input.height || sx - pad >= input.width {
                        continue;
                    }
                    let weight = weights.weight[((out * input.channels + c) * kernel + ky) * kernel + kx];
                    sum += weight * input.at(c, sy - pad, sx - pad);
                }
            }
        }
        if sum > 0.0 { sum } else { sum * slope }
    })
}
