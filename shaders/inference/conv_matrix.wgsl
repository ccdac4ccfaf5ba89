// Purpose: computes the convolutions of `conv.wgsl` with cooperative matrices: a subgroup multiplies MATRIX x MATRIX (8 or 16) blocks of
//          pixels by channels of the source with blocks of channels by channels of weights, f16 each, and adds up in f32.
// Inputs, outputs: as `conv.wgsl`, planes in f16. Weights in f32 are rounded to f16.
// Dispatch: one workgroup makes MATRIX x TILE_ROWS pixels of OUT_TILES (1 to 6) tiles of OUT_TILE channels, the first TILE_ROWS
//          subgroups a row each; z counts groups of OUT_TILES. A workgroup needs at least TILE_ROWS subgroups; further ones repeat the
//          last row.
// Memory:  MATRIX channels of the pixels, the weights of one row of the kernel for them, and MATRIX channels of the sums are kept for
//          the workgroup: at most 26 KiB. For 3 x 3, stride 1, 4 rows, 48 channels and 16 x 16: 432 texels and 13,824 (f32: 27,648)
//          bytes of weights for 442,368 multiply-adds.
enable f16;
enable wgpu_cooperative_matrix;
#import portrait::conv::{
    Eight, ROW_BLOCKS, clear_border, eight, first_tile, layer, pixel, single, source, store_texel, target_planes,
}
#import portrait::layout::{plane_index, texel_index}

const_assert #{OUT_TILE} == 8;

const SIDE = #{MATRIX}u;
// Number of pixels of a workgroup.
const PIXELS = SIDE * #{TILE_ROWS}u;
// Number of planes of four channels that are multiplied at a time.
const PLANES = SIDE / 4u;
const TAPS = #{KERNEL}u * #{KERNEL}u;

// Pixels of the source under the workgroup's pixels, [row][column][channel]. The patch begins in the border, at an even texel. A column is
// filled up so that neighbours lie in different banks.
const PATCH_WIDTH = SIDE * #{STRIDE}u + 2u;
const PATCH_HEIGHT = (#{TILE_ROWS}u - 1u) * #{STRIDE}u + #{KERNEL}u;
const COLUMN = SIDE + 8u;
var<workgroup> patch_pixels: array<f16, PATCH_WIDTH * PATCH_HEIGHT * COLUMN>;
// Weights of one row of the kernel, [tap][input channel][output channel]. Half of the last matrix may have no channels, and stays zero.
const WEIGHT_ROW = #{OUT_MATRICES}u * SIDE + 8u;
var<workgroup> weight_rows: array<f16, #{KERNEL}u * SIDE * WEIGHT_ROW>;
// Sums of the workgroup's pixels, [pixel][output channel].
const SUM_ROW = SIDE + 4u;
var<workgroup> sums: array<f32, PIXELS * SUM_ROW>;

#if MATRIX == 16
alias Pixels = coop_mat16x16<f16, A>;
alias Weights = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;
#else
alias Pixels = coop_mat8x8<f16, A>;
alias Weights = coop_mat8x8<f16, B>;
alias Sums = coop_mat8x8<f32, C>;
#endif

// `pixels_from`, `weights_from` and `keep_sums` load and store matrices, which lie row by row: the first value is `row` rows of `stride`
// values behind `at`.
//
// Bevy's shader composer (naga_oil 0.22) moves a function's expressions and forgets those that a matrix is loaded from or stored to. In
// these three functions they keep their places: each expression is needed in the order in which it is written, `row` and `stride` first.
fn pixels_from(row: u32, stride: u32, at: u32) -> Pixels {
    return coopLoadT<Pixels>(&patch_pixels[row * stride + at], stride);
}

fn weights_from(row: u32, stride: u32, at: u32) -> Weights {
    return coopLoadT<Weights>(&weight_rows[row * stride + at], stride);
}

fn keep_sums(row: u32, stride: u32, at: u32, value: Sums) {
    let first = row * stride + at;
    var kept = value;
    coopStoreT(kept, &sums[first], stride);
}

// Reads the channels of `first_plane` and the next planes. Channels that the source lacks are set to zero, since NaN or an infinity times a
// zero weight would not be zero.
fn fetch_pixels(first_plane: u32, corner: vec2<u32>, index: u32) {
    const PAIRS = PATCH_WIDTH / 2u;
    for (var at = index; at < PAIRS * PATCH_HEIGHT * PLANES; at += #{CONV_WORKGROUP}u) {
        let place = vec2<u32>(at % PAIRS * 2u, at / PAIRS % PATCH_HEIGHT);
        let lane = at / (PAIRS * PATCH_HEIGHT);
        var two = vec4<u32>(0u);
        if first_plane + lane < layer.source_planes {
            two = source[texel_index(first_plane + lane, corner + place, layer.source_size_px) / 2u];
        }
        let left = pixel(two.xy).value;
        let right = pixel(two.zw).value;
        let to = (place.y * PATCH_WIDTH + place.x) * COLUMN + lane * 4u;
        for (var channel = 0u; channel < 4u; channel += 1u) {
            patch_pixels[to + channel] = left[channel];
            patch_pixels[to + COLUMN + channel] = right[channel];
        }
    }
}

// Reads the weights of one row of the kernel for the channels of `first_plane` and the next planes.
fn fetch_weights(first_plane: u32, kernel_row: u32, out_tile: u32, index: u32) {
    const ROWS = #{KERNEL}u * SIDE;
    for (var at = index; at < ROWS * #{OUT_TILES}u; at += #{CONV_WORKGROUP}u) {
        let lane = at % 4u;
        let tap = at / 4u % #{KERNEL}u;
        let plane = at / (4u * #{KERNEL}u) % PLANES;
        let tile = at / ROWS;
        var row = Eight(vec4<f16>(0.0), vec4<f16>(0.0));
        if first_plane + plane < layer.source_planes {
            let block = (out_tile + tile) * layer.source_planes + first_plane + plane;
            row = eight(layer.weight_at + ((block * TAPS + kernel_row * #{KERNEL}u + tap) * 4u + lane) * ROW_BLOCKS);
        }
        let to = (tap * SIDE + plane * 4u + lane) * WEIGHT_ROW + tile * 8u;
        for (var channel = 0u; channel < 4u; channel += 1u) {
            weight_rows[to + channel] = row.low[channel];
            weight_rows[to + 4u + channel] = row.high[channel];
        }
    }
}

// Adds the bias to the sums of four channels of one pixel, and stores them.
fn finish(out_tile: u32, half: u32, place: vec2<u32>, value: vec4<f32>) {
#ifdef SHUFFLES
    let plane = out_tile / 2u;
    let at = place * 2u + vec2<u32>(half, out_tile % 2u);
#else
    let plane = out_tile * 2u + half;
    let at = place;
#endif
    if plane < target_planes() && all(at < layer.target_size_px) {
        store_texel(plane_index(plane, at, layer.target_size_px), 0u, value + single(layer.bias_at + out_tile * 2u + half), true);
        clear_border(plane, 1u, at, vec2<u32>(1u));
    }
}

// Stores one matrix of output channels of all pixels; each subgroup holds the sums of its row.
fn finish_matrix(matrix: u32, out_tile: u32, corner: vec2<u32>, row: u32, index: u32, value: Sums) {
    keep_sums(row * SIDE, SUM_ROW, 0u, value);
    workgroupBarrier();
    for (var at = index; at < PIXELS * PLANES; at += #{CONV_WORKGROUP}u) {
        let place = at % PIXELS;
        let four = matrix * PLANES + at / PIXELS;
        let first = place * SUM_ROW + at / PIXELS * 4u;
        if four < #{OUT_TILES}u * 2u {
            let value = vec4<f32>(sums[first], sums[first + 1u], sums[first + 2u], sums[first + 3u]);
            finish(out_tile + four / 2u, four % 2u, corner + vec2<u32>(place % SIDE, place / SIDE), value);
        }
    }
    workgroupBarrier();
}

@compute @workgroup_size(#{CONV_WORKGROUP}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let corner = group.xy * vec2<u32>(SIDE, #{TILE_ROWS}u);
    let out_tile = first_tile(group.z);
    let row = min(subgroup, #{TILE_ROWS}u - 1u);
    let first_pixel = row * #{STRIDE}u * PATCH_WIDTH;
#if KERNEL == 3
    let patch_corner = corner * #{STRIDE}u;
    let border = 0u;
#else
    let patch_corner = corner * #{STRIDE}u + vec2<u32>(0u, 1u);
    let border = 1u;
#endif
    var sums0 = Sums();
#if OUT_MATRICES > 1
    var sums1 = Sums();
#endif
#if OUT_MATRICES > 2
    var sums2 = Sums();
#endif
#if OUT_MATRICES > 3
    var sums3 = Sums();
#endif
#if OUT_MATRICES > 4
    var sums4 = Sums();
#endif
#if OUT_MATRICES > 5
    var sums5 = Sums();
#endif

    for (var plane = 0u; plane < layer.source_planes; plane += PLANES) {
        fetch_pixels(plane, patch_corner, index);
        for (var y = 0u; y < #{KERNEL}u; y += 1u) {
            fetch_weights(plane, y, out_tile, index);
            workgroupBarrier();
            for (var x = 0u; x < #{KERNEL}u; x += 1u) {
                let under = pixels_from(0u, COLUMN * #{STRIDE}u, (first_pixel + y * PATCH_WIDTH + x + border) * COLUMN);
                sums0 = coopMultiplyAdd(under, weights_from(x * SIDE, WEIGHT_ROW, 0u * SIDE), sums0);
#if OUT_MATRICES > 1
                sums1 = coopMultiplyAdd(under, weights_from(x * SIDE, WEIGHT_ROW, 1u * SIDE), sums1);
#endif
#if OUT_MATRICES > 2
                sums2 = coopMultiplyAdd(under, weights_from(x * SIDE, WEIGHT_ROW, 2u * SIDE), sums2);
#endif
#if OUT_MATRICES > 3
                sums3 = coopMultiplyAdd(under, weights_from(x * SIDE, WEIGHT_ROW, 3u * SIDE), sums3);
#endif
#if OUT_MATRICES > 4
                sums4 = coopMultiplyAdd(under, weights_from(x * SIDE, WEIGHT_ROW, 4u * SIDE), sums4);
#endif
#if OUT_MATRICES > 5
                sums5 = coopMultiplyAdd(under, weights_from(x * SIDE, WEIGHT_ROW, 5u * SIDE), sums5);
#endif
            }
            workgroupBarrier();
        }
    }

    finish_matrix(0u, out_tile, corner, row, index, sums0);
#if OUT_MATRICES > 1
    finish_matrix(1u, out_tile, corner, row, index, sums1);
#endif
#if OUT_MATRICES > 2
    finish_matrix(2u, out_tile, corner, row, index, sums2);
#endif
#if OUT_MATRICES > 3
    finish_matrix(3u, out_tile, corner, row, index, sums3);
#endif
#if OUT_MATRICES > 4
    finish_matrix(4u, out_tile, corner, row, index, sums4);
#endif
#if OUT_MATRICES > 5
    finish_matrix(5u, out_tile, corner, row, index, sums5);
#endif
}
