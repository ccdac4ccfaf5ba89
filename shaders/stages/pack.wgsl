// Purpose: turns the region of the frame into the network's input planes.
// Inputs:  the region copy (linear colour); with NORMAL_CHANNEL or DEPTH_CHANNEL the camera's prepass textures.
// Outputs: planes of four channels, with their border of zeros; colour display-referred sRGB, centred and scaled; normals in view space;
//          depth in bounding radii in front of the face's centre. Beyond the region's edge its last pixel is repeated.
//          Where the region is scaled down, its colour is also written as the guide of the composite pass, display-referred sRGB
//          in 8 bits a channel, row by row without a border.
//          With UNSHUFFLED the planes have the order of a space-to-depth layer of factor 2: plane c holds channel c of four pixels.
// Dispatch: one invocation a texel of the planes, all of them, borders included.
// Memory:  reads each texel of the region once (area average where it is scaled down), writes a texel a plane; 4 bytes of guide.
#import portrait::layout::{encode, is_border, texel_index}
#import portrait::region::{Region, drawn_at, view_at}
#import portrait::transfer::{shown, srgb_encode}

@group(0) @binding(0) var<uniform> region: Region;
@group(0) @binding(1) var frame: texture_2d<f32>;
#ifdef HALF_ACTIVATIONS
@group(0) @binding(2) var<storage, read_write> planes: array<vec2<u32>>;
#else
@group(0) @binding(2) var<storage, read_write> planes: array<vec4<f32>>;
#endif
@group(0) @binding(5) var<storage, read_write> guide: array<u32>;
#ifdef NORMAL_CHANNEL
#ifdef MULTISAMPLED
@group(0) @binding(3) var normals: texture_multisampled_2d<f32>;
#else
@group(0) @binding(3) var normals: texture_2d<f32>;
#endif
#endif
#ifdef DEPTH_CHANNEL
#ifdef MULTISAMPLED
@group(0) @binding(4) var depths: texture_depth_multisampled_2d;
#else
@group(0) @binding(4) var depths: texture_depth_2d;
#endif
#endif

// Returns the share of the texel [texel, texel + 1) that lies between `low` and `high`.
fn coverage(texel: u32, low: f32, high: f32) -> f32 {
    return max(min(high, f32(texel) + 1.0) - max(low, f32(texel)), 0.0);
}

// Returns the area average of the frame under one network pixel, linear. At scale 1 the average is exactly one texel.
fn average_color(pixel: vec2<u32>) -> vec3<f32> {
    if any(pixel >= region.guide_px) {
        return shown(textureLoad(frame, pixel, 0).rgb);
    }
    let scale = vec2<f32>(region.size_px) / vec2<f32>(region.network_px);
    let low = vec2<f32>(pixel) * scale;
    let high = low + scale;
    let first = vec2<u32>(low);
    let last = min(vec2<u32>(ceil(high)), region.size_px);
    var sum = vec4<f32>(0.0);
    for (var y = first.y; y < last.y; y += 1u) {
        for (var x = first.x; x < last.x; x += 1u) {
            let weight = coverage(x, low.x, high.x) * coverage(y, low.y, high.y);
            sum += weight * vec4<f32>(shown(textureLoad(frame, vec2<u32>(x, y), 0).rgb), 1.0);
        }
    }
    return sum.rgb / max(sum.a, 1e-6);
}

// Returns all channels of one pixel of the padded network grid; beyond the region's edge the channels of its last pixel.
fn channels_at(place: vec2<u32>) -> array<f32, 8> {
    let pixel = min(place, region.network_px - 1u);
    var channels: array<f32, 8>;
    let srgb = srgb_encode(average_color(pixel));
    if all(place < region.guide_px) {
        guide[place.y * region.network_px.x + place.x] = pack4x8unorm(vec4<f32>(srgb, 1.0));
    }
    let color = (srgb - region.color_center) * region.color_scale;
    channels[0] = color.r;
    channels[1] = color.g;
    channels[2] = color.b;

    // Geometry is taken from the middle of the pixel: an average of two surfaces would be neither.
    let scale = vec2<f32>(region.size_px) / vec2<f32>(region.network_px);
    let in_frame = region.origin_px + min(vec2<u32>((vec2<f32>(pixel) + 0.5) * scale), region.size_px - 1u);
    let texel = vec2<u32>(drawn_at(region, vec2<f32>(in_frame) + 0.5));
    var in_front = 0.0;
#ifdef DEPTH_CHANNEL
    // Depth is reversed: 0 is infinitely far, where nothing was drawn.
    let depth = textureLoad(depths, texel, 0);
    in_front = -1.0;
    if depth > 0.0 {
        let view = view_at(region, vec2<f32>(texel) + 0.5, depth);
        in_front = clamp((region.center_distance + view.z) * region.inverse_radius, -1.0, 1.0);
    }
    channels[#{DEPTH_CHANNEL}] = in_front;
#endif
#ifdef NORMAL_CHANNEL
    let stored = textureLoad(normals, texel, 0).xyz;
    var normal = vec3<f32>(0.0);
    // The prepass clears to 0, which is no normal. Normals behind the face's box are left out, since training scenes have nothing there.
    if any(stored != vec3<f32>(0.0)) && in_front > -1.0 {
        let world = normalize(stored * 2.0 - 1.0);
        normal = (region.view_from_world * vec4<f32>(world, 0.0)).xyz;
    }
    channels[#{NORMAL_CHANNEL}] = normal.x;
    channels[#{NORMAL_CHANNEL} + 1] = normal.y;
    channels[#{NORMAL_CHANNEL} + 2] = normal.z;
#endif
    return channels;
}

@compute @workgroup_size(#{WORKGROUP_SIDE}, #{WORKGROUP_SIDE}, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
#ifdef UNSHUFFLED
    let size = region.padded_px / 2u;
    const PLANES = #{INPUT_CHANNELS}u;
#else
    let size = region.padded_px;
    const PLANES = (#{INPUT_CHANNELS}u + 3u) / 4u;
#endif
    if any(id.xy > size + 1u) {
        return;
    }
    if is_border(id.xy, size) {
        for (var plane = 0u; plane < PLANES; plane += 1u) {
            planes[texel_index(plane, id.xy, size)] = encode(vec4<f32>(0.0));
        }
        return;
    }
#ifdef UNSHUFFLED
    let corner = (id.xy - 1u) * 2u;
    var a = channels_at(corner);
    var b = channels_at(corner + vec2<u32>(1u, 0u));
    var c = channels_at(corner + vec2<u32>(0u, 1u));
    var d = channels_at(corner + vec2<u32>(1u, 1u));
    for (var plane = 0u; plane < PLANES; plane += 1u) {
        planes[texel_index(plane, id.xy, size)] = encode(vec4<f32>(a[plane], b[plane], c[plane], d[plane]));
    }
#else
    var channels = channels_at(id.xy - 1u);
    for (var plane = 0u; plane < PLANES; plane += 1u) {
        let at = plane * 4u;
        let value = vec4<f32>(channels[at], channels[at + 1u], channels[at + 2u], channels[at + 3u]);
        planes[texel_index(plane, id.xy, size)] = encode(value);
    }
#endif
}
