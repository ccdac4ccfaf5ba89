//! The generator, built from a [`Graph`]: the same semantics as [`portrait_network::reference`], on any Burn backend.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use portrait_network::transfer::{COLOR_CENTER, COLOR_SCALE};
use portrait_network::{ConvWeights, Graph, Model, Op, Provenance, Source, Upsampling, WeightsError};

use super::conv::{Conv, ConvLayout};

/// Size of the last convolution's initial weights, relative to the other convolutions'. The residual starts near zero.
const FIRST_RESIDUAL: f32 = 0.01;

/// The network that makes the *second rendered image*.
#[derive(Module, Debug)]
pub struct Generator<B: Backend> {
    convs: Vec<Conv<B>>,
    #[module(skip)]
    graph: Graph,
}

impl<B: Backend> Generator<B> {
    /// Makes a network to start training from, which returns almost exactly its colour plane.
    pub fn initial(graph: &Graph, seed: u64, device: &B::Device) -> Self {
        let mut convs = Model::random(graph.clone(), seed).convs().to_vec();
        let last = last_convs(graph);
        for (index, conv) in convs.iter_mut().enumerate() {
            conv.bias.fill(0.0);
            if last.contains(&index) {
                conv.weight.iter_mut().for_each(|weight| *weight *= FIRST_RESIDUAL);
            }
        }
        Self::from_weights(graph, &convs, device)
    }

    /// Copies the network of a weights file to a device.
    pub fn from_model(model: &Model, device: &B::Device) -> Self {
        Self::from_weights(model.graph(), model.convs(), device)
    }

    fn from_weights(graph: &Graph, weights: &[ConvWeights], device: &B::Device) -> Self {
        let convs = graph.convs().zip(weights).map(|(shape, weights)| {
            let layout = ConvLayout {
                out_channels: shape.out_channels,
                in_channels: shape.in_channels,
                kernel: shape.kernel,
                stride: shape.stride,
                padding: shape.kernel / 2,
                slope: f64::from(shape.activation.negative_slope()),
            };
            Conv::new(layout, weights, device)
        });
        Self { convs: convs.collect(), graph: graph.clone() }
    }

    /// Returns the network's layers.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Reads the weights back from the device, in the order of [`Graph::convs`].
    pub fn weights(&self) -> Vec<ConvWeights> {
        self.convs.iter().map(Conv::weights).collect()
    }

    /// Reads the network with its weights back from the device, ready to be saved.
    ///
    /// # Errors
    /// Fails when a weight is not finite.
    pub fn to_model(&self, provenance: Provenance) -> Result<Model, WeightsError> {
        Model::new(self.graph.clone(), self.weights(), provenance)
    }

    /// Makes the *second rendered image* `[N, 3, H, W]`, display-referred sRGB, not clamped, of input planes `[N, C, H, W]` in
    /// natural units (see [`portrait_network::Plane`]). H and W may be any.
    pub fn forward(&self, planes: Tensor<B, 4>) -> Tensor<B, 4> {
        let [count, channels, height, width] = planes.dims();
        let align = self.graph.alignment_px();
        // Only the layers see normalised colour; the residual is added to the image as it is.
        let raw = pad_edges(planes, height.next_multiple_of(align), width.next_multiple_of(align));
        let color = raw.clone().narrow(1, 0, 3);
        let normalized = (color.clone() - COLOR_CENTER) * COLOR_SCALE;
        let input =
            if channels > 3 { Tensor::cat(vec![normalized, raw.narrow(1, 3, channels - 3)], 1) } else { normalized };

        let mut made: Vec<Tensor<B, 4>> = Vec::new();
        let mut convs = self.convs.iter();
        for (layer, node) in self.graph.spec().layers.iter().zip(self.graph.nodes()) {
            let mut sources = node.sources.iter().map(|source| match *source {
                Source::Input => input.clone(),
                Source::Layer(index) => made[index].clone(),
            });
            let first = sources.next().unwrap_or_else(|| input.clone());
            made.push(match layer.op {
                Op::SpaceToDepth { factor } => space_to_depth(first, factor),
                Op::Conv { .. } => match convs.next() {
                    Some(conv) => conv.forward(first),
                    None => unreachable!("a generator holds a convolution for each one of its graph"),
                },
                Op::Upsample { mode: Upsampling::Nearest } => nearest(first),
                Op::Upsample { mode: Upsampling::PixelShuffle } => pixel_shuffle(first),
                Op::Concat => Tensor::cat(std::iter::once(first).chain(sources).collect(), 1),
                Op::Add => sources.fold(first, |sum, source| sum + source),
                Op::OutputResidual { scale } => color.clone() + first * scale,
            });
        }
        let output = made.pop().unwrap_or(color);
        output.slice([0..count, 0..3, 0..height, 0..width])
    }
}

/// Finds the indices of the convolutions that the output reads without another convolution between.
fn last_convs(graph: &Graph) -> Vec<usize> {
    let mut found = Vec::new();
    let mut open = vec![graph.nodes().len() - 1];
    while let Some(layer) = open.pop() {
        if let Some(conv) = graph.convs().position(|conv| conv.layer == layer) {
            found.push(conv);
            continue;
        }
        open.extend(graph.nodes()[layer].sources.iter().filter_map(|source| match *source {
            Source::Input => None,
            Source::Layer(index) => Some(index),
        }));
    }
    found
}

/// Fills planes up to a size by repeating their edge pixels to the right and below.
fn pad_edges<B: Backend>(planes: Tensor<B, 4>, height: usize, width: usize) -> Tensor<B, 4> {
    let device = planes.device();
    let extend = |planes: Tensor<B, 4>, dim: usize, length: usize| {
        let last = planes.dims()[dim] - 1;
        if last + 1 == length {
            return planes;
        }
        let indices: Vec<i32> = (0..length).map(|index| index.min(last) as i32).collect();
        planes.select(dim, Tensor::<B, 1, Int>::from_data(TensorData::new(indices, [length]), &device))
    };
    extend(extend(planes, 2, height), 3, width)
}

fn space_to_depth<B: Backend>(x: Tensor<B, 4>, factor: usize) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h / factor, factor, w / factor, factor]).permute([0, 1, 3, 5, 2, 4]).reshape([
        n,
        c * factor * factor,
        h / factor,
        w / factor,
    ])
}

fn pixel_shuffle<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c / 4, 2, 2, h, w]).permute([0, 1, 4, 2, 5, 3]).reshape([n, c / 4, h * 2, w * 2])
}

fn nearest<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h, 1, w, 1]).expand([n, c, h, 2, w, 2]).reshape([n, c, h * 2, w * 2])
}
