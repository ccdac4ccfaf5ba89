// Purpose: computes the convolutions of `conv.wgsl` on software rasterisers.
// Inputs, outputs: as `conv.wgsl`, planes in f16. Pixels, weights and the added tensor are texels of textures with the buffers' contents.
// Dispatch: one invocation makes 4 x TILE_ROWS (4) pixels of OUT_TILES (1 to 4) tiles of OUT_TILE channels; z counts groups of
//          OUT_TILES.
// Memory:  for 3 x 3, stride 1 and a tile: 36 texels and 1152 (f16: 576) bytes of weights for 4,608 multiply-adds. Further tiles read their
//          weights only. A subgroup of eight lanes or more reads those weights once and hands them round.
//
// Everything is unrolled by hand: an array that is indexed in a loop would live in memory, not in registers. Two sums of each of four
// neighbours go through all taps of an input channel: on a CPU those sums, two weights and a row of pixels fit into 16 registers, and a
// weight is fetched once for four pixels, a pixel once for up to three taps. All eight sums of one pixel at a time take a fifth more time on
// a CPU.
enable f16;
#import portrait::conv::{
    Eight, Four, ROW_BLOCKS, Row, Sum, biased_row, clear_borders, eight, first_tile, grid_px, layer, load, source_planes, source_start, store, tile_corner,
}
#import portrait::layout::{row_texels, texel_index}

// The tile below is written for eight channels and four rows of pixels.
const_assert #{OUT_TILE} == 8;
const_assert #{TILE_ROWS} == 4;

// Weights of one input channel for all output channels of the tile.
#if KERNEL == 3
const TAPS = 9u;
struct Channel {
    upper_left: Eight, upper: Eight, upper_right: Eight,
    left: Eight, middle: Eight, right: Eight,
    lower_left: Eight, lower: Eight, lower_right: Eight,
}
#else
const TAPS = 1u;
struct Channel {
    middle: Eight,
}
#endif

// Weights of the four input channels of a plane.
struct Channels {
    x: Channel,
    y: Channel,
    z: Channel,
    w: Channel,
}

// Returns weights of two taps, one input channel in each of the first eight lanes.
fn shared_taps(at: u32, lane: u32) -> Eight {
    return eight(at + lane * ROW_BLOCKS);
}

fn from_lane(shared_rows: Eight, lane: u32) -> Eight {
    return Eight(subgroupShuffle(shared_rows.low, lane), subgroupShuffle(shared_rows.high, lane));
}

#if KERNEL == 3
fn channel_from(x0: Eight, x1: Eight, x2: Eight, x3: Eight, x4: Eight, channel: u32) -> Channel {
    return Channel(
        from_lane(x0, channel), from_lane(x0, channel + 4u), from_lane(x1, channel),
        from_lane(x1, channel + 4u), from_lane(x2, channel), from_lane(x2, channel + 4u),
        from_lane(x3, channel), from_lane(x3, channel + 4u), from_lane(x4, channel),
    );
}

fn weights_at(at: u32, lane: u32) -> Channels {
    // The last read goes four rows too far, into the next weights or the buffer's padding.
    let x0 = shared_taps(at, lane);
    let x1 = shared_taps(at + 8u * ROW_BLOCKS, lane);
    let x2 = shared_taps(at + 16u * ROW_BLOCKS, lane);
    let x3 = shared_taps(at + 24u * ROW_BLOCKS, lane);
    let x4 = shared_taps(at + 32u * ROW_BLOCKS, lane);
    return Channels(
        channel_from(x0, x1, x2, x3, x4, 0u), channel_from(x0, x1, x2, x3, x4, 1u),
        channel_from(x0, x1, x2, x3, x4, 2u), channel_from(x0, x1, x2, x3, x4, 3u),
    );
}
#else
fn weights_at(at: u32, lane: u32) -> Channels {
    let x = shared_taps(at, lane);
    return Channels(Channel(from_lane(x, 0u)), Channel(from_lane(x, 1u)), Channel(from_lane(x, 2u)), Channel(from_lane(x, 3u)));
}
#endif

// Returns the pair 0 to 3 of a tile's eight channels; `pair` is known at compile time.
fn two_of(all: Eight, pair: u32) -> vec2<f32> {
    let four = select(all.low, all.high, pair >= 2u);
    return select(four.xy, four.zw, (pair & 1u) == 1u);
}

// One input channel of the pixels under a row of the tile, from the column left of its first pixel on; for a 1 x 1 kernel the four
// pixels alone.
struct Line {
    a: f32, b: f32, c: f32, d: f32,
#if KERNEL == 3
    e: f32, f: f32,
#if STRIDE == 2
    g: f32, h: f32, i: f32,
#endif
#endif
}

struct Lines {
    x: Line,
    y: Line,
    z: Line,
    w: Line,
}

fn line_of(x: Row, channel: u32) -> Line {
    return Line(
        x.a.value[channel], x.b.value[channel], x.c.value[channel], x.d.value[channel],
#if KERNEL == 3
        x.e.value[channel], x.f.value[channel],
#if STRIDE == 2
        x.g.value[channel], x.h.value[channel], x.i.value[channel],
#endif
#endif
    );
}

// Loads the pixels under a row of the tile, channel by channel, from the even texel `at` on.
fn load_lines(at: u32) -> Lines {
    let x = load(at);
    return Lines(line_of(x, 0u), line_of(x, 1u), line_of(x, 2u), line_of(x, 3u));
}

// Sums of two output channels of a row of the tile.
struct RowSums {
    a: vec2<f32>,
    b: vec2<f32>,
    c: vec2<f32>,
    d: vec2<f32>,
}

fn add(sum: RowSums, by: vec2<f32>, a: f32, b: f32, c: f32, d: f32) -> RowSums {
    return RowSums(fma(by, vec2<f32>(a), sum.a), fma(by, vec2<f32>(b), sum.b), fma(by, vec2<f32>(c), sum.c), fma(by, vec2<f32>(d), sum.d));
}

#if KERNEL == 3
// Adds the products of one row of the kernel.
fn add_taps(sums: RowSums, left: vec2<f32>, middle: vec2<f32>, right: vec2<f32>, x: Line) -> RowSums {
#if STRIDE == 1
    let sum = add(add(sums, left, x.a, x.b, x.c, x.d), middle, x.b, x.c, x.d, x.e);
    return add(sum, right, x.c, x.d, x.e, x.f);
#else
    let sum = add(add(sums, left, x.a, x.c, x.e, x.g), middle, x.b, x.d, x.f, x.h);
    return add(sum, right, x.c, x.e, x.g, x.i);
#endif
}

fn add_channel(sums: RowSums, by: Channel, pair: u32, above: Line, beside: Line, below: Line) -> RowSums {
    var sum = add_taps(sums, two_of(by.upper_left, pair), two_of(by.upper, pair), two_of(by.upper_right, pair), above);
    sum = add_taps(sum, two_of(by.left, pair), two_of(by.middle, pair), two_of(by.right, pair), beside);
    return add_taps(sum, two_of(by.lower_left, pair), two_of(by.lower, pair), two_of(by.lower_right, pair), below);
}
#else
fn add_channel(sums: RowSums, by: Channel, pair: u32, above: Line, beside: Line, below: Line) -> RowSums {
    return add(sums, two_of(by.middle, pair), beside.a, beside.b, beside.c, beside.d);
}
#endif

fn add_row(sum: RowSums, by: Channels, pair: u32, above: Lines, beside: Lines, below: Lines) -> RowSums {
    var part = add_channel(sum, by.x, pair, above.x, beside.x, below.x);
    part = add_channel(part, by.y, pair, above.y, beside.y, below.y);
    part = add_channel(part, by.z, pair, above.z, beside.z, below.z);
    return add_channel(part, by.w, pair, above.w, beside.w, below.w);
}

// Pixels of one plane of the source under the tile.
struct Patch {
    x0: Lines,
    x1: Lines,
    x2: Lines,
    x3: Lines,
#if PATCH_ROWS > 4
    x4: Lines,
#endif
#if PATCH_ROWS > 5
    x5: Lines,
#endif
#if PATCH_ROWS > 6
    x6: Lines,
    x7: Lines,
    x8: Lines,
#endif
}

// Loads the pixels of one plane under the tile, from the even texel `at` on; rows are `row` texels apart.
fn load_patch(at: u32, row: u32) -> Patch {
    return Patch(
        load_lines(at),
        load_lines(at + row),
        load_lines(at + 2u * row),
        load_lines(at + 3u * row),
#if PATCH_ROWS > 4
        load_lines(at + 4u * row),
#endif
#if PATCH_ROWS > 5
        load_lines(at + 5u * row),
#endif
#if PATCH_ROWS > 6
        load_lines(at + 6u * row),
        load_lines(at + 7u * row),
        load_lines(at + 8u * row),
#endif
    );
}

// Sums of two output channels of the tile.
struct PairSums {
    row0: RowSums,
    row1: RowSums,
    row2: RowSums,
    row3: RowSums,
}

// Sums of all eight output channels of the tile.
struct Sums {
    pair0: PairSums,
    pair1: PairSums,
    pair2: PairSums,
    pair3: PairSums,
}

fn biased_pair(bias: vec2<f32>) -> PairSums {
    let row = RowSums(bias, bias, bias, bias);
    return PairSums(row, row, row, row);
}

fn biased(out_tile: u32) -> Sums {
    let bias = biased_row(out_tile).a;
    return Sums(biased_pair(bias.low.xy), biased_pair(bias.low.zw), biased_pair(bias.high.xy), biased_pair(bias.high.zw));
}

fn convolve_pair(sums: PairSums, x: Patch, by: Channels, pair: u32) -> PairSums {
    return PairSums(
#if KERNEL == 1
        add_row(sums.row0, by, pair, x.x0, x.x0, x.x0),
        add_row(sums.row1, by, pair, x.x1, x.x1, x.x1),
        add_row(sums.row2, by, pair, x.x2, x.x2, x.x2),
        add_row(sums.row3, by, pair, x.x3, x.x3, x.x3),
#else
#if STRIDE == 1
        add_row(sums.row0, by, pair, x.x0, x.x1, x.x2),
        add_row(sums.row1, by, pair, x.x1, x.x2, x.x3),
        add_row(sums.row2, by, pair, x.x2, x.x3, x.x4),
        add_row(sums.row3, by, pair, x.x3, x.x4, x.x5),
#else
        add_row(sums.row0, by, pair, x.x0, x.x1, x.x2),
        add_row(sums.row1, by, pair, x.x2, x.x3, x.x4),
        add_row(sums.row2, by, pair, x.x4, x.x5, x.x6),
        add_row(sums.row3, by, pair, x.x6, x.x7, x.x8),
#endif
#endif
    );
}

fn convolve(sums: Sums, x: Patch, at: u32, lane: u32) -> Sums {
    let by = weights_at(at, lane);
    return Sums(
        convolve_pair(sums.pair0, x, by, 0u),
        convolve_pair(sums.pair1, x, by, 1u),
        convolve_pair(sums.pair2, x, by, 2u),
        convolve_pair(sums.pair3, x, by, 3u),
    );
}

fn store_row(out_tile: u32, corner: vec2<u32>, p: RowSums, q: RowSums, r: RowSums, s: RowSums) {
    let a = Sum(vec4<f32>(p.a, q.a), vec4<f32>(r.a, s.a));
    let b = Sum(vec4<f32>(p.b, q.b), vec4<f32>(r.b, s.b));
    let c = Sum(vec4<f32>(p.c, q.c), vec4<f32>(r.c, s.c));
    store(out_tile, corner, Four(a, b, c, Sum(vec4<f32>(p.d, q.d), vec4<f32>(r.d, s.d))));
}

fn finish(out_tile: u32, corner: vec2<u32>, sums: Sums) {
    let p = sums.pair0;
    let q = sums.pair1;
    let r = sums.pair2;
    let s = sums.pair3;
    store_row(out_tile, corner, p.row0, q.row0, r.row0, s.row0);
    store_row(out_tile, corner + vec2<u32>(0u, 1u), p.row1, q.row1, r.row1, s.row1);
    store_row(out_tile, corner + vec2<u32>(0u, 2u), p.row2, q.row2, r.row2, s.row2);
    store_row(out_tile, corner + vec2<u32>(0u, 3u), p.row3, q.row3, r.row3, s.row3);
    clear_borders(out_tile, corner);
}

@compute @workgroup_size(#{CONV_WORKGROUP}, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let lane = invocation & 7u;
    let corner = tile_corner(group.xy, index);
    // No lane leaves before its weights are handed on: a lane beyond the image works on the last tile, and stores nothing.
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
    for (var plane = 0u; plane < source_planes(); plane += 1u) {
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
}
