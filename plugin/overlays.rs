//! What is drawn over the scene last and has a depth of its own: gizmos. It is left as it is.
//!
//! Bevy draws gizmos among what is transparent, and they alone of that write their depth. So the depths before and after tell where
//! gizmos are, and a view whose transparent phase writes no depth has none.

use bevy::camera::Camera3d;
use bevy::core_pipeline::core_3d::Transparent3d;
use bevy::ecs::entity::EntityHashSet;
use bevy::ecs::prelude::*;
use bevy::render::diagnostic::RecordDiagnostics;
use bevy::render::render_phase::ViewSortedRenderPhases;
use bevy::render::render_resource::{
    Buffer, BufferDescriptor, BufferUsages, CachedPipelineState, ComputePassDescriptor, PipelineCache, TextureUsages,
};
use bevy::render::renderer::{RenderContext, RenderDevice, ViewQuery};
use bevy::render::view::ExtractedView;

use crate::plan::WORKGROUP_SIDE;
use crate::settings::PortraitRealism;
use crate::view::PortraitView;

/// The views over whose scene something with a depth of its own is drawn in this frame.
#[derive(Resource, Default)]
pub(crate) struct DrawnOver(pub EntityHashSet);

/// Finds those views, and lets their depths be read. Before depth textures are made.
pub(crate) fn find_overlays(
    mut drawn_over: ResMut<DrawnOver>,
    phases: Option<Res<ViewSortedRenderPhases<Transparent3d>>>,
    cache: Res<PipelineCache>,
    mut views: Query<(Entity, &ExtractedView, &PortraitRealism, &mut Camera3d)>,
) {
    drawn_over.0.clear();
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
            drawn_over.0.insert(entity);
        }
    }
}

/// The depths of a view's regions, one after the other, before what is transparent was drawn. Views are drawn in turn and share
/// it.
pub(crate) struct KeptDepths {
    pub buffer: Buffer,
}

impl KeptDepths {
    /// Whether this device can bind the depths of so many pixels.
    pub fn can_hold(pixels: u64, device: &RenderDevice) -> bool {
        pixels * size_of::<f32>() as u64 <= device.limits().max_storage_buffer_binding_size
    }

    /// Room for the depths of so many pixels; 0 where nothing is drawn over a scene. A buffer there has to be.
    pub fn reserve(held: &mut Option<Self>, pixels: u64, device: &RenderDevice) {
        let size = pixels.max(1) * size_of::<f32>() as u64;
        if held.as_ref().is_some_and(|depths| depths.bytes() >= size) {
            return;
        }
        let buffer = device.create_buffer(&BufferDescriptor {
            label: Some("portrait kept depths"),
            size,
            usage: BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        *held = Some(Self { buffer });
    }

    pub fn bytes(&self) -> u64 {
        self.buffer.size()
    }
}

/// Keeps the depths of each region of a view that is drawn over: after what is opaque, before what is transparent.
pub(crate) fn keep_depths(view: ViewQuery<&PortraitView>, cache: Res<PipelineCache>, mut ctx: RenderContext) {
    let portrait = view.into_inner();
    let Some((pipeline, bind_group)) = &portrait.keep_depth else { return };
    let Some(pipeline) = cache.get_compute_pipeline(*pipeline) else { return };
    let recorder = ctx.diagnostic_recorder();
    let recorder = recorder.as_deref();
    let encoder = ctx.command_encoder();
    let span = recorder.time_span(encoder, "portrait_keep_depths");
    {
        let descriptor = ComputePassDescriptor { label: Some("portrait keep depths"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        pass.set_pipeline(pipeline);
        for prepared in &portrait.regions {
            let groups = prepared.region.rect_px.size().map(|side| side.div_ceil(WORKGROUP_SIDE));
            pass.set_bind_group(0, bind_group, &[prepared.uniform_offset]);
            pass.dispatch_workgroups(groups.x, groups.y, 1);
        }
    }
    span.end(encoder);
}
