//! OIHW weights → the order that the GPU reads them in.
//!
//! The GPU keeps activations as planes of four channels, `[C/4, H, W] vec4<f32>`, and a shader invocation makes
//! [`OUT_TILE`] output channels. Channels that fill up the last four, or the last tile, have zero weights.

use crate::ConvShape;

/// Output channels that one shader invocation makes.
pub const OUT_TILE: usize = 8;

/// How many `vec4` planes hold `channels` channels.
pub fn vec4_planes(channels: usize) -> usize {
    channels.div_ceil(4)
}

/// How many tiles of [`OUT_TILE`] channels hold `channels` channels.
pub fn out_tiles(channels: usize) -> usize {
    channels.div_ceil(OUT_TILE)
}

/// Orders a weight tensor `[out, in, kernel, kernel]` as
/// `[out tile][in / 4][tap = ky·kernel + kx][in lane 0–3][OUT_TILE]`, zero-filled.
pub fn pack_weight(shape: &ConvShape, weight: &[f32]) -> Vec<f32> {
    let taps = shape.kernel * shape.kernel;
    let in_planes = vec4_planes(shape.in_channels);
    let mut packed = vec![0.0; out_tiles(shape.out_channels) * in_planes * taps * 4 * OUT_TILE];
    for out in 0..shape.out_channels {
        for input in 0..shape.in_channels {
            for tap in 0..taps {
                let lane = ((out / OUT_TILE * in_planes + input / 4) * taps + tap) * 4 + input % 4;
                packed[lane * OUT_TILE + out % OUT_TILE] = weight[(out * shape.in_channels + input) * taps + tap];
            }
        }
    }
    packed
}

/// Fills a bias `[out]` up with zeros to whole tiles.
pub fn pack_bias(bias: &[f32]) -> Vec<f32> {
    let mut packed = bias.to_vec();
    packed.resize(out_tiles(bias.len()) * OUT_TILE, 0.0);
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_lands_once_and_the_rest_is_zero() {
        let shape = ConvShape { name: "c", out_channels: 10, in_channels: 6, kernel: 3, downscale: 1 };
        let weight: Vec<f32> = (1..=shape.weight_count()).map(|value| value as f32).collect();
        let packed = pack_weight(&shape, &weight);
        assert_eq!(packed.len(), 2 * 2 * 9 * 4 * OUT_TILE);
        let mut found: Vec<f32> = packed.into_iter().filter(|value| *value != 0.0).collect();
        found.sort_by(f32::total_cmp);
        assert_eq!(found, weight);
    }

    #[test]
    fn order_is_tile_plane_tap_lane_channel() {
        let shape = ConvShape { name: "c", out_channels: 9, in_channels: 5, kernel: 1, downscale: 1 };
        let mut weight = vec![0.0; 45];
        weight[8 * 5 + 4] = 7.0; // out 8, in 4
        let packed = pack_weight(&shape, &weight);
        // Tile 1, in-plane 1, tap 0, lane 0, channel 0 of the tile.
        assert_eq!(packed[((2 + 1) * 4) * OUT_TILE], 7.0);
        assert_eq!(pack_bias(&[1.0; 9]).len(), 16);
    }
}
