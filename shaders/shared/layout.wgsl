// The parameters of one dispatch and the layout of activations in memory, which all network kernels share.
//
// Activations are planes of four channels with a border of zeros. A texel is a pixel of a plane: vec4<f32>, or with
// HALF_ACTIVATIONS vec2<u32>, two f16 in each word. Channels that fill up the last plane are zero.
#define_import_path portrait::layout

// Parameters of one dispatch of one layer (Rust: `inference::plan::LayerParams`).
struct LayerParams {
    source_size_px: vec2<u32>,
    target_size_px: vec2<u32>,
    source_planes: u32,
    target_planes: u32,
    // First plane of the target that is written: a source of a concatenation is copied behind the one before.
    first_plane: u32,
    // Channels of the source that hold values.
    source_channels: u32,
    // Channels of the target that hold values.
    target_channels: u32,
    // Factor of a space-to-depth layer.
    factor: u32,
    // First weight of the layer, in blocks of 16 bytes.
    weight_at: u32,
    // First bias of the layer, in blocks of 16 bytes.
    bias_at: u32,
    // Slope of the activation for negative values.
    negative_slope: f32,
    // Number of a convolution workgroup's tiles that lie side by side, a power of two.
    tiles_across: u32,
}

// Returns the number of texels in a row of a plane (Rust: `inference::planes::PlaneLayout`).
fn row_texels(size_px: vec2<u32>) -> u32 {
    return (size_px.x + 7u) / 8u * 8u + 2u;
}

// Returns the index of a texel by its place in a plane; the border is at 0, so the place (1, 1) is the pixel (0, 0).
fn texel_index(plane: u32, place: vec2<u32>, size_px: vec2<u32>) -> u32 {
    let rows = (size_px.y + 7u) / 8u * 8u + 2u;
    return (plane * rows + place.y) * row_texels(size_px) + place.x;
}

// Returns the index of a pixel's texel in a plane.
fn plane_index(plane: u32, pixel: vec2<u32>, size_px: vec2<u32>) -> u32 {
    return texel_index(plane, pixel + 1u, size_px);
}

// Returns true for a place in a plane's border.
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
