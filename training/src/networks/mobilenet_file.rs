//! MobileNetV2's weights as `cargo xtask perceptual` writes them: a safetensors file with torchvision's names. Each convolution is
//! read with the batch norm that follows it, and the two become one.

use std::path::{Path, PathBuf};

use portrait_files::bounded;
use portrait_files::config::PERCEPTUAL_LAYERS;
use portrait_files::manifest::Fingerprint;
use portrait_network::ConvWeights;
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

/// Size of the largest file that is read, in bytes. The file that is meant has 9 MB.
const MAX_BYTES: u64 = 64 << 20;
/// Number that torchvision adds to the variance of a batch norm.
const NORM_EPSILON: f64 = 1e-5;
/// Channels of an image, and of what the first layer makes of it.
const FIRST_CHANNELS: [usize; 2] = [3, 32];
/// Runs of blocks: how many times the channels are expanded, channels of the result, number of blocks, and stride of the first one
/// (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, Table 2).
const RUNS: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// The weights of MobileNetV2's first layers, with batch norms folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct MobileNetWeights {
    /// Layers in the order they run.
    pub layers: Vec<LayerWeights>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// A layer: convolutions, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// Convolutions with their weights and biases.
    pub convs: Vec<(ConvShape, ConvWeights)>,
    /// True if the layer's input is added to the result of its last convolution.
    pub residual: bool,
}

/// Size and activation of a convolution, which has zero padding of `kernel / 2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvShape {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the result.
    pub out_channels: usize,
    /// Width and height of the kernel, 1 or 3.
    pub kernel: usize,
    /// Step between two results, 1 or 2.
    pub stride: usize,
    /// Number of groups that the channels are in: 1, or as many as channels.
    pub groups: usize,
    /// True if ReLU6, min(max(x, 0), 6), follows.
    pub relu6: bool,
}

/// An error of reading MobileNetV2's weights.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MobileNetError {
    /// The file cannot be read.
    #[error("features {path}: {source}; `cargo xtask perceptual --out FILE` makes the file that --perceptual expects")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file does not hold the weights.
    #[error("features {path}: {what}; `cargo xtask perceptual --out FILE` makes the file that --perceptual expects")]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// Thing that is wrong, what was expected, and what was found.
        what: String,
    },
}

impl MobileNetWeights {
    /// Reads the weights of the first `count` layers, at most [`PERCEPTUAL_LAYERS`].
    ///
    /// # Errors
    /// Fails when the file cannot be read, or a tensor is missing, of another type or shape, or not finite.
    pub fn load(path: &Path, count: usize) -> Result<Self, MobileNetError> {
        let content =
            bounded::read(path, MAX_BYTES).map_err(|source| MobileNetError::Io { path: path.into(), source })?;
        let layers = parse(&content, count).map_err(|what| MobileNetError::Content { path: path.into(), what })?;
        Ok(Self { layers, sha256: Fingerprint::of(&content).sha256 })
    }
}

fn parse(content: &[u8], count: usize) -> Result<Vec<LayerWeights>, String> {
    let file = SafeTensors::deserialize(content).map_err(|error| format!("not a whole safetensors file: {error}"))?;
    let read = |layer: Layer| {
        let convs = layer.convs.iter().map(|(conv, norm, shape)| Ok((*shape, folded(&file, conv, norm, *shape)?)));
        Ok(LayerWeights { convs: convs.collect::<Result<_, String>>()?, residual: layer.residual })
    };
    layers().into_iter().take(count).map(read).collect()
}

/// A layer of MobileNetV2 by torchvision's names: those of each convolution and of its norm.
struct Layer {
    convs: Vec<(String, String, ConvShape)>,
    residual: bool,
}

/// Lists the layers up to the last block.
fn layers() -> Vec<Layer> {
    let [image, mut channels] = FIRST_CHANNELS;
    let full = |in_channels, out_channels, kernel, stride, relu6| ConvShape {
        in_channels,
        out_channels,
        kernel,
        stride,
        groups: 1,
        relu6,
    };
    let first = full(image, channels, 3, 2, true);
    let first = Layer { convs: vec![("features.0.0".into(), "features.0.1".into(), first)], residual: false };
    let mut layers = vec![first];
    for [expansion, out_channels, count, first_stride] in RUNS {
        for block in 0..count {
            let stride = if block == 0 { first_stride } else { 1 };
            let wide = channels * expansion;
            let each = ConvShape { groups: wide, ..full(wide, wide, 3, stride, true) };
            // A block that expands nothing has no convolution for it.
            let expand = (expansion > 1).then(|| full(channels, wide, 1, 1, true));
            let shapes: Vec<ConvShape> = expand.into_iter().chain([each]).collect();
            let name = format!("features.{}.conv", layers.len());
            let mut convs: Vec<_> = shapes
                .iter()
                .enumerate()
                .map(|(at, shape)| (format!("{name}.{at}.0"), format!("{name}.{at}.1"), *shape))
                .collect();
            let at = convs.len();
            let project = full(wide, out_channels, 1, 1, false);
            convs.push((format!("{name}.{at}"), format!("{name}.{}", at + 1), project));
            layers.push(Layer { convs, residual: stride == 1 && channels == out_channels });
            channels = out_channels;
        }
    }
    debug_assert_eq!(layers.len(), PERCEPTUAL_LAYERS);
    layers
}

/// Reads a convolution and its norm: γ·(w∗x − μ)/√(σ² + ε) + β is a convolution with the weight w·γ/√(σ² + ε) and a bias.
fn folded(file: &SafeTensors, conv: &str, norm: &str, shape: ConvShape) -> Result<ConvWeights, String> {
    let ConvShape { in_channels, out_channels, kernel, groups, .. } = shape;
    let weight = values(file, conv, "weight", &[out_channels, in_channels / groups, kernel, kernel])?;
    let of_norm = |part| values(file, norm, part, &[out_channels]);
    let [gamma, beta] = [of_norm("weight")?, of_norm("bias")?];
    let [mean, variance] = [of_norm("running_mean")?, of_norm("running_var")?];
    if let Some(found) = variance.iter().find(|value| **value < 0.0) {
        return Err(format!("`{norm}.running_var` holds {found}: expected numbers from 0"));
    }
    let factors: Vec<f64> = gamma
        .iter()
        .zip(&variance)
        .map(|(gamma, variance)| f64::from(*gamma) / (f64::from(*variance) + NORM_EPSILON).sqrt())
        .collect();
    let each = weight.len() / out_channels;
    let weight = weight.iter().enumerate().map(|(at, value)| (f64::from(*value) * factors[at / each]) as f32);
    let bias = factors.iter().zip(beta.iter().zip(&mean));
    let bias = bias.map(|(factor, (beta, mean))| (f64::from(*beta) - f64::from(*mean) * factor) as f32);
    Ok(ConvWeights { weight: weight.collect(), bias: bias.collect() })
}

fn values(file: &SafeTensors, of: &str, part: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let name = format!("{of}.{part}");
    let tensor = file.tensor(&name).map_err(|_| format!("it has no tensor `{name}`"))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        return Err(format!("`{name}` is {:?} {:?}: expected F32 {shape:?}", tensor.dtype(), tensor.shape()));
    }
    let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    match values.iter().find(|value| !value.is_finite()) {
        Some(found) => Err(format!("`{name}` holds {found}: expected finite numbers")),
        None => Ok(values),
    }
}
