//! The pass: what a camera's frame records on the GPU.

use bevy::ecs::prelude::*;
use bevy::math::UVec2;
use bevy::render::diagnostic::{DiagnosticsRecorder, RecordDiagnostics};
use bevy::render::render_resource::{BindGroup, CommandEncoder, ComputePassDescriptor, ComputePipeline, PipelineCache};
use bevy::render::renderer::{RenderContext, ViewQuery};
use bevy::render::view::ViewTarget;

use crate::diagnostics::{CpuTime, SPAN};
use crate::frame::state::PortraitGpuState;
use crate::frame::view::PortraitView;
use crate::shader_defs::WORKGROUP_SIDE;
use crate::stages::{composite, shape};

/// Keeps the depths of each region of a view that overlays may be drawn over: after what is opaque, before what is transparent.
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

/// For each region of a view: copies it out of the camera's main texture, runs the network, and draws the region back into the same
/// texture. Everything outside stays untouched, and `ViewTarget` is not flipped.
pub(crate) fn portrait_realism(
    view: ViewQuery<(&ViewTarget, &PortraitView)>,
    state: Res<PortraitGpuState>,
    cache: Res<PipelineCache>,
    time: Res<CpuTime>,
    mut ctx: RenderContext,
) {
    let camera = view.entity();
    let (target, portrait) = view.into_inner();
    // A missing thing skips the effect: the frame passes through as it is.
    let Some(copy) = state.copies.get(&portrait.format) else { return };
    let frame = target.main_texture();
    // A target that was resized while this frame was prepared has other textures for one frame.
    let frame_px = UVec2::new(frame.width(), frame.height());
    let fits = portrait.regions.iter().all(|prepared| prepared.region.rect_px.max.cmple(frame_px).all());
    if frame.format() != portrait.format || !fits {
        return;
    }

    let _measured = time.measure();
    let recorder = ctx.diagnostic_recorder();
    let recorder = recorder.as_deref();
    let encoder = ctx.command_encoder();
    let whole = recorder.time_span(encoder, SPAN);
    if portrait.measured.is_some() {
        state.tiers.begin(camera, encoder);
    }
    for (index, prepared) in portrait.regions.iter().enumerate() {
        let ids = prepared.pipelines;
        let compute = [ids.pack, ids.base_layer, ids.shape].map(|id| cache.get_compute_pipeline(id));
        let ([Some(pack_pipeline), Some(base_pipeline), Some(shape_pipeline)], Some(composite_pipeline), Some(network)) =
            (compute, cache.get_render_pipeline(ids.composite), state.network(prepared.model))
        else {
            continue;
        };
        // A frame has only so many time stamps: of several regions, the stages of the first and largest one are measured.
        let recorder = recorder.filter(|_| index == 0);
        let (rect_px, network_px, offset) = (prepared.region.rect_px, prepared.network_px, prepared.uniform_offset);

        let span = recorder.time_span(encoder, "copy");
        copy.record(frame, rect_px, encoder);
        span.end(encoder);

        let pack_groups = network.plan().pack_workgroups(network_px);
        dispatch("pack", pack_pipeline, &prepared.pack, offset, pack_groups, recorder, encoder);

        if !network.record(prepared.slot, network_px, encoder, &cache, recorder) {
            continue;
        }

        if let Some(prepared) = &prepared.shape {
            if let Some((bind_group, points)) = &prepared.base_layer {
                dispatch("base_layer", base_pipeline, bind_group, offset, [points.x, points.y, 1], recorder, encoder);
            }
            let groups = shape::workgroups(network_px);
            dispatch("shape", shape_pipeline, &prepared.bind_group, offset, groups, recorder, encoder);
            if let Some((history, bytes)) = &prepared.history {
                encoder.copy_buffer_to_buffer(&prepared.shaped_residual, 0, history, 0, *bytes);
            }
        }

        let span = recorder.time_span(encoder, "composite");
        let target = target.main_texture_view();
        composite::record(composite_pipeline, &prepared.composite, offset, target, rect_px, encoder);
        span.end(encoder);
    }
    if let Some(claimed) = portrait.measured {
        state.tiers.end(camera, claimed, encoder);
    }
    whole.end(encoder);
}

fn dispatch(
    stage: &'static str,
    pipeline: &ComputePipeline,
    bind_group: &BindGroup,
    uniform_offset: u32,
    [x, y, z]: [u32; 3],
    recorder: Option<&DiagnosticsRecorder>,
    encoder: &mut CommandEncoder,
) {
    let span = recorder.time_span(encoder, stage);
    {
        let descriptor = ComputePassDescriptor { label: Some(stage), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, bind_group, &[uniform_offset]);
        pass.dispatch_workgroups(x, y, z);
    }
    span.end(encoder);
}
