// The rectangle of the frame that is enhanced, as the kernels at both ends of the network see it.
//
// Kernels compare it with the place they are at, and never branch on it alone: lavapipe (Mesa 22.3) compiles such a kernel anew for the
// uniform's values, in every frame, and keeps what it compiled, 1 to 3 MB a frame.
#define_import_path portrait::region

// Rust: `gpu_state::RegionUniform`.
struct Region {
    view_from_clip: mat4x4<f32>,
    view_from_world: mat4x4<f32>,
    world_from_view: mat4x4<f32>,
    // Face's bounds -> (0, 0, 0) at their upper left, (1, 1, 1) at the lower right, seen from the front.
    face_from_world: mat4x4<f32>,
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
    // The region of the last frame, where its residual is kept.
    last_origin_px: vec2<u32>,
    last_size_px: vec2<u32>,
    last_network_px: vec2<u32>,
    last_padded_px: vec2<u32>,
    // Where the region was scaled down, and the guide keeps what the network saw: `network_px`; else 0.
    guide_px: vec2<u32>,
    // Points, across and down, at which the broad part is known; 0 where its factor is that of the fine part.
    light_points: vec2<u32>,
    strength: f32,
    residual_scale: f32,
    feather_px: f32,
    // Distance of the face's centre along the view, and 1 / its bounding radius.
    center_distance: f32,
    inverse_radius: f32,
    // Input normalisation, `portrait_network::transfer`.
    color_center: f32,
    color_scale: f32,
    // Factors of the residual's broad and fine part.
    light: f32,
    detail: f32,
    // Distance of the points, along either side, at which the broad part is known, pixels of the network.
    light_step: u32,
    // How much of the last frame's residual is kept; 0 where there is none.
    history: f32,
    // 0: luma and chroma change; 1: luma alone.
    preserve_color: f32,
    // Most that a channel changes by, display-referred sRGB.
    most_change: f32,
    // Whatever is nearer along the view is in front of the face.
    front_distance: f32,
    // 0: none, 1: over the viewport, 2: over the face.
    mask_space: u32,
    // Boxes whose content is left alone.
    excluded: u32,
    // Whether the camera has drawn depths.
    has_depth: u32,
    // Whether something was drawn over the scene since its depths were kept, and where those begin.
    is_drawn_over: u32,
    kept_depths_at: u32,
}

// Where the prepasses drew what the frame shows at a place (whole numbers between pixels).
fn drawn_at(region: Region, place: vec2<f32>) -> vec2<f32> {
    return region.viewport_px.xy + (place - region.viewport_px.xy) / region.viewport_px.zw * region.main_pass_px;
}

// A place of the prepasses and its depth, in view space.
fn view_at(region: Region, drawn: vec2<f32>, depth: f32) -> vec3<f32> {
    let uv = (drawn - region.viewport_px.xy) / region.main_pass_px;
    let view = region.view_from_clip * vec4<f32>(uv.x * 2.0 - 1.0, 1.0 - uv.y * 2.0, depth, 1.0);
    return view.xyz / view.w;
}
