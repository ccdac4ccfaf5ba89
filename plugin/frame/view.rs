//! The work of the pass for a view: plain data between preparing a frame and recording it.

use bevy::asset::AssetId;
use bevy::ecs::prelude::*;
use bevy::math::UVec2;
use bevy::render::render_resource::{BindGroup, Buffer, CachedComputePipelineId, TextureFormat};

use crate::api::model::PortraitModel;
use crate::pipelines::StagePipelines;
use crate::region::Region;

/// On a view in the render world: the work of this frame. A view without anything to enhance does not have it.
#[derive(Component)]
pub struct PortraitView {
    /// Format of the camera's main texture.
    pub(crate) format: TextureFormat,
    /// For views over which something may be drawn that has a depth of its own.
    pub(crate) keep_depth: Option<(CachedComputePipelineId, BindGroup)>,
    pub(crate) regions: Vec<PreparedRegion>,
    /// The number of the time measurement, if this frame is measured.
    pub(crate) measured: Option<usize>,
}

/// One region of a view.
#[derive(Clone)]
pub(crate) struct PreparedRegion {
    pub region: Region,
    /// The model whose network it passes through.
    pub model: AssetId<PortraitModel>,
    pub pipelines: StagePipelines,
    /// Width and height that the network sees.
    pub network_px: UVec2,
    /// The network's parameter slot of this region.
    pub slot: usize,
    /// Dynamic offset of the region's uniform, in bytes.
    pub uniform_offset: u32,
    pub pack: BindGroup,
    pub shape: Option<PreparedShape>,
    pub composite: BindGroup,
}

/// The shape stage of a region.
#[derive(Clone)]
pub(crate) struct PreparedShape {
    /// The base-layer stage with its points across and down, where base and detail layer have different factors.
    pub base_layer: Option<(BindGroup, UVec2)>,
    pub bind_group: BindGroup,
    pub shaped_residual: Buffer,
    /// Where the shaped residual is kept for the next frame, and its length in bytes.
    pub history: Option<(Buffer, u64)>,
}
