// Purpose: adds the network's residual to the frame, inside the region only.
// Inputs:  the region copy (linear colour); the residual, one plane, in display-referred sRGB; where the region was scaled down for the
//          network, the guide: the region's colours as the network saw them.
// Outputs: the camera's main texture, linear colour; alpha is kept, and weighs the change. Pixels of weight 0 are not written at all.
// Dispatch: a full-screen triangle, cut to the region by the scissor.
// Memory:  8 to 16 bytes of texture and one texel (scaled: four, and 16 bytes of guide) of residual read, one texel written a pixel.
#import portrait::cover::cover
#import portrait::layout::{decode, plane_index}
#import portrait::region::Region
#import portrait::transfer::{shown, srgb_decode, srgb_encode}

@group(0) @binding(0) var<uniform> region: Region;
@group(0) @binding(1) var frame: texture_2d<f32>;
#ifdef HALF_ACTIVATIONS
@group(0) @binding(2) var<storage, read> residual: array<vec2<u32>>;
#else
@group(0) @binding(2) var<storage, read> residual: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<storage, read> guide: array<u32>;

fn residual_at(pixel: vec2<u32>) -> vec3<f32> {
    return decode(residual[plane_index(0u, min(pixel, region.network_px - 1u), region.padded_px)]).rgb;
}

fn guide_at(pixel: vec2<u32>) -> vec3<f32> {
    let place = min(pixel, region.network_px - 1u);
    return unpack4x8unorm(guide[place.y * region.network_px.x + place.x]).rgb;
}

// Noise of the guide, display-referred sRGB: differences of this size say little about how the residual follows the colour.
const GUIDE_NOISE = 0.02;
// Bounds of the distance between the colours that the network saw, as a squared share of the detail: below MIN_SUPPORT the colours say
// nothing about the detail, above FULL_SUPPORT everything.
const MIN_SUPPORT = 0.1;
const FULL_SUPPORT = 0.3;

// Returns the residual of a pixel of the frame whose colour is `color`, display-referred sRGB.
//
// Where the region was scaled down, the residual is known for averages of the frame's colours, and the pixel lies between four of them.
// Their bilinear value is corrected by the difference of the pixel's colour from their bilinear colour, along the line on which the
// residual changes with the colour among the four: the regression of a guided filter (He et al. 2013; Wu et al. 2018) in the direction of
// that difference. Hard edges lie on the line. Detail finer than the network's pixels lies far outside of the line, keeps the bilinear
// residual, and so stays in the frame as it is. Joint bilateral upsampling (Kopf et al. 2007) from the same four comes as near to the
// network at full size on faces, and less near at hard edges.
fn residual_under(pixel: vec2<u32>, color: vec3<f32>, is_scaled: bool) -> vec3<f32> {
    if !is_scaled {
        return residual_at(pixel);
    }
    let scale = vec2<f32>(region.network_px) / vec2<f32>(region.size_px);
    let at = max((vec2<f32>(pixel) + 0.5) * scale - 0.5, vec2<f32>(0.0));
    let corner = vec2<u32>(at);
    let part = fract(at);
    let right = corner + vec2<u32>(1u, 0u);
    let below = corner + vec2<u32>(0u, 1u);
    let r = array<vec3<f32>, 4>(residual_at(corner), residual_at(right), residual_at(below), residual_at(corner + 1u));
    let g = array<vec3<f32>, 4>(guide_at(corner), guide_at(right), guide_at(below), guide_at(corner + 1u));
    let bilinear = mix(mix(r[0], r[1], part.x), mix(r[2], r[3], part.x), part.y);
    let detail = color - mix(mix(g[0], g[1], part.x), mix(g[2], g[3], part.x), part.y);

    let mean_r = ((r[0] + r[1]) + (r[2] + r[3])) * 0.25;
    let mean_g = ((g[0] + g[1]) + (g[2] + g[3])) * 0.25;
    let along = vec4<f32>(dot(g[0] - mean_g, detail), dot(g[1] - mean_g, detail), dot(g[2] - mean_g, detail),
        dot(g[3] - mean_g, detail));
    let covariance = along.x * (r[0] - mean_r) + along.y * (r[1] - mean_r) + along.z * (r[2] - mean_r)
        + along.w * (r[3] - mean_r);
    let square = dot(detail, detail);
    let change = covariance * (square / (dot(along, along) + 4.0 * GUIDE_NOISE * GUIDE_NOISE * square + 1e-12));
    let support = smoothstep(MIN_SUPPORT, FULL_SUPPORT, dot(along, along) / (4.0 * square * square + 1e-12));
    // A colour that the network has not seen may have a residual beyond the four, but not far beyond them.
    let low = min(min(r[0], r[1]), min(r[2], r[3]));
    let high = max(max(r[0], r[1]), max(r[2], r[3]));
    let beyond = 0.5 * (high - low);
    return clamp(bilinear + support * change, low - beyond, high + beyond);
}

// Returns 0 on the region's outermost pixels, and 1 from `feather_px` inwards; sides cut by the viewport do not fade.
fn feather(pixel: vec2<u32>) -> f32 {
    let low = vec2<f32>(pixel);
    let high = vec2<f32>(region.size_px - 1u - pixel);
    let inwards = select(vec4<f32>(region.feather_px), vec4<f32>(low, high), region.fading_sides > vec4<f32>(0.5));
    let nearest = min(min(inwards.x, inwards.y), min(inwards.z, inwards.w));
    return smoothstep(0.0, region.feather_px, nearest);
}

// Luma weights of BT.709.
const LUMA = vec3<f32>(0.2126, 0.7152, 0.0722);

// Returns the change of a pixel of this colour, display-referred sRGB.
fn change_of(pixel: vec2<u32>, color: vec3<f32>, is_scaled: bool) -> vec3<f32> {
    let change = region.residual_scale * residual_under(pixel, color, is_scaled);
    // A change of each channel by the change of the luma keeps both differences of colour.
    let kept = mix(change, vec3<f32>(dot(LUMA, change)), region.preserve_color);
    return clamp(kept, vec3<f32>(-region.max_change), vec3<f32>(region.max_change));
}

// A corner of the triangle, with copies of the values that pixels branch on in place of the uniform itself (see `region.wgsl`).
struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(flat) mask_space: u32,
    @location(1) @interpolate(flat) excluded: u32,
    @location(2) @interpolate(flat) has_depth: u32,
    @location(3) @interpolate(flat) overlay: u32,
    @location(4) @interpolate(flat) front_distance: f32,
    @location(5) @interpolate(flat) is_scaled: u32,
    @location(6) @interpolate(flat) empty_depth: f32,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Corner {
    var corner: Corner;
    corner.position = vec4<f32>(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0, 0.0, 1.0);
    corner.mask_space = region.mask_space;
    corner.excluded = region.excluded;
    corner.has_depth = region.has_depth;
    corner.overlay = region.overlay;
    corner.front_distance = region.front_distance;
    corner.is_scaled = u32(region.guide_px.x > 0u);
    corner.empty_depth = region.empty_depth;
    return corner;
}

fn region_of(corner: Corner) -> Region {
    var seen = region;
    seen.mask_space = corner.mask_space;
    seen.excluded = corner.excluded;
    seen.has_depth = corner.has_depth;
    seen.overlay = corner.overlay;
    seen.front_distance = corner.front_distance;
    seen.empty_depth = corner.empty_depth;
    return seen;
}

@fragment
fn fragment(corner: Corner) -> @location(0) vec4<f32> {
    let place = vec2<u32>(corner.position.xy);
    let pixel = place - region.origin_px;
    var weight = region.strength * feather(pixel);
    if weight > 0.0 {
        weight *= cover(region_of(corner), place);
    }
    let original = textureLoad(frame, pixel, 0);
    // On a transparent target nothing is drawn where alpha is 0, and colours are premultiplied where it is less than 1. NaN counts as 0.
    weight *= clamp(original.a, 0.0, 1.0);
    if !(weight > 0.0) {
        discard;
    }
    let first = shown(original.rgb);
    let color = srgb_encode(first);
    let enhanced = saturate(color + change_of(pixel, color, corner.is_scaled != 0u));
    // The change is added, not the result mixed in: colours brighter than 1 and NaN stay as they are, and a residual of 0 changes nothing.
    return vec4<f32>(original.rgb + weight * (srgb_decode(enhanced) - first), original.a);
}
