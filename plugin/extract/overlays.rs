//! Overlays: what Bevy draws over the scene last and with a depth of its own, as gizmos are. They are left as they are.
//!
//! Bevy draws gizmos among what is transparent. Meshes that are drawn there and write depth, as blended hair may, are part of the scene. So
//! the depths before and after tell where overlays are, and a view has none whose transparent phase writes no depth but that of meshes.

use bevy::camera::Camera3d;
use bevy::core_pipeline::core_3d::Transparent3d;
use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::prelude::*;
use bevy::pbr::RenderMeshInstances;
use bevy::render::render_phase::ViewSortedRenderPhases;
use bevy::render::render_resource::{CachedPipelineState, PipelineCache, TextureUsages};
use bevy::render::view::ExtractedView;

use crate::api::settings::PortraitRealism;

/// The views over whose scene an overlay may be drawn in this frame.
#[derive(Resource, Default)]
pub(crate) struct OverlaidViews(pub EntityHashMap<Overlay>);

/// Where what changes a view's depths while it draws what is transparent is an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlay {
    Anywhere,
    /// Meshes write depths as well, which are the face's hair where they lie in its box.
    OffTheFace,
}

/// Finds the views with overlays, and lets their depth buffers be read. Runs before Bevy makes depth textures.
pub(crate) fn find_overlays(
    mut overlaid: ResMut<OverlaidViews>,
    phases: Option<Res<ViewSortedRenderPhases<Transparent3d>>>,
    meshes: Option<Res<RenderMeshInstances>>,
    cache: Res<PipelineCache>,
    mut views: Query<(Entity, &ExtractedView, &PortraitRealism, &mut Camera3d)>,
) {
    overlaid.0.clear();
    let Some(phases) = phases else { return };
    // A pipeline that was asked for in this frame is not known yet, but may be compiled before it is drawn with.
    let writes_depth = |item: &&Transparent3d| {
        matches!(cache.get_render_pipeline_state(item.pipeline), CachedPipelineState::Queued)
            || cache
                .get_render_pipeline_descriptor(item.pipeline)
                .depth_stencil
                .as_ref()
                .is_some_and(|depth| depth.depth_write_enabled == Some(true))
    };
    let is_mesh =
        |item: &Transparent3d| meshes.as_ref().is_some_and(|meshes| meshes.mesh_asset_id(item.entity.1).is_some());
    for (entity, view, settings, mut camera) in &mut views {
        let Some(phase) = phases.get(&view.retained_view_entity).filter(|_| settings.is_active()) else { continue };
        let (mut has_overlay, mut has_hair) = (false, false);
        for item in phase.items.values().filter(writes_depth) {
            *(if is_mesh(item) { &mut has_hair } else { &mut has_overlay }) = true;
        }
        if has_overlay {
            let usages = TextureUsages::from(camera.depth_texture_usages) | TextureUsages::TEXTURE_BINDING;
            camera.depth_texture_usages = usages.into();
            overlaid.0.insert(entity, if has_hair { Overlay::OffTheFace } else { Overlay::Anywhere });
        }
    }
}
