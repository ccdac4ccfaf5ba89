// Purpose: convolution KERNEL x KERNEL (1 or 3) with stride STRIDE (1 or 2), zero padding, bias and leaky ReLU.
// Inputs:  [C/4, H, W] vec4<f32>; weights as `portrait_network::pack` orders them,
//          [out tile][in / 4][tap][in lane 0-3][OUT_TILE], f32 or (HALF_WEIGHTS) f16; f32 biases for whole tiles.
// Outputs: [C'/4, H', W'] vec4<f32>.
// Dispatch: one invocation makes 4 x TILE_ROWS (2 or 4) pixels of OUT_TILE channels; z is the tile of channels.
// Memory:  for 3 x 3, stride 1 and 4 rows: 36 pixels of 16 bytes and 1152 (f16: 576) bytes of weights for 4,608 multiply-adds.
//
// Everything is unrolled by hand: an array that is indexed in a loop would live in memory, not in registers.
#import portrait::layout::{LayerParams, plane_index}

@group(0) @binding(0) var<uniform> layer: LayerParams;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> result: array<vec4<f32>>;

// The tile below is written for eight channels.
const_assert #{OUT_TILE} == 8;

// Weights from four input channels to eight output channels.
struct Tap {
    low: mat4x4<f32>,
    high: mat4x4<f32>,
}

// Four pixels in a row, four channels each.
struct Four {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// Four pixels in a row, eight channels each.
struct Sum {
    low: Four,
    high: Four,
}

// What one invocation makes.
struct Tile {
    row0: Sum,
    row1: Sum,
#if TILE_ROWS == 4
    row2: Sum,
    row3: Sum,
#endif
}

fn single(at: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(weights[at]);
}

#if HALF_WEIGHTS == true
const TAP_BLOCKS = 4u;

fn half(x: u32, y: u32) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(x), unpack2x16float(y));
}

fn tap(at: u32) -> Tap {
    let a = weights[at];
    let b = weights[at + 1u];
    let c = weights[at + 2u];
    let d = weights[at + 3u];
    return Tap(
        mat4x4<f32>(half(a.x, a.y), half(b.x, b.y), half(c.x, c.y), half(d.x, d.y)),
        mat4x4<f32>(half(a.z, a.w), half(b.z, b.w), half(c.z, c.w), half(d.z, d.w)),
    );
}
#else
const TAP_BLOCKS = 8u;

fn tap(at: u32) -> Tap {
    return Tap(
        mat4x4<f32>(single(at), single(at + 2u), single(at + 4u), single(at + 6u)),
        mat4x4<f32>(single(at + 1u), single(at + 3u), single(at + 5u), single(at + 7u)),
    );
}
#endif

fn add_four(sum: Four, by: mat4x4<f32>, x: Four) -> Four {
    return Four(sum.a + by * x.a, sum.b + by * x.b, sum.c + by * x.c, sum.d + by * x.d);
}

fn add(sum: Sum, by: Tap, x: Four) -> Sum {
    return Sum(add_four(sum.low, by.low, x), add_four(sum.high, by.high, x));
}

// Where one input row of the tile is read: column `k` of it lies at `left + k`, and counts if it is in the image.
struct Window {
    left: i32,
    row: u32,
    inside: bool,
}

fn window_of(plane: u32, left: i32, y: i32) -> Window {
    let height = i32(layer.source_size_px.y);
    let row = (plane * layer.source_size_px.y + u32(clamp(y, 0, height - 1))) * layer.source_size_px.x;
    return Window(left, row, y >= 0 && y < height);
}

// The pixel, or zero outside the image. The read itself stays inside.
fn pixel(window: Window, column: i32) -> vec4<f32> {
    let x = window.left + column;
    let width = i32(layer.source_size_px.x);
    let value = source[window.row + u32(clamp(x, 0, width - 1))];
    return select(vec4<f32>(0.0), value, window.inside && x >= 0 && x < width);
}

#if KERNEL == 3
#if STRIDE == 1
struct Row { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32> }
fn load(w: Window) -> Row {
    return Row(pixel(w, 0), pixel(w, 1), pixel(w, 2), pixel(w, 3), pixel(w, 4), pixel(w, 5));
}
fn left_of(x: Row) -> Four { return Four(x.a, x.b, x.c, x.d); }
fn middle_of(x: Row) -> Four { return Four(x.b, x.c, x.d, x.e); }
fn right_of(x: Row) -> Four { return Four(x.c, x.d, x.e, x.f); }
#else
struct Row {
    a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>,
    f: vec4<f32>, g: vec4<f32>, h: vec4<f32>, i: vec4<f32>,
}
fn load(w: Window) -> Row {
    return Row(pixel(w, 0), pixel(w, 1), pixel(w, 2), pixel(w, 3), pixel(w, 4), pixel(w, 5), pixel(w, 6), pixel(w, 7),
        pixel(w, 8));
}
fn left_of(x: Row) -> Four { return Four(x.a, x.c, x.e, x.g); }
fn middle_of(x: Row) -> Four { return Four(x.b, x.d, x.f, x.h); }
fn right_of(x: Row) -> Four { return Four(x.c, x.e, x.g, x.i); }
#endif

#else
fn load(w: Window) -> Four {
    return Four(pixel(w, 0), pixel(w, #{STRIDE}), pixel(w, 2 * #{STRIDE}), pixel(w, 3 * #{STRIDE}));
}
alias Row = Four;
#endif

// The input rows under one row of the kernel, one for each row of the tile.
struct Rows {
    row0: Row,
    row1: Row,
#if TILE_ROWS == 4
    row2: Row,
    row3: Row,
#endif
}

// Adds one row of the kernel. Each tap's weights are read once for the whole tile.
fn add_rows(sum: Tile, at: u32, x: Rows) -> Tile {
    var tile = sum;
#if KERNEL == 1
    let by = tap(at);
    tile.row0 = add(tile.row0, by, x.row0);
    tile.row1 = add(tile.row1, by, x.row1);
#if TILE_ROWS == 4
    tile.row2 = add(tile.row2, by, x.row2);
    tile.row3 = add(tile.row3, by, x.row3);
#endif
#else
    let left = tap(at);
    tile.row0 = add(tile.row0, left, left_of(x.row0));
    tile.row1 = add(tile.row1, left, left_of(x.row1));
#if TILE_ROWS == 4
    tile.row2 = add(tile.row2, left, left_of(x.row2));
    tile.row3 = add(tile.row3, left, left_of(x.row3));
#endif
    let middle = tap(at + TAP_BLOCKS);
    tile.row0 = add(tile.row0, middle, middle_of(x.row0));
    tile.row1 = add(tile.row1, middle, middle_of(x.row1));
#if TILE_ROWS == 4
    tile.row2 = add(tile.row2, middle, middle_of(x.row2));
    tile.row3 = add(tile.row3, middle, middle_of(x.row3));
#endif
    let right = tap(at + 2u * TAP_BLOCKS);
    tile.row0 = add(tile.row0, right, right_of(x.row0));
    tile.row1 = add(tile.row1, right, right_of(x.row1));
#if TILE_ROWS == 4
    tile.row2 = add(tile.row2, right, right_of(x.row2));
    tile.row3 = add(tile.row3, right, right_of(x.row3));
#endif
#endif
    return tile;
}

fn activate(x: vec4<f32>) -> vec4<f32> {
    return select(x * layer.negative_slope, x, x > vec4<f32>(0.0));
}

fn store_four(plane: u32, x: u32, y: u32, value: Four) {
    if plane >= layer.target_planes || y >= layer.target_size_px.y {
        return;
    }
    let at = plane_index(plane, vec2<u32>(x, y), layer.target_size_px);
    let width = layer.target_size_px.x;
    result[at] = activate(value.a);
    if x + 1u < width { result[at + 1u] = activate(value.b); }
    if x + 2u < width { result[at + 2u] = activate(value.c); }
    if x + 3u < width { result[at + 3u] = activate(value.d); }
}

fn store(out_tile: u32, x: u32, y: u32, value: Sum) {
    store_four(out_tile * 2u, x, y, value.low);
    store_four(out_tile * 2u + 1u, x, y, value.high);
}

@compute @workgroup_size(#{CONV_WORKGROUP_X}, #{CONV_WORKGROUP_Y}, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let corner = id.xy * vec2<u32>(4u, #{TILE_ROWS}u);
    if any(corner >= layer.target_size_px) {
        return;
    }
    let out_tile = id.z;
    let low = single(layer.bias_at + out_tile * 2u);
    let high = single(layer.bias_at + out_tile * 2u + 1u);
    let bias = Sum(Four(low, low, low, low), Four(high, high, high, high));
#if TILE_ROWS == 4
    var tile = Tile(bias, bias, bias, bias);
#else
    var tile = Tile(bias, bias);
#endif

    let left = i32(corner.x) * #{STRIDE} - #{KERNEL} / 2;
    let top = i32(corner.y) * #{STRIDE} - #{KERNEL} / 2;
    var at = layer.weight_at + out_tile * layer.source_planes * #{KERNEL}u * #{KERNEL}u * TAP_BLOCKS;
    for (var plane = 0u; plane < layer.source_planes; plane += 1u) {
        let x0 = load(window_of(plane, left, top));
        let x1 = load(window_of(plane, left, top + 1));
        let x2 = load(window_of(plane, left, top + 2));
        let x3 = load(window_of(plane, left, top + 3));
#if KERNEL == 1
#if STRIDE == 1
#if TILE_ROWS == 4
        tile = add_rows(tile, at, Rows(x0, x1, x2, x3));
#else
        tile = add_rows(tile, at, Rows(x0, x1));
#endif
#else
#if TILE_ROWS == 4
        let x4 = load(window_of(plane, left, top + 4));
        let x6 = load(window_of(plane, left, top + 6));
        tile = add_rows(tile, at, Rows(x0, x2, x4, x6));
#else
        tile = add_rows(tile, at, Rows(x0, x2));
#endif
#endif
        at += TAP_BLOCKS;
#else
#if STRIDE == 1
#if TILE_ROWS == 4
        let x4 = load(window_of(plane, left, top + 4));
        let x5 = load(window_of(plane, left, top + 5));
        tile = add_rows(tile, at, Rows(x0, x1, x2, x3));
        tile = add_rows(tile, at + 3u * TAP_BLOCKS, Rows(x1, x2, x3, x4));
        tile = add_rows(tile, at + 6u * TAP_BLOCKS, Rows(x2, x3, x4, x5));
#else
        tile = add_rows(tile, at, Rows(x0, x1));
        tile = add_rows(tile, at + 3u * TAP_BLOCKS, Rows(x1, x2));
        tile = add_rows(tile, at + 6u * TAP_BLOCKS, Rows(x2, x3));
#endif
#else
        let x4 = load(window_of(plane, left, top + 4));
#if TILE_ROWS == 4
        let x5 = load(window_of(plane, left, top + 5));
        let x6 = load(window_of(plane, left, top + 6));
        let x7 = load(window_of(plane, left, top + 7));
        let x8 = load(window_of(plane, left, top + 8));
        tile = add_rows(tile, at, Rows(x0, x2, x4, x6));
        tile = add_rows(tile, at + 3u * TAP_BLOCKS, Rows(x1, x3, x5, x7));
        tile = add_rows(tile, at + 6u * TAP_BLOCKS, Rows(x2, x4, x6, x8));
#else
        tile = add_rows(tile, at, Rows(x0, x2));
        tile = add_rows(tile, at + 3u * TAP_BLOCKS, Rows(x1, x3));
        tile = add_rows(tile, at + 6u * TAP_BLOCKS, Rows(x2, x4));
#endif
#endif
        at += 9u * TAP_BLOCKS;
#endif
    }

    store(out_tile, corner.x, corner.y, tile.row0);
    store(out_tile, corner.x, corner.y + 1u, tile.row1);
#if TILE_ROWS == 4
    store(out_tile, corner.x, corner.y + 2u, tile.row2);
    store(out_tile, corner.x, corner.y + 3u, tile.row3);
#endif
}
