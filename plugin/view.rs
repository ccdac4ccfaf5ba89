//! What the pass binds for a view.

use bevy::asset::AssetId;
use bevy::core_pipeline::core_3d::CORE_3D_DEPTH_FORMAT;
use bevy::core_pipeline::prepass::MOTION_VECTOR_PREPASS_FORMAT;
use bevy::ecs::prelude::*;
use bevy::math::UVec2;
use bevy::render::render_resource::{
    BindGroup, Buffer, CachedComputePipelineId, CachedRenderPipelineId, TextureFormat, TextureView,
};
use bevy::render::texture::GpuImage;

use crate::ends::{Binder, CompositeBindings, KeepDepthBindings, LightBindings, PackBindings, ShapeBindings};
use crate::gpu_state::{CompositeSource, KeepDepthSource, LightSource, PackSource, PortraitGpuState, ShapeSource};
use crate::model_asset::PortraitModel;
use crate::pipeline::ShapeKey;
use crate::prepare::Gpu;
use crate::region::Region;
use crate::shaping::light_points;
use crate::uniforms::{PlannedRegion, residual_bytes};
use crate::work::{Seen, Work};

/// On a view in the render world: what the pass does for it in this frame.
#[derive(Component)]
pub struct PortraitView {
    pub(crate) model: AssetId<PortraitModel>,
    pub(crate) format: TextureFormat,
    pub(crate) pack_pipeline: CachedComputePipelineId,
    pub(crate) composite_pipeline: CachedRenderPipelineId,
    pub(crate) light_pipeline: CachedComputePipelineId,
    pub(crate) shape_pipeline: CachedComputePipelineId,
    pub(crate) pack: BindGroup,
    /// Keeps the depths of its regions before something is drawn over them.
    pub(crate) keep_depth: Option<(CachedComputePipelineId, BindGroup)>,
    pub(crate) regions: Vec<PreparedRegion>,
    /// Where the time that it takes is to be written, if somebody wants to know.
    pub(crate) measured: Option<usize>,
}

/// One face of one view.
#[derive(Clone)]
pub(crate) struct PreparedRegion {
    pub region: Region,
    /// Width and height that the network sees.
    pub network_px: UVec2,
    /// Which of the network's parameter slots is its own.
    pub slot: usize,
    /// Dynamic offset of its [`RegionUniform`].
    pub uniform_offset: u32,
    pub shape: Option<PreparedShape>,
    pub composite: BindGroup,
}

/// What is done to a residual before it is composited.
#[derive(Clone)]
pub(crate) struct PreparedShape {
    /// Finds the broad part at this many points.
    pub light: Option<(BindGroup, UVec2)>,
    pub bind_group: BindGroup,
    pub shaped: Buffer,
    /// Where the outcome is kept for the next frame, and its length in bytes.
    pub history: Option<(Buffer, u64)>,
}

/// The textures that the last steps bind; nothing is read of those that the camera does not have.
pub(crate) struct Bound<'a> {
    pub depths: TextureView,
    pub motion: TextureView,
    pub mask: &'a GpuImage,
    pub last_depths: TextureView,
}

impl<'a> Bound<'a> {
    pub fn new(work: &Work<'a>, seen: &'a Seen, gpu: &mut Gpu) -> Self {
        let mut or_fallback = |view: Option<&TextureView>, format| match view {
            Some(view) => view.clone(),
            None => gpu.fallback(work.samples, format),
        };
        Self {
            depths: or_fallback(work.depths, CORE_3D_DEPTH_FORMAT),
            motion: or_fallback(work.motion, MOTION_VECTOR_PREPASS_FORMAT),
            mask: work.mask.unwrap_or(&seen.fallback.d2),
            last_depths: or_fallback(work.last_depths, CORE_3D_DEPTH_FORMAT),
        }
    }
}

/// Pipelines and bind groups of a view.
pub(crate) fn portrait_view(
    state: &mut PortraitGpuState,
    work: &Work,
    planned: Vec<PlannedRegion>,
    bound: Bound,
    boxes: &Buffer,
    gpu: &mut Gpu,
) -> Option<PortraitView> {
    let ids = gpu.ends_pipelines(work);
    let PortraitGpuState {
        networks,
        copies,
        guide,
        kept_depths,
        shaping,
        uniforms,
        pack,
        light,
        shape,
        keep_depth,
        composite,
        ..
    } = state;
    let Gpu { device, cache, pipelines, .. } = gpu;
    let device = &**device;
    let binder = Binder { device, cache, pipelines };
    let format = work.view.target_format;
    let network = networks.get(&work.model())?;
    let copy = copies.get(&format)?;
    let guide = &guide.as_ref()?.buffer;
    let kept_depths = &kept_depths.as_ref()?.buffer;
    let uniform = uniforms.binding()?;
    let uniforms = uniforms.buffer()?.id();
    let pack_source = PackSource {
        key: work.pack_key,
        uniforms,
        copy: copy.view.id(),
        planes: network.input().id(),
        guide: guide.id(),
        prepass: [work.normals.map(TextureView::id), work.depths.map(TextureView::id)],
    };
    let pack = pack.get(pack_source, || {
        let bindings = PackBindings {
            region: uniform.clone(),
            copy: &copy.view,
            planes: network.input().as_entire_binding(),
            guide: guide.as_entire_binding(),
            normals: work.normals,
            depths: work.depths,
        };
        bindings.bind(work.pack_key, binder)
    });
    let (activations, multisampled) = (work.pack_key.activations, work.is_multisampled());
    let keep_depth = work.last_depths.map(|depths| {
        let source = KeepDepthSource { multisampled, uniforms, depths: depths.id(), kept: kept_depths.id() };
        let bind_group = keep_depth.get(source, || {
            let kept = kept_depths.as_entire_binding();
            KeepDepthBindings { region: uniform.clone(), depths, kept }.bind(multisampled, binder)
        });
        (ids.keep_depth, bind_group)
    });
    let regions = planned.into_iter().map(|planned| {
        let shape = (planned.is_weighted || planned.history.is_some()).then(|| {
            let plan = network.plan();
            let [shaped, points] = shaping.reserve(residual_bytes(plan, plan.capacity_px), device);
            let light = planned.has_light.then(|| {
                let source =
                    LightSource { activations, uniforms, residual: network.residual().id(), light: points.id() };
                let bind_group = light.get(source, || {
                    let residual = network.residual().as_entire_binding();
                    LightBindings { region: uniform.clone(), residual, light: points.as_entire_binding() }.bind(binder)
                });
                (bind_group, light_points(planned.network_px))
            });
            let last = planned.history.as_ref().map_or(network.residual(), |(buffer, _)| buffer);
            let source = ShapeSource {
                key: ShapeKey { activations, multisampled },
                uniforms,
                residual: network.residual().id(),
                last: last.id(),
                shaped: shaped.id(),
                light: points.id(),
                motion: bound.motion.id(),
                copy: copy.view.id(),
            };
            let bind_group = shape.get(source, || {
                let bindings = ShapeBindings {
                    region: uniform.clone(),
                    residual: network.residual().as_entire_binding(),
                    last: last.as_entire_binding(),
                    shaped: shaped.as_entire_binding(),
                    light: points.as_entire_binding(),
                    motion: &bound.motion,
                    copy: &copy.view,
                };
                bindings.bind(multisampled, binder)
            });
            PreparedShape { light, bind_group, shaped, history: planned.history }
        });
        let residual = shape.as_ref().map_or(network.residual(), |shape| &shape.shaped);
        let source = CompositeSource {
            multisampled,
            uniforms,
            copy: copy.view.id(),
            residual: residual.id(),
            guide: guide.id(),
            depths: bound.depths.id(),
            mask: bound.mask.texture_view.id(),
            mask_sampler: bound.mask.sampler.id(),
            boxes: boxes.id(),
            last_depths: bound.last_depths.id(),
            kept_depths: kept_depths.id(),
        };
        let composite = composite.get(source, || {
            let bindings = CompositeBindings {
                region: uniform.clone(),
                copy: &copy.view,
                residual: residual.as_entire_binding(),
                guide: guide.as_entire_binding(),
                depths: &bound.depths,
                mask: &bound.mask.texture_view,
                mask_sampler: &bound.mask.sampler,
                boxes: boxes.as_entire_binding(),
                last_depths: &bound.last_depths,
                kept_depths: kept_depths.as_entire_binding(),
            };
            bindings.bind(multisampled, binder)
        });
        let PlannedRegion { region, network_px, slot, uniform_offset, .. } = planned;
        PreparedRegion { region, network_px, slot, uniform_offset, shape, composite }
    });
    let regions = regions.collect();
    Some(PortraitView {
        model: work.model(),
        format,
        pack_pipeline: ids.pack,
        light_pipeline: ids.light,
        shape_pipeline: ids.shape,
        composite_pipeline: ids.composite,
        pack,
        keep_depth,
        regions,
        measured: None,
    })
}
