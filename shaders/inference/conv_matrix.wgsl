// Purpose: computes the convolutions of `conv.wgsl` with cooperative matrices: a subgroup multiplies MATRIX x MATRIX (8 or 16) blocks of
//          pixels by channels of the source with blocks of channels by channels of weights, f16 each, and adds up in f32.
// Inputs, outputs: as `conv.wgsl`, planes in f16. Weights in f16 are whole matrices (Rust: `inference::weight_layout`),
//          [group][in block][tap][OUT_MATRICES][out channel][in channel], so that a lane reads its share 16 bytes at a time.
// Dispatch: one workgroup makes MATRIX x TILE_ROWS (4) pixels of OUT_MATRICES (1 to 5) matrices of output channels; its first two subgroups
//          make two rows of pixels each, and further ones repeat the last rows. z counts groups of matrices.
// Memory:  MATRIX channels of the pixels and one matrix of sums a subgroup are kept for the workgroup: at most 10 KiB. For 3 x 3, stride 1,
//          48 channels and 16 x 16: 108 texels and 13,824 bytes of weights for 442,368 multiply-adds.
enable f16;
enable wgpu_cooperative_matrix;
#import portrait::conv::{clear_border, first_tile, four_biases, layer, source, store_texel, target_planes}
#import portrait::layout::{plane_index, texel_index}

const_assert #{OUT_TILE} == 8;
const_assert #{TILE_ROWS} == 4;

const SIDE = #{MATRIX}u;
const SUBGROUPS = #{TILE_ROWS}u / 2u;
// Number of planes of four channels that are multiplied at a time.
const PLANES = SIDE / 4u;
const TAPS = #{KERNEL}u * #{KERNEL}u;

@group(0) @binding(2) var<storage, read> weights: array<f16>;

// Pixels of the source under the workgroup's pixels, [row][column][channel]. The patch begins in the border, at an even texel. A column is
// filled up so that neighbours lie in different banks. With a stride of 2, only the rows under one row of the kernel are kept at a time.
const PATCH_WIDTH = SIDE * #{STRIDE}u + 2u;
#if STRIDE == 1
const PATCH_HEIGHT = #{TILE_ROWS}u + #{KERNEL}u - 1u;
#else
const PATCH_HEIGHT = #{TILE_ROWS}u;
#endif
const COLUMN = SIDE + 8u;
var<workgroup> patch_pixels: array<f16, PATCH_WIDTH * PATCH_HEIGHT * COLUMN>;
// Sums of one row of pixels for each subgroup, [subgroup][pixel][output channel].
const SUM_ROW = SIDE + 4u;
var<workgroup> sums: array<f32, SUBGROUPS * SIDE * SUM_ROW>;

#if MATRIX == 16
alias Pixels = coop_mat16x16<f16, A>;
alias Weights = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;
#else
alias Pixels = coop_mat8x8<f16, A>;
alias Weights = coop_mat8x8<f16, B>;
alias Sums = coop_mat8x8<f32, C>;
#endif

// `pixels_from`, `weights_from` and `keep_sums` load and store matrices: the first value is `row` rows of `stride` values behind `at`. Pixels
// and sums lie row by row, weights column by column.
//
// Bevy's shader composer (naga_oil 0.22) moves a function's expressions and forgets those that a matrix is loaded from or stored to. In
// these three functions they keep their places: each expression is needed in the order in which it is written, `row` and `stride` first.
fn pixels_from(row: u32, stride: u32, at: u32) -> Pixels {
    return coopLoadT<Pixels>(&patch_pixels[row * stride + at], stride);
}

fn weights_from(row: u32, stride: u32, at: u32) -> Weights {
    return coopLoad<Weights>(&weights[row * stride + at], stride);
}

fn keep_sums(row: u32, stride: u32, at: u32, value: Sums) {
    let first = row * stride + at;
    var kept = value;
    coopStoreT(kept, &sums[first], stride);
}

// Reads the channels of `first_plane` and the next planes of rows of the source from `corner` on, every STRIDE-th. Channels that the source
// lacks are set to zero, since NaN or an infinity times a zero weight would not be zero.
fn fetch_pixels(first_plane: u32, corner: vec2<u32>, index: u32) {
    const PAIRS = PATCH_WIDTH / 2u;
    workgroupBarrier();
    for (var at = index; at < PAIRS * PATCH_HEIGHT * PLANES; at += #{CONV_WORKGROUP}u) {
        let place = vec2<u32>(at % PAIRS * 2u, at / PAIRS % PATCH_HEIGHT);
        let lane = at / (PAIRS * PATCH_HEIGHT);
        var left = vec4<f16>(0.0);
        var right = left;
        if first_plane + lane < layer.source_planes {
            let texel = texel_index(first_plane + lane, corner + place * vec2<u32>(1u, #{STRIDE}u), layer.source_size_px) / 2u * 2u;
            left = source[texel];
            right = source[texel + 1u];
        }
        let to = (place.y * PATCH_WIDTH + place.x) * COLUMN + lane * 4u;
        for (var channel = 0u; channel < 4u; channel += 1u) {
            patch_pixels[to + channel] = left[channel];
            patch_pixels[to + COLUMN + channel] = right[channel];
        }
    }
    workgroupBarrier();
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
        store_texel(plane_index(plane, at, layer.target_size_px), 0u, value + four_biases(layer.bias_at + out_tile * 2u + half), true);
        clear_border(plane, 1u, at, vec2<u32>(1u));
    }
}

// Stores one matrix of output channels of one row of pixels of each subgroup; the first subgroup's row lies at `corner`, the next one's two
// rows below.
fn finish_matrix(matrix: u32, out_tile: u32, corner: vec2<u32>, subgroup: u32, index: u32, value: Sums) {
    keep_sums(subgroup * SIDE, SUM_ROW, 0u, value);
    workgroupBarrier();
    for (var at = index; at < SUBGROUPS * SIDE * PLANES; at += #{CONV_WORKGROUP}u) {
        let place = at % (SUBGROUPS * SIDE);
        let lane = at / (SUBGROUPS * SIDE);
        let four = matrix * PLANES + lane;
        let first = place * SUM_ROW + lane * 4u;
        let value = vec4<f32>(sums[first], sums[first + 1u], sums[first + 2u], sums[first + 3u]);
        finish(out_tile + four / 2u, four % 2u, corner + vec2<u32>(place % SIDE, place / SIDE * 2u), value);
    }
    workgroupBarrier();
}

@compute @workgroup_size(#{CONV_WORKGROUP}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup_id: u32,
) {
    let corner = group.xy * vec2<u32>(SIDE, #{TILE_ROWS}u);
    let out_tile = first_tile(group.z);
    let subgroup = min(subgroup_id, SUBGROUPS - 1u);
#if KERNEL == 3
    let patch_corner = corner * #{STRIDE}u;
    let border = 0u;
#else
    let patch_corner = corner * #{STRIDE}u + vec2<u32>(0u, 1u);
    let border = 1u;
#endif
    var upper0 = Sums();
    var lower0 = Sums();
#if OUT_MATRICES > 1
    var upper1 = Sums();
    var lower1 = Sums();
#endif
#if OUT_MATRICES > 2
    var upper2 = Sums();
    var lower2 = Sums();
#endif
#if OUT_MATRICES > 3
    var upper3 = Sums();
    var lower3 = Sums();
#endif
#if OUT_MATRICES > 4
    var upper4 = Sums();
    var lower4 = Sums();
#endif

    let blocks = (layer.source_planes + PLANES - 1u) / PLANES;
    let first_weight = layer.weight_at * 8u;
    // Counts rows of matrices of weights.
    var weight_row = group.z * blocks * TAPS * #{OUT_MATRICES}u * SIDE;
    for (var plane = 0u; plane < layer.source_planes; plane += PLANES) {
#if STRIDE == 1
        fetch_pixels(plane, patch_corner, index);
#endif
        for (var y = 0u; y < #{KERNEL}u; y += 1u) {
#if STRIDE == 1
            let first_row = subgroup * 2u + y;
#else
            fetch_pixels(plane, patch_corner + vec2<u32>(0u, y), index);
            let first_row = subgroup * 2u;
#endif
            for (var x = 0u; x < #{KERNEL}u; x += 1u) {
                let above = pixels_from(0u, COLUMN * #{STRIDE}u, (first_row * PATCH_WIDTH + x + border) * COLUMN);
                let below = pixels_from(0u, COLUMN * #{STRIDE}u, ((first_row + 1u) * PATCH_WIDTH + x + border) * COLUMN);
                let by0 = weights_from(weight_row, SIDE, first_weight);
                upper0 = coopMultiplyAdd(above, by0, upper0);
                lower0 = coopMultiplyAdd(below, by0, lower0);
#if OUT_MATRICES > 1
                let by1 = weights_from(weight_row + SIDE, SIDE, first_weight);
                upper1 = coopMultiplyAdd(above, by1, upper1);
                lower1 = coopMultiplyAdd(below, by1, lower1);
#endif
#if OUT_MATRICES > 2
                let by2 = weights_from(weight_row + 2u * SIDE, SIDE, first_weight);
                upper2 = coopMultiplyAdd(above, by2, upper2);
                lower2 = coopMultiplyAdd(below, by2, lower2);
#endif
#if OUT_MATRICES > 3
                let by3 = weights_from(weight_row + 3u * SIDE, SIDE, first_weight);
                upper3 = coopMultiplyAdd(above, by3, upper3);
                lower3 = coopMultiplyAdd(below, by3, lower3);
#endif
#if OUT_MATRICES > 4
                let by4 = weights_from(weight_row + 4u * SIDE, SIDE, first_weight);
                upper4 = coopMultiplyAdd(above, by4, upper4);
                lower4 = coopMultiplyAdd(below, by4, lower4);
#endif
                weight_row += #{OUT_MATRICES}u * SIDE;
            }
        }
    }

    let below = corner + vec2<u32>(0u, 1u);
    finish_matrix(0u, out_tile, corner, subgroup, index, upper0);
    finish_matrix(0u, out_tile, below, subgroup, index, lower0);
#if OUT_MATRICES > 1
    finish_matrix(1u, out_tile, corner, subgroup, index, upper1);
    finish_matrix(1u, out_tile, below, subgroup, index, lower1);
#endif
#if OUT_MATRICES > 2
    finish_matrix(2u, out_tile, corner, subgroup, index, upper2);
    finish_matrix(2u, out_tile, below, subgroup, index, lower2);
#endif
#if OUT_MATRICES > 3
    finish_matrix(3u, out_tile, corner, subgroup, index, upper3);
    finish_matrix(3u, out_tile, below, subgroup, index, lower3);
#endif
#if OUT_MATRICES > 4
    finish_matrix(4u, out_tile, corner, subgroup, index, upper4);
    finish_matrix(4u, out_tile, below, subgroup, index, lower4);
#endif
}
