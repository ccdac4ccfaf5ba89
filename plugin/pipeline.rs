//! Bind group layouts, and the pipelines specialised from the kernels.

use bevy::ecs::prelude::*;
use bevy::log::error;
use bevy::render::render_resource::binding_types::{
    sampler, storage_buffer_read_only_sized, storage_buffer_sized, texture_2d, texture_2d_multisampled,
    texture_depth_2d, texture_depth_2d_multisampled, uniform_buffer,
};
use bevy::render::render_resource::{
    BindGroupLayoutDescriptor, BindGroupLayoutEntryBuilder, CachedComputePipelineId, CachedPipelineState,
    CachedRenderPipelineId, ColorTargetState, ColorWrites, ComputePipelineDescriptor, DynamicBindGroupLayoutEntries,
    FragmentState, PipelineCache, RenderPipelineDescriptor, SamplerBindingType, ShaderStages,
    SpecializedComputePipeline, SpecializedComputePipelines, SpecializedRenderPipeline, SpecializedRenderPipelines,
    TextureFormat, TextureSampleType, VertexState,
};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use bevy::shader::{ShaderCacheError, ShaderDefVal};
use portrait_network::pack::OUT_TILE;
use portrait_network::{Graph, Plane};

use crate::first_use::FirstUses;
use crate::fusion::input_is_unshuffled;
use crate::gpu_state::RegionUniform;
use crate::plan::{Kernel, LayerParams, WORKGROUP_SIDE};
use crate::shaders::PortraitShaders;
use crate::support::PortraitRealismSupported;
use crate::texels::TEXTURE_WIDTH;
use crate::tuning::PortraitKernels;
use crate::variant::{ActivationFormat, KernelVariant, MatrixSide, TileRows, runs_on_cpu};
use crate::weight_layout::WeightFormat;

/// A compute pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComputeKey {
    /// One step of a plan.
    Layer(LayerKey),
    /// The region of the frame → the input planes.
    Pack(PackKey),
    /// The residual → its broad part.
    Light(ActivationFormat),
    /// The residual → what the user made of it.
    Shape(ShapeKey),
    /// The camera's depths, multisampled or not → what is kept of them.
    KeepDepth(bool),
}

/// What the kernel of a step depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerKey {
    /// What it computes.
    pub kernel: Kernel,
    /// How it does that.
    pub variant: KernelVariant,
    /// How the weights are stored.
    pub weights: WeightFormat,
}

/// What the kernel that shapes a residual depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShapeKey {
    /// How the residual is stored.
    pub activations: ActivationFormat,
    /// Whether the camera's motion vectors are multisampled.
    pub multisampled: bool,
}

/// What the composite pass depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CompositeKey {
    /// Of the camera's main texture.
    pub target: TextureFormat,
    /// Of the residual.
    pub activations: ActivationFormat,
    /// Whether the camera's depths are multisampled.
    pub multisampled: bool,
}

/// What the kernel that makes the input planes depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackKey {
    /// Channels of the input planes.
    pub input_channels: u32,
    /// First channel of the normals, if the network reads them.
    pub normal_channel: Option<u32>,
    /// Channel of the depth, if the network reads it.
    pub depth_channel: Option<u32>,
    /// Whether the prepass textures are multisampled.
    pub multisampled: bool,
    /// How the planes are stored.
    pub activations: ActivationFormat,
    /// Whether they are made in the order of a first space-to-depth layer of factor 2.
    pub unshuffled: bool,
}

impl PackKey {
    /// For a network's input planes.
    pub fn new(graph: &Graph, multisampled: bool, activations: ActivationFormat) -> Self {
        let spec = graph.spec();
        let channel_of = |wanted: Plane| {
            let at = spec.inputs.iter().position(|&plane| plane == wanted)?;
            Some(spec.inputs[..at].iter().map(|plane| plane.channels() as u32).sum())
        };
        let (normal_channel, depth_channel) = (channel_of(Plane::Normal), channel_of(Plane::Depth));
        Self {
            input_channels: spec.input_channels() as u32,
            normal_channel,
            depth_channel,
            // One pipeline is enough where it makes no difference.
            multisampled: multisampled && (normal_channel.is_some() || depth_channel.is_some()),
            activations,
            unshuffled: input_is_unshuffled(graph),
        }
    }
}

/// Layouts and specialised pipelines. Exists where the device can run them.
#[derive(Resource, Clone)]
pub struct PortraitPipelines {
    buffers_layout: BindGroupLayoutDescriptor,
    textures_layout: BindGroupLayoutDescriptor,
    /// Of the kernel that finds the broad part of a residual: region, residual, points of light.
    pub light_layout: BindGroupLayoutDescriptor,
    /// The kernels that this device runs.
    pub variant: KernelVariant,
    pub(crate) shaders: PortraitShaders,
}

/// Specialised pipelines by key.
#[derive(Resource, Default)]
pub struct PortraitPipelineCache {
    compute: SpecializedComputePipelines<PortraitPipelines>,
    composite: SpecializedRenderPipelines<PortraitPipelines>,
}

impl PortraitPipelineCache {
    /// The compute pipeline, queued when it is asked for the first time.
    pub fn compute(
        &mut self,
        cache: &PipelineCache,
        pipelines: &PortraitPipelines,
        key: ComputeKey,
    ) -> CachedComputePipelineId {
        self.compute.specialize(cache, pipelines, key)
    }

    /// The composite pipeline, queued when it is asked for the first time.
    pub fn composite(
        &mut self,
        cache: &PipelineCache,
        pipelines: &PortraitPipelines,
        key: CompositeKey,
    ) -> CachedRenderPipelineId {
        self.composite.specialize(cache, pipelines, key)
    }
}

impl PortraitPipelines {
    /// Layouts; shaders are compiled when they are first needed.
    pub fn new(shaders: PortraitShaders, variant: KernelVariant) -> Self {
        let buffers_layout = BindGroupLayoutDescriptor::new(
            "portrait layer",
            &DynamicBindGroupLayoutEntries::sequential(
                ShaderStages::COMPUTE,
                (
                    uniform_buffer::<LayerParams>(true),
                    storage_buffer_read_only_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                    storage_buffer_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                ),
            ),
        );
        let textures_layout = BindGroupLayoutDescriptor::new(
            "portrait layer of textures",
            &DynamicBindGroupLayoutEntries::sequential(
                ShaderStages::COMPUTE,
                (
                    uniform_buffer::<LayerParams>(true),
                    texture_2d(TextureSampleType::Uint),
                    texture_2d(TextureSampleType::Uint),
                    storage_buffer_sized(false, None),
                    texture_2d(TextureSampleType::Uint),
                ),
            ),
        );
        let light_layout = BindGroupLayoutDescriptor::new(
            "portrait light",
            &DynamicBindGroupLayoutEntries::new_with_indices(
                ShaderStages::COMPUTE,
                (
                    (0, uniform_buffer::<RegionUniform>(true)),
                    (1, storage_buffer_read_only_sized(false, None)),
                    (4, storage_buffer_sized(false, None)),
                ),
            ),
        );
        Self { buffers_layout, textures_layout, light_layout, variant, shaders }
    }

    /// Of a step of a plan: parameters, source, weights, target, second source.
    pub fn layer_layout(&self, kernel: Kernel, variant: KernelVariant) -> &BindGroupLayoutDescriptor {
        if kernel.reads_textures(variant) { &self.textures_layout } else { &self.buffers_layout }
    }

    /// Of the kernel that shapes a residual: region, residual, that of the last frame, target, points of light, motion vectors, copied
    /// frame.
    pub fn shape_layout(&self, multisampled: bool) -> BindGroupLayoutDescriptor {
        let entries = DynamicBindGroupLayoutEntries::sequential(
            ShaderStages::COMPUTE,
            (
                uniform_buffer::<RegionUniform>(true),
                storage_buffer_read_only_sized(false, None),
                storage_buffer_read_only_sized(false, None),
                storage_buffer_sized(false, None),
                storage_buffer_read_only_sized(false, None),
                unfilterable(multisampled),
                unfilterable(false),
            ),
        );
        BindGroupLayoutDescriptor::new("portrait shape", &entries)
    }

    /// Of the kernel that keeps depths: region, depths, target.
    pub fn keep_depth_layout(&self, multisampled: bool) -> BindGroupLayoutDescriptor {
        let entries = DynamicBindGroupLayoutEntries::sequential(
            ShaderStages::COMPUTE,
            (uniform_buffer::<RegionUniform>(true), depths(multisampled), storage_buffer_sized(false, None)),
        );
        BindGroupLayoutDescriptor::new("portrait keep depth", &entries)
    }

    /// Of the composite pass: region, copied frame, residual, guide, depths, mask with its sampler, excluded boxes, the last depths
    /// and those that were kept.
    pub fn composite_layout(&self, multisampled: bool) -> BindGroupLayoutDescriptor {
        let entries = DynamicBindGroupLayoutEntries::sequential(
            ShaderStages::FRAGMENT,
            (
                uniform_buffer::<RegionUniform>(true).visibility(ShaderStages::VERTEX_FRAGMENT),
                unfilterable(false),
                storage_buffer_read_only_sized(false, None),
                storage_buffer_read_only_sized(false, None),
                depths(multisampled),
                texture_2d(TextureSampleType::Float { filterable: true }),
                sampler(SamplerBindingType::Filtering),
                storage_buffer_read_only_sized(false, None),
                depths(multisampled),
                storage_buffer_read_only_sized(false, None),
            ),
        );
        BindGroupLayoutDescriptor::new("portrait composite", &entries)
    }

    /// Of the kernel that makes the input planes: region, copied frame, planes, guide; normals and depths where it reads
    /// them.
    pub fn pack_layout(&self, key: PackKey) -> BindGroupLayoutDescriptor {
        let mut entries = DynamicBindGroupLayoutEntries::new_with_indices(
            ShaderStages::COMPUTE,
            (
                (0, uniform_buffer::<RegionUniform>(true)),
                (1, unfilterable(false)),
                (2, storage_buffer_sized(false, None)),
                (5, storage_buffer_sized(false, None)),
            ),
        );
        if key.normal_channel.is_some() {
            entries = entries.extend_with_indices(((3, unfilterable(key.multisampled)),));
        }
        if key.depth_channel.is_some() {
            entries = entries.extend_with_indices(((4, depths(key.multisampled)),));
        }
        BindGroupLayoutDescriptor::new("portrait pack", &entries)
    }
}

/// A texture that is read texel by texel.
fn unfilterable(multisampled: bool) -> BindGroupLayoutEntryBuilder {
    let sample = TextureSampleType::Float { filterable: false };
    if multisampled { texture_2d_multisampled(sample) } else { texture_2d(sample) }
}

fn depths(multisampled: bool) -> BindGroupLayoutEntryBuilder {
    if multisampled { texture_depth_2d_multisampled() } else { texture_depth_2d() }
}

fn define(name: &str, value: u32) -> ShaderDefVal {
    ShaderDefVal::UInt(name.into(), value)
}

impl SpecializedComputePipeline for PortraitPipelines {
    type Key = ComputeKey;

    fn specialize(&self, key: ComputeKey) -> ComputePipelineDescriptor {
        let (shader, layout, shader_defs) = match key {
            ComputeKey::Pack(pack) => (&self.shaders.pack_planes, self.pack_layout(pack), pack_defs(pack)),
            ComputeKey::Light(activations) => (&self.shaders.light, self.light_layout.clone(), light_defs(activations)),
            ComputeKey::Shape(shape) => (&self.shaders.shape, self.shape_layout(shape.multisampled), shape_defs(shape)),
            ComputeKey::KeepDepth(multisampled) => {
                (&self.shaders.keep_depth, self.keep_depth_layout(multisampled), keep_depth_defs(multisampled))
            }
            ComputeKey::Layer(layer) => {
                let shader = match layer.kernel {
                    Kernel::Conv { .. } if layer.variant.matrices.is_some() => &self.shaders.conv_matrix,
                    Kernel::Conv { .. } if layer.variant.rows == TileRows::One => &self.shaders.conv_small,
                    Kernel::Conv { .. } => &self.shaders.conv,
                    Kernel::SpaceToDepth | Kernel::PixelShuffle | Kernel::Nearest => &self.shaders.rearrange,
                    Kernel::Copy | Kernel::Add | Kernel::Accumulate => &self.shaders.join,
                };
                (shader, self.layer_layout(layer.kernel, layer.variant).clone(), layer_defs(layer))
            }
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

/// Shader definitions of the kernel that makes the input planes.
pub fn pack_defs(key: PackKey) -> Vec<ShaderDefVal> {
    let mut defs = vec![define("WORKGROUP_SIDE", WORKGROUP_SIDE), define("INPUT_CHANNELS", key.input_channels)];
    defs.extend(activation_def(key.activations));
    defs.extend(key.normal_channel.map(|channel| define("NORMAL_CHANNEL", channel)));
    defs.extend(key.depth_channel.map(|channel| define("DEPTH_CHANNEL", channel)));
    defs.extend(key.unshuffled.then(|| "UNSHUFFLED".into()));
    defs.extend(key.multisampled.then(|| "MULTISAMPLED".into()));
    defs
}

/// Shader definitions of the kernel that finds the broad part of a residual.
pub fn light_defs(activations: ActivationFormat) -> Vec<ShaderDefVal> {
    activation_def(activations).into_iter().collect()
}

/// Shader definitions of the kernel that shapes a residual.
pub fn shape_defs(key: ShapeKey) -> Vec<ShaderDefVal> {
    let mut defs = vec![define("WORKGROUP_SIDE", WORKGROUP_SIDE)];
    defs.extend(activation_def(key.activations));
    defs.extend(key.multisampled.then(|| "MULTISAMPLED".into()));
    defs
}

/// Shader definitions of the kernel that keeps depths.
pub fn keep_depth_defs(multisampled: bool) -> Vec<ShaderDefVal> {
    let mut defs = vec![define("WORKGROUP_SIDE", WORKGROUP_SIDE)];
    defs.extend(multisampled.then(|| "MULTISAMPLED".into()));
    defs
}

/// Shader definitions of the composite pass.
pub fn composite_defs(key: CompositeKey) -> Vec<ShaderDefVal> {
    let mut defs: Vec<_> = activation_def(key.activations).into_iter().collect();
    defs.extend(key.multisampled.then(|| "MULTISAMPLED".into()));
    defs
}

fn activation_def(format: ActivationFormat) -> Option<ShaderDefVal> {
    (format == ActivationFormat::F16).then(|| "HALF_ACTIVATIONS".into())
}

/// Shader definitions of a step's kernel.
pub fn layer_defs(key: LayerKey) -> Vec<ShaderDefVal> {
    let LayerKey { kernel, variant, weights } = key;
    let mut defs = vec![define("WORKGROUP_SIDE", WORKGROUP_SIDE)];
    defs.extend(activation_def(variant.activations));
    match kernel {
        Kernel::Conv { kernel, stride, shuffles, adds, tiles, known_planes } => {
            let rows = variant.rows.px();
            defs.extend([
                define("TILE_ROWS", rows),
                define("PATCH_ROWS", if kernel == 1 { rows } else { (rows - 1) * stride + kernel }),
                define("KERNEL", kernel),
                define("STRIDE", stride),
                define("OUT_TILE", OUT_TILE as u32),
                define("OUT_TILES", tiles),
                define("CONV_WORKGROUP", variant.workgroup),
            ]);
            defs.extend((weights == WeightFormat::F16).then(|| "HALF_WEIGHTS".into()));
            defs.extend(shuffles.then(|| "SHUFFLES".into()));
            defs.extend(adds.then(|| "ADDS".into()));
            defs.extend(known_planes.map(|planes| define("TARGET_PLANES", planes)));
            defs.extend(variant.shares_weights.then(|| "SHARED_WEIGHTS".into()));
            if variant.reads_textures {
                defs.extend(["READS_TEXTURES".into(), define("TEXTURE_WIDTH", TEXTURE_WIDTH)]);
            }
            defs.extend(variant.half_products.then(|| "HALF_PRODUCTS".into()));
            // The pixels of a 1 × 1 kernel have one reader each.
            defs.extend((variant.shares_pixels && kernel == 3).then(|| "SHARED_PIXELS".into()));
            if let Some(side) = variant.matrices.map(MatrixSide::length) {
                let out_matrices = (tiles * OUT_TILE as u32).div_ceil(side);
                defs.extend([define("MATRIX", side), define("OUT_MATRICES", out_matrices)]);
            }
        }
        Kernel::SpaceToDepth => defs.push("SPACE_TO_DEPTH".into()),
        Kernel::PixelShuffle => defs.push("PIXEL_SHUFFLE".into()),
        Kernel::Nearest => defs.push("NEAREST".into()),
        Kernel::Copy => defs.push("COPY".into()),
        Kernel::Add => defs.push("ADD".into()),
        Kernel::Accumulate => defs.push("ACCUMULATE".into()),
    }
    defs
}

impl SpecializedRenderPipeline for PortraitPipelines {
    type Key = CompositeKey;

    fn specialize(&self, key: CompositeKey) -> RenderPipelineDescriptor {
        let format = key.target;
        RenderPipelineDescriptor {
            label: Some(format!("portrait composite {format:?}").into()),
            layout: vec![self.composite_layout(key.multisampled)],
            vertex: VertexState {
                shader: self.shaders.composite.clone(),
                shader_defs: composite_defs(key),
                entry_point: Some("vertex".into()),
                ..Default::default()
            },
            fragment: Some(FragmentState {
                shader: self.shaders.composite.clone(),
                shader_defs: composite_defs(key),
                entry_point: Some("fragment".into()),
                targets: vec![Some(ColorTargetState { format, blend: None, write_mask: ColorWrites::ALL })],
            }),
            ..Default::default()
        }
    }
}

/// Makes [`PortraitPipelines`], or says once why this device has none.
pub(crate) fn init_portrait_pipelines(
    mut commands: Commands,
    device: Res<RenderDevice>,
    adapter: Res<RenderAdapter>,
    shaders: Res<PortraitShaders>,
    kernels: Res<PortraitKernels>,
) {
    let supported = PortraitRealismSupported::on(&device, &adapter);
    let reason = supported.reason().cloned();
    commands.insert_resource(supported);
    if let Some(reason) = reason {
        error!("portrait realism: the frame stays as it is: {reason}");
        commands.remove_resource::<PortraitPipelines>();
        return;
    }
    let (variant, tuning) = kernels.begin(&device, &adapter);
    commands.insert_resource(PortraitPipelines::new(shaders.clone(), variant));
    commands.insert_resource(tuning);
    let in_background = runs_on_cpu(&adapter) && matches!(*kernels, PortraitKernels::Auto { .. });
    commands.insert_resource(FirstUses::new(in_background));
}

/// Whether a pipeline can run, is on its way, or never will.
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
    /// Of a pipeline in Bevy's cache.
    pub fn of(state: &CachedPipelineState) -> Self {
        match state {
            CachedPipelineState::Ok(_) => Self::Ready,
            CachedPipelineState::Err(
                ShaderCacheError::ProcessShaderError(_) | ShaderCacheError::CreateShaderModule(_),
            ) => Self::Failed,
            _ => Self::Compiling,
        }
    }

    /// The worse of two.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Compiling, _) | (_, Self::Compiling) => Self::Compiling,
            _ => Self::Ready,
        }
    }
}
