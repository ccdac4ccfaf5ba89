//! Canvases: pictures that a camera draws over without clearing them, and that were enhanced before.
//!
//! Enhancing such a picture once more would enhance the enhanced. So only those of its pixels are enhanced that the camera has drawn itself
//! in this frame, which the depth buffer tells.

use bevy::camera::{Camera3d, Camera3dDepthLoadOp, CameraMainTextureUsages, ClearColorConfig};
use bevy::core_pipeline::Skybox;
use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::math::{URect, UVec4};
use bevy::render::camera::{ExtractedCamera, SortedCameras};
use bevy::render::render_resource::TextureUsages;
use bevy::render::view::{ExtractedView, Msaa};

use crate::api::settings::PortraitRealism;

/// The views that draw over what was enhanced before, each with the depth that its depth buffer is cleared to; `None` where it is not
/// cleared.
#[derive(Resource, Default)]
pub(crate) struct Canvases(pub EntityHashMap<Option<f32>>);

/// A camera that draws in this frame.
#[derive(QueryData)]
pub(crate) struct DrawingCamera {
    entity: Entity,
    camera: &'static ExtractedCamera,
    view: &'static ExtractedView,
    usages: &'static CameraMainTextureUsages,
    msaa: &'static Msaa,
    settings: Option<&'static PortraitRealism>,
    has_skybox: Has<Skybox>,
}

impl DrawingCameraItem<'_, '_> {
    fn is_enhanced(&self) -> bool {
        self.settings.is_some_and(PortraitRealism::is_active)
    }

    fn clears(&self) -> bool {
        !matches!(self.camera.clear_color, ClearColorConfig::None)
    }

    /// Returns whether the picture shows through wherever the camera draws nothing. A sky covers the whole viewport.
    fn draws_over(&self) -> bool {
        !self.clears() && !self.has_skybox
    }

    /// Returns whether both cameras draw into one main texture, which Bevy shares among cameras that agree in these.
    fn shares_picture(&self, other: &Self) -> bool {
        self.camera.target == other.camera.target
            && self.view.target_format == other.view.target_format
            && self.usages.0 == other.usages.0
            && self.msaa == other.msaa
    }

    fn viewport_px(&self) -> URect {
        let UVec4 { x, y, z, w } = self.view.viewport;
        URect::new(x, y, x + z, y + w)
    }
}

/// Finds the views that draw over what was enhanced before, and lets their depth buffers be read. Runs before Bevy makes depth textures.
pub(crate) fn find_canvases(
    mut canvases: ResMut<Canvases>,
    sorted: Res<SortedCameras>,
    cameras: Query<DrawingCamera>,
    mut depths: Query<&mut Camera3d>,
) {
    canvases.0.clear();
    for canvas in cameras.iter().filter(|camera| camera.is_enhanced() && camera.draws_over()) {
        // The last frame's picture was enhanced, and so is what enhanced cameras have drawn since the picture was cleared in this frame.
        let mut was_enhanced = true;
        let earlier = sorted.0.iter().map(|sorted| sorted.entity).take_while(|entity| *entity != canvas.entity);
        for earlier in
            earlier.filter_map(|entity| cameras.get(entity).ok()).filter(|earlier| earlier.shares_picture(&canvas))
        {
            was_enhanced &= !earlier.clears();
            was_enhanced |= earlier.is_enhanced() && !earlier.viewport_px().intersect(canvas.viewport_px()).is_empty();
        }
        let Ok(mut camera) = depths.get_mut(canvas.entity) else { continue };
        if was_enhanced {
            let usages = TextureUsages::from(camera.depth_texture_usages) | TextureUsages::TEXTURE_BINDING;
            camera.depth_texture_usages = usages.into();
            let empty_depth = match camera.depth_load_op {
                Camera3dDepthLoadOp::Clear(depth) => Some(depth),
                Camera3dDepthLoadOp::Load => None,
            };
            canvases.0.insert(canvas.entity, empty_depth);
        }
    }
}
