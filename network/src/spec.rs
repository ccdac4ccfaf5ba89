//! The network as data: layers, input planes, and the constructors that keep a spec readable.

use serde::{Deserialize, Serialize};

use crate::{Graph, SpecError};

/// A network as data: input planes and an ordered list of named layers.
///
/// A spec is saved in the header of every weights file. It says nothing about image size: the network is fully
/// convolutional and uses no statistic of the whole image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Short name for people.
    pub name: String,
    /// Planes that the network reads, in channel order. The first plane is always [`Plane::Color`].
    pub inputs: Vec<Plane>,
    /// Layers in the order they run. The last layer is the only [`Op::OutputResidual`].
    pub layers: Vec<Layer>,
}

/// An image that the renderer gives to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plane {
    /// The *first rendered image*, display-referred sRGB, 0–1. 3 channels.
    Color,
    /// View-space normal, each axis −1–1, +z towards the camera; 0 where nothing was drawn. 3 channels.
    Normal,
    /// Distance in front of the face's centre in units of the face's bounding radius, −1–1; −1 where nothing was drawn.
    /// 1 channel.
    Depth,
}

impl Plane {
    /// Returns the number of channels that the plane adds to the network's input.
    pub fn channels(self) -> usize {
        match self {
            Plane::Color | Plane::Normal => 3,
            Plane::Depth => 1,
        }
    }
}

/// One named step of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Unique name, `[a-z0-9_]+`. Weights are stored as `<name>.weight` and `<name>.bias`, and GPU spans carry it.
    pub name: String,
    /// Names of the layers that the layer reads; `input` is the input planes. Empty means the layer before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Operation of the layer.
    pub op: Op,
}

/// The operation of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Rearrangement `[C, H·f, W·f] → [C·f², H, W]`, to channel `c·f² + dy·f + dx` (PyTorch's `pixel_unshuffle`).
    SpaceToDepth {
        /// Factor f, 2 or 4.
        factor: usize,
    },
    /// Convolution with bias and zero padding of `kernel / 2`.
    Conv {
        /// Channels of the result.
        out_channels: usize,
        /// Width and height of the kernel, 1 or 3.
        kernel: usize,
        /// Step between two results, 1 or 2.
        stride: usize,
        /// Activation that is applied to the sum.
        activation: Activation,
    },
    /// Doubling of width and height.
    Upsample {
        /// Way in which the new pixels are made.
        mode: Upsampling,
    },
    /// Channels of all sources, one after the other.
    Concat,
    /// Sum of all sources.
    Add,
    /// The *second rendered image*: colour plane (as given, before normalisation) + `scale` · source.
    OutputResidual {
        /// Size of the residual that a source value of 1 makes, in display-referred sRGB.
        scale: f32,
    },
}

/// A function that is applied to a convolution's sum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// The sum as it is: x.
    None,
    /// Rectified linear unit: max(x, 0).
    Relu,
    /// Leaky rectified linear unit: x where positive, `slope`·x elsewhere.
    LeakyRelu {
        /// Slope where x is not positive, 0–1.
        slope: f32,
    },
}

impl Activation {
    /// Returns the slope on the negative side: every activation is `x > 0 ? x : slope · x`.
    pub fn negative_slope(self) -> f32 {
        match self {
            Activation::None => 1.0,
            Activation::Relu => 0.0,
            Activation::LeakyRelu { slope } => slope,
        }
    }
}

/// The way in which [`Op::Upsample`] doubles width and height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// Repetition: each pixel four times.
    Nearest,
    /// Pixel shuffle `[C·4, H, W] → [C, H·2, W·2]`, the inverse of [`Op::SpaceToDepth`] with factor 2.
    PixelShuffle,
}

impl Spec {
    /// Returns the number of channels of the input planes together.
    pub fn input_channels(&self) -> usize {
        self.inputs.iter().map(|plane| plane.channels()).sum()
    }

    /// Checks every layer and resolves names, shapes, alignment and receptive field.
    ///
    /// # Errors
    /// Fails with the first thing that is wrong: the layer, what was expected and what was found.
    pub fn validate(&self) -> Result<Graph, SpecError> {
        Graph::new(self.clone())
    }
}

impl Layer {
    /// Makes a layer that reads the layer before.
    pub fn new(name: &str, op: Op) -> Self {
        Self { name: name.into(), from: Vec::new(), op }
    }

    /// Makes the layer read `sources` instead of the layer before.
    pub fn from(mut self, sources: &[&str]) -> Self {
        self.from = sources.iter().map(|&source| source.into()).collect();
        self
    }

    /// Makes a 3×3 convolution.
    pub fn conv3x3(name: &str, out_channels: usize, stride: usize, activation: Activation) -> Self {
        Self::new(name, Op::Conv { out_channels, kernel: 3, stride, activation })
    }

    /// Makes a 1×1 convolution with stride 1.
    pub fn conv1x1(name: &str, out_channels: usize, activation: Activation) -> Self {
        Self::new(name, Op::Conv { out_channels, kernel: 1, stride: 1, activation })
    }
}
