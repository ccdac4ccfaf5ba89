// Purpose: layers that move values and compute nothing. One of SPACE_TO_DEPTH, PIXEL_SHUFFLE, NEAREST is defined.
// Inputs:  [C/4, H, W] vec4<f32>.
// Outputs: [C'/4, H', W'] vec4<f32>; channels beyond the last one are zero.
// Dispatch: one invocation a pixel and plane of the target.
// Memory:  16 bytes read (four reads of which a quarter is used, for the first two) and written an invocation.
#import portrait::layout::{LayerParams, plane_index}

@group(0) @binding(0) var<uniform> layer: LayerParams;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> result: array<vec4<f32>>;

fn source_value(channel: u32, pixel: vec2<u32>) -> f32 {
    return source[plane_index(channel / 4u, pixel, layer.source_size_px)][channel % 4u];
}

// The value of one channel of the target.
fn value(channel: u32, pixel: vec2<u32>) -> f32 {
    if channel >= layer.target_channels {
        return 0.0;
    }
#ifdef SPACE_TO_DEPTH
    let area = layer.factor * layer.factor;
    let inside = channel % area;
    let offset = vec2<u32>(inside % layer.factor, inside / layer.factor);
    return source_value(channel / area, pixel * layer.factor + offset);
#else
    return source_value(channel * 4u + pixel.y % 2u * 2u + pixel.x % 2u, pixel / 2u);
#endif
}

@compute @workgroup_size(#{WORKGROUP_SIDE}, #{WORKGROUP_SIDE}, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let pixel = id.xy;
    if any(pixel >= layer.target_size_px) || id.z >= layer.target_planes {
        return;
    }
    let at = plane_index(id.z, pixel, layer.target_size_px);
#ifdef NEAREST
    result[at] = source[plane_index(id.z, pixel / 2u, layer.source_size_px)];
#else
    let channel = id.z * 4u;
    result[at] = vec4<f32>(
        value(channel, pixel),
        value(channel + 1u, pixel),
        value(channel + 2u, pixel),
        value(channel + 3u, pixel),
    );
#endif
}
