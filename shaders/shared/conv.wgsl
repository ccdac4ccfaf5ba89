// Functions that the convolution kernels share: they read pixels and weights, and store sums.
//
// Eight output channels are computed together. An index `at` counts blocks of 16 bytes in the weights and texels in the planes.
// With HALF_PRODUCTS pixels and weights are read as f16, and kernels multiply and at first add up in f16.
//
// Kernels without HALF_PRODUCTS make no use of the extension f16, and run on devices that lack it.
enable f16;
#define_import_path portrait::conv
#import portrait::layout::{LayerParams, decode, encode, half, is_border, plane_index, texel_index}

@group(0) @binding(0) var<uniform> layer: LayerParams;
// Sources and weights are read in blocks of 16 bytes, which in f16 hold two neighbours of a row.
#ifdef READS_TEXTURES
@group(0) @binding(1) var source: texture_2d<u32>;
@group(0) @binding(2) var weights: texture_2d<u32>;
// Lavapipe serialises buffer access per lane, so that one access of 8 bytes takes less time than two of 4.
@group(0) @binding(3) var<storage, read_write> result: array<u64>;
#ifdef ADDS
@group(0) @binding(4) var added: texture_2d<u32>;
#endif
#else
#ifdef HALF_PRODUCTS
// Pixels and weights are multiplied as they are stored.
@group(0) @binding(1) var<storage, read> source: array<vec4<f16>>;
#ifndef MATRIX
#ifdef HALF_WEIGHTS
@group(0) @binding(2) var<storage, read> weights: array<vec4<f16>>;
#else
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
#endif
#endif
// The same buffer as the weights.
@group(0) @binding(5) var<storage, read> biases: array<vec4<f32>>;
#else
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
#endif
#ifdef HALF_ACTIVATIONS
@group(0) @binding(3) var<storage, read_write> result: array<vec2<u32>>;
#else
@group(0) @binding(3) var<storage, read_write> result: array<vec4<f32>>;
#endif
#ifdef ADDS
#ifdef HALF_ACTIVATIONS
@group(0) @binding(4) var<storage, read> added: array<vec2<u32>>;
#else
@group(0) @binding(4) var<storage, read> added: array<vec4<f32>>;
#endif
#endif
#endif

// Returns the number of planes of the source. If a uniform alone ends a loop of up to 32 turns, lavapipe compiles the kernel anew for the
// uniform's values each time it runs. The comparison, which is never true since no array is empty, prevents that.
fn source_planes() -> u32 {
    return select(layer.source_planes, 0u, arrayLength(&result) == 0u);
}

#ifdef READS_TEXTURES
// Returns the block `at` of a buffer whose contents a texture holds (Rust: `inference::texels`).
fn block_of(texture: texture_2d<u32>, at: u32) -> vec4<u32> {
    return textureLoad(texture, vec2<u32>(at % #{TEXTURE_WIDTH}u, at / #{TEXTURE_WIDTH}u), 0);
}

fn source_block(at: u32) -> vec4<u32> {
    return block_of(source, at);
}

fn weight_block(at: u32) -> vec4<u32> {
    return block_of(weights, at);
}

// These conversions of f16 take far fewer instructions than lavapipe's own. An f32 whose exponent has the bias of an f16 is 2^-112 of the
// value, and has the f16's bits 13 places higher, the sign apart. Subnormal values of f16 may become zero.
const SCALE = 0x1p112f;
const MAGNITUDE = 0x0fffe000u;
const SIGN = 0x80000000u;

fn from_half(words: vec2<u32>) -> vec4<f32> {
    // The shift repeats the sign in the bits below; the mask keeps it in the highest bit alone.
    let shifted = bitcast<vec4<i32>>(vec4<u32>(words.x << 16u, words.x, words.y << 16u, words.y)) >> vec4<u32>(3u);
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(shifted) & vec4<u32>(SIGN | MAGNITUDE)) * SCALE;
}

fn to_half(value: vec4<f32>) -> vec2<u32> {
    let max_half = vec4<f32>(65504.0);
    let bits = bitcast<vec4<u32>>(clamp(value, -max_half, max_half) * (1.0 / SCALE));
    // Half a step is added, so that the mask rounds to the nearest value.
    let magnitudes = (bits + 0x1000u) & vec4<u32>(MAGNITUDE);
    let signs = bits & vec4<u32>(SIGN);
    let low = (magnitudes.xz >> vec2<u32>(13u)) | (signs.xz >> vec2<u32>(16u));
    let high = (magnitudes.yw << vec2<u32>(3u)) | signs.yw;
    // LLVM would move the conversion into the loop over lanes that stores it, and repeat it for each lane. A shuffle, by which every lane
    // gets its own value, keeps it outside of that loop.
    return subgroupShuffleXor(low | high, 0u);
}
#else
#ifndef HALF_PRODUCTS
fn source_block(at: u32) -> vec4<u32> {
    return source[at];
}

fn weight_block(at: u32) -> vec4<u32> {
    return weights[at];
}
#endif

fn from_half(words: vec2<u32>) -> vec4<f32> {
    return half(words);
}

#ifdef HALF_ACTIVATIONS
fn to_half(value: vec4<f32>) -> vec2<u32> {
    return encode(value);
}
#endif
#endif

// `stored` returns a texel in the format of the planes, and `write` stores it.
#ifdef HALF_ACTIVATIONS
fn stored(value: vec4<f32>) -> vec2<u32> {
    return to_half(value);
}

fn write(at: u32, texel: vec2<u32>) {
#ifdef READS_TEXTURES
    result[at] = u64(texel.x) | (u64(texel.y) << 32u);
#else
    result[at] = texel;
#endif
}
#else
fn stored(value: vec4<f32>) -> vec4<f32> {
    return value;
}

fn write(at: u32, texel: vec4<f32>) {
    result[at] = texel;
}
#endif

#ifdef ADDS
// Returns the texel of the added tensor that lies `further` texels behind `at`. In every kernel that reads textures a tile's row begins at an
// odd `at`, which is the second texel of its block of two.
fn added_at(at: u32, further: u32) -> vec4<f32> {
#ifdef READS_TEXTURES
    let block = block_of(added, at / 2u + (further + 1u) / 2u);
    return from_half(select(block.xy, block.zw, further % 2u == 0u));
#else
    return decode(added[at + further]);
#endif
}
#endif

// Sums of eight channels.
struct Sum {
    low: vec4<f32>,
    high: vec4<f32>,
}

// Sums of four neighbouring pixels of a row.
struct Four {
    a: Sum,
    b: Sum,
    c: Sum,
    d: Sum,
}

// Eight channels in the precision of the products: weights, or sums of products.
struct Eight {
#ifdef HALF_PRODUCTS
    low: vec4<f16>,
    high: vec4<f16>,
#else
    low: vec4<f32>,
    high: vec4<f32>,
#endif
}

// Returns four biases; `at` counts blocks of 16 bytes.
#ifdef HALF_PRODUCTS
fn four_biases(at: u32) -> vec4<f32> {
    return biases[at];
}
#else
fn four_biases(at: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(weight_block(at));
}
#endif

// Returns the weights of one input channel at one tap, which begin at the buffer's block `at`.
#ifdef HALF_WEIGHTS
const ROW_BLOCKS = 1u;
#else
const ROW_BLOCKS = 2u;
#endif
#ifndef MATRIX
fn eight(at: u32) -> Eight {
#ifdef HALF_PRODUCTS
    // A block holds eight f16 or four f32.
#ifdef HALF_WEIGHTS
    return Eight(weights[at * 2u], weights[at * 2u + 1u]);
#else
    return Eight(vec4<f16>(weights[at]), vec4<f16>(weights[at + 1u]));
#endif
#else
#ifdef HALF_WEIGHTS
    let packed = weight_block(at);
    return Eight(from_half(packed.xy), from_half(packed.zw));
#else
    return Eight(bitcast<vec4<f32>>(weight_block(at)), bitcast<vec4<f32>>(weight_block(at + 1u)));
#endif
#endif
}
#endif

// Four channels of one source pixel under the kernel.
struct Pixel {
#ifdef HALF_PRODUCTS
    value: vec4<f16>,
#else
    value: vec4<f32>,
#endif
}

// Source pixels under one row of the tile, from the column left of its first pixel on; for a 1 x 1 kernel the four pixels alone.
#if KERNEL == 1
struct Row {
    a: Pixel, b: Pixel, c: Pixel, d: Pixel,
}
#else
#if STRIDE == 1
struct Row {
    a: Pixel, b: Pixel, c: Pixel, d: Pixel, e: Pixel, f: Pixel,
}
#else
struct Row {
    a: Pixel, b: Pixel, c: Pixel, d: Pixel, e: Pixel, f: Pixel, g: Pixel, h: Pixel, i: Pixel,
}
#endif
#endif

// A block of the source holds two pixels of a row in f16, one in f32.
#ifdef HALF_PRODUCTS
fn pixel_at(at: u32) -> Pixel {
    return Pixel(source[at]);
}
#else
#ifdef HALF_ACTIVATIONS
fn pixel(words: vec2<u32>) -> Pixel {
    return Pixel(from_half(words));
}

// Returns the pixel at the texel `at`.
fn pixel_at(at: u32) -> Pixel {
    let block = source_block(at / 2u);
    return pixel(select(block.xy, block.zw, at % 2u == 1u));
}
#else
fn pixel_at(at: u32) -> Pixel {
    return Pixel(bitcast<vec4<f32>>(source_block(at)));
}
#endif
#endif

// Loads the pixels under a row of the tile, from the even texel `at` on.
#ifdef BLOCKS_OF_TWO
#if KERNEL == 1
fn left_of(block: u32) -> Pixel {
    return pixel(source_block(block).xy);
}

fn right_of(block: u32) -> Pixel {
    return pixel(source_block(block).zw);
}

fn load(at: u32) -> Row {
    let block = at / 2u;
#if STRIDE == 1
    return Row(right_of(block), left_of(block + 1u), right_of(block + 1u), left_of(block + 2u));
#else
    return Row(right_of(block), right_of(block + 1u), right_of(block + 2u), right_of(block + 3u));
#endif
}
#else
fn load(at: u32) -> Row {
    let ab = source_block(at / 2u);
    let cd = source_block(at / 2u + 1u);
    let ef = source_block(at / 2u + 2u);
#if STRIDE == 1
    return Row(pixel(ab.xy), pixel(ab.zw), pixel(cd.xy), pixel(cd.zw), pixel(ef.xy), pixel(ef.zw));
#else
    let gh = source_block(at / 2u + 3u);
    let ij = source_block(at / 2u + 4u);
    return Row(pixel(ab.xy), pixel(ab.zw), pixel(cd.xy), pixel(cd.zw), pixel(ef.xy), pixel(ef.zw), pixel(gh.xy), pixel(gh.zw),
        pixel(ij.xy));
#endif
}
#endif
#else
fn load(at: u32) -> Row {
#if KERNEL == 1
    return Row(pixel_at(at + 1u), pixel_at(at + 1u + #{STRIDE}u), pixel_at(at + 1u + 2u * #{STRIDE}u), pixel_at(at + 1u + 3u * #{STRIDE}u));
#else
#if STRIDE == 1
    return Row(pixel_at(at), pixel_at(at + 1u), pixel_at(at + 2u), pixel_at(at + 3u), pixel_at(at + 4u), pixel_at(at + 5u));
#else
    return Row(pixel_at(at), pixel_at(at + 1u), pixel_at(at + 2u), pixel_at(at + 3u), pixel_at(at + 4u), pixel_at(at + 5u),
        pixel_at(at + 6u), pixel_at(at + 7u), pixel_at(at + 8u));
#endif
#endif
}
#endif

// Returns the first of an invocation's tiles of channels.
fn first_tile(group: u32) -> u32 {
#ifdef TARGET_PLANES
    // A kernel for a known number of planes has one group only.
    return 0u;
#else
    return group * #{OUT_TILES}u;
#endif
}

// Returns the column and row of an invocation's tile among the workgroup's tiles.
fn tile_place(index: u32) -> vec2<u32> {
    return vec2<u32>(index % layer.tiles_across, index / layer.tiles_across);
}

// Returns the first pixel of an invocation's tile of 4 x TILE_ROWS pixels in the grid that is convolved.
fn tile_corner(group: vec2<u32>, index: u32) -> vec2<u32> {
    let across = vec2<u32>(layer.tiles_across, #{CONV_WORKGROUP}u / layer.tiles_across);
    return (group * across + tile_place(index)) * vec2<u32>(4u, #{TILE_ROWS}u);
}

// Returns the size of the grid that is convolved.
fn grid_px() -> vec2<u32> {
#ifdef SHUFFLES
    return layer.target_size_px / 2u;
#else
    return layer.target_size_px;
#endif
}

// Returns the texel of the source's first plane at which the kernel's first row begins under a tile's corner.
fn source_start(corner: vec2<u32>) -> u32 {
#if KERNEL == 3
    return texel_index(0u, corner * #{STRIDE}u, layer.source_size_px);
#else
    return texel_index(0u, corner * #{STRIDE}u + vec2<u32>(0u, 1u), layer.source_size_px);
#endif
}

fn biased_row(out_tile: u32) -> Four {
    let bias = Sum(four_biases(layer.bias_at + out_tile * 2u), four_biases(layer.bias_at + out_tile * 2u + 1u));
    return Four(bias, bias, bias, bias);
}

fn activate(x: vec4<f32>) -> vec4<f32> {
    return select(x * layer.negative_slope, x, x > vec4<f32>(0.0));
}

// Returns the number of planes of the target. Where it is known at compile time, sums that no plane takes are left out.
fn target_planes() -> u32 {
#ifdef TARGET_PLANES
    return #{TARGET_PLANES}u;
#else
    return layer.target_planes;
#endif
}

// Stores the texel that lies `further` texels behind `at` if it is inside the image. Everything before the last line runs without a branch
// for a whole row, so that texels which neighbours share are read once.
fn store_texel(at: u32, further: u32, sum: vec4<f32>, is_inside: bool) {
    var value = activate(sum);
#ifdef ADDS
    value += added_at(at, further);
#endif
    let texel = stored(value);
    if is_inside { write(at + further, texel); }
}

// Stores a row of the tile, whose first pixel is `corner` in the grid that is convolved.
#ifdef SHUFFLES
fn store(out_tile: u32, corner: vec2<u32>, value: Four) {
    let size = layer.target_size_px;
    let pixel = corner * 2u + vec2<u32>(0u, out_tile % 2u);
    if out_tile / 2u >= target_planes() || pixel.y >= size.y {
        return;
    }
    let at = plane_index(out_tile / 2u, pixel, size);
    store_texel(at, 0u, value.a.low, pixel.x < size.x);
    store_texel(at, 1u, value.a.high, pixel.x < size.x);
    store_texel(at, 2u, value.b.low, pixel.x + 2u < size.x);
    store_texel(at, 3u, value.b.high, pixel.x + 2u < size.x);
    store_texel(at, 4u, value.c.low, pixel.x + 4u < size.x);
    store_texel(at, 5u, value.c.high, pixel.x + 4u < size.x);
    store_texel(at, 6u, value.d.low, pixel.x + 6u < size.x);
    store_texel(at, 7u, value.d.high, pixel.x + 6u < size.x);
}
#else
fn store_row(plane: u32, corner: vec2<u32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
    if plane >= target_planes() || corner.y >= layer.target_size_px.y {
        return;
    }
    let at = plane_index(plane, corner, layer.target_size_px);
    let width = layer.target_size_px.x;
    store_texel(at, 0u, a, corner.x < width);
    store_texel(at, 1u, b, corner.x + 1u < width);
    store_texel(at, 2u, c, corner.x + 2u < width);
    store_texel(at, 3u, d, corner.x + 3u < width);
}

fn store(out_tile: u32, corner: vec2<u32>, value: Four) {
    store_row(out_tile * 2u, corner, value.a.low, value.b.low, value.c.low, value.d.low);
    store_row(out_tile * 2u + 1u, corner, value.a.high, value.b.high, value.c.high, value.d.high);
}
#endif

// Writes zeros into the border beside a tile of `extent` pixels at the image's edge, in `planes` (1 or 2) planes. The border's memory may
// hold values of an earlier tensor.
fn clear_border(plane: u32, planes: u32, corner: vec2<u32>, extent: vec2<u32>) {
    let size = layer.target_size_px;
    let is_edge = any(corner == vec2<u32>(0u)) || any(corner + extent >= size);
    // The loop goes once around the tile's part of the image: the rows above and below, then the columns beside it.
    let inside = min(extent, size - corner);
    let across = inside.x + 2u;
    let places = select(0u, 2u * (across + inside.y), is_edge && all(corner < size));
    for (var step = 0u; step < places; step += 1u) {
        let beside = step - min(step, 2u * across);
        let in_rows = vec2<u32>(step % across, step / across * (inside.y + 1u));
        let in_columns = vec2<u32>(beside % 2u * (inside.x + 1u), beside / 2u + 1u);
        let place = corner + select(in_columns, in_rows, step < 2u * across);
        if is_border(place, size) {
            if plane < target_planes() {
                write(texel_index(plane, place, size), stored(vec4<f32>(0.0)));
            }
            if planes == 2u && plane + 1u < target_planes() {
                write(texel_index(plane + 1u, place, size), stored(vec4<f32>(0.0)));
            }
        }
    }
}

// Writes zeros into the border beside an invocation's whole tile.
fn clear_borders(out_tile: u32, corner: vec2<u32>) {
#ifdef SHUFFLES
    clear_border(out_tile / 2u, 1u, corner * 2u, vec2<u32>(8u, 2u * #{TILE_ROWS}u));
#else
    clear_border(out_tile * 2u, 2u, corner, vec2<u32>(4u, #{TILE_ROWS}u));
#endif
}
