//! The one hub from a key to its pipeline.

use bevy::ecs::prelude::*;
use bevy::render::render_resource::{
    CachedComputePipelineId, CachedPipelineState, CachedRenderPipelineId, ColorTargetState, ColorWrites,
    ComputePipelineDescriptor, FragmentState, PipelineCache, RenderPipelineDescriptor, SpecializedComputePipeline,
    SpecializedComputePipelines, SpecializedRenderPipeline, SpecializedRenderPipelines, TextureFormat, VertexState,
};
use bevy::shader::ShaderCacheError;

use crate::inference::layer::{self, LayerKey};
use crate::inference::variant::KernelVariant;
use crate::shaders::PortraitShaders;
use crate::stages::base_layer::{self, BaseLayerKey};
use crate::stages::composite::{self, CompositeKey};
use crate::stages::keep_depth::{self, KeepDepthKey};
use crate::stages::pack::{self, PackKey};
use crate::stages::shape::{self, ShapeKey};

/// Names a compute pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComputeKey {
    /// One step of a plan.
    Layer(LayerKey),
    /// The pack stage.
    Pack(PackKey),
    /// The base-layer stage.
    BaseLayer(BaseLayerKey),
    /// The shape stage.
    Shape(ShapeKey),
    /// The keep-depth stage.
    KeepDepth(KeepDepthKey),
}

/// The shaders, and which kernels of the family run. It exists where the device can run the effect.
#[derive(Resource, Clone)]
pub struct PortraitPipelines {
    /// The kernels that this device runs.
    pub variant: KernelVariant,
    pub(crate) shaders: PortraitShaders,
}

impl PortraitPipelines {
    /// Chooses kernels. Shaders are compiled when a pipeline is first asked for.
    pub fn new(shaders: PortraitShaders, variant: KernelVariant) -> Self {
        Self { variant, shaders }
    }
}

impl SpecializedComputePipeline for PortraitPipelines {
    type Key = ComputeKey;

    fn specialize(&self, key: ComputeKey) -> ComputePipelineDescriptor {
        let shaders = &self.shaders;
        let (shader, layout, shader_defs) = match key {
            ComputeKey::Layer(key) => (
                shaders.layer(key.kernel, key.variant),
                layer::layout(key.kernel, key.variant),
                layer::shader_defs(key),
            ),
            ComputeKey::Pack(key) => (&shaders.pack, pack::layout(key), pack::shader_defs(key)),
            ComputeKey::BaseLayer(key) => (&shaders.base_layer, base_layer::layout(), base_layer::shader_defs(key)),
            ComputeKey::Shape(key) => (&shaders.shape, shape::layout(key), shape::shader_defs(key)),
            ComputeKey::KeepDepth(key) => (&shaders.keep_depth, keep_depth::layout(key), keep_depth::shader_defs(key)),
        };
        ComputePipelineDescriptor {
            label: Some(format!("portrait {key:?}").into()),
            layout: vec![layout],
            shader: shader.clone(),
            shader_defs,
            entry_point: Some("main".into()),
            ..Default::default()
        }
    }
}

impl SpecializedRenderPipeline for PortraitPipelines {
    type Key = CompositeKey;

    fn specialize(&self, key: CompositeKey) -> RenderPipelineDescriptor {
        let format = key.target;
        RenderPipelineDescriptor {
            label: Some(format!("portrait composite {format:?}").into()),
            layout: vec![composite::layout(key)],
            vertex: VertexState {
                shader: self.shaders.composite.clone(),
                shader_defs: composite::shader_defs(key),
                entry_point: Some("vertex".into()),
                ..Default::default()
            },
            fragment: Some(FragmentState {
                shader: self.shaders.composite.clone(),
                shader_defs: composite::shader_defs(key),
                entry_point: Some("fragment".into()),
                targets: vec![Some(ColorTargetState { format, blend: None, write_mask: ColorWrites::ALL })],
            }),
            ..Default::default()
        }
    }
}

/// Pipelines by key.
#[derive(Resource, Default)]
pub struct PortraitPipelineCache {
    compute: SpecializedComputePipelines<PortraitPipelines>,
    composite: SpecializedRenderPipelines<PortraitPipelines>,
}

impl PortraitPipelineCache {
    /// Returns a compute pipeline, which is queued when it is asked for the first time.
    pub fn compute(
        &mut self,
        cache: &PipelineCache,
        pipelines: &PortraitPipelines,
        key: ComputeKey,
    ) -> CachedComputePipelineId {
        self.compute.specialize(cache, pipelines, key)
    }

    /// Returns a composite pipeline, which is queued when it is asked for the first time.
    pub fn composite(
        &mut self,
        cache: &PipelineCache,
        pipelines: &PortraitPipelines,
        key: CompositeKey,
    ) -> CachedRenderPipelineId {
        self.composite.specialize(cache, pipelines, key)
    }
}

/// Key that the stages around a network are specialised by in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StageKey {
    pub pack: PackKey,
    /// Format of the camera's main texture.
    pub target: TextureFormat,
    /// True if the camera's depths and motion vectors are multisampled.
    pub multisampled: bool,
}

impl StageKey {
    pub fn base_layer(self) -> BaseLayerKey {
        BaseLayerKey { activations: self.pack.activations }
    }

    pub fn shape(self) -> ShapeKey {
        ShapeKey { activations: self.pack.activations, multisampled: self.multisampled }
    }

    pub fn keep_depth(self) -> KeepDepthKey {
        KeepDepthKey { multisampled: self.multisampled }
    }

    pub fn composite(self) -> CompositeKey {
        let Self { pack, target, multisampled } = self;
        CompositeKey { target, activations: pack.activations, multisampled }
    }
}

/// The pipelines of the stages around a network.
#[derive(Clone, Copy)]
pub(crate) struct StagePipelines {
    pub pack: CachedComputePipelineId,
    pub base_layer: CachedComputePipelineId,
    pub shape: CachedComputePipelineId,
    pub keep_depth: CachedComputePipelineId,
    pub composite: CachedRenderPipelineId,
}

impl StagePipelines {
    /// Asks for all of them at once, so that none is missing when a user turns to another setting.
    pub fn new(
        key: StageKey,
        cache: &PipelineCache,
        pipelines: &PortraitPipelines,
        pipeline_cache: &mut PortraitPipelineCache,
    ) -> Self {
        let mut compute = |key| pipeline_cache.compute(cache, pipelines, key);
        Self {
            pack: compute(ComputeKey::Pack(key.pack)),
            base_layer: compute(ComputeKey::BaseLayer(key.base_layer())),
            shape: compute(ComputeKey::Shape(key.shape())),
            keep_depth: compute(ComputeKey::KeepDepth(key.keep_depth())),
            composite: pipeline_cache.composite(cache, pipelines, key.composite()),
        }
    }

    /// Returns whether all of them can run.
    pub fn readiness(&self, cache: &PipelineCache) -> Readiness {
        [self.pack, self.base_layer, self.shape, self.keep_depth]
            .into_iter()
            .map(|id| Readiness::of(cache.get_compute_pipeline_state(id)))
            .fold(Readiness::of(cache.get_render_pipeline_state(self.composite)), Readiness::and)
    }
}

/// The state of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can run.
    Ready,
    /// Its shader is being loaded or compiled.
    Compiling,
    /// Its shader is wrong; Bevy has logged why.
    Failed,
}

impl Readiness {
    /// Returns the readiness of a pipeline in Bevy's cache.
    pub fn of(state: &CachedPipelineState) -> Self {
        match state {
            CachedPipelineState::Ok(_) => Self::Ready,
            CachedPipelineState::Err(
                ShaderCacheError::ProcessShaderError(_) | ShaderCacheError::CreateShaderModule(_),
            ) => Self::Failed,
            _ => Self::Compiling,
        }
    }

    /// Returns the worse of two.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Compiling, _) | (_, Self::Compiling) => Self::Compiling,
            _ => Self::Ready,
        }
    }
}
