//! The GPU and the pipelines, as every step of preparing a frame needs them.

use bevy::ecs::prelude::*;
use bevy::ecs::system::SystemParam;
use bevy::render::render_resource::{PipelineCache, TextureFormat, TextureView};
use bevy::render::renderer::{RenderAdapter, RenderDevice, RenderQueue};
use bevy::render::texture::FallbackImageMsaa;

use crate::kernels::trial::KernelTrial;
use crate::kernels::warm_up::WarmUp;
use crate::pipelines::{PortraitPipelineCache, PortraitPipelines, StageKey, StagePipelines};

/// Device, queue and pipelines.
#[derive(SystemParam)]
pub(crate) struct Gpu<'w> {
    pub device: Res<'w, RenderDevice>,
    pub queue: Res<'w, RenderQueue>,
    pub adapter: Res<'w, RenderAdapter>,
    pub cache: Res<'w, PipelineCache>,
    pub pipelines: Res<'w, PortraitPipelines>,
    pub pipeline_cache: ResMut<'w, PortraitPipelineCache>,
    pub trial: Res<'w, KernelTrial>,
    pub warm_up: ResMut<'w, WarmUp>,
    placeholders: FallbackImageMsaa<'w>,
}

impl Gpu<'_> {
    /// Returns a texture that is bound where a camera has none of this kind; nothing is read from it.
    pub fn placeholder(&mut self, samples: u32, format: TextureFormat) -> TextureView {
        self.placeholders.image_for_samplecount(samples, format).texture_view.clone()
    }

    /// Returns the pipelines of the stages around a network.
    pub fn stage_pipelines(&mut self, key: StageKey) -> StagePipelines {
        StagePipelines::new(key, &self.cache, &self.pipelines, &mut self.pipeline_cache)
    }
}
