// Purpose: moves values and computes nothing. One of SPACE_TO_DEPTH, PIXEL_SHUFFLE and NEAREST is defined.
// Inputs:  planes of four channels.
// Outputs: planes of four channels, with their border of zeros; channels beyond the last one are zero.
// Dispatch: one invocation a texel and plane of the target, borders included.
// Memory:  one texel read (SPACE_TO_DEPTH and PIXEL_SHUFFLE: a quarter of four texels) and one written an invocation.
#import portrait::layout::{LayerParams, decode, encode, is_border, plane_index, texel_index}

@group(0) @binding(0) var<uniform> layer: LayerParams;
#ifdef HALF_ACTIVATIONS
@group(0) @binding(1) var<storage, read> source: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> result: array<vec2<u32>>;
#else
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> result: array<vec4<f32>>;
#endif

fn source_value(channel: u32, pixel: vec2<u32>) -> f32 {
    return decode(source[plane_index(channel / 4u, pixel, layer.source_size_px)])[channel % 4u];
}

// Returns the value of one channel of the target.
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
    if any(id.xy > layer.target_size_px + 1u) || id.z >= layer.target_planes {
        return;
    }
    let at = texel_index(id.z, id.xy, layer.target_size_px);
    if is_border(id.xy, layer.target_size_px) {
        result[at] = encode(vec4<f32>(0.0));
        return;
    }
    let pixel = id.xy - 1u;
#ifdef NEAREST
    result[at] = source[plane_index(id.z, pixel / 2u, layer.source_size_px)];
#else
    let channel = id.z * 4u;
    result[at] = encode(vec4<f32>(
        value(channel, pixel),
        value(channel + 1u, pixel),
        value(channel + 2u, pixel),
        value(channel + 3u, pixel),
    ));
#endif
}
