// Purpose: stands in for `conv.wgsl` on software rasterisers until the suited kernels are compiled: its loops compile in a moment.
// Inputs, outputs: as `conv.wgsl`.
// Dispatch: one invocation makes 4 x 1 pixels of one tile of OUT_TILE channels; z counts tiles.
// Memory:  for 3 x 3: 36 texels and 1152 (f16: 576) bytes of weights for 1,152 multiply-adds. 
enable f16;
#import portrait::conv::{
    Four, ROW_BLOCKS, Sum, biased_row, clear_borders, eight, first_tile, grid_px, layer, pixel_at, source_planes, source_start, store,
    tile_corner,
}
#import portrait::layout::{row_texels, texel_index}

const_assert #{OUT_TILE} == 8;
const_assert #{TILE_ROWS} == 1;

// A tile begins left of its first pixel, where a 1 x 1 kernel reads nothing.
#if KERNEL == 1
const FIRST = 1u;
#else
const FIRST = 0u;
#endif
const TAPS = #{KERNEL}u * #{KERNEL}u;

fn add(sum: Sum, low: vec4<f32>, high: vec4<f32>, x: f32) -> Sum {
    return Sum(fma(low, vec4<f32>(x), sum.low), fma(high, vec4<f32>(x), sum.high));
}

// Adds the products of one input channel at one tap to the sums of four pixels.
fn add_channel(sum: Four, at: u32, x: vec4<f32>) -> Four {
    let by = eight(at);
    let low = vec4<f32>(by.low);
    let high = vec4<f32>(by.high);
    return Four(add(sum.a, low, high, x.x), add(sum.b, low, high, x.y), add(sum.c, low, high, x.z), add(sum.d, low, high, x.w));
}

@compute @workgroup_size(#{CONV_WORKGROUP}, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let corner = tile_corner(group.xy, index);
    if any(corner >= grid_px()) {
        return;
    }
    let first_at = source_start(corner);
    let out_tile = first_tile(group.z);
    let plane_texels = texel_index(1u, vec2<u32>(0u), layer.source_size_px);
    let row = row_texels(layer.source_size_px);
    var at = layer.weight_at + out_tile * layer.source_planes * TAPS * 4u * ROW_BLOCKS;
    var sum = biased_row(out_tile);
    for (var plane = 0u; plane < source_planes(); plane += 1u) {
        let under = first_at + plane * plane_texels;
        for (var tap = 0u; tap < TAPS; tap += 1u) {
            let place = under + tap / #{KERNEL}u * row + tap % #{KERNEL}u + FIRST;
            let a = vec4<f32>(pixel_at(place).value);
            let b = vec4<f32>(pixel_at(place + #{STRIDE}u).value);
            let c = vec4<f32>(pixel_at(place + 2u * #{STRIDE}u).value);
            let d = vec4<f32>(pixel_at(place + 3u * #{STRIDE}u).value);
            sum = add_channel(sum, at, vec4<f32>(a.x, b.x, c.x, d.x));
            sum = add_channel(sum, at + ROW_BLOCKS, vec4<f32>(a.y, b.y, c.y, d.y));
            sum = add_channel(sum, at + 2u * ROW_BLOCKS, vec4<f32>(a.z, b.z, c.z, d.z));
            sum = add_channel(sum, at + 3u * ROW_BLOCKS, vec4<f32>(a.w, b.w, c.w, d.w));
            at += 4u * ROW_BLOCKS;
        }
    }
    store(out_tile, corner, sum);
    clear_borders(out_tile, corner);
}
