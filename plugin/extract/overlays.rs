//! Overlays: what Bevy draws over the scene last and with a depth of its own, which gizmos alone are. They are left as they are.
//!
//! Bevy draws gizmos among what is transparent, and of all that only they write depth. So the depths before and after tell where overlays
//! are, and a view whose transparent phase writes no depth has none.

use bevy::camera::Camera3d;
use bevy::core_pipeline::core_3d::Transparent3d;
use bevy::ecs::entity::EntityHashSet;
use bevy::ecs::prelude::*;
use bevy::render::render_phase::ViewSortedRenderPhases;
use bevy::render::render_resource::{CachedPipelineState, PipelineCache, TextureUsages};
use bevy::render::view::ExtractedView;

use crate::api::settings::PortraitRealism;

/// The views over whose scene an overlay may be drawn in this frame.
#[derive(Resource, Default)]
pub(crate) struct OverlaidViews(pub EntityHashSet);

/// Finds the views with overlays, and lets their depth buffers be read. Runs before Bevy makes depth textures.
pub(crate) fn find_overlays(
    mut overlaid: ResMut<OverlaidViews>,
    phases: Option<Res<ViewSortedRenderPhases<Transparent3d>>>,
    cache: Res<PipelineCache>,
    mut views: Query<(Entity, &ExtractedView, &PortraitRealism, &mut Camera3d)>,
) {
    overlaid.0.clear();
    let Some(phases) = phases else { return };
    // A pipeline that was asked for in this frame is not known yet, but may be compiled before it is drawn with.
    let writes_depth = |item: &Transparent3d| {
        matches!(cache.get_render_pipeline_state(item.pipeline), CachedPipelineState::Queued)
            || cache
                .get_render_pipeline_descriptor(item.pipeline)
                .depth_stencil
                .as_ref()
                .is_some_and(|depth| depth.depth_write_enabled == Some(true))
    };
    for (entity, view, settings, mut camera) in &mut views {
        let phase = phases.get(&view.retained_view_entity).filter(|_| settings.is_active());
        if phase.is_some_and(|phase| phase.items.values().any(writes_depth)) {
            let usages = TextureUsages::from(camera.depth_texture_usages) | TextureUsages::TEXTURE_BINDING;
            camera.depth_texture_usages = usages.into();
            overlaid.0.insert(entity);
        }
    }
}
