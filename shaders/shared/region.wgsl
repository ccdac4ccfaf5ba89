// The rectangle of the frame that is enhanced, as the kernels at both ends of the network see it.
//
// Kernels compare the uniform with their own position, and never branch on the uniform alone: lavapipe (Mesa 22.3) compiles such a kernel
// anew for the uniform's values in every frame, and keeps what it compiled, 1 to 3 MB a frame.
#define_import_path portrait::region

// One region of one view in one frame (Rust: `stages::region_uniform::RegionUniform`).
struct Region {
    // Transform from clip space to view space.
    view_from_clip: mat4x4<f32>,
    // Transform from world to view space.
    view_from_world: mat4x4<f32>,
    // Transform from view space to the world.
    world_from_view: mat4x4<f32>,
    // Transform from the world to the face's box: (0, 0, 0) at its upper left, (1, 1, 1) at its lower right, seen from the front.
    face_from_world: mat4x4<f32>,
    // The camera's viewport in its target: x, y, width, height, in pixels.
    viewport_px: vec4<f32>,
    // Size of what the prepasses drew, in the viewport's top left corner; smaller where the frame is scaled up after the main pass.
    main_pass_px: vec2<f32>,
    // 1 for left, top, right and bottom where that edge of the region fades out, 0 where the viewport cuts the region.
    fading_sides: vec4<f32>,
    // The region's top left corner in the camera's target.
    origin_px: vec2<u32>,
    // The region's size in the camera's target.
    size_px: vec2<u32>,
    // Size of the region's image that the network sees; smaller than the region where that is too large.
    network_px: vec2<u32>,
    // Size of the network's grid: `network_px` filled up to the network's alignment.
    padded_px: vec2<u32>,
    // Top left corner of the region in the last frame, where its residual is kept.
    last_origin_px: vec2<u32>,
    // Size of the region in the last frame; 0 where no residual is kept.
    last_size_px: vec2<u32>,
    // `network_px` of the last frame.
    last_network_px: vec2<u32>,
    // `padded_px` of the last frame.
    last_padded_px: vec2<u32>,
    // Size of the guide, `network_px`, where the region is scaled down; else 0.
    guide_px: vec2<u32>,
    // Points, across and down, at which the residual's base layer is known; 0 where both layers have one factor.
    base_points: vec2<u32>,
    // Share of the change that is applied, 0 to 1.
    strength: f32,
    // Size of a residual of 1 in display-referred sRGB.
    residual_scale: f32,
    // Width of the faded edge, in pixels of the target.
    feather_px: f32,
    // Distance of the face's centre along the view.
    center_distance: f32,
    // Reciprocal of the face's bounding radius.
    inverse_radius: f32,
    // Colour that the input planes hold as 0: `portrait_network::transfer::COLOR_CENTER`.
    color_center: f32,
    // Factor of the input planes' colours: `portrait_network::transfer::COLOR_SCALE`.
    color_scale: f32,
    // Factor of the residual's base layer.
    base: f32,
    // Factor of the residual's detail layer.
    detail: f32,
    // Pixels of the network between the points at which the base layer is known.
    base_step: u32,
    // Share of the last frame's residual that is kept, 0 to 0.95; 0 where there is none.
    history: f32,
    // Share of the frame's own chroma that is kept: at 1 only the luma changes.
    preserve_color: f32,
    // Largest change of a channel, display-referred sRGB.
    max_change: f32,
    // Distance along the view up to which a surface is in front of the face.
    front_distance: f32,
    // Place of the mask: 0 for no mask, 1 over the viewport, 2 over the face.
    mask_space: u32,
    // Number of boxes whose content is left alone.
    excluded: u32,
    // 1 where the camera has a depth prepass.
    has_depth: u32,
    // Where an overlay may have been drawn over the scene since its depths were kept: 0 for nowhere, 1 for anywhere, 2 for anywhere off
    // the face, whose hair writes depths among what is transparent.
    overlay: u32,
    // Index of the region's first kept depth.
    opaque_depths_at: u32,
    // The depth where the camera has drawn nothing, if only what it has drawn itself is enhanced; negative where everything is.
    empty_depth: f32,
}

// Returns the place in the prepasses that belongs to a place in the frame; whole numbers lie between pixels.
fn drawn_at(region: Region, place: vec2<f32>) -> vec2<f32> {
    return region.viewport_px.xy + (place - region.viewport_px.xy) / region.viewport_px.zw * region.main_pass_px;
}

// Returns the point in view space of a place in the prepasses and its depth.
fn view_at(region: Region, drawn: vec2<f32>, depth: f32) -> vec3<f32> {
    let uv = (drawn - region.viewport_px.xy) / region.main_pass_px;
    let view = region.view_from_clip * vec4<f32>(uv.x * 2.0 - 1.0, 1.0 - uv.y * 2.0, depth, 1.0);
    return view.xyz / view.w;
}
