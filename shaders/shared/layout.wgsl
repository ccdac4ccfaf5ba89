// What every network kernel shares: the parameters of one dispatch, and how activations lie in memory.
//
// Activations are planes of four channels with a border of zeros. A texel is a pixel of a plane: vec4<f32>, or with
// HALF_ACTIVATIONS vec2<u32>, two f16 in each word. Channels that fill up the last plane are zero.
#define_import_path portrait::layout

// One dispatch of one layer. Rust: `plan::LayerParams`.
struct LayerParams {
    source_size_px: vec2<u32>,
    target_size_px: vec2<u32>,
    source_planes: u32,
    target_planes: u32,
    // Where the target's planes begin in its buffer: a source of a concatenation is copied behind the one before.
    first_plane: u32,
    // Channels of the source that hold values.
    source_channels: u32,
    // Channels of the target that hold values.
    target_channels: u32,
    // Space-to-depth only.
    factor: u32,
    // Into the weights, in blocks of 16 bytes.
    weight_at: u32,
    bias_at: u32,
    negative_slope: f32,
    // Convolutions only: how many tiles of a workgroup lie side by side, a power of two.
    tiles_across: u32,
}

// Rust: `planes::PlaneLayout`.
fn row_texels(size_px: vec2<u32>) -> u32 {
    return (size_px.x + 7u) / 8u * 8u + 2u;
}

// The texel in a plane's upper left corner; `place` (1, 1) from there is the pixel (0, 0).
fn texel_index(plane: u32, place: vec2<u32>, size_px: vec2<u32>) -> u32 {
    let rows = (size_px.y + 7u) / 8u * 8u + 2u;
    return (plane * rows + place.y) * row_texels(size_px) + place.x;
}

fn plane_index(plane: u32, pixel: vec2<u32>, size_px: vec2<u32>) -> u32 {
    return texel_index(plane, pixel + 1u, size_px);
}

// Whether a place of a plane lies in its border.
fn is_border(place: vec2<u32>, size_px: vec2<u32>) -> bool {
    return any(place == vec2<u32>(0u)) || any(place > size_px);
}

fn half(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

#ifdef HALF_ACTIVATIONS
fn decode(texel: vec2<u32>) -> vec4<f32> {
    return half(texel);
}

fn encode(value: vec4<f32>) -> vec2<u32> {
    return vec2<u32>(pack2x16float(value.xy), pack2x16float(value.zw));
}
#else
fn decode(texel: vec4<f32>) -> vec4<f32> {
    return texel;
}

fn encode(value: vec4<f32>) -> vec4<f32> {
    return value;
}
#endif
