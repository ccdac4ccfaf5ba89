// Purpose: convolves on GPUs with KERNEL x KERNEL (1 or 3) taps, stride STRIDE (1 or 2), zero padding, bias and leaky ReLU. Before anything
//          is stored, SHUFFLES makes four channels one channel of four pixels, and ADDS adds a tensor.
// Inputs:  planes of four channels; weights in the order of `portrait_network::pack`,
//          [out tile][in / 4][tap][in lane 0-3][OUT_TILE], f32 or (HALF_WEIGHTS) f16; f32 biases for whole tiles.
// Outputs: planes of four channels, with their border of zeros.
// Dispatch: one invocation makes 4 x 2 pixels of one tile of OUT_TILE channels; z counts tiles. All invocations of a workgroup read the same
//          weights.
// Memory:  for 3 x 3, stride 1: a turn of the loop reads 12 texels and 384 (f16: 192) bytes of weights for 768 multiply-adds.
//
// A turn of the loop is one row of the kernel in one plane. Its weights fit into the scalar registers of AMD's GPUs, and its sums and pixels
// leave registers for eight waves; more at a time would be spilled. In f16, pixels and weights are operands of the multiply-adds as they are.
enable f16;
#import portrait::conv::{
    Eight, Four, Pixel, ROW_BLOCKS, Row, Sum, biased_row, clear_borders, eight, first_tile, grid_px, layer, load, source_planes, source_start, store,
    tile_corner,
}
#import portrait::layout::{row_texels, texel_index}

// The tile below is written for eight channels and two rows of pixels.
const_assert #{OUT_TILE} == 8;
const_assert #{TILE_ROWS} == 2;

#ifdef HALF_PRODUCTS
alias One = f16;
alias Quad = vec4<f16>;
#else
alias One = f32;
alias Quad = vec4<f32>;
#endif

// Weights of the four input channels of a plane at one tap.
struct Tap {
    x: Eight,
    y: Eight,
    z: Eight,
    w: Eight,
}

fn tap_at(at: u32) -> Tap {
    return Tap(eight(at), eight(at + ROW_BLOCKS), eight(at + 2u * ROW_BLOCKS), eight(at + 3u * ROW_BLOCKS));
}

// Pixels of the source under four pixels of the tile, at one tap.
struct Under {
    a: Pixel,
    b: Pixel,
    c: Pixel,
    d: Pixel,
}

fn under_left(x: Row) -> Under {
#if STRIDE == 1
    return Under(x.a, x.b, x.c, x.d);
#else
#if KERNEL == 1
    return Under(x.a, x.b, x.c, x.d);
#else
    return Under(x.a, x.c, x.e, x.g);
#endif
#endif
}

#if KERNEL == 3
fn under_middle(x: Row) -> Under {
#if STRIDE == 1
    return Under(x.b, x.c, x.d, x.e);
#else
    return Under(x.b, x.d, x.f, x.h);
#endif
}

fn under_right(x: Row) -> Under {
#if STRIDE == 1
    return Under(x.c, x.d, x.e, x.f);
#else
    return Under(x.c, x.e, x.g, x.i);
#endif
}
#endif

// Sums of four neighbouring pixels, in the precision of the products.
struct Part {
    a: Eight,
    b: Eight,
    c: Eight,
    d: Eight,
}

fn multiply(sum: Eight, by: Eight, x: One) -> Eight {
    return Eight(fma(by.low, Quad(x), sum.low), fma(by.high, Quad(x), sum.high));
}

fn add_channel(sum: Part, by: Eight, a: One, b: One, c: One, d: One) -> Part {
    return Part(multiply(sum.a, by, a), multiply(sum.b, by, b), multiply(sum.c, by, c), multiply(sum.d, by, d));
}

fn add_tap(sum: Part, by: Tap, x: Under) -> Part {
    var part = add_channel(sum, by.x, x.a.value.x, x.b.value.x, x.c.value.x, x.d.value.x);
    part = add_channel(part, by.y, x.a.value.y, x.b.value.y, x.c.value.y, x.d.value.y);
    part = add_channel(part, by.z, x.a.value.z, x.b.value.z, x.c.value.z, x.d.value.z);
    return add_channel(part, by.w, x.a.value.w, x.b.value.w, x.c.value.w, x.d.value.w);
}

// Returns the texels between the first turn's row of pixels and another turn's, which is one row of the kernel in one plane.
fn turn_offset(turn: u32) -> u32 {
    let plane_texels = texel_index(1u, vec2<u32>(0u), layer.source_size_px);
    return turn / #{KERNEL}u * plane_texels + turn % #{KERNEL}u * row_texels(layer.source_size_px);
}

// Blocks of the weights of one tap, and of one turn.
const TAP_BLOCKS = 4u * ROW_BLOCKS;
const TURN_BLOCKS = #{KERNEL}u * TAP_BLOCKS;

#ifdef HALF_PRODUCTS
// Products are added up in f16 over so many turns, 36 or 32 products, and then in f32.
#if KERNEL == 3
const TURNS = 3u;
#else
const TURNS = 8u;
#endif

// Adds up the products of the turns from `first` to before `end`, for one row of the tile.
fn part_of_row(first: u32, end: u32, at: u32, under: u32) -> Part {
    let none = Eight(Quad(0.0), Quad(0.0));
    var part = Part(none, none, none, none);
    for (var turn = first; turn < end; turn += 1u) {
        let by = at + turn * TURN_BLOCKS;
        let x = load(under + turn_offset(turn));
        part = add_tap(part, tap_at(by), under_left(x));
#if KERNEL == 3
        part = add_tap(part, tap_at(by + TAP_BLOCKS), under_middle(x));
        part = add_tap(part, tap_at(by + 2u * TAP_BLOCKS), under_right(x));
#endif
    }
    return part;
}

fn both(sum: Sum, part: Eight) -> Sum {
    return Sum(sum.low + vec4<f32>(part.low), sum.high + vec4<f32>(part.high));
}

fn add_part(sum: Four, part: Part) -> Four {
    return Four(both(sum.a, part.a), both(sum.b, part.b), both(sum.c, part.c), both(sum.d, part.d));
}
#else
fn part_of(sum: Four) -> Part {
    return Part(
        Eight(sum.a.low, sum.a.high), Eight(sum.b.low, sum.b.high), Eight(sum.c.low, sum.c.high), Eight(sum.d.low, sum.d.high),
    );
}

fn sum_of(part: Part) -> Four {
    return Four(
        Sum(part.a.low, part.a.high), Sum(part.b.low, part.b.high), Sum(part.c.low, part.c.high), Sum(part.d.low, part.d.high),
    );
}
#endif

@compute @workgroup_size(#{CONV_WORKGROUP}, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let corner = tile_corner(group.xy, index);
    // Units skip the half of a wave in which all invocations have left.
    if any(corner >= grid_px()) {
        return;
    }
    let out_tile = first_tile(group.z);
    let turns = source_planes() * #{KERNEL}u;
    let at = layer.weight_at + out_tile * turns * TURN_BLOCKS;
    let under = source_start(corner);
    // From a row of pixels under the tile's upper row to the one under its lower row.
    let below = row_texels(layer.source_size_px) * #{STRIDE}u;
#ifdef HALF_PRODUCTS
    var upper = biased_row(out_tile);
    var lower = upper;
    for (var first = 0u; first < turns; first += TURNS) {
        let end = min(first + TURNS, turns);
        // One row after the other: the sums of both in f16 would leave too few registers.
        upper = add_part(upper, part_of_row(first, end, at, under));
        lower = add_part(lower, part_of_row(first, end, at, under + below));
    }
#else
    var upper_part = part_of(biased_row(out_tile));
    var lower_part = upper_part;
    for (var turn = 0u; turn < turns; turn += 1u) {
        let by = at + turn * TURN_BLOCKS;
        let place = under + turn_offset(turn);
        // Tap by tap: the weights of all, as f32, would leave too few scalar registers.
        let x = load(place);
        let y = load(place + below);
        let left = tap_at(by);
        upper_part = add_tap(upper_part, left, under_left(x));
        lower_part = add_tap(lower_part, left, under_left(y));
#if KERNEL == 3
        let right = tap_at(by + 2u * TAP_BLOCKS);
        upper_part = add_tap(upper_part, right, under_right(x));
        lower_part = add_tap(lower_part, right, under_right(y));
        // With a stride of 2 the pixels under the middle are others. They are read only now, into the registers of those before.
        let middle = tap_at(by + TAP_BLOCKS);
        upper_part = add_tap(upper_part, middle, under_middle(load(place)));
        lower_part = add_tap(lower_part, middle, under_middle(load(place + below)));
#endif
    }
    let upper = sum_of(upper_part);
    let lower = sum_of(lower_part);
#endif
    store(out_tile, corner, upper);
    store(out_tile, corner + vec2<u32>(0u, 1u), lower);
    clear_borders(out_tile, corner);
}
