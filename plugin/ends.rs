//! The kernels before and after the network: their pipelines, and what they bind, in the order of the layouts in
//! [`PortraitPipelines`].

use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, BindingResource, CachedComputePipelineId, CachedRenderPipelineId,
    DynamicBindGroupEntries, PipelineCache, Sampler, TextureFormat, TextureView,
};
use bevy::render::renderer::RenderDevice;

use crate::pipeline::{CompositeKey, ComputeKey, PackKey, PortraitPipelineCache, PortraitPipelines, ShapeKey};

/// What they depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EndsKey {
    pub pack: PackKey,
    /// Format of the camera's main texture.
    pub target: TextureFormat,
    /// Whether the camera's depths and motion vectors are multisampled.
    pub multisampled: bool,
}

/// Their pipelines.
#[derive(Clone, Copy)]
pub(crate) struct EndsPipelines {
    pub pack: CachedComputePipelineId,
    pub light: CachedComputePipelineId,
    pub shape: CachedComputePipelineId,
    pub keep_depth: CachedComputePipelineId,
    pub composite: CachedRenderPipelineId,
}

impl EndsPipelines {
    /// All are asked for at once, so that none is missing when a user turns to another setting.
    pub fn new(
        key: EndsKey,
        cache: &PipelineCache,
        pipelines: &PortraitPipelines,
        pipeline_cache: &mut PortraitPipelineCache,
    ) -> Self {
        let EndsKey { pack, target, multisampled } = key;
        let activations = pack.activations;
        let mut compute = |key| pipeline_cache.compute(cache, pipelines, key);
        Self {
            pack: compute(ComputeKey::Pack(pack)),
            light: compute(ComputeKey::Light(activations)),
            shape: compute(ComputeKey::Shape(ShapeKey { activations, multisampled })),
            keep_depth: compute(ComputeKey::KeepDepth(multisampled)),
            composite: pipeline_cache.composite(cache, pipelines, CompositeKey { target, activations, multisampled }),
        }
    }
}

/// What makes bind groups.
#[derive(Clone, Copy)]
pub(crate) struct Binder<'a> {
    pub device: &'a RenderDevice,
    pub cache: &'a PipelineCache,
    pub pipelines: &'a PortraitPipelines,
}

/// Of the kernel that makes the input planes.
pub(crate) struct PackBindings<'a> {
    pub region: BindingResource<'a>,
    pub copy: &'a TextureView,
    pub planes: BindingResource<'a>,
    pub guide: BindingResource<'a>,
    pub normals: Option<&'a TextureView>,
    pub depths: Option<&'a TextureView>,
}

impl PackBindings<'_> {
    pub fn bind(self, key: PackKey, binder: Binder) -> BindGroup {
        let layout = binder.cache.get_bind_group_layout(&binder.pipelines.pack_layout(key));
        let mut entries = DynamicBindGroupEntries::new_with_indices((
            (0, self.region),
            (1, self.copy),
            (2, self.planes),
            (5, self.guide),
        ));
        if let Some(normals) = self.normals.filter(|_| key.normal_channel.is_some()) {
            entries = entries.extend_with_indices(((3, normals),));
        }
        if let Some(depths) = self.depths.filter(|_| key.depth_channel.is_some()) {
            entries = entries.extend_with_indices(((4, depths),));
        }
        binder.device.create_bind_group("portrait pack", &layout, &entries)
    }
}

/// Of the kernel that finds the broad part of a residual.
pub(crate) struct LightBindings<'a> {
    pub region: BindingResource<'a>,
    pub residual: BindingResource<'a>,
    pub light: BindingResource<'a>,
}

impl LightBindings<'_> {
    pub fn bind(self, binder: Binder) -> BindGroup {
        let layout = binder.cache.get_bind_group_layout(&binder.pipelines.light_layout);
        let entries = BindGroupEntries::with_indices(((0, self.region), (1, self.residual), (4, self.light)));
        binder.device.create_bind_group("portrait light", &layout, &entries)
    }
}

/// Of the kernel that shapes a residual.
pub(crate) struct ShapeBindings<'a> {
    pub region: BindingResource<'a>,
    pub residual: BindingResource<'a>,
    pub last: BindingResource<'a>,
    pub shaped: BindingResource<'a>,
    pub light: BindingResource<'a>,
    pub motion: &'a TextureView,
    pub copy: &'a TextureView,
}

impl ShapeBindings<'_> {
    pub fn bind(self, multisampled: bool, binder: Binder) -> BindGroup {
        let layout = binder.cache.get_bind_group_layout(&binder.pipelines.shape_layout(multisampled));
        let Self { region, residual, last, shaped, light, motion, copy } = self;
        let entries = BindGroupEntries::sequential((region, residual, last, shaped, light, motion, copy));
        binder.device.create_bind_group("portrait shape", &layout, &entries)
    }
}

/// Of the kernel that keeps depths.
pub(crate) struct KeepDepthBindings<'a> {
    pub region: BindingResource<'a>,
    pub depths: &'a TextureView,
    pub kept: BindingResource<'a>,
}

impl KeepDepthBindings<'_> {
    pub fn bind(self, multisampled: bool, binder: Binder) -> BindGroup {
        let layout = binder.cache.get_bind_group_layout(&binder.pipelines.keep_depth_layout(multisampled));
        let entries = BindGroupEntries::sequential((self.region, self.depths, self.kept));
        binder.device.create_bind_group("portrait keep depth", &layout, &entries)
    }
}

/// Of the composite pass.
pub(crate) struct CompositeBindings<'a> {
    pub region: BindingResource<'a>,
    pub copy: &'a TextureView,
    pub residual: BindingResource<'a>,
    pub guide: BindingResource<'a>,
    pub depths: &'a TextureView,
    pub mask: &'a TextureView,
    pub mask_sampler: &'a Sampler,
    pub boxes: BindingResource<'a>,
    pub last_depths: &'a TextureView,
    pub kept_depths: BindingResource<'a>,
}

impl CompositeBindings<'_> {
    pub fn bind(self, multisampled: bool, binder: Binder) -> BindGroup {
        let layout = binder.cache.get_bind_group_layout(&binder.pipelines.composite_layout(multisampled));
        let Self { region, copy, residual, guide, depths, mask, mask_sampler, boxes, last_depths, kept_depths } = self;
        let entries = BindGroupEntries::sequential((
            region,
            copy,
            residual,
            guide,
            depths,
            mask,
            mask_sampler,
            boxes,
            last_depths,
            kept_depths,
        ));
        binder.device.create_bind_group("portrait composite", &layout, &entries)
    }
}
