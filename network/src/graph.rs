//! A validated [`Spec`]: names resolved, shapes known, receptive field and alignment computed.

use thiserror::Error;

use crate::{Activation, Layer, Op, Plane, Spec, Upsampling};

/// Maximum number of layers of a spec.
pub const MAX_LAYERS: usize = 64;
/// Maximum number of channels of a layer.
pub const MAX_CHANNELS: usize = 512;
/// Maximum factor by which a layer's grid is coarser than the input's.
pub const MAX_DOWNSCALE: usize = 64;

/// The source of a layer's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The input planes.
    Input,
    /// The layer with this index.
    Layer(usize),
}

/// The shape of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Sources of the layer, in order.
    pub sources: Vec<Source>,
    /// Channels of the first source, or of all sources together for [`Op::Concat`].
    pub in_channels: usize,
    /// Channels of the result.
    pub channels: usize,
    /// Factor by which the grid is coarser than the input's: one pixel covers `downscale`² pixels of the input.
    pub downscale: usize,
    reach: Reach,
}

/// The input columns that a pixel depends on: with the columns `p·d .. p·d + d` that the pixel covers, these are
/// `p·d − before .. p·d + d + after`. Rows are the same.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reach {
    before: i64,
    after: i64,
}

/// A [`Spec`] that passed every check. The only way to run, train or store a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    spec: Spec,
    nodes: Vec<Node>,
    alignment_px: usize,
}

/// An error of validating a [`Spec`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Input planes are missing, doubled or in the wrong order.
    #[error("input planes {found:?}: expected `color` first and each plane once")]
    Inputs {
        /// Planes found.
        found: Vec<Plane>,
    },
    /// The spec has no layer, or more than [`MAX_LAYERS`].
    #[error("{found} layers: expected 1 to {MAX_LAYERS}")]
    LayerCount {
        /// Number of layers found.
        found: usize,
    },
    /// A name is empty, doubled, reserved or holds other characters than `[a-z0-9_]`.
    #[error("layer {index} is named {name:?}: expected a unique name of a-z, 0-9 and _, other than `input`")]
    Name {
        /// Position of the layer.
        index: usize,
        /// Name found.
        name: String,
    },
    /// A source is no earlier layer.
    #[error(
        "layer `{layer}` reads `{from}`, which is no earlier layer (nor `input`): list layers in the order they run"
    )]
    Source {
        /// Name of the layer.
        layer: String,
        /// Name of the source.
        from: String,
    },
    /// A property of a layer does not fit.
    #[error("layer `{layer}`: {what}: expected {expected}, found {found}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// Name of the property.
        what: &'static str,
        /// Value expected.
        expected: String,
        /// Value found.
        found: String,
    },
}

impl Graph {
    pub(crate) fn new(spec: Spec) -> Result<Self, SpecError> {
        let doubled = (1..spec.inputs.len()).any(|i| spec.inputs[..i].contains(&spec.inputs[i]));
        if spec.inputs.first() != Some(&Plane::Color) || doubled {
            return Err(SpecError::Inputs { found: spec.inputs });
        }
        if spec.layers.is_empty() || spec.layers.len() > MAX_LAYERS {
            return Err(SpecError::LayerCount { found: spec.layers.len() });
        }
        let mut graph = Self { spec, nodes: Vec::new(), alignment_px: 1 };
        for index in 0..graph.spec.layers.len() {
            let node = graph.resolve(index)?;
            graph.alignment_px = graph.alignment_px.max(node.downscale);
            graph.nodes.push(node);
        }
        Ok(graph)
    }

    /// Returns the spec that the graph was made from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Returns one node for each layer, in the order they run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the alignment of width and height, in pixels: images are padded to its multiples by repeating edge pixels, and
    /// cropped again.
    pub fn alignment_px(&self) -> usize {
        self.alignment_px
    }

    /// Returns an upper bound of the width and height, in input pixels, of the area that one output pixel depends on.
    pub fn receptive_field_px(&self) -> usize {
        let reach = self.nodes.last().map_or(Reach { before: 0, after: 0 }, |node| node.reach);
        usize::try_from(reach.before + reach.after + 1).unwrap_or(1)
    }

    /// Returns the number of multiply-accumulates for each input pixel.
    pub fn macs_per_px(&self) -> f64 {
        self.convs().map(|conv| conv.weight_count() as f64 / (conv.downscale * conv.downscale) as f64).sum()
    }

    /// Returns the number of weights and biases together.
    pub fn parameter_count(&self) -> usize {
        self.convs().map(|conv| conv.weight_count() + conv.out_channels).sum()
    }

    /// Returns the convolutions, in the order they run.
    pub fn convs(&self) -> impl Iterator<Item = ConvShape<'_>> {
        // No catch-all: whatever has weights of its own is named here, and nowhere else.
        self.spec.layers.iter().zip(&self.nodes).enumerate().filter_map(|(index, (layer, node))| match layer.op {
            Op::Conv { out_channels, kernel, stride, activation } => Some(ConvShape {
                name: &layer.name,
                layer: index,
                out_channels,
                in_channels: node.in_channels,
                kernel,
                stride,
                activation,
                downscale: node.downscale,
            }),
            Op::SpaceToDepth { .. } | Op::Upsample { .. } | Op::Concat | Op::Add | Op::OutputResidual { .. } => None,
        })
    }

    fn shape_of(&self, source: Source) -> (usize, usize, Reach) {
        match source {
            Source::Input => (self.spec.input_channels(), 1, Reach { before: 0, after: 0 }),
            Source::Layer(index) => {
                let node = &self.nodes[index];
                (node.channels, node.downscale, node.reach)
            }
        }
    }

    fn check_name(&self, index: usize) -> Result<(), SpecError> {
        let name = &self.spec.layers[index].name;
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let taken = self.spec.layers[..index].iter().any(|other| other.name == *name);
        if name.is_empty() || name == "input" || taken || !name.chars().all(legal) {
            return Err(SpecError::Name { index, name: name.clone() });
        }
        Ok(())
    }

    /// Checks what holds for every operation: the number of sources, one grid, and the output at the end. Returns the sources'
    /// channels, their grid, and what they depend on together.
    fn joined(&self, index: usize, sources: &[Source]) -> Result<(Vec<usize>, usize, Reach), SpecError> {
        let layer = &self.spec.layers[index];
        let require = |ok, what, expected: &str, found| require(layer, ok, what, expected, found);
        let join = matches!(layer.op, Op::Concat | Op::Add);
        let count = sources.len();
        require(
            if join { (2..=8).contains(&count) } else { count == 1 },
            "sources",
            if join { "2 to 8" } else { "1" },
            count.to_string(),
        )?;
        let shapes: Vec<_> = sources.iter().map(|&source| self.shape_of(source)).collect();
        let (_, scale, mut reach) = shapes[0];
        for &(_, other, other_reach) in &shapes[1..] {
            require(other == scale, "grid of a source", &format!("1/{scale}"), format!("1/{other}"))?;
            reach.before = reach.before.max(other_reach.before);
            reach.after = reach.after.max(other_reach.after);
        }
        let last = index + 1 == self.spec.layers.len();
        let is_output = matches!(layer.op, Op::OutputResidual { .. });
        require(
            is_output == last,
            "position",
            "`output_residual` as the last layer, and only there",
            format!("{:?}", layer.op),
        )?;
        Ok((shapes.into_iter().map(|shape| shape.0).collect(), scale, reach))
    }

    /// Checks what a layer's operation asks of its fields and sources, and works out the shape that the layer makes.
    fn resolve(&self, index: usize) -> Result<Node, SpecError> {
        self.check_name(index)?;
        let layer = &self.spec.layers[index];
        let require = |ok, what, expected: &str, found| require(layer, ok, what, expected, found);
        let sources = self.sources(index)?;
        let (source_channels, scale, mut reach) = self.joined(index, &sources)?;
        let first_channels = source_channels[0];
        let step = scale as i64;
        let mut in_channels = first_channels;
        let (channels, downscale) = match layer.op {
            Op::SpaceToDepth { factor } => {
                require(matches!(factor, 2 | 4), "factor", "2 or 4", factor.to_string())?;
                (first_channels * factor * factor, scale * factor)
            }
            Op::Conv { out_channels, kernel, stride, activation } => {
                require(matches!(kernel, 1 | 3), "kernel", "1 or 3", kernel.to_string())?;
                require(matches!(stride, 1 | 2), "stride", "1 or 2", stride.to_string())?;
                let slope = activation.negative_slope();
                require((0.0..=1.0).contains(&slope), "leaky-ReLU slope", "0 to 1", slope.to_string())?;
                // Half the kernel to each side, on the source's grid; a stride of 2 drops the last column of each pair.
                let around = (kernel as i64 / 2) * step;
                reach.before += around;
                reach.after = (reach.after + around - (stride as i64 - 1) * step).max(0);
                (out_channels, scale * stride)
            }
            Op::Upsample { mode } => {
                require(
                    scale.is_multiple_of(2),
                    "grid of the source",
                    "coarser than the input's",
                    format!("1/{scale}"),
                )?;
                // A fine pixel depends on the whole coarse one that it lies in.
                reach.before += step / 2;
                reach.after += step / 2;
                match mode {
                    Upsampling::Nearest => (first_channels, scale / 2),
                    Upsampling::PixelShuffle => {
                        let fits = first_channels.is_multiple_of(4);
                        require(fits, "channels to shuffle", "a multiple of 4", first_channels.to_string())?;
                        (first_channels / 4, scale / 2)
                    }
                }
            }
            Op::Concat => {
                for &channels in &source_channels {
                    require(
                        channels.is_multiple_of(4),
                        "channels of a source",
                        "a multiple of 4",
                        channels.to_string(),
                    )?;
                }
                in_channels = source_channels.iter().sum();
                (in_channels, scale)
            }
            Op::Add => {
                for &channels in &source_channels {
                    require(
                        channels == first_channels,
                        "channels of a source",
                        &first_channels.to_string(),
                        channels.to_string(),
                    )?;
                }
                (first_channels, scale)
            }
            Op::OutputResidual { scale: size } => {
                require(first_channels == 3, "channels of the source", "3", first_channels.to_string())?;
                require(scale == 1, "grid of the source", "the input's", format!("1/{scale}"))?;
                require(size.is_finite() && size > 0.0, "scale", "a number above 0", size.to_string())?;
                (3, 1)
            }
        };
        require(
            (1..=MAX_CHANNELS).contains(&channels),
            "channels",
            &format!("1 to {MAX_CHANNELS}"),
            channels.to_string(),
        )?;
        require(downscale <= MAX_DOWNSCALE, "grid", &format!("1/{MAX_DOWNSCALE} or finer"), format!("1/{downscale}"))?;
        Ok(Node { sources, in_channels, channels, downscale, reach })
    }

    fn sources(&self, index: usize) -> Result<Vec<Source>, SpecError> {
        let layer = &self.spec.layers[index];
        if layer.from.is_empty() {
            return Ok(vec![if index == 0 { Source::Input } else { Source::Layer(index - 1) }]);
        }
        let find = |name: &String| {
            if name == "input" {
                return Ok(Source::Input);
            }
            let earlier = self.spec.layers[..index].iter().position(|other| &other.name == name);
            earlier
                .map(Source::Layer)
                .ok_or_else(|| SpecError::Source { layer: layer.name.clone(), from: name.clone() })
        };
        layer.from.iter().map(find).collect()
    }
}

/// Fails with a property of a layer unless the property is as it should be.
fn require(layer: &Layer, ok: bool, what: &'static str, expected: &str, found: String) -> Result<(), SpecError> {
    if ok {
        Ok(())
    } else {
        Err(SpecError::Layer { layer: layer.name.clone(), what, expected: expected.into(), found })
    }
}

/// A convolution: the layer it is, its size and its activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvShape<'a> {
    /// Name of the layer.
    pub name: &'a str,
    /// Index of the layer.
    pub layer: usize,
    /// Channels of the result.
    pub out_channels: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Width and height of the kernel, 1 or 3.
    pub kernel: usize,
    /// Step between two results, 1 or 2.
    pub stride: usize,
    /// Activation that is applied to the sum.
    pub activation: Activation,
    /// Factor by which the result's grid is coarser than the network's input: one pixel covers `downscale`² pixels of the input.
    pub downscale: usize,
}

impl ConvShape<'_> {
    /// Returns the length of the weight tensor, `[out, in, kernel, kernel]`.
    pub fn weight_count(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }
}
