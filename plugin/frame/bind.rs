//! Step 7 of preparing a frame: the bind groups of each view.

use bevy::core_pipeline::core_3d::CORE_3D_DEPTH_FORMAT;
use bevy::core_pipeline::prepass::MOTION_VECTOR_PREPASS_FORMAT;
use bevy::render::render_resource::{Buffer, TextureView};
use bevy::render::texture::GpuImage;

use crate::frame::gpu::Gpu;
use crate::frame::state::PortraitGpuState;
use crate::frame::uniforms::{PlannedRegion, residual_bytes};
use crate::frame::view::{PortraitView, PreparedRegion, PreparedShape};
use crate::select::view_work::{SceneInputs, ViewWork};
use crate::stages::base_layer::{self, base_points};
use crate::stages::bind_groups::Binder;
use crate::stages::resources::{ShapingBuffers, StageResources};
use crate::stages::{composite, keep_depth, pack, shape};

/// The textures of a view, with placeholders for those that its camera does not have.
pub(crate) struct ViewTextures<'a> {
    pub depths: TextureView,
    pub motion_vectors: TextureView,
    pub mask: &'a GpuImage,
    pub final_depths: TextureView,
}

impl<'a> ViewTextures<'a> {
    pub fn new(work: &ViewWork<'a>, scene: &'a SceneInputs, gpu: &mut Gpu) -> Self {
        let mut or_placeholder = |view: Option<&TextureView>, format| match view {
            Some(view) => view.clone(),
            None => gpu.placeholder(work.samples, format),
        };
        Self {
            depths: or_placeholder(work.depths, CORE_3D_DEPTH_FORMAT),
            motion_vectors: or_placeholder(work.motion_vectors, MOTION_VECTOR_PREPASS_FORMAT),
            mask: work.mask.unwrap_or(&scene.fallback.d2),
            final_depths: or_placeholder(work.final_depths, CORE_3D_DEPTH_FORMAT),
        }
    }
}

/// Binds everything that the pass needs of a view. Returns `None` where a buffer is missing.
pub(crate) fn bind_view(
    state: &mut PortraitGpuState,
    work: &ViewWork,
    planned: Vec<PlannedRegion>,
    textures: &ViewTextures,
    excluded_boxes: &Buffer,
    gpu: &mut Gpu,
) -> Option<PortraitView> {
    let pipelines: Vec<_> = planned.iter().map(|planned| gpu.stage_pipelines(planned.key)).collect();
    let PortraitGpuState { networks, copies, guide, opaque_depths, shaping, uniforms, bind_groups, .. } = state;
    let format = work.view.target_format;
    let mut binder = Binder { device: &gpu.device, pipeline_cache: &gpu.cache, bind_groups };
    let (mut keep_depth, mut regions) = (None, Vec::new());
    for (planned, pipelines) in planned.into_iter().zip(pipelines) {
        let key = planned.key;
        let network = networks.get(&planned.model)?;
        // All but the network's planes is the same for all regions of the view.
        let resources = StageResources {
            region_uniforms: uniforms.buffer()?,
            region_copy: &copies.get(&format)?.view,
            input_planes: network.input(),
            residual: network.residual(),
            shaping: None,
            guide: &guide.as_ref()?.buffer,
            normals: work.normals,
            depths: &textures.depths,
            motion_vectors: &textures.motion_vectors,
            mask: &textures.mask.texture_view,
            mask_sampler: &textures.mask.sampler,
            excluded_boxes,
            final_depths: &textures.final_depths,
            opaque_depths: &opaque_depths.as_ref()?.buffer,
        };
        let pack = pack::bind(key.pack, &resources, &mut binder);
        let bind_depths = |_| (pipelines.keep_depth, keep_depth::bind(key.keep_depth(), &resources, &mut binder));
        keep_depth = work.overlay.map(bind_depths);
        // Only a region that is shaped has memory for it; others composite the network's residual as it is.
        let buffers = planned.is_shaped().then(|| {
            let plan = network.plan();
            shaping.reserve(residual_bytes(plan, plan.capacity_px), &gpu.device)
        });
        let shaping = buffers.as_ref().map(|[shaped_residual, base_layer]| ShapingBuffers {
            last_residual: planned.history.as_ref().map_or(resources.residual, |(buffer, _)| buffer),
            base_layer,
            shaped_residual,
        });
        let resources = StageResources { shaping, ..resources };
        let shape = shaping.map(|shaping| PreparedShape {
            base_layer: planned
                .has_base_layer
                .then(|| (base_layer::bind(&resources, &shaping, &mut binder), base_points(planned.network_px))),
            bind_group: shape::bind(key.shape(), &resources, &shaping, &mut binder),
            shaped_residual: shaping.shaped_residual.clone(),
            history: planned.history.clone(),
        });
        let composite = composite::bind(key.composite(), &resources, &mut binder);
        let PlannedRegion { region, model, network_px, slot, uniform_offset, .. } = planned;
        regions.push(PreparedRegion {
            region,
            model,
            pipelines,
            network_px,
            slot,
            uniform_offset,
            pack,
            shape,
            composite,
        });
    }
    Some(PortraitView { format, keep_depth, regions, measured: None })
}
