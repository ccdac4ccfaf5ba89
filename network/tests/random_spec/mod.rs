//! Networks of every shape that the rules allow, from a few bytes of chance.

use portrait_network::{Activation, Layer, Op, Plane, Spec, Upsampling};

/// Maximum number of channels of a layer.
const MAX_CHANNELS: usize = 48;
/// Factor of the coarsest grid.
const COARSEST: usize = 8;
/// Maximum number of sums: each may make values four times as large, and half precision ends at 65,504.
const MAX_SUMS: usize = 3;

/// A tensor that a later layer may read.
struct Tensor {
    name: String,
    channels: usize,
    downscale: usize,
}

/// Bytes, and zeros behind their end.
struct Chance<'a>(&'a [u8]);

impl Chance<'_> {
    fn below(&mut self, limit: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % limit.max(1)
    }
}

/// Makes a valid spec of about one layer for every five bytes.
pub fn spec(bytes: &[u8]) -> Spec {
    let mut chance = Chance(bytes);
    let mut inputs = vec![Plane::Color];
    match chance.below(5) {
        1 => inputs.push(Plane::Normal),
        2 => inputs.push(Plane::Depth),
        3 => inputs.extend([Plane::Normal, Plane::Depth]),
        4 => inputs.extend([Plane::Depth, Plane::Normal]),
        _ => {}
    }
    let channels = inputs.iter().map(|plane| plane.channels()).sum();
    let mut tensors = vec![Tensor { name: "input".into(), channels, downscale: 1 }];
    let mut layers: Vec<Layer> = Vec::new();
    while !chance.0.is_empty() && layers.len() < 24 {
        let next = layer(&mut chance, layers.len(), &tensors);
        let sums = layers.iter().filter(|layer| layer.op == Op::Add).count();
        if let Some((layer, channels, downscale)) = next.filter(|(layer, ..)| layer.op != Op::Add || sums < MAX_SUMS) {
            tensors.push(Tensor { name: layer.name.clone(), channels, downscale });
            layers.push(layer);
        }
    }
    // Back to the input's grid, and to three channels.
    let (mut last, mut downscale) =
        tensors.last().map_or(("input".into(), 1), |last| (last.name.clone(), last.downscale));
    while downscale > 1 {
        let name = format!("up{downscale}");
        layers.push(Layer::new(&name, Op::Upsample { mode: Upsampling::Nearest }).from(&[&last]));
        (last, downscale) = (name, downscale / 2);
    }
    layers.push(Layer::conv1x1("to_color", 3, Activation::None).from(&[&last]));
    layers.push(Layer::new("out", Op::OutputResidual { scale: 0.25 }));
    Spec { name: "random".into(), inputs, layers }
}

/// The next layer, with its channels and grid; `None` where chance wants something that is not allowed.
fn layer(chance: &mut Chance, index: usize, tensors: &[Tensor]) -> Option<(Layer, usize, usize)> {
    let kind = chance.below(8);
    // Mostly the last one: chains are longer than bushes.
    let back = chance.below(6).saturating_sub(2).min(tensors.len() - 1);
    let source = &tensors[tensors.len() - 1 - back];
    let (channels, downscale) = (source.channels, source.downscale);
    let (op, from, channels, downscale) = match kind {
        0..=2 => {
            let kernel = if kind == 0 { 1 } else { 3 };
            let stride = 1 + chance.below(2) * usize::from(downscale * 2 <= COARSEST);
            let out_channels = 1 + chance.below(MAX_CHANNELS);
            let activation = match chance.below(3) {
                0 => Activation::None,
                1 => Activation::Relu,
                _ => Activation::LeakyRelu { slope: 0.1 },
            };
            let op = Op::Conv { out_channels, kernel, stride, activation };
            (op, vec![source], out_channels, downscale * stride)
        }
        3 => {
            let factor = 2 + 2 * chance.below(2);
            let fits = channels * factor * factor <= MAX_CHANNELS && downscale * factor <= COARSEST;
            (Op::SpaceToDepth { factor }, vec![source], channels * factor * factor, fits.then_some(downscale * factor)?)
        }
        4 => (
            Op::Upsample { mode: Upsampling::Nearest },
            vec![source],
            channels,
            (downscale > 1).then_some(downscale / 2)?,
        ),
        5 => {
            let fits = downscale > 1 && channels.is_multiple_of(4);
            let op = Op::Upsample { mode: Upsampling::PixelShuffle };
            (op, vec![source], channels / 4, fits.then_some(downscale / 2)?)
        }
        _ => {
            let adds = kind == 6;
            let fits = |other: &&Tensor| {
                other.downscale == downscale
                    && if adds { other.channels == channels } else { other.channels.is_multiple_of(4) }
            };
            let others: Vec<_> = tensors.iter().filter(fits).collect();
            let count = 1 + chance.below(3);
            let mut from = vec![source];
            from.extend((0..count).filter_map(|_| others.get(chance.below(others.len())).copied()));
            let sum: usize = from.iter().map(|tensor| tensor.channels).sum();
            let is_allowed = from.len() >= 2 && (adds || channels.is_multiple_of(4) && sum <= MAX_CHANNELS);
            let (op, channels) = if adds { (Op::Add, channels) } else { (Op::Concat, sum) };
            (op, from, channels, is_allowed.then_some(downscale)?)
        }
    };
    let names: Vec<&str> = from.iter().map(|tensor| tensor.name.as_str()).collect();
    Some((Layer::new(&format!("layer{index}"), op).from(&names), channels, downscale))
}
