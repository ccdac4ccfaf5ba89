// Purpose: shapes the residual as the settings ask: weighs its base and its detail layer, and steadies it by the last frame's.
// Inputs:  the residual, its base layer (`base_layer.wgsl`), the last frame's shaped residual, the camera's motion vectors, the region copy.
// Outputs: the shaped residual, laid out as the residual; in its fourth channel the luma of the frame under it.
// Dispatch: one invocation a pixel of the network.
// Memory:  9 texels of residual, 4 points of the base layer, 4 texels of the last frame, one to four of the frame read, a texel written a pixel.
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
@group(0) @binding(4) var<storage, read> base_layer: array<vec4<f32>>;
#ifdef MULTISAMPLED
@group(0) @binding(5) var motion: texture_multisampled_2d<f32>;
#else
@group(0) @binding(5) var motion: texture_2d<f32>;
#endif
@group(0) @binding(6) var frame: texture_2d<f32>;

// Bounds of the change of luma between two frames: a surface that changes by less than SAME_LUMA is taken for the same one, and by more than
// OTHER_LUMA for another one, as where a mouth opens.
const SAME_LUMA = 0.06;
const OTHER_LUMA = 0.18;

// Returns the luma of the frame under a pixel of the network, BT.709, display-referred.
fn luma_at(pixel: vec2<u32>) -> f32 {
    let weights = vec3<f32>(0.2126, 0.7152, 0.0722);
    if any(pixel >= region.guide_px) {
        return dot(weights, srgb_encode(shown(textureLoad(frame, pixel, 0).rgb)));
    }
    // The frame is read in the middle of each quarter of the network's pixel.
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

// Returns the base layer at a pixel, bilinearly between its points.
fn base_at(pixel: vec2<u32>) -> vec3<f32> {
    let at = vec2<f32>(pixel) / f32(region.base_step);
    let corner = vec2<u32>(at);
    let part = at - vec2<f32>(corner);
    let row = region.base_points.x;
    let first = corner.y * row + corner.x;
    return mix(mix(base_layer[first], base_layer[first + 1u], part.x), mix(base_layer[first + row], base_layer[first + row + 1u], part.x), part.y).rgb;
}

// Returns the residual with its base and its detail layer multiplied by their factors.
fn weighted(pixel: vec2<u32>) -> vec3<f32> {
    let whole = residual_at(pixel);
    if any(pixel / region.base_step >= region.base_points) {
        return whole * region.base;
    }
    let base = base_at(pixel);
    return region.base * base + region.detail * (whole - base);
}

@compute @workgroup_size(#{WORKGROUP_SIDE}, #{WORKGROUP_SIDE}, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let pixel = id.xy;
    if any(pixel >= region.network_px) {
        return;
    }
    var value = weighted(pixel);
    let luma = luma_at(pixel);
    // `place` is where the last frame's region showed the surface under the pixel's middle; without a last frame that region is empty.
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
        // Values outside the neighbourhood's range belong to another surface, lighting or expression (Karis 2014).
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
