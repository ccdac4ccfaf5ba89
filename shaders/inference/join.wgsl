// Purpose: concatenates or sums tensors. COPY puts a source into its place, ADD sums two sources, ACCUMULATE adds a further one.
// Inputs:  planes of four channels, once or twice.
// Outputs: as the inputs, from plane `first_plane` on, with their border of zeros.
// Dispatch: one invocation a texel and plane of the source, borders included.
// Memory:  one texel read for each source and one written an invocation (ACCUMULATE: two and one).
#import portrait::layout::{LayerParams, decode, encode, is_border, texel_index}

@group(0) @binding(0) var<uniform> layer: LayerParams;
#ifdef HALF_ACTIVATIONS
@group(0) @binding(1) var<storage, read> source: array<vec2<u32>>;
#ifdef ADD
@group(0) @binding(4) var<storage, read> other: array<vec2<u32>>;
#endif
@group(0) @binding(3) var<storage, read_write> result: array<vec2<u32>>;
#else
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
#ifdef ADD
@group(0) @binding(4) var<storage, read> other: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<storage, read_write> result: array<vec4<f32>>;
#endif

@compute @workgroup_size(#{WORKGROUP_SIDE}, #{WORKGROUP_SIDE}, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = layer.source_size_px;
    if any(id.xy > size + 1u) || id.z >= layer.source_planes {
        return;
    }
    let source_at = texel_index(id.z, id.xy, size);
    let result_at = texel_index(id.z + layer.first_plane, id.xy, size);
    if is_border(id.xy, size) {
        result[result_at] = encode(vec4<f32>(0.0));
        return;
    }
#ifdef COPY
    result[result_at] = source[source_at];
#endif
#ifdef ADD
    result[result_at] = encode(decode(source[source_at]) + decode(other[source_at]));
#endif
#ifdef ACCUMULATE
    result[result_at] = encode(decode(result[result_at]) + decode(source[source_at]));
#endif
}
