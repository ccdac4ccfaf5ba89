// Purpose: convolution KERNEL x KERNEL (1 or 3) with stride STRIDE (1 or 2), zero padding, bias and leaky ReLU. SHUFFLES makes
//          four channels one channel of four pixels, ADDS adds a tensor; both before anything is stored.
// Inputs:  planes of four channels; weights as `portrait_network::pack` orders them,
//          [out tile][in / 4][tap][in lane 0-3][OUT_TILE], f32 or (HALF_WEIGHTS) f16; f32 biases for whole tiles.
// Outputs: planes of four channels, with their border of zeros.
// Dispatch: one invocation makes 4 x TILE_ROWS (2 or 4) pixels of OUT_TILES (1 to 4) tiles of OUT_TILE channels; z counts
//          groups of OUT_TILES.
// Memory:  for 3 x 3, stride 1, 4 rows and a tile: 36 texels and 1152 (f16: 576) bytes of weights for 4,608 multiply-adds.
//          Further tiles read their weights only. With SHARED_WEIGHTS a subgroup reads those weights once.
//
// Everything is unrolled by hand: an array that is indexed in a loop would live in memory, not in registers. A pixel's sums
// stay in registers through all taps; going through all pixels for each tap instead is a tenth slower on lavapipe.
#import portrait::layout::{LayerParams, decode, encode, half, plane_index, row_texels, texel_index}

// 16 bytes. Where every lane's read is a loop of its own (lavapipe), two words of 8 bytes take less time than four of 4.
#ifdef WIDE_WORDS
alias Block = vec2<u64>;
fn words(block: Block) -> vec4<u32> {
    return vec4<u32>(u32(block.x), u32(block.x >> 32u), u32(block.y), u32(block.y >> 32u));
}
#else
alias Block = vec4<u32>;
fn words(block: Block) -> vec4<u32> {
    return block;
}
#endif

// A pixel of a plane, as it is stored: half a block, or a whole one.
#ifdef HALF_ACTIVATIONS
#ifdef WIDE_WORDS
alias Texel = u64;
fn texel(value: vec4<f32>) -> Texel {
    let halves = encode(value);
    return u64(halves.x) | (u64(halves.y) << 32u);
}
fn value_of(stored: Texel) -> vec4<f32> {
    return decode(vec2<u32>(u32(stored), u32(stored >> 32u)));
}
#else
alias Texel = vec2<u32>;
fn texel(value: vec4<f32>) -> Texel {
    return encode(value);
}
fn value_of(stored: Texel) -> vec4<f32> {
    return decode(stored);
}
#endif
#else
alias Texel = Block;
fn value_of(stored: Texel) -> vec4<f32> {
    return bitcast<vec4<f32>>(words(stored));
}
fn texel(value: vec4<f32>) -> Texel {
    let bits = bitcast<vec4<u32>>(value);
#ifdef WIDE_WORDS
    return Block(u64(bits.x) | (u64(bits.y) << 32u), u64(bits.z) | (u64(bits.w) << 32u));
#else
    return bits;
#endif
}
#endif

@group(0) @binding(0) var<uniform> layer: LayerParams;
// In f16 two neighbours in a row are one block.
@group(0) @binding(1) var<storage, read> source: array<Block>;
@group(0) @binding(2) var<storage, read> weights: array<Block>;
@group(0) @binding(3) var<storage, read_write> result: array<Texel>;
#ifdef ADDS
@group(0) @binding(4) var<storage, read> added: array<Texel>;
#endif

// The tile below is written for eight channels.
const_assert #{OUT_TILE} == 8;

// Eight channels.
struct Eight {
    low: vec4<f32>,
    high: vec4<f32>,
}

// Weights from four input channels to eight output channels.
struct Tap {
    x: Eight,
    y: Eight,
    z: Eight,
    w: Eight,
}

// Four pixels in a row.
struct Four {
    a: Eight,
    b: Eight,
    c: Eight,
    d: Eight,
}

fn single(at: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(words(weights[at]));
}

// The weights from one input channel at one tap; `at` counts them from the beginning of the buffer.
#ifdef HALF_WEIGHTS
const ROW_BLOCKS = 1u;
fn eight(at: u32) -> Eight {
    let packed = words(weights[at]);
    return Eight(half(packed.xy), half(packed.zw));
}
#else
const ROW_BLOCKS = 2u;
fn eight(at: u32) -> Eight {
    return Eight(single(at), single(at + 1u));
}
#endif

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
#else
fn tap(at: u32) -> Tap {
    return Tap(eight(at), eight(at + ROW_BLOCKS), eight(at + 2u * ROW_BLOCKS), eight(at + 3u * ROW_BLOCKS));
}
#endif

fn add(sum: Eight, by: Tap, x: vec4<f32>) -> Eight {
    var low = fma(by.x.low, vec4<f32>(x.x), sum.low);
    var high = fma(by.x.high, vec4<f32>(x.x), sum.high);
    low = fma(by.y.low, vec4<f32>(x.y), low);
    high = fma(by.y.high, vec4<f32>(x.y), high);
    low = fma(by.z.low, vec4<f32>(x.z), low);
    high = fma(by.z.high, vec4<f32>(x.z), high);
    return Eight(fma(by.w.low, vec4<f32>(x.w), low), fma(by.w.high, vec4<f32>(x.w), high));
}

// What lies under one row of the tile: from the column left of its first pixel on.
#if STRIDE == 1
struct Row {
    a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>,
}
#else
struct Row {
    a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>,
    f: vec4<f32>, g: vec4<f32>, h: vec4<f32>, i: vec4<f32>, j: vec4<f32>,
}
#endif

#ifndef HALF_ACTIVATIONS
fn pixel_at(at: u32) -> vec4<f32> {
    return value_of(source[at]);
}
#endif

// `at` counts texels and is even.
fn load(at: u32) -> Row {
#ifdef HALF_ACTIVATIONS
    let ab = words(source[at / 2u]);
    let cd = words(source[at / 2u + 1u]);
    let ef = words(source[at / 2u + 2u]);
#if STRIDE == 1
    return Row(half(ab.xy), half(ab.zw), half(cd.xy), half(cd.zw), half(ef.xy), half(ef.zw));
#else
    let gh = words(source[at / 2u + 3u]);
    let ij = words(source[at / 2u + 4u]);
    return Row(half(ab.xy), half(ab.zw), half(cd.xy), half(cd.zw), half(ef.xy), half(ef.zw), half(gh.xy), half(gh.zw),
        half(ij.xy), half(ij.zw));
#endif
#else
#if STRIDE == 1
    return Row(pixel_at(at), pixel_at(at + 1u), pixel_at(at + 2u), pixel_at(at + 3u), pixel_at(at + 4u), pixel_at(at + 5u));
#else
    return Row(pixel_at(at), pixel_at(at + 1u), pixel_at(at + 2u), pixel_at(at + 3u), pixel_at(at + 4u), pixel_at(at + 5u),
        pixel_at(at + 6u), pixel_at(at + 7u), pixel_at(at + 8u), pixel_at(at + 9u));
#endif
#endif
}

// What one pixel reads of a row.
#if KERNEL == 3
struct Reach {
    left: vec4<f32>,
    middle: vec4<f32>,
    right: vec4<f32>,
}
#if STRIDE == 1
fn first(x: Row) -> Reach { return Reach(x.a, x.b, x.c); }
fn second(x: Row) -> Reach { return Reach(x.b, x.c, x.d); }
fn third(x: Row) -> Reach { return Reach(x.c, x.d, x.e); }
fn fourth(x: Row) -> Reach { return Reach(x.d, x.e, x.f); }
#else
fn first(x: Row) -> Reach { return Reach(x.a, x.b, x.c); }
fn second(x: Row) -> Reach { return Reach(x.c, x.d, x.e); }
fn third(x: Row) -> Reach { return Reach(x.e, x.f, x.g); }
fn fourth(x: Row) -> Reach { return Reach(x.g, x.h, x.i); }
#endif

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

fn pixel(bias: Eight, by: Taps, above: Reach, beside: Reach, below: Reach) -> Eight {
    var sum = add(bias, by.upper_left, above.left);
    sum = add(sum, by.upper, above.middle);
    sum = add(sum, by.upper_right, above.right);
    sum = add(sum, by.left, beside.left);
    sum = add(sum, by.middle, beside.middle);
    sum = add(sum, by.right, beside.right);
    sum = add(sum, by.lower_left, below.left);
    sum = add(sum, by.lower, below.middle);
    return add(sum, by.lower_right, below.right);
}

fn add_row(sum: Four, by: Taps, above: Row, beside: Row, below: Row) -> Four {
    return Four(
        pixel(sum.a, by, first(above), first(beside), first(below)),
        pixel(sum.b, by, second(above), second(beside), second(below)),
        pixel(sum.c, by, third(above), third(beside), third(below)),
        pixel(sum.d, by, fourth(above), fourth(beside), fourth(below)),
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

fn add_row(sum: Four, by: Tap, x: Row) -> Four {
#if STRIDE == 1
    return Four(add(sum.a, by, x.b), add(sum.b, by, x.c), add(sum.c, by, x.d), add(sum.d, by, x.e));
#else
    return Four(add(sum.a, by, x.b), add(sum.b, by, x.d), add(sum.c, by, x.f), add(sum.d, by, x.h));
#endif
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
    let bias = Eight(single(layer.bias_at + out_tile * 2u), single(layer.bias_at + out_tile * 2u + 1u));
    let row = Four(bias, bias, bias, bias);
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

fn activate(x: vec4<f32>) -> vec4<f32> {
    return select(x * layer.negative_slope, x, x > vec4<f32>(0.0));
}

fn store_texel(at: u32, sum: vec4<f32>) {
    var value = activate(sum);
#ifdef ADDS
    value += value_of(added[at]);
#endif
    result[at] = texel(value);
}

// A row of the tile, whose first pixel is `corner` of the grid that is convolved.
#ifdef SHUFFLES
fn store(out_tile: u32, corner: vec2<u32>, value: Four) {
    let size = layer.target_size_px;
    let pixel = corner * 2u + vec2<u32>(0u, out_tile % 2u);
    if out_tile / 2u >= layer.target_planes || pixel.y >= size.y {
        return;
    }
    let at = plane_index(out_tile / 2u, pixel, size);
    if pixel.x < size.x { store_texel(at, value.a.low); store_texel(at + 1u, value.a.high); }
    if pixel.x + 2u < size.x { store_texel(at + 2u, value.b.low); store_texel(at + 3u, value.b.high); }
    if pixel.x + 4u < size.x { store_texel(at + 4u, value.c.low); store_texel(at + 5u, value.c.high); }
    if pixel.x + 6u < size.x { store_texel(at + 6u, value.d.low); store_texel(at + 7u, value.d.high); }
}
#else
fn store_row(plane: u32, corner: vec2<u32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
    if plane >= layer.target_planes || corner.y >= layer.target_size_px.y {
        return;
    }
    let at = plane_index(plane, corner, layer.target_size_px);
    let width = layer.target_size_px.x;
    if corner.x < width { store_texel(at, a); }
    if corner.x + 1u < width { store_texel(at + 1u, b); }
    if corner.x + 2u < width { store_texel(at + 2u, c); }
    if corner.x + 3u < width { store_texel(at + 3u, d); }
}

fn store(out_tile: u32, corner: vec2<u32>, value: Four) {
    store_row(out_tile * 2u, corner, value.a.low, value.b.low, value.c.low, value.d.low);
    store_row(out_tile * 2u + 1u, corner, value.a.high, value.b.high, value.c.high, value.d.high);
}
#endif

// The border beside a tile of `extent` pixels at the image's edge. What lies there may be of another tensor that had this
// memory.
fn clear_border(plane: u32, corner: vec2<u32>, extent: vec2<u32>) {
    let size = layer.target_size_px;
    if plane >= layer.target_planes || any(corner >= size) {
        return;
    }
    let above = select(0u, extent.x + 2u, corner.y == 0u);
    for (var step = 0u; step < above; step += 1u) {
        result[texel_index(plane, vec2<u32>(corner.x + step, 0u), size)] = Texel();
    }
    let below = select(0u, extent.x + 2u, corner.y + extent.y >= size.y);
    for (var step = 0u; step < below; step += 1u) {
        result[texel_index(plane, vec2<u32>(corner.x + step, size.y + 1u), size)] = Texel();
    }
    let left = select(0u, extent.y, corner.x == 0u);
    for (var step = 0u; step < left; step += 1u) {
        result[texel_index(plane, vec2<u32>(0u, corner.y + 1u + step), size)] = Texel();
    }
    let right = select(0u, extent.y, corner.x + extent.x >= size.x);
    for (var step = 0u; step < right; step += 1u) {
        result[texel_index(plane, vec2<u32>(size.x + 1u, corner.y + 1u + step), size)] = Texel();
    }
}

fn finish(out_tile: u32, corner: vec2<u32>, sums: Sums) {
    store(out_tile, corner, sums.row0);
    store(out_tile, corner + vec2<u32>(0u, 1u), sums.row1);
#if TILE_ROWS == 4
    store(out_tile, corner + vec2<u32>(0u, 2u), sums.row2);
    store(out_tile, corner + vec2<u32>(0u, 3u), sums.row3);
#endif
#ifdef SHUFFLES
    clear_border(out_tile / 2u, corner * 2u, vec2<u32>(8u, 2u * #{TILE_ROWS}u));
#else
    clear_border(out_tile * 2u, corner, vec2<u32>(4u, #{TILE_ROWS}u));
    clear_border(out_tile * 2u + 1u, corner, vec2<u32>(4u, #{TILE_ROWS}u));
#endif
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
    let across = vec2<u32>(layer.tiles_across, #{CONV_WORKGROUP}u / layer.tiles_across);
    let place = vec2<u32>(index % layer.tiles_across, index / layer.tiles_across);
    let corner = (group.xy * across + place) * vec2<u32>(4u, #{TILE_ROWS}u);
    // No lane leaves before its weights are handed on: one beyond the image works on the last tile, and stores nothing.
#ifdef SHUFFLES
    let size = layer.target_size_px / 2u;
#else
    let size = layer.target_size_px;
#endif
    let last = (size - 1u) / vec2<u32>(4u, #{TILE_ROWS}u) * vec2<u32>(4u, #{TILE_ROWS}u);
    let source_corner = min(corner, last) * #{STRIDE}u;
    let out_tile = group.z * #{OUT_TILES}u;
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
    var source_at = texel_index(0u, source_corner, layer.source_size_px);
#else
    let row = row_texels(layer.source_size_px) * #{STRIDE}u;
    var source_at = texel_index(0u, source_corner + vec2<u32>(0u, 1u), layer.source_size_px);
#endif
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
