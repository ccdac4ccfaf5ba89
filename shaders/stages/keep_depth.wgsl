// Purpose: keeps the scene's depths before Bevy draws transparent objects, so that the composite pass finds overlays drawn over them.
// Inputs:  the camera's depth buffer.
// Outputs: the sum of each pixel's samples in the region, row by row.
// Dispatch: one invocation a pixel of the region.
// Memory:  one depth a sample read, 4 bytes written a pixel.
#import portrait::depths::depth_sum
#import portrait::region::{Region, drawn_at}

@group(0) @binding(0) var<uniform> region: Region;
#ifdef MULTISAMPLED
@group(0) @binding(1) var depths: texture_depth_multisampled_2d;
#else
@group(0) @binding(1) var depths: texture_depth_2d;
#endif
@group(0) @binding(2) var<storage, read_write> kept: array<f32>;

@compute @workgroup_size(#{WORKGROUP_SIDE}, #{WORKGROUP_SIDE}, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let pixel = id.xy;
    if any(pixel >= region.size_px) {
        return;
    }
    let texel = vec2<i32>(drawn_at(region, vec2<f32>(region.origin_px + pixel) + 0.5));
    kept[region.opaque_depths_at + pixel.y * region.size_px.x + pixel.x] = depth_sum(depths, texel);
}
