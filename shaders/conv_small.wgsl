// Purpose: what `conv.wgsl` computes, in loops: it compiles in a moment, and runs until the fast kernels are there.
// Inputs, outputs: as `conv.wgsl`.
// Dispatch: one invocation makes 4 x 1 pixels of one tile of OUT_TILE channels; z counts tiles.
// Memory:  for 3 x 3 and stride 1: 18 texels and 1152 (f16: 576) bytes of weights for 1,152 multiply-adds. With SHARED_PIXELS a workgroup
//          reads each texel once, and keeps at most 11 KiB (f16).
enable f16;
#import portrait::conv::{
    Four, Pixel, ROW_BLOCKS, Sum, Tap, add, begin, biased_row, clear_borders, end, first, first_tile, fourth, grid_px, layer, load, second, share_pixels,
    shared_row, shared_start, source_planes, source_start, store, tap, third, tile_corner,
}
#import portrait::layout::{row_texels, texel_index}

const_assert #{OUT_TILE} == 8;
const_assert #{TILE_ROWS} == 1;

// What one tap of the kernel, `at`, adds to four pixels.
fn add_tap(sum: Four, at: u32, a: Pixel, b: Pixel, c: Pixel, d: Pixel) -> Four {
    let by = tap(at);
    return Four(add_pixel(sum.a, by, a), add_pixel(sum.b, by, b), add_pixel(sum.c, by, c), add_pixel(sum.d, by, d));
}

fn add_pixel(sum: Sum, by: Tap, x: Pixel) -> Sum {
    return end(sum, add(begin(sum), by, x));
}

@compute @workgroup_size(#{CONV_WORKGROUP}, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let corner = tile_corner(group.xy, index);
#ifdef SHARED_PIXELS
    // No invocation leaves before it has read its share; one beyond the image stores nothing.
    let first_at = source_start(tile_corner(group.xy, 0u));
    let shared_at = shared_start(index);
#else
    if any(corner >= grid_px()) {
        return;
    }
    let first_at = source_start(corner);
#endif
    let out_tile = first_tile(group.z);
    let plane_texels = texel_index(1u, vec2<u32>(0u), layer.source_size_px);
    let row = row_texels(layer.source_size_px);
    let kernel_row = #{KERNEL}u * 4u * ROW_BLOCKS;
    var at = layer.weight_at + out_tile * layer.source_planes * #{KERNEL}u * kernel_row;
    var sum = biased_row(out_tile);
    for (var plane = 0u; plane < source_planes(); plane += 1u) {
#ifdef SHARED_PIXELS
        share_pixels(first_at + plane * plane_texels, row, index);
#endif
        for (var y = 0u; y < #{KERNEL}u; y += 1u) {
#ifdef SHARED_PIXELS
            let x = load(shared_at + y * shared_row());
#else
            let x = load(first_at + plane * plane_texels + y * row);
#endif
            let a = first(x);
            let b = second(x);
            let c = third(x);
            let d = fourth(x);
#if KERNEL == 3
            sum = add_tap(sum, at, a.left, b.left, c.left, d.left);
            sum = add_tap(sum, at + 4u * ROW_BLOCKS, a.middle, b.middle, c.middle, d.middle);
            sum = add_tap(sum, at + 8u * ROW_BLOCKS, a.right, b.right, c.right, d.right);
#else
            sum = add_tap(sum, at, a.middle, b.middle, c.middle, d.middle);
#endif
            at += kernel_row;
        }
    }
    store(out_tile, corner, sum);
    clear_borders(out_tile, corner);
}
