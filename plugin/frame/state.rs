//! Resources that stay on the GPU from frame to frame.

use bevy::asset::AssetId;
use bevy::ecs::prelude::*;
use bevy::platform::collections::HashMap;
use bevy::render::render_resource::{DynamicUniformBuffer, TextureFormat};

use crate::api::model::PortraitModel;
use crate::auto::tiers::CameraTiers;
use crate::inference::executor::Executor;
use crate::inference::scratch_memory::ScratchMemory;
use crate::stages::bind_groups::BindGroupCache;
use crate::stages::copy::RegionCopy;
use crate::stages::keep_depth::OpaqueDepths;
use crate::stages::pack::Guide;
use crate::stages::region_uniform::RegionUniform;
use crate::stages::shape::ShapingMemory;

/// Networks, buffers, timers and bind groups that outlive a frame.
#[derive(Resource, Default)]
pub struct PortraitGpuState {
    pub(crate) networks: HashMap<AssetId<PortraitModel>, Executor>,
    pub(crate) successors: HashMap<AssetId<PortraitModel>, Successor>,
    /// The memory that all networks and successors run in.
    pub(crate) scratch: ScratchMemory,
    pub(crate) copies: HashMap<TextureFormat, RegionCopy>,
    pub(crate) guide: Option<Guide>,
    pub(crate) opaque_depths: Option<OpaqueDepths>,
    pub(crate) shaping: ShapingMemory,
    pub(crate) tiers: CameraTiers,
    pub(crate) uniforms: DynamicUniformBuffer<RegionUniform>,
    pub(crate) bind_groups: BindGroupCache,
}

impl PortraitGpuState {
    /// Returns the network of a model, if a face that a camera saw has needed it.
    pub fn network(&self, model: AssetId<PortraitModel>) -> Option<&Executor> {
        self.networks.get(&model)
    }

    /// Returns the GPU memory held by scratch buffers, region copies, the guide, kept depths and histories, in bytes.
    pub fn allocated_bytes(&self) -> u64 {
        let copies: u64 = self.copies.values().map(RegionCopy::bytes).sum();
        let guide = self.guide.as_ref().map_or(0, Guide::bytes);
        let depths = self.opaque_depths.as_ref().map_or(0, OpaqueDepths::bytes);
        self.scratch.bytes() + copies + guide + depths + self.shaping.bytes()
    }
}

/// A network with other weights or kernels, which is swapped in once the driver has compiled all of its kernels.
pub(crate) struct Successor {
    pub network: Executor,
    /// Number of its kernels that have been used once.
    pub used: usize,
    /// True if it is swapped in at the next frame.
    pub is_ready: bool,
}
