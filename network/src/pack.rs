//! OIHW weights → the order that the GPU reads them in.
//!
//! The GPU keeps activations as planes of four channels, `[C/4, H, W] vec4<f32>`, and a shader invocation makes
//! [`OUT_TILE`] output channels. Channels that fill up the last four, or the last tile, have zero weights.

use crate::ConvShape;

/// Number of output channels that one shader invocation makes.
pub const OUT_TILE: usize = 8;

/// Returns the number of `vec4` planes that hold `channels` channels.
pub fn vec4_planes(channels: usize) -> usize {
    channels.div_ceil(4)
}

/// The order of output channels in tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutOrder {
    /// Channels one after the other.
    Natural,
    /// Order for a layer that a pixel shuffle follows: tile `2·p + dy` holds, for `dx` 0 and 1, the values of the channels 4·p to
    /// 4·p + 3 at the pixel (`dx`, `dy`) of the four that they become.
    Shuffled,
}

impl OutOrder {
    /// Returns the number of tiles of [`OUT_TILE`] channels that hold `channels` channels.
    pub fn tiles(self, channels: usize) -> usize {
        match self {
            Self::Natural => channels.div_ceil(OUT_TILE),
            Self::Shuffled => 2 * vec4_planes(channels / 4),
        }
    }

    /// Returns the tile of a channel, and the channel's place there.
    fn place(self, channel: usize) -> (usize, usize) {
        match self {
            Self::Natural => (channel / OUT_TILE, channel % OUT_TILE),
            Self::Shuffled => {
                let (shuffled, dy, dx) = (channel / 4, channel / 2 % 2, channel % 2);
                (shuffled / 4 * 2 + dy, dx * 4 + shuffled % 4)
            }
        }
    }
}

/// Returns the number of weights that [`pack_weight`] makes.
pub fn packed_weight_count(shape: &ConvShape, order: OutOrder) -> usize {
    order.tiles(shape.out_channels) * vec4_planes(shape.in_channels) * shape.kernel * shape.kernel * 4 * OUT_TILE
}

/// Orders a weight tensor `[out, in, kernel, kernel]` as
/// `[out tile][in / 4][tap = ky·kernel + kx][in lane 0–3][OUT_TILE]`, zero-filled.
pub fn pack_weight(shape: &ConvShape, weight: &[f32], order: OutOrder) -> Vec<f32> {
    let taps = shape.kernel * shape.kernel;
    let in_planes = vec4_planes(shape.in_channels);
    let mut packed = vec![0.0; packed_weight_count(shape, order)];
    for out in 0..shape.out_channels {
        let (tile, place) = order.place(out);
        for input in 0..shape.in_channels {
            for tap in 0..taps {
                let lane = ((tile * in_planes + input / 4) * taps + tap) * 4 + input % 4;
                packed[lane * OUT_TILE + place] = weight[(out * shape.in_channels + input) * taps + tap];
            }
        }
    }
    packed
}

/// Orders a bias `[out]` like the weights' output channels, zero-filled to whole tiles.
pub fn pack_bias(bias: &[f32], order: OutOrder) -> Vec<f32> {
    let mut packed = vec![0.0; order.tiles(bias.len()) * OUT_TILE];
    for (out, value) in bias.iter().enumerate() {
        let (tile, place) = order.place(out);
        packed[tile * OUT_TILE + place] = *value;
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;

    fn shape(out_channels: usize, in_channels: usize, kernel: usize) -> ConvShape<'static> {
        let activation = Activation::None;
        ConvShape { name: "c", layer: 0, out_channels, in_channels, kernel, stride: 1, activation, downscale: 1 }
    }

    #[test]
    fn every_weight_lands_once_and_the_rest_is_zero() {
        let shape = shape(12, 6, 3);
        let weight: Vec<f32> = (1..=shape.weight_count()).map(|value| value as f32).collect();
        for (order, tiles) in [(OutOrder::Natural, 2), (OutOrder::Shuffled, 2)] {
            let packed = pack_weight(&shape, &weight, order);
            assert_eq!(packed.len(), tiles * 2 * 9 * 4 * OUT_TILE);
            let mut found: Vec<f32> = packed.into_iter().filter(|value| *value != 0.0).collect();
            found.sort_by(f32::total_cmp);
            assert_eq!(found, weight);
        }
    }

    #[test]
    fn order_is_tile_plane_tap_lane_channel() {
        let shape = shape(9, 5, 1);
        let mut weight = vec![0.0; 45];
        weight[8 * 5 + 4] = 7.0; // out 8, in 4
        let packed = pack_weight(&shape, &weight, OutOrder::Natural);
        // Tile 1, in-plane 1, tap 0, lane 0, channel 0 of the tile.
        assert_eq!(packed[((2 + 1) * 4) * OUT_TILE], 7.0);
        assert_eq!(pack_bias(&[1.0; 9], OutOrder::Natural).len(), 16);
    }

    #[test]
    fn shuffled_channels_of_a_row_of_pixels_lie_together() {
        let bias: Vec<f32> = (0..20).map(|channel| channel as f32).collect();
        let packed = pack_bias(&bias, OutOrder::Shuffled);
        // Channels 0–3 at the upper left pixel, then at the upper right; then the lower ones; then channel 4.
        assert_eq!(packed[..8], [0.0, 4.0, 8.0, 12.0, 1.0, 5.0, 9.0, 13.0]);
        assert_eq!(packed[8..12], [2.0, 6.0, 10.0, 14.0]);
        assert_eq!(packed[16..24], [16.0, 0.0, 0.0, 0.0, 17.0, 0.0, 0.0, 0.0]);
        assert_eq!(packed.len(), 32);
    }
}
