// What every network kernel shares: the parameters of one dispatch, and how activations lie in memory.
//
// Activations are planes of four channels, `[C/4, H, W] vec4<f32>`. Channels that fill up the last plane are zero.
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
}

// Where the pixel lies in a buffer of planes.
fn plane_index(plane: u32, pixel: vec2<u32>, size_px: vec2<u32>) -> u32 {
    return (plane * size_px.y + pixel.y) * size_px.x + pixel.x;
}
