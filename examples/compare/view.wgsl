// Purpose: compares two pictures of the same scene, without and with the effect.
// Inputs:  the two pictures, the mask, and the view to show.
// Outputs: the view's node, in linear light, as Bevy's UI draws.
#import bevy_ui::ui_vertex_output::UiVertexOutput

struct Compare {
    // Number of the `View` in view.rs.
    view: u32,
    // Place of the divider between before and after, as a share of the width.
    divider: f32,
    // 1 for left, top, right and bottom where that edge of the region fades out, else 0.
    fading_sides: vec4<f32>,
    // The region in pixels of the pictures: left, top, right, bottom. Empty where there is none.
    region_px: vec4<f32>,
    // Width of the faded edge, in pixels of the pictures.
    feather_px: f32,
    // 1 where a mask is laid over the screen.
    masked: f32,
}

@group(1) @binding(0) var<uniform> compare: Compare;
@group(1) @binding(1) var before: texture_2d<f32>;
@group(1) @binding(2) var picture_sampler: sampler;
@group(1) @binding(3) var after: texture_2d<f32>;
@group(1) @binding(4) var mask: texture_2d<f32>;

// Numbers of the views, as in view.rs.
const SPLIT: u32 = 0u;
const BEFORE: u32 = 1u;
const AFTER: u32 = 2u;
const DIFFERENCE: u32 = 3u;
const HEAT: u32 = 4u;
const REGION: u32 = 5u;
const MASK: u32 = 6u;

// Factor by which a difference is amplified.
const DIFFERENCE_GAIN: f32 = 3.0;
// Change that has the hottest colour, as a share of the display's range.
const HOTTEST: f32 = 0.25;
const OUTLINE: vec3<f32> = vec3(1.0, 0.55, 0.1);

fn encode(linear: vec3<f32>) -> vec3<f32> {
    let curved = 1.055 * pow(max(linear, vec3(0.0)), vec3(1.0 / 2.4)) - 0.055;
    return select(curved, linear * 12.92, linear <= vec3(0.0031308));
}

fn decode(encoded: vec3<f32>) -> vec3<f32> {
    let value = clamp(encoded, vec3(0.0), vec3(1.0));
    return select(pow((value + 0.055) / 1.055, vec3(2.4)), value / 12.92, value <= vec3(0.04045));
}

// Returns the colour of a change: black, violet, red, orange or pale yellow, by its size.
fn heat(change: f32) -> vec3<f32> {
    let at = clamp(change / HOTTEST, 0.0, 1.0) * 4.0;
    var colors = array(vec3(0.02, 0.02, 0.05), vec3(0.35, 0.07, 0.45), vec3(0.8, 0.2, 0.25), vec3(0.98, 0.6, 0.15), vec3(1.0, 1.0, 0.8));
    let low = min(u32(at), 3u);
    return mix(colors[low], colors[low + 1u], at - f32(low));
}

// Returns the distance to the region's edge, in pixels of the picture; it is negative outside of the region.
fn inside_px(px: vec2<f32>) -> f32 {
    let sides = vec4(px - compare.region_px.xy, compare.region_px.zw - px);
    return min(min(sides.x, sides.y), min(sides.z, sides.w));
}

// Returns the share of the effect that a pixel gets.
fn weight(px: vec2<f32>, uv: vec2<f32>) -> f32 {
    if inside_px(px) < 0.0 {
        return 0.0;
    }
    let sides = vec4(px - compare.region_px.xy, compare.region_px.zw - px) / max(compare.feather_px, 1.0);
    let fading = mix(vec4(1.0), clamp(sides, vec4(0.0), vec4(1.0)), compare.fading_sides);
    let nearest = min(min(fading.x, fading.y), min(fading.z, fading.w));
    let allowed = mix(1.0, textureSample(mask, picture_sampler, uv).r, compare.masked);
    return smoothstep(0.0, 1.0, nearest) * allowed;
}

@fragment
fn fragment(in: UiVertexOutput) -> @location(0) vec4<f32> {
    let px = in.uv * vec2<f32>(textureDimensions(after));
    let first = textureSample(before, picture_sampler, in.uv).rgb;
    let second = textureSample(after, picture_sampler, in.uv).rgb;
    let share = weight(px, in.uv);
    let change = encode(second) - encode(first);
    var color = second;
    switch compare.view {
        case SPLIT: {
            color = select(second, first, in.uv.x < compare.divider);
        }
        case BEFORE: {
            color = first;
        }
        case DIFFERENCE: {
            color = decode(0.5 + DIFFERENCE_GAIN * change);
        }
        case HEAT: {
            color = decode(heat(max(max(abs(change.r), abs(change.g)), abs(change.b))));
        }
        case REGION: {
            let inside = inside_px(px);
            color = select(second * 0.25, second, inside >= 0.0);
            // The outline is two pixels of the node wide, whatever the size of the picture.
            let line = 2.0 * f32(textureDimensions(after).x) / in.size.x;
            color = select(color, OUTLINE, inside >= 0.0 && inside < line);
        }
        case MASK: {
            color = decode(vec3(share));
        }
        default: {}
    }
    return vec4(color, 1.0);
}
