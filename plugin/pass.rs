//! The pass: once for each camera, after tone mapping.

use bevy::ecs::prelude::*;
use bevy::log::error_once;
use bevy::math::UVec2;
use bevy::render::diagnostic::RecordDiagnostics;
use bevy::render::render_resource::{
    BindGroup, CommandEncoder, ComputePassDescriptor, Extent3d, LoadOp, Operations, Origin3d, PipelineCache,
    RenderPassColorAttachment, RenderPassDescriptor, StoreOp, TexelCopyTextureInfo, Texture, TextureAspect,
    TextureUsages,
};
use bevy::render::renderer::{RenderContext, ViewQuery};
use bevy::render::view::ViewTarget;

use crate::diagnostics::{CpuTime, SPAN};
use crate::gpu_state::PortraitGpuState;
use crate::plan::WORKGROUP_SIDE;
use crate::view::PortraitView;

/// For each face: copies its region out of the camera's main texture, runs the network, and draws the region back into
/// the same texture. Everything outside stays untouched, and `ViewTarget` is not flipped.
pub fn portrait_realism(
    view: ViewQuery<(&ViewTarget, &PortraitView)>,
    state: Res<PortraitGpuState>,
    cache: Res<PipelineCache>,
    time: Res<CpuTime>,
    mut ctx: RenderContext,
) {
    let camera = view.entity();
    let (target, portrait) = view.into_inner();
    let (Some(network), Some(copy)) = (state.network(portrait.model), state.copies.get(&portrait.format)) else {
        return;
    };
    let compute = [portrait.pack_pipeline, portrait.light_pipeline, portrait.shape_pipeline];
    let ([Some(pack_pipeline), Some(light_pipeline), Some(shape_pipeline)], Some(composite_pipeline)) =
        (compute.map(|id| cache.get_compute_pipeline(id)), cache.get_render_pipeline(portrait.composite_pipeline))
    else {
        return;
    };
    let frame = target.main_texture();
    if !frame.usage().contains(TextureUsages::COPY_SRC) {
        error_once!("portrait realism: add `TextureUsages::COPY_SRC` to the camera's `CameraMainTextureUsages`");
        return;
    }
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
    for (face, prepared) in portrait.regions.iter().enumerate() {
        // A frame has only so many time stamps: of several faces, the stages of the largest one are measured.
        let diagnostics = recorder.filter(|_| face == 0);
        let rect = prepared.region.rect_px;
        let size = rect.size();
        let network_px = prepared.network_px;

        let span = diagnostics.time_span(encoder, "copy");
        let extent = Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
        encoder.copy_texture_to_texture(texture_at(frame, rect.min), texture_at(&copy.texture, UVec2::ZERO), extent);
        span.end(encoder);

        let dispatch = |encoder: &mut CommandEncoder, label, pipeline, bind_group: &BindGroup, [x, y, z]: [u32; 3]| {
            let span = diagnostics.time_span(encoder, label);
            {
                let descriptor = ComputePassDescriptor { label: Some(label), timestamp_writes: None };
                let mut pass = encoder.begin_compute_pass(&descriptor);
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bind_group, &[prepared.uniform_offset]);
                pass.dispatch_workgroups(x, y, z);
            }
            span.end(encoder);
        };
        dispatch(encoder, "pack", pack_pipeline, &portrait.pack, network.plan().pack_workgroups(network_px));

        if !network.record(prepared.slot, network_px, encoder, &cache, diagnostics) {
            break;
        }

        if let Some(shape) = &prepared.shape {
            if let Some((bind_group, points)) = &shape.light {
                dispatch(encoder, "light", light_pipeline, bind_group, [points.x, points.y, 1]);
            }
            let groups = network_px.map(|side| side.div_ceil(WORKGROUP_SIDE));
            dispatch(encoder, "shape", shape_pipeline, &shape.bind_group, [groups.x, groups.y, 1]);
            if let Some((history, bytes)) = &shape.history {
                encoder.copy_buffer_to_buffer(&shape.shaped, 0, history, 0, *bytes);
            }
        }

        let span = diagnostics.time_span(encoder, "composite");
        {
            let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
                label: Some("portrait composite"),
                color_attachments: &[Some(RenderPassColorAttachment {
                    view: target.main_texture_view(),
                    depth_slice: None,
                    resolve_target: None,
                    ops: Operations { load: LoadOp::Load, store: StoreOp::Store },
                })],
                ..Default::default()
            });
            pass.set_pipeline(composite_pipeline);
            pass.set_bind_group(0, &prepared.composite, &[prepared.uniform_offset]);
            pass.set_scissor_rect(rect.min.x, rect.min.y, size.x, size.y);
            pass.draw(0..3, 0..1);
        }
        span.end(encoder);
    }
    if let Some(claimed) = portrait.measured {
        state.tiers.end(camera, claimed, encoder);
    }
    whole.end(encoder);
}

fn texture_at(texture: &Texture, origin: UVec2) -> TexelCopyTextureInfo<'_> {
    TexelCopyTextureInfo {
        texture,
        mip_level: 0,
        origin: Origin3d { x: origin.x, y: origin.y, z: 0 },
        aspect: TextureAspect::All,
    }
}
