// Purpose: adds the network's residual to the frame, inside the region only.
// Inputs:  the copied region (linear colour), the residual, one plane, in display-referred sRGB.
// Outputs: the camera's main texture, linear colour; alpha is kept. Pixels of weight 0 are not written at all.
// Dispatch: a full-screen triangle, cut to the region by the scissor.
// Memory:  8 to 16 bytes of texture and one texel (scaled: four) of residual read, one texel written a pixel.
#import portrait::layout::{decode, plane_index}
#import portrait::region::Region
#import portrait::transfer::{srgb_decode, srgb_encode}

@group(0) @binding(0) var<uniform> region: Region;
@group(0) @binding(1) var frame: texture_2d<f32>;
#ifdef HALF_ACTIVATIONS
@group(0) @binding(2) var<storage, read> residual: array<vec2<u32>>;
#else
@group(0) @binding(2) var<storage, read> residual: array<vec4<f32>>;
#endif

fn residual_at(pixel: vec2<u32>) -> vec3<f32> {
    return decode(residual[plane_index(0u, min(pixel, region.network_px - 1u), region.padded_px)]).rgb;
}

fn residual_under(pixel: vec2<u32>) -> vec3<f32> {
    if all(region.network_px == region.size_px) {
        return residual_at(pixel);
    }
    let scale = vec2<f32>(region.network_px) / vec2<f32>(region.size_px);
    let at = max((vec2<f32>(pixel) + 0.5) * scale - 0.5, vec2<f32>(0.0));
    let corner = vec2<u32>(at);
    let part = fract(at);
    let top = mix(residual_at(corner), residual_at(corner + vec2<u32>(1u, 0u)), part.x);
    let bottom = mix(residual_at(corner + vec2<u32>(0u, 1u)), residual_at(corner + vec2<u32>(1u, 1u)), part.x);
    return mix(top, bottom, part.y);
}

// 0 on the region's outermost pixels, 1 from `feather_px` inwards; sides cut by the viewport do not fade.
fn feather(pixel: vec2<u32>) -> f32 {
    let low = vec2<f32>(pixel);
    let high = vec2<f32>(region.size_px - 1u - pixel);
    let inwards = select(vec4<f32>(region.feather_px), vec4<f32>(low, high), region.fading_sides > vec4<f32>(0.5));
    let nearest = min(min(inwards.x, inwards.y), min(inwards.z, inwards.w));
    return smoothstep(0.0, region.feather_px, nearest);
}

@fragment
fn fragment(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let pixel = vec2<u32>(position.xy) - region.origin_px;
    let weight = region.strength * feather(pixel);
    if weight <= 0.0 {
        discard;
    }
    let original = textureLoad(frame, pixel, 0);
    let first = saturate(original.rgb);
    let enhanced = saturate(srgb_encode(first) + region.residual_scale * residual_under(pixel));
    // The change is added, not the result mixed in: brighter than 1 stays so, and a residual of 0 changes nothing.
    return vec4<f32>(original.rgb + weight * (srgb_decode(enhanced) - first), original.a);
}
