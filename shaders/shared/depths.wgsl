// The depth buffer of a camera, multisampled or not.
#define_import_path portrait::depths

// Returns the sum of a texel's depths over its samples. Depth is reversed, so the sum grows with whatever is drawn in front.
#ifdef MULTISAMPLED
fn depth_sum(depths: texture_depth_multisampled_2d, texel: vec2<i32>) -> f32 {
    var sum = 0.0;
    for (var sample = 0; sample < i32(textureNumSamples(depths)); sample += 1) {
        sum += textureLoad(depths, texel, sample);
    }
    return sum;
}
#else
fn depth_sum(depths: texture_depth_2d, texel: vec2<i32>) -> f32 {
    return textureLoad(depths, texel, 0);
}
#endif
