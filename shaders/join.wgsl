// Purpose: concatenation and sum. COPY puts a source into its place, ADD sums two, ACCUMULATE adds a further one.
// Inputs:  [C/4, H, W] vec4<f32>, once or twice.
// Outputs: as the inputs, from plane `first_plane` on.
// Dispatch: one invocation a pixel and plane of the source.
// Memory:  16 bytes read for each source and 16 written an invocation (ACCUMULATE: 32 and 16).
#import portrait::layout::{LayerParams, plane_index}

@group(0) @binding(0) var<uniform> layer: LayerParams;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
#ifdef ADD
@group(0) @binding(2) var<storage, read> other: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<storage, read_write> result: array<vec4<f32>>;

@compute @workgroup_size(#{WORKGROUP_SIDE}, #{WORKGROUP_SIDE}, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= layer.source_size_px) || id.z >= layer.source_planes {
        return;
    }
    let source_at = plane_index(id.z, id.xy, layer.source_size_px);
    let result_at = plane_index(id.z + layer.first_plane, id.xy, layer.target_size_px);
#ifdef COPY
    result[result_at] = source[source_at];
#endif
#ifdef ADD
    result[result_at] = source[source_at] + other[source_at];
#endif
#ifdef ACCUMULATE
    result[result_at] += source[source_at];
#endif
}
