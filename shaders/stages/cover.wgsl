// The share of the effect that the user's mask and the surfaces in front of the face leave to a pixel.
#define_import_path portrait::cover
#import portrait::depths::{depth_range, depth_sum}
#import portrait::region::{Region, drawn_at, view_at}

#ifdef MULTISAMPLED
@group(0) @binding(4) var depths: texture_depth_multisampled_2d;
@group(0) @binding(8) var final_depths: texture_depth_multisampled_2d;
#else
@group(0) @binding(4) var depths: texture_depth_2d;
@group(0) @binding(8) var final_depths: texture_depth_2d;
#endif
@group(0) @binding(5) var mask: texture_2d<f32>;
@group(0) @binding(6) var mask_sampler: sampler;
@group(0) @binding(7) var<storage, read> boxes: array<ExcludedBox>;
// Depths before transparent objects and overlays were drawn, kept by `keep_depth.wgsl`.
@group(0) @binding(9) var<storage, read> opaque_depths: array<f32>;

// A box whose content is left alone (Rust: `extract::exclusion::ExcludedBox`).
struct ExcludedBox {
    // Transform from the world to the cube from -1 to 1 that stands for the box.
    cube_from_world: mat4x4<f32>,
    // 1 where surfaces seen through the box are left alone as well, else 0.
    see_through: u32,
}

const SCREEN = 1u;
const OFF_THE_FACE = 2u;
// Share of the face's box by which its hair may reach out of it.
const HAIR_MARGIN = 0.1;
// Share of a depth that is larger than the rounding error of its sum.
const DEPTH_ROUNDING = 1e-6;

fn world_at(region: Region, place: vec2<f32>, depth: f32) -> vec3<f32> {
    return (region.world_from_view * vec4<f32>(view_at(region, place, depth), 1.0)).xyz;
}

// Returns the mask's value for a surface, and 1 without a mask.
fn masked(region: Region, place: vec2<f32>, depth: f32) -> f32 {
    if region.mask_space == 0u {
        return 1.0;
    }
    var uv = (place - region.viewport_px.xy) / region.main_pass_px;
    if region.mask_space != SCREEN {
        // Reversed depth: nothing was drawn here, so this is not the face.
        if depth <= 0.0 {
            return 0.0;
        }
        uv = (region.face_from_world * vec4<f32>(world_at(region, place, depth), 1.0)).xy;
    }
    return saturate(textureSampleLevel(mask, mask_sampler, uv, 0.0).r);
}

// Returns true if the line between two points of the cube's space meets the cube (slab method, Kay and Kajiya 1986).
fn meets_cube(start: vec3<f32>, end: vec3<f32>) -> bool {
    let along = end - start;
    let direction = select(along, vec3<f32>(1e-12), abs(along) < vec3<f32>(1e-12));
    let a = (-1.0 - start) / direction;
    let b = (1.0 - start) / direction;
    let enters = min(a, b);
    let leaves = max(a, b);
    return max(max(enters.x, enters.y), max(enters.z, 0.0)) <= min(min(leaves.x, leaves.y), min(leaves.z, 1.0));
}

// Returns true if the surface at a place is in front of the face or in an excluded box, and so is never painted over.
fn is_excluded(region: Region, place: vec2<f32>, depth: f32) -> bool {
    if depth <= 0.0 {
        return false;
    }
    if -view_at(region, place, depth).z < region.front_distance {
        return true;
    }
    let world = world_at(region, place, depth);
    for (var index = 0u; index < region.excluded; index += 1u) {
        let inside = (boxes[index].cube_from_world * vec4<f32>(world, 1.0)).xyz;
        if boxes[index].see_through == 0u && all(abs(inside) <= vec3<f32>(1.0)) {
            return true;
        }
    }
    return false;
}

// Returns true if the surface at a place is seen through a box that is marked `see_through`.
fn is_seen_through(region: Region, place: vec2<f32>, depth: f32) -> bool {
    for (var index = 0u; index < region.excluded; index += 1u) {
        if boxes[index].see_through != 0u {
            let cube = boxes[index].cube_from_world;
            let near = (cube * vec4<f32>(world_at(region, place, 1.0), 1.0)).xyz;
            let far = (cube * vec4<f32>(world_at(region, place, max(depth, 1e-6)), 1.0)).xyz;
            if meets_cube(near, far) {
                return true;
            }
        }
    }
    return false;
}

// Returns true if an overlay with a depth of its own, such as a gizmo, was drawn over the scene.
fn is_overlaid(region: Region, pixel: vec2<u32>, place: vec2<f32>) -> bool {
    let inside = pixel - region.origin_px;
    let before = opaque_depths[region.opaque_depths_at + inside.y * region.size_px.x + inside.x];
    if depth_sum(final_depths, vec2<i32>(place)) <= before * (1.0 + DEPTH_ROUNDING) {
        return false;
    }
    if region.overlay != OFF_THE_FACE {
        return true;
    }
    // What was drawn in the face's box is its hair.
    let depth = depth_range(final_depths, vec2<i32>(place)).y;
    let in_face = (region.face_from_world * vec4<f32>(world_at(region, place, depth), 1.0)).xyz;
    return any(in_face < vec3<f32>(-HAIR_MARGIN)) || any(in_face > vec3<f32>(1.0 + HAIR_MARGIN));
}

// Returns the share of the effect that a pixel gets: 0 leaves it alone, 1 is the whole effect.
fn cover(region: Region, pixel: vec2<u32>) -> f32 {
    // From here on, places are those of the prepasses.
    let place = drawn_at(region, vec2<f32>(pixel) + 0.5);
    if region.overlay != 0u && is_overlaid(region, pixel, place) {
        return 0.0;
    }
    // Depth is reversed. A pixel that is covered in part holds something else in part.
    if region.empty_depth >= 0.0 && depth_range(final_depths, vec2<i32>(place)).x <= region.empty_depth {
        return 0.0;
    }
    if region.has_depth == 0u {
        return masked(region, place, 0.0);
    }
    let texel = vec2<i32>(place);
    let depth = textureLoad(depths, texel, 0);
    let amount = masked(region, place, depth);
    if amount <= 0.0 || (region.front_distance <= 0.0 && region.excluded == 0u) {
        return amount;
    }
    if is_seen_through(region, place, depth) {
        return 0.0;
    }
    // Neighbours are tested as well: anti-aliasing gives pixels beside an edge a part of the surface across it.
    let low = vec2<i32>(region.viewport_px.xy);
    let high = low + vec2<i32>(region.main_pass_px) - 1;
    for (var step = 0; step < 9; step += 1) {
        let other = clamp(texel + vec2<i32>(step % 3 - 1, step / 3 - 1), low, high);
        if is_excluded(region, vec2<f32>(other) + 0.5, textureLoad(depths, other, 0)) {
            return 0.0;
        }
    }
    return amount;
}
