//! The layout of a model's weights on the GPU.

use half::f16;
use portrait_network::pack::{OUT_TILE, pack_bias, pack_weight, packed_weight_count};
use portrait_network::{Graph, Model};

use crate::inference::fusion::out_orders;

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

/// Returns where each convolution's weights and biases begin, in blocks of 16 bytes.
pub(crate) fn weight_offsets(graph: &Graph, format: WeightFormat) -> Vec<(u32, u32)> {
    let mut at = 0;
    graph
        .convs()
        .zip(out_orders(graph))
        .map(|(conv, order)| {
            let weights = format.blocks(packed_weight_count(&conv, order));
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
            WeightFormat::F16 => packed.extend(weights.as_chunks::<2>().0.iter().map(|pair| {
                let [low, high] = pair.map(|value| u32::from(f16::from_f32(value).to_bits()));
                low | high << 16
            })),
        }
        packed.extend(pack_bias(&conv.bias, order).iter().map(|value| value.to_bits()));
    }
    // Lanes that share weights read a little too far, and a network without a convolution is legal, but no empty buffer.
    packed.resize(packed.len() + OVERREAD_WORDS, 0);
    packed
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bevy::math::UVec2;
    use portrait_network::Dtype;

    use super::*;
    use crate::inference::plan::{Kernel, Plan, Step};
    use crate::inference::test_networks::every_op;
    use crate::inference::variant::KernelVariant;

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
}
