// The rectangle of the frame that is enhanced, as the kernels at both ends of the network see it.
#define_import_path portrait::region

// Rust: `prepare::RegionUniform`.
struct Region {
    view_from_clip: mat4x4<f32>,
    view_from_world: mat4x4<f32>,
    // Viewport of the camera in its target: x, y, width, height.
    viewport_px: vec4<f32>,
    // Size of what the prepasses drew, in the viewport's top left corner: smaller where the frame was scaled up after them.
    main_pass_px: vec2<f32>,
    // 1 for left, top, right, bottom where the edge fades out, 0 where the viewport cuts the region.
    fading_sides: vec4<f32>,
    // Top left corner in the camera's target.
    origin_px: vec2<u32>,
    size_px: vec2<u32>,
    // What the network sees: the region, scaled down where it is too large.
    network_px: vec2<u32>,
    // The network's grid: `network_px` filled up to its alignment.
    padded_px: vec2<u32>,
    strength: f32,
    residual_scale: f32,
    feather_px: f32,
    // Distance of the face's centre along the view, and 1 / its bounding radius.
    center_distance: f32,
    inverse_radius: f32,
    // Input normalisation, `portrait_network::transfer`.
    color_center: f32,
    color_scale: f32,
}
