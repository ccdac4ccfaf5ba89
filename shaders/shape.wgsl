// Purpose: what the user made of the residual: its broad and its fine part by factors of their own, and steadied by that of the last frame.
// Inputs:  the residual, its broad part (`light.wgsl`), the last frame's shaped residual, the camera's motion vectors, the copied region.
// Outputs: the shaped residual, laid out as the residual; in its fourth channel the luma of the frame under it.
// Dispatch: one invocation a pixel of the network.
// Memory:  9 texels of residual, 4 points of light, 4 texels of the last frame, one to four of the frame read, a texel written a pixel.
#import portrait::layout::{decode, encode, plane_index}
#import portrait::region::{Region, drawn_at}
#import portrait::transfer::{shown, srgb_encode}

@group(0) @binding(0) var<uniform> region: Region;
#ifdef HALF_ACTIVATIONS
@group(0) @binding(1) var<storage, read> residual: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> last: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> shaped: array<vec2<u32>>;
#else
@group(0) @binding(1) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> last: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> shaped: array<vec4<f32>>;
#endif
@group(0) @binding(4) var<storage, read> light: array<vec4<f32>>;
#ifdef MULTISAMPLED
@group(0) @binding(5) var motion: texture_multisampled_2d<f32>;
#else
@group(0) @binding(5) var motion: texture_2d<f32>;
#endif
@group(0) @binding(6) var frame: texture_2d<f32>;

// A surface whose luma has changed by less than the first is the same, by more than the second another: the mouth has opened.
const SAME_LUMA = 0.06;
const OTHER_LUMA = 0.18;

// BT.709, display-referred.
fn luma_at(pixel: vec2<u32>) -> f32 {
    let weights = vec3<f32>(0.2126, 0.7152, 0.0722);
    if any(pixel >= region.guide_px) {
        return dot(weights, srgb_encode(shown(textureLoad(frame, pixel, 0).rgb)));
    }
    // Of what lies under a pixel of the network, the middle of each quarter.
    let scale = vec2<f32>(region.size_px) / vec2<f32>(region.network_px);
    var sum = vec3<f32>(0.0);
    for (var quarter = 0u; quarter < 4u; quarter += 1u) {
        let place = (vec2<f32>(pixel) + 0.25 + 0.5 * vec2<f32>(f32(quarter % 2u), f32(quarter / 2u))) * scale;
        sum += shown(textureLoad(frame, min(vec2<u32>(place), region.size_px - 1u), 0).rgb);
    }
    return dot(weights, srgb_encode(sum * 0.25));
}

fn residual_at(pixel: vec2<u32>) -> vec3<f32> {
    return decode(residual[plane_index(0u, min(pixel, region.network_px - 1u), region.padded_px)]).rgb;
}

fn last_at(pixel: vec2<u32>) -> vec4<f32> {
    return decode(last[plane_index(0u, min(pixel, region.last_network_px - 1u), region.last_padded_px)]);
}

fn light_at(pixel: vec2<u32>) -> vec3<f32> {
    let at = vec2<f32>(pixel) / f32(region.light_step);
    let corner = vec2<u32>(at);
    let part = at - vec2<f32>(corner);
    let row = region.light_points.x;
    let first = corner.y * row + corner.x;
    return mix(mix(light[first], light[first + 1u], part.x), mix(light[first + row], light[first + row + 1u], part.x), part.y).rgb;
}

fn weighted(pixel: vec2<u32>) -> vec3<f32> {
    let whole = residual_at(pixel);
    if any(pixel / region.light_step >= region.light_points) {
        return whole * region.light;
    }
    let broad = light_at(pixel);
    return region.light * broad + region.detail * (whole - broad);
}

@compute @workgroup_size(#{WORKGROUP_SIDE}, #{WORKGROUP_SIDE}, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let pixel = id.xy;
    if any(pixel >= region.network_px) {
        return;
    }
    var value = weighted(pixel);
    let luma = luma_at(pixel);
    // Where the surface under the pixel's middle was in the last frame, if that is kept: else its region is empty.
    let scale = vec2<f32>(region.size_px) / vec2<f32>(region.network_px);
    let inside = (vec2<f32>(pixel) + 0.5) * scale;
    let texel = vec2<u32>(drawn_at(region, vec2<f32>(region.origin_px) + inside));
    let moved = textureLoad(motion, texel, 0).xy * region.viewport_px.zw;
    let place = vec2<f32>(region.origin_px) + inside - moved - vec2<f32>(region.last_origin_px);
    if all(place >= vec2<f32>(0.0)) && all(place < vec2<f32>(region.last_size_px)) {
        let at = max(place * vec2<f32>(region.last_network_px) / vec2<f32>(region.last_size_px) - 0.5, vec2<f32>(0.0));
        let corner = vec2<u32>(at);
        let part = at - vec2<f32>(corner);
        let kept = mix(
            mix(last_at(corner), last_at(corner + vec2<u32>(1u, 0u)), part.x),
            mix(last_at(corner + vec2<u32>(0u, 1u)), last_at(corner + 1u), part.x),
            part.y,
        );
        // What the neighbourhood does not hold is another surface, another light or another expression (Karis 2014).
        var low = value;
        var high = value;
        for (var step = 0; step < 9; step += 1) {
            let near = vec2<i32>(pixel) + vec2<i32>(step % 3 - 1, step / 3 - 1);
            let other = weighted(vec2<u32>(clamp(near, vec2<i32>(0), vec2<i32>(region.network_px) - 1)));
            low = min(low, other);
            high = max(high, other);
        }
        let changed = smoothstep(SAME_LUMA, OTHER_LUMA, abs(kept.a - luma));
        value = mix(value, clamp(kept.rgb, low, high), region.history * (1.0 - changed));
    }
    shaped[plane_index(0u, pixel, region.padded_px)] = encode(vec4<f32>(value, luma));
}
