//! The layout of a model's weights on the GPU.

use half::f16;
use portrait_network::pack::{OUT_TILE, OutOrder, pack_bias, pack_weight, packed_weight_count, vec4_planes};
use portrait_network::{ConvShape, Graph, Model};

use crate::inference::fusion::out_orders;
use crate::inference::variant::KernelVariant;

/// Number of words that the last read of shared weights reaches beyond them: those of four input channels in f32.
const OVERREAD_WORDS: usize = 4 * OUT_TILE;

/// The format of a convolution's weights on the GPU. Biases are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightFormat {
    /// f32: 4 bytes each.
    F32,
    /// f16: 2 bytes each, half the reading. It is used only for weights that it holds exactly, as those of an F16 file.
    F16,
}

impl WeightFormat {
    /// Returns the smallest format that holds all weights of a model exactly.
    pub fn of(model: &Model) -> Self {
        let exact = |value: &f32| f16::from_f32(*value).to_f32() == *value;
        if model.convs().iter().all(|conv| conv.weight.iter().all(exact)) { Self::F16 } else { Self::F32 }
    }

    /// Returns the number of blocks of 16 bytes that hold `weights` weights, a multiple of 8.
    fn blocks(self, weights: usize) -> usize {
        match self {
            Self::F32 => weights / 4,
            Self::F16 => weights / 8,
        }
    }
}

/// Returns where each convolution's weights and biases begin for the kernels of a variant, in blocks of 16 bytes.
pub(crate) fn weight_offsets(graph: &Graph, format: WeightFormat, variant: KernelVariant) -> Vec<(u32, u32)> {
    let mut at = 0;
    graph
        .convs()
        .zip(out_orders(graph))
        .map(|(conv, order)| {
            let weights = match Matrices::of(&conv, order, variant) {
                Some(matrices) => WeightFormat::F16.blocks(matrices.weight_count()),
                None => format.blocks(packed_weight_count(&conv, order)),
            };
            let offsets = (at as u32, (at + weights) as u32);
            at += weights + order.tiles(conv.out_channels) * OUT_TILE / 4;
            offsets
        })
        .collect()
}

/// Packs all weights and biases of a model as a [`Plan`](crate::inference::plan::Plan) reads them, in words of 4 bytes: for each convolution its weights in
/// the order of [`portrait_network::pack`], in `format`, then its biases.
pub fn pack_weights(model: &Model, format: WeightFormat) -> Vec<u32> {
    let mut packed = Vec::new();
    let orders = out_orders(model.graph());
    for ((shape, conv), order) in model.graph().convs().zip(model.convs()).zip(orders) {
        let weights = pack_weight(&shape, &conv.weight, order);
        match format {
            WeightFormat::F32 => packed.extend(weights.iter().map(|value| value.to_bits())),
            WeightFormat::F16 => packed.extend(pairs(&weights)),
        }
        packed.extend(pack_bias(&conv.bias, order).iter().map(|value| value.to_bits()));
    }
    // Lanes that share weights read a little too far, and a network without a convolution is legal, but no empty buffer.
    packed.resize(packed.len() + OVERREAD_WORDS, 0);
    packed
}

/// Packs all weights and biases of a model as the kernels of a variant with matrices read them: for each convolution its weights as whole
/// matrices in f16, `[group][in block][tap][matrix of the group][out channel][in channel]`, filled up with zeros, then its biases in f32.
pub fn pack_matrices(model: &Model, variant: KernelVariant) -> Vec<u32> {
    let mut packed = Vec::new();
    let orders = out_orders(model.graph());
    for ((shape, conv), order) in model.graph().convs().zip(model.convs()).zip(orders) {
        if let Some(matrices) = Matrices::of(&shape, order, variant) {
            packed.extend(pairs(&matrices.pack(&pack_weight(&shape, &conv.weight, order))));
        }
        packed.extend(pack_bias(&conv.bias, order).iter().map(|value| value.to_bits()));
    }
    packed.resize(packed.len() + OVERREAD_WORDS, 0);
    packed
}

/// Returns words of two f16 each.
fn pairs(weights: &[f32]) -> impl Iterator<Item = u32> {
    weights.as_chunks::<2>().0.iter().map(|pair| {
        let [low, high] = pair.map(|value| u32::from(f16::from_f32(value).to_bits()));
        low | high << 16
    })
}

/// The matrices of a convolution's weights.
struct Matrices {
    side: usize,
    taps: usize,
    /// Matrices of input channels, one after the other.
    in_blocks: usize,
    /// Matrices of output channels that a workgroup makes.
    of_group: usize,
    groups: usize,
    in_planes: usize,
}

impl Matrices {
    /// Returns `None` for a variant without matrices.
    fn of(shape: &ConvShape, order: OutOrder, variant: KernelVariant) -> Option<Self> {
        let side = variant.matrices?.length() as usize;
        let out_tiles = order.tiles(shape.out_channels);
        let tiles = variant.tiles(shape.kernel as u32, out_tiles as u32) as usize;
        let in_planes = vec4_planes(shape.in_channels);
        Some(Self {
            side,
            taps: shape.kernel * shape.kernel,
            in_blocks: (in_planes * 4).div_ceil(side),
            of_group: tiles * OUT_TILE / side,
            groups: out_tiles.div_ceil(tiles),
            in_planes,
        })
    }

    fn weight_count(&self) -> usize {
        self.groups * self.in_blocks * self.taps * self.of_group * self.side * self.side
    }

    /// Orders weights that lie in the order of [`portrait_network::pack`].
    fn pack(&self, weights: &[f32]) -> Vec<f32> {
        let Self { side, taps, in_blocks, of_group, in_planes, .. } = *self;
        let mut packed = vec![0.0; self.weight_count()];
        for (at, weight) in weights.iter().enumerate() {
            let (row, place) = (at / OUT_TILE, at % OUT_TILE);
            let (lane, tap, plane) = (row % 4, row / 4 % taps, row / (4 * taps) % in_planes);
            let (out, input) = (row / (4 * taps * in_planes) * OUT_TILE + place, plane * 4 + lane);
            let (group, matrix) = (out / side / of_group, out / side % of_group);
            let block = ((group * in_blocks + input / side) * taps + tap) * of_group + matrix;
            packed[(block * side + out % side) * side + input % side] = *weight;
        }
        packed
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bevy::math::UVec2;
    use portrait_network::Dtype;

    use super::*;
    use crate::inference::plan::{Kernel, Plan, Step};
    use crate::inference::test_networks::every_op;

    #[test]
    fn weights_lie_where_the_steps_read_them() {
        let graph = every_op().validate().unwrap();
        let exact = Model::random(graph.clone(), 1);
        let rounded = Model::from_bytes(&exact.to_bytes(Dtype::F16).unwrap()).unwrap();
        assert_eq!((WeightFormat::of(&exact), WeightFormat::of(&rounded)), (WeightFormat::F32, WeightFormat::F16));
        for (model, format) in [(exact, WeightFormat::F32), (rounded, WeightFormat::F16)] {
            let packed = pack_weights(&model, format);
            let plan = Plan::new(&graph, UVec2::splat(8), KernelVariant::EXACT, format);
            let convs: Vec<&Step> = plan.steps.iter().filter(|s| matches!(s.kernel, Kernel::Conv { .. })).collect();
            assert_eq!(convs.len(), model.convs().len());
            for (step, conv) in convs.iter().zip(model.convs()) {
                assert_eq!(packed[step.bias_at as usize * 4], conv.bias[0].to_bits(), "{}", step.span);
                let found = packed[step.weight_at as usize * 4];
                let expected = match format {
                    WeightFormat::F32 => conv.weight[0].to_bits(),
                    WeightFormat::F16 => found >> 16 << 16 | u32::from(f16::from_f32(conv.weight[0]).to_bits()),
                };
                assert_eq!(found, expected, "{}", step.span);
            }
            let last = convs.last().unwrap();
            let last_tiles = last.workgroups(plan.capacity_px)[2] as usize;
            assert_eq!(packed.len(), last.bias_at as usize * 4 + last_tiles * OUT_TILE + OVERREAD_WORDS);
        }
    }

    #[test]
    fn a_weight_lies_in_its_matrix_in_its_channels_row_and_column() {
        let graph = every_op().validate().unwrap();
        let model = Model::from_bytes(&Model::random(graph.clone(), 1).to_bytes(Dtype::F16).unwrap()).unwrap();
        let variant = KernelVariant::MATRICES;
        let packed = pack_matrices(&model, variant);
        let plan = Plan::new(&graph, UVec2::splat(8), variant, WeightFormat::F16);
        let convs: Vec<&Step> = plan.steps.iter().filter(|s| matches!(s.kernel, Kernel::Conv { .. })).collect();
        let half = |at: usize| f16::from_bits((packed[at / 2] >> (at % 2 * 16)) as u16).to_f32();
        for (step, (shape, conv)) in convs.iter().zip(graph.convs().zip(model.convs())) {
            assert_eq!(packed[step.bias_at as usize * 4], conv.bias[0].to_bits(), "{}", step.span);
            let count = (step.bias_at - step.weight_at) as usize * 8;
            let sum: f32 = (0..count).map(|at| half(step.weight_at as usize * 8 + at).abs()).sum();
            let expected: f32 = conv.weight.iter().map(|weight| weight.abs()).sum();
            assert!((sum - expected).abs() < expected * 1e-4, "{}: every weight once: {sum}, {expected}", step.span);
            // Output channel 1, input channel 5, in the last tap of the first matrix; shuffled channels lie elsewhere.
            let Kernel::Conv { tiles, shuffles: false, .. } = step.kernel else { continue };
            let taps = shape.kernel * shape.kernel;
            let matrix = (taps - 1) * (tiles as usize * OUT_TILE / 16);
            let found = half(step.weight_at as usize * 8 + (matrix * 16 + 1) * 16 + 5);
            assert_eq!(found, conv.weight[(shape.in_channels + 5) * taps + taps - 1], "{}", step.span);
        }
    }
}
