//! Bind group layouts, and the pipelines specialised from the kernels.

use bevy::core_pipeline::FullscreenShader;
use bevy::ecs::prelude::*;
use bevy::log::error;
use bevy::render::render_resource::binding_types::{
    storage_buffer_read_only_sized, storage_buffer_sized, texture_2d, texture_2d_multisampled, texture_depth_2d,
    texture_depth_2d_multisampled, uniform_buffer,
};
use bevy::render::render_resource::{
    BindGroupLayoutDescriptor, CachedComputePipelineId, CachedPipelineState, CachedRenderPipelineId, ColorTargetState,
    ColorWrites, ComputePipelineDescriptor, DynamicBindGroupLayoutEntries, FragmentState, PipelineCache,
    RenderPipelineDescriptor, ShaderStages, SpecializedComputePipeline, SpecializedComputePipelines,
    SpecializedRenderPipeline, SpecializedRenderPipelines, TextureFormat, TextureSampleType,
};
use bevy::render::renderer::{RenderAdapterInfo, RenderDevice};
use bevy::shader::{ShaderCacheError, ShaderDefVal};
use portrait_network::pack::{OUT_TILE, vec4_planes};
use portrait_network::{Plane, Spec};
use wgpu_types::DeviceType;

use crate::gpu_state::RegionUniform;
use crate::plan::{CONV_WORKGROUP, Kernel, LayerParams, TileRows, WORKGROUP_SIDE};
use crate::shaders::PortraitShaders;
use crate::weight_layout::WeightFormat;

/// A compute pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComputeKey {
    /// One step of a plan.
    Layer(Kernel),
    /// The region of the frame → the input planes.
    Pack(PackKey),
}

/// What the kernel that makes the input planes depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackKey {
    /// Planes of four channels.
    pub input_planes: u32,
    /// First channel of the normals, if the network reads them.
    pub normal_channel: Option<u32>,
    /// Channel of the depth, if the network reads it.
    pub depth_channel: Option<u32>,
    /// Whether the prepass textures are multisampled.
    pub multisampled: bool,
}

impl PackKey {
    /// For a network's input planes.
    pub fn new(spec: &Spec, multisampled: bool) -> Self {
        let channel_of = |wanted: Plane| {
            let at = spec.inputs.iter().position(|&plane| plane == wanted)?;
            Some(spec.inputs[..at].iter().map(|plane| plane.channels() as u32).sum())
        };
        let (normal_channel, depth_channel) = (channel_of(Plane::Normal), channel_of(Plane::Depth));
        Self {
            input_planes: vec4_planes(spec.input_channels()) as u32,
            normal_channel,
            depth_channel,
            // One pipeline is enough where it makes no difference.
            multisampled: multisampled && (normal_channel.is_some() || depth_channel.is_some()),
        }
    }
}

/// Layouts and specialised pipelines. Exists where the device can run them.
#[derive(Resource)]
pub struct PortraitPipelines {
    /// Of every step of a plan: parameters, source, second source or weights, target.
    pub layer_layout: BindGroupLayoutDescriptor,
    /// Of the composite pass: region, copied frame, residual.
    pub composite_layout: BindGroupLayoutDescriptor,
    /// Shape of the convolutions' work on this device.
    pub tile_rows: TileRows,
    shaders: PortraitShaders,
    fullscreen: FullscreenShader,
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

    /// The composite pipeline for a target's format, queued when it is asked for the first time.
    pub fn composite(
        &mut self,
        cache: &PipelineCache,
        pipelines: &PortraitPipelines,
        format: TextureFormat,
    ) -> CachedRenderPipelineId {
        self.composite.specialize(cache, pipelines, format)
    }
}

impl PortraitPipelines {
    /// Layouts; shaders are compiled when they are first needed.
    pub fn new(shaders: PortraitShaders, fullscreen: FullscreenShader, tile_rows: TileRows) -> Self {
        let layer_layout = BindGroupLayoutDescriptor::new(
            "portrait layer",
            &DynamicBindGroupLayoutEntries::sequential(
                ShaderStages::COMPUTE,
                (
                    uniform_buffer::<LayerParams>(true),
                    storage_buffer_read_only_sized(false, None),
                    storage_buffer_read_only_sized(false, None),
                    storage_buffer_sized(false, None),
                ),
            ),
        );
        let composite_layout = BindGroupLayoutDescriptor::new(
            "portrait composite",
            &DynamicBindGroupLayoutEntries::sequential(
                ShaderStages::FRAGMENT,
                (
                    uniform_buffer::<RegionUniform>(true),
                    texture_2d(TextureSampleType::Float { filterable: false }),
                    storage_buffer_read_only_sized(false, None),
                ),
            ),
        );
        Self { layer_layout, composite_layout, tile_rows, shaders, fullscreen }
    }

    /// Of the kernel that makes the input planes: region, copied frame, planes; normals and depths where it reads them.
    pub fn pack_layout(&self, key: PackKey) -> BindGroupLayoutDescriptor {
        let unfilterable = TextureSampleType::Float { filterable: false };
        let mut entries = DynamicBindGroupLayoutEntries::new_with_indices(
            ShaderStages::COMPUTE,
            (
                (0, uniform_buffer::<RegionUniform>(true)),
                (1, texture_2d(unfilterable)),
                (2, storage_buffer_sized(false, None)),
            ),
        );
        if key.normal_channel.is_some() {
            let normals =
                if key.multisampled { texture_2d_multisampled(unfilterable) } else { texture_2d(unfilterable) };
            entries = entries.extend_with_indices(((3, normals),));
        }
        if key.depth_channel.is_some() {
            let depths = if key.multisampled { texture_depth_2d_multisampled() } else { texture_depth_2d() };
            entries = entries.extend_with_indices(((4, depths),));
        }
        BindGroupLayoutDescriptor::new("portrait pack", &entries)
    }
}

fn define(name: &str, value: u32) -> ShaderDefVal {
    ShaderDefVal::UInt(name.into(), value)
}

impl SpecializedComputePipeline for PortraitPipelines {
    type Key = ComputeKey;

    fn specialize(&self, key: ComputeKey) -> ComputePipelineDescriptor {
        let (shader, layout, shader_defs) = match key {
            ComputeKey::Pack(pack) => (&self.shaders.pack_planes, self.pack_layout(pack), pack_defs(pack)),
            ComputeKey::Layer(kernel) => {
                let shader = match kernel {
                    Kernel::Conv { .. } => &self.shaders.conv,
                    Kernel::SpaceToDepth | Kernel::PixelShuffle | Kernel::Nearest => &self.shaders.rearrange,
                    Kernel::Copy | Kernel::Add | Kernel::Accumulate => &self.shaders.join,
                };
                (shader, self.layer_layout.clone(), layer_defs(kernel))
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
    let mut defs = vec![define("WORKGROUP_SIDE", WORKGROUP_SIDE), define("INPUT_PLANES", key.input_planes)];
    defs.extend(key.normal_channel.map(|channel| define("NORMAL_CHANNEL", channel)));
    defs.extend(key.depth_channel.map(|channel| define("DEPTH_CHANNEL", channel)));
    defs.extend(key.multisampled.then(|| "MULTISAMPLED".into()));
    defs
}

/// Shader definitions of a step's kernel.
pub fn layer_defs(kernel: Kernel) -> Vec<ShaderDefVal> {
    let mut defs = vec![define("WORKGROUP_SIDE", WORKGROUP_SIDE)];
    match kernel {
        Kernel::Conv { kernel, stride, rows, weights } => defs.extend([
            ShaderDefVal::Bool("HALF_WEIGHTS".into(), weights == WeightFormat::F16),
            define("TILE_ROWS", rows.px()),
            define("KERNEL", kernel),
            define("STRIDE", stride),
            define("OUT_TILE", OUT_TILE as u32),
            define("CONV_WORKGROUP_X", CONV_WORKGROUP.x),
            define("CONV_WORKGROUP_Y", CONV_WORKGROUP.y),
        ]),
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
    type Key = TextureFormat;

    fn specialize(&self, format: TextureFormat) -> RenderPipelineDescriptor {
        RenderPipelineDescriptor {
            label: Some(format!("portrait composite {format:?}").into()),
            layout: vec![self.composite_layout.clone()],
            vertex: self.fullscreen.to_vertex_state(),
            fragment: Some(FragmentState {
                shader: self.shaders.composite.clone(),
                shader_defs: Vec::new(),
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
    adapter: Res<RenderAdapterInfo>,
    shaders: Res<PortraitShaders>,
    fullscreen: Res<FullscreenShader>,
) {
    let limits = device.limits();
    // Weights, two sources and a target; WebGL2 and the oldest drivers have no compute at all.
    if limits.max_storage_buffers_per_shader_stage < 3 || limits.max_compute_invocations_per_workgroup < 64 {
        error!("portrait realism: this device has no compute shaders, so the frame stays as it is");
        commands.remove_resource::<PortraitPipelines>();
        return;
    }
    let tile_rows = if adapter.device_type == DeviceType::Cpu { TileRows::Four } else { TileRows::Two };
    commands.insert_resource(PortraitPipelines::new(shaders.clone(), fullscreen.clone(), tile_rows));
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
