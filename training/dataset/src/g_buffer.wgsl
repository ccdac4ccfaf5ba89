// Copies Bevy's prepass textures, which cannot be copied themselves, into a buffer that can.
// Input: normal as n * 0.5 + 0.5 in world space; depth, reversed, 0 at infinity. One thread a pixel.
// Output: [H, W] vec4<f32>: the stored normal, the depth. 16 bytes a pixel.

@group(0) @binding(0) var normal: texture_2d<f32>;
@group(0) @binding(1) var depth: texture_depth_2d;
@group(0) @binding(2) var<storage, read_write> pixels: array<vec4<f32>>;

@compute @workgroup_size(8, 8)
fn copy(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(normal);
    if any(id.xy >= size) {
        return;
    }
    let stored = textureLoad(normal, id.xy, 0).xyz;
    pixels[id.y * size.x + id.x] = vec4(stored, textureLoad(depth, id.xy, 0));
}
