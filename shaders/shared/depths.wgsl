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

// Returns the smallest and the largest depth of a texel's samples: those of what is farthest and what is nearest.
#ifdef MULTISAMPLED
fn depth_range(depths: texture_depth_multisampled_2d, texel: vec2<i32>) -> vec2<f32> {
    var range = vec2<f32>(textureLoad(depths, texel, 0));
    for (var sample = 1; sample < i32(textureNumSamples(depths)); sample += 1) {
        let depth = textureLoad(depths, texel, sample);
        range = vec2<f32>(min(range.x, depth), max(range.y, depth));
    }
    return range;
}
#else
fn depth_range(depths: texture_depth_2d, texel: vec2<i32>) -> vec2<f32> {
    return vec2<f32>(textureLoad(depths, texel, 0));
}
#endif
