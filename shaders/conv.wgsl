// Purpose: convolution KERNEL x KERNEL (1 or 3) with stride STRIDE (1 or 2), zero padding, bias and leaky ReLU. SHUFFLES makes
//          four channels one channel of four pixels, ADDS adds a tensor; both before anything is stored.
// Inputs:  planes of four channels; weights as `portrait_network::pack` orders them,
//          [out tile][in / 4][tap][in lane 0-3][OUT_TILE], f32 or (HALF_WEIGHTS) f16; f32 biases for whole tiles.
// Outputs: planes of four channels, with their border of zeros.
// Dispatch: one invocation makes 4 x TILE_ROWS (2 or 4) pixels of OUT_TILES (1 to 6) tiles of OUT_TILE channels; z counts
//          groups of OUT_TILES.
// Memory:  for 3 x 3, stride 1, 4 rows and a tile: 36 texels and 1152 (f16: 576) bytes of weights for 4,608 multiply-adds.
//          Further tiles read their weights only. With SHARED_WEIGHTS a subgroup reads those weights once.
//
// Everything is unrolled by hand: an array that is indexed in a loop would live in memory, not in registers. A pixel's sums
// stay in registers through all taps; going through all pixels for each tap instead is a tenth slower on lavapipe.
enable f16;
#import portrait::conv::{
    Eight, Four, Pixel, ROW_BLOCKS, Reach, Row, Sum, Tap, add, begin, biased_row, clear_borders, eight, end, first, first_tile, fourth, grid_px, layer, load,
    second, source_start, store, tap, third, tile_corner,
}
#import portrait::layout::{row_texels, texel_index}

// The tile below is written for eight channels.
const_assert #{OUT_TILE} == 8;

#ifdef SHARED_WEIGHTS
// Weights of two taps, an input channel in each of the first eight lanes.
fn shared_taps(at: u32, lane: u32) -> Eight {
    return eight(at + lane * ROW_BLOCKS);
}

fn from_lane(shared_rows: Eight, lane: u32) -> Eight {
    return Eight(subgroupShuffle(shared_rows.low, lane), subgroupShuffle(shared_rows.high, lane));
}

fn tap_from(shared_rows: Eight, first: u32) -> Tap {
    return Tap(
        from_lane(shared_rows, first),
        from_lane(shared_rows, first + 1u),
        from_lane(shared_rows, first + 2u),
        from_lane(shared_rows, first + 3u),
    );
}
#endif

#if KERNEL == 3
struct Taps {
    upper_left: Tap, upper: Tap, upper_right: Tap,
    left: Tap, middle: Tap, right: Tap,
    lower_left: Tap, lower: Tap, lower_right: Tap,
}
const TAPS = 9u;

fn taps_at(at: u32, lane: u32) -> Taps {
#ifdef SHARED_WEIGHTS
    // The last read goes four rows too far: into the next weights, or what fills up the buffer.
    let x0 = shared_taps(at, lane);
    let x1 = shared_taps(at + 8u * ROW_BLOCKS, lane);
    let x2 = shared_taps(at + 16u * ROW_BLOCKS, lane);
    let x3 = shared_taps(at + 24u * ROW_BLOCKS, lane);
    let x4 = shared_taps(at + 32u * ROW_BLOCKS, lane);
    return Taps(tap_from(x0, 0u), tap_from(x0, 4u), tap_from(x1, 0u), tap_from(x1, 4u), tap_from(x2, 0u),
        tap_from(x2, 4u), tap_from(x3, 0u), tap_from(x3, 4u), tap_from(x4, 0u));
#else
    return Taps(tap(at), tap(at + 4u * ROW_BLOCKS), tap(at + 8u * ROW_BLOCKS), tap(at + 12u * ROW_BLOCKS),
        tap(at + 16u * ROW_BLOCKS), tap(at + 20u * ROW_BLOCKS), tap(at + 24u * ROW_BLOCKS), tap(at + 28u * ROW_BLOCKS),
        tap(at + 32u * ROW_BLOCKS));
#endif
}

fn add_pixel(sum: Sum, by: Taps, above: Reach, beside: Reach, below: Reach) -> Sum {
    var part = add(begin(sum), by.upper_left, above.left);
    part = add(part, by.upper, above.middle);
    part = add(part, by.upper_right, above.right);
    part = add(part, by.left, beside.left);
    part = add(part, by.middle, beside.middle);
    part = add(part, by.right, beside.right);
    part = add(part, by.lower_left, below.left);
    part = add(part, by.lower, below.middle);
    return end(sum, add(part, by.lower_right, below.right));
}

fn add_row(sum: Four, by: Taps, above: Row, beside: Row, below: Row) -> Four {
    return Four(
        add_pixel(sum.a, by, first(above), first(beside), first(below)),
        add_pixel(sum.b, by, second(above), second(beside), second(below)),
        add_pixel(sum.c, by, third(above), third(beside), third(below)),
        add_pixel(sum.d, by, fourth(above), fourth(beside), fourth(below)),
    );
}
#else
alias Taps = Tap;
const TAPS = 1u;

fn taps_at(at: u32, lane: u32) -> Tap {
#ifdef SHARED_WEIGHTS
    return tap_from(shared_taps(at, lane), 0u);
#else
    return tap(at);
#endif
}

fn add_pixel(sum: Sum, by: Tap, x: Pixel) -> Sum {
    return end(sum, add(begin(sum), by, x));
}

fn add_row(sum: Four, by: Tap, x: Row) -> Four {
    return Four(
        add_pixel(sum.a, by, first(x).middle),
        add_pixel(sum.b, by, second(x).middle),
        add_pixel(sum.c, by, third(x).middle),
        add_pixel(sum.d, by, fourth(x).middle),
    );
}
#endif

// What one plane of the source has under the tile.
struct Patch {
    x0: Row,
    x1: Row,
#if PATCH_ROWS > 2
    x2: Row,
    x3: Row,
#endif
#if PATCH_ROWS > 4
    x4: Row,
#endif
#if PATCH_ROWS > 5
    x5: Row,
#endif
#if PATCH_ROWS > 6
    x6: Row,
    x7: Row,
    x8: Row,
#endif
}

// `at` as in `load`, of the first row; the next one is `row` texels further.
fn load_patch(at: u32, row: u32) -> Patch {
    return Patch(
        load(at),
        load(at + row),
#if PATCH_ROWS > 2
        load(at + 2u * row),
        load(at + 3u * row),
#endif
#if PATCH_ROWS > 4
        load(at + 4u * row),
#endif
#if PATCH_ROWS > 5
        load(at + 5u * row),
#endif
#if PATCH_ROWS > 6
        load(at + 6u * row),
        load(at + 7u * row),
        load(at + 8u * row),
#endif
    );
}

// One tile of channels of all pixels.
struct Sums {
    row0: Four,
    row1: Four,
#if TILE_ROWS == 4
    row2: Four,
    row3: Four,
#endif
}

fn biased(out_tile: u32) -> Sums {
    let row = biased_row(out_tile);
#if TILE_ROWS == 4
    return Sums(row, row, row, row);
#else
    return Sums(row, row);
#endif
}

fn convolve(sums: Sums, x: Patch, at: u32, lane: u32) -> Sums {
    let by = taps_at(at, lane);
    return Sums(
#if KERNEL == 1
        add_row(sums.row0, by, x.x0),
        add_row(sums.row1, by, x.x1),
#if TILE_ROWS == 4
        add_row(sums.row2, by, x.x2),
        add_row(sums.row3, by, x.x3),
#endif
#else
#if STRIDE == 1
        add_row(sums.row0, by, x.x0, x.x1, x.x2),
        add_row(sums.row1, by, x.x1, x.x2, x.x3),
#if TILE_ROWS == 4
        add_row(sums.row2, by, x.x2, x.x3, x.x4),
        add_row(sums.row3, by, x.x3, x.x4, x.x5),
#endif
#else
        add_row(sums.row0, by, x.x0, x.x1, x.x2),
        add_row(sums.row1, by, x.x2, x.x3, x.x4),
#if TILE_ROWS == 4
        add_row(sums.row2, by, x.x4, x.x5, x.x6),
        add_row(sums.row3, by, x.x6, x.x7, x.x8),
#endif
#endif
#endif
    );
}

fn finish(out_tile: u32, corner: vec2<u32>, sums: Sums) {
    store(out_tile, corner, sums.row0);
    store(out_tile, corner + vec2<u32>(0u, 1u), sums.row1);
#if TILE_ROWS == 4
    store(out_tile, corner + vec2<u32>(0u, 2u), sums.row2);
    store(out_tile, corner + vec2<u32>(0u, 3u), sums.row3);
#endif
    clear_borders(out_tile, corner);
}

#ifdef SHARED_WEIGHTS
@compute @workgroup_size(#{CONV_WORKGROUP}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let lane = invocation & 7u;
#else
@compute @workgroup_size(#{CONV_WORKGROUP}, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let lane = 0u;
#endif
    let corner = tile_corner(group.xy, index);
    // No lane leaves before its weights are handed on: one beyond the image works on the last tile, and stores nothing.
    let last = (grid_px() - 1u) / vec2<u32>(4u, #{TILE_ROWS}u) * vec2<u32>(4u, #{TILE_ROWS}u);
    let out_tile = first_tile(group.z);
    var tile0 = biased(out_tile);
#if OUT_TILES > 1
    var tile1 = biased(out_tile + 1u);
#endif
#if OUT_TILES > 2
    var tile2 = biased(out_tile + 2u);
#endif
#if OUT_TILES > 3
    var tile3 = biased(out_tile + 3u);
#endif
#if OUT_TILES > 4
    var tile4 = biased(out_tile + 4u);
#endif
#if OUT_TILES > 5
    var tile5 = biased(out_tile + 5u);
#endif

    let plane_texels = texel_index(1u, vec2<u32>(0u), layer.source_size_px);
#if KERNEL == 3
    let row = row_texels(layer.source_size_px);
#else
    let row = row_texels(layer.source_size_px) * #{STRIDE}u;
#endif
    var source_at = source_start(min(corner, last));
    let plane_weights = TAPS * 4u * ROW_BLOCKS;
    let tile_weights = layer.source_planes * plane_weights;
    var at = layer.weight_at + out_tile * tile_weights;
    for (var plane = 0u; plane < layer.source_planes; plane += 1u) {
        let x = load_patch(source_at, row);
        tile0 = convolve(tile0, x, at, lane);
#if OUT_TILES > 1
        tile1 = convolve(tile1, x, at + tile_weights, lane);
#endif
#if OUT_TILES > 2
        tile2 = convolve(tile2, x, at + 2u * tile_weights, lane);
#endif
#if OUT_TILES > 3
        tile3 = convolve(tile3, x, at + 3u * tile_weights, lane);
#endif
#if OUT_TILES > 4
        tile4 = convolve(tile4, x, at + 4u * tile_weights, lane);
#endif
#if OUT_TILES > 5
        tile5 = convolve(tile5, x, at + 5u * tile_weights, lane);
#endif
        source_at += plane_texels;
        at += plane_weights;
    }

    finish(out_tile, corner, tile0);
#if OUT_TILES > 1
    finish(out_tile + 1u, corner, tile1);
#endif
#if OUT_TILES > 2
    finish(out_tile + 2u, corner, tile2);
#endif
#if OUT_TILES > 3
    finish(out_tile + 3u, corner, tile3);
#endif
#if OUT_TILES > 4
    finish(out_tile + 4u, corner, tile4);
#endif
#if OUT_TILES > 5
    finish(out_tile + 5u, corner, tile5);
#endif
}
