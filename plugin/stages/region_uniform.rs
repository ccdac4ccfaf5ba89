//! The uniform that every stage reads: where a region lies and what the settings say.

use bevy::math::{Mat4, UVec2, Vec2, Vec4};
use bevy::render::render_resource::ShaderType;

/// One region of one view in one frame (WGSL: `Region` in `shaders/shared/region.wgsl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, ShaderType)]
pub struct RegionUniform {
    /// Transform from clip space to view space.
    pub view_from_clip: Mat4,
    /// Transform from world to view space.
    pub view_from_world: Mat4,
    /// Transform from view space to the world.
    pub world_from_view: Mat4,
    /// Transform from the world to the face's box, which reaches from (0, 0, 0) to (1, 1, 1).
    pub face_from_world: Mat4,
    /// The camera's viewport in its target: x, y, width, height, in pixels.
    pub viewport_px: Vec4,
    /// Size of what the prepasses drew, in the viewport's top left corner: smaller than the viewport where the frame is
    /// scaled up after the main pass.
    pub main_pass_px: Vec2,
    /// 1 for left, top, right and bottom where that edge of the region fades out, else 0.
    pub fading_sides: Vec4,
    /// The region's top left corner in the camera's target.
    pub origin_px: UVec2,
    /// The region's size in the camera's target.
    pub size_px: UVec2,
    /// Size of the region's image that the network sees.
    pub network_px: UVec2,
    /// Size of that image, filled up to the network's alignment.
    pub padded_px: UVec2,
    /// Top left corner of the region in the last frame, where its residual is kept.
    pub last_origin_px: UVec2,
    /// Size of the region in the last frame; 0 where no residual is kept.
    pub last_size_px: UVec2,
    /// Size that the network saw of the region in the last frame.
    pub last_network_px: UVec2,
    /// That size, filled up to the network's alignment.
    pub last_padded_px: UVec2,
    /// Size of the guide where the region is scaled down, else 0.
    pub guide_px: UVec2,
    /// Points, across and down, at which the residual's base layer is known; 0 where both layers have one factor.
    pub base_points: UVec2,
    /// Share of the change that is applied, 0 to 1.
    pub strength: f32,
    /// Size of a residual of 1 in display-referred sRGB.
    pub residual_scale: f32,
    /// Width of the faded edge, in pixels of the target.
    pub feather_px: f32,
    /// Distance of the face's centre along the view.
    pub center_distance: f32,
    /// Reciprocal of the face's bounding radius.
    pub inverse_radius: f32,
    /// Colour that the input planes hold as 0: [`portrait_network::transfer::COLOR_CENTER`].
    pub color_center: f32,
    /// Factor of the input planes' colours: [`portrait_network::transfer::COLOR_SCALE`].
    pub color_scale: f32,
    /// Factor of the residual's base layer.
    pub base: f32,
    /// Factor of the residual's detail layer.
    pub detail: f32,
    /// Pixels of the network between the points at which the base layer is known.
    pub base_step: u32,
    /// Share of the last frame's residual that is kept, 0 to 0.95; 0 where there is none.
    pub history: f32,
    /// Share of the frame's own chroma that is kept: at 1 only the luma changes.
    pub preserve_color: f32,
    /// Largest change of a channel, display-referred sRGB.
    pub max_change: f32,
    /// Distance along the view up to which a surface is in front of the face.
    pub front_distance: f32,
    /// Where the mask lies: 0 for no mask, 1 over the viewport, 2 over the face.
    pub mask_space: u32,
    /// Number of boxes whose content is left alone.
    pub excluded: u32,
    /// 1 where the camera has a depth prepass.
    pub has_depth: u32,
    /// Where an overlay may have been drawn over the scene since its depths were kept: 0 for nowhere, 1 for anywhere, 2 for anywhere off
    /// the face, whose hair writes depths among what is transparent.
    pub overlay: u32,
    /// Index of the region's first kept depth.
    pub opaque_depths_at: u32,
    /// The depth where the camera has drawn nothing, if only what it has drawn itself is enhanced; negative where everything is.
    pub empty_depth: f32,
}
