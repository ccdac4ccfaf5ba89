//! Before a frame is recorded: the regions of each camera, and the memory and bind groups they need. Nothing is
//! allocated for a frame that is like the one before.

use bevy::asset::AssetId;
use bevy::core_pipeline::core_3d::CORE_3D_DEPTH_FORMAT;
use bevy::core_pipeline::prepass::{MOTION_VECTOR_PREPASS_FORMAT, ViewPrepassTextures};
use bevy::ecs::prelude::*;
use bevy::ecs::system::SystemParam;
use bevy::log::error_once;
use bevy::math::UVec2;
use bevy::platform::collections::{HashMap, HashSet};
use bevy::render::render_resource::{
    CachedComputePipelineId, CachedRenderPipelineId, PipelineCache, TextureFormat, TextureView,
};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bevy::render::texture::FallbackImageMsaa;
use portrait_network::Plane;

use crate::exclusion::Exclusions;
use crate::execute::Network;
use crate::gpu_state::PortraitGpuState;
use crate::guide::Guide;
use crate::model_asset::{GpuPortraitModel, PortraitModel};
use crate::overlays::KeptDepths;
use crate::pipeline::{CompositeKey, ComputeKey, PortraitPipelineCache, PortraitPipelines, Readiness, ShapeKey};
use crate::replace::{replace_networks, take_over};
use crate::tuning::Tuning;
use crate::uniforms::{PlannedRegion, write_uniforms};
use crate::view::{Bound, PortraitView, portrait_view};
use crate::work::{Seen, ViewItem, Work, find_work};

/// The pipelines of a view but for its network's.
pub(crate) struct ViewPipelines {
    pub pack: CachedComputePipelineId,
    pub light: CachedComputePipelineId,
    pub shape: CachedComputePipelineId,
    pub keep_depth: CachedComputePipelineId,
    pub composite: CachedRenderPipelineId,
}

/// The GPU and Bevy's pipelines, as every function here needs them.
#[derive(SystemParam)]
pub(crate) struct Gpu<'w> {
    pub device: Res<'w, RenderDevice>,
    pub queue: Res<'w, RenderQueue>,
    pub cache: Res<'w, PipelineCache>,
    pub pipelines: Res<'w, PortraitPipelines>,
    pub pipeline_cache: ResMut<'w, PortraitPipelineCache>,
    tuning: Res<'w, Tuning>,
    fallbacks: FallbackImageMsaa<'w>,
}

impl Gpu<'_> {
    /// What is bound where a camera has no such texture; nothing is read from it.
    fn fallback(&mut self, samples: u32, format: TextureFormat) -> TextureView {
        self.fallbacks.image_for_samplecount(samples, format).texture_view.clone()
    }

    /// All are asked for at once, so that none is missing when a user turns to another setting.
    pub fn view_pipelines(&mut self, work: &Work) -> ViewPipelines {
        let Self { cache, pipelines, pipeline_cache, .. } = self;
        let (activations, multisampled) = (work.pack_key.activations, work.is_multisampled());
        let composite = CompositeKey { target: work.view.target_format, activations, multisampled };
        let shape = ComputeKey::Shape(ShapeKey { activations, multisampled });
        ViewPipelines {
            pack: pipeline_cache.compute(cache, pipelines, ComputeKey::Pack(work.pack_key)),
            light: pipeline_cache.compute(cache, pipelines, ComputeKey::Light(activations)),
            shape: pipeline_cache.compute(cache, pipelines, shape),
            keep_depth: pipeline_cache.compute(cache, pipelines, ComputeKey::KeepDepth(multisampled)),
            composite: pipeline_cache.composite(cache, pipelines, composite),
        }
    }
}

pub(crate) fn prepare_portrait_views(
    mut commands: Commands,
    mut state: ResMut<PortraitGpuState>,
    mut gpu: Gpu,
    views: Query<ViewItem>,
    prepared: Query<Entity, With<PortraitView>>,
    seen: Seen,
    mut exclusions: ResMut<Exclusions>,
) {
    let _measured = seen.time.measure();
    let state = &mut *state;
    let uploaded = |model: AssetId<PortraitModel>| seen.models.get(model).and_then(|model| model.0.as_ref());
    // A model that is gone, or that no camera names any more, takes its buffers with it. Where its weights changed, the
    // network with the old ones goes on until another can take over, or until what it reads is no longer drawn.
    let naming =
        |model: AssetId<PortraitModel>| views.iter().filter(move |(_, _, settings, ..)| settings.model.id() == model);
    let is_fed = |network: &Network, prepass: Option<&ViewPrepassTextures>| {
        let inputs = &network.weights().model.graph().spec().inputs;
        (!inputs.contains(&Plane::Normal) || prepass.is_some_and(|prepass| prepass.normal_view().is_some()))
            && (!inputs.contains(&Plane::Depth) || prepass.is_some_and(|prepass| prepass.depth_view().is_some()))
    };
    take_over(state);
    state.networks.retain(|&model, network| {
        seen.models.get(model).is_some()
            && naming(model).next().is_some()
            && (uploaded(model).is_none_or(|gpu| network.runs(gpu))
                || naming(model).all(|(_, _, _, _, _, _, prepass, ..)| is_fed(network, prepass)))
    });
    let PortraitGpuState { networks, successors, .. } = state;
    successors.retain(|model, _| networks.contains_key(model));
    state.copies.retain(|&format, _| views.iter().any(|(_, _, _, _, view, ..)| view.target_format == format));
    if state.networks.is_empty() {
        state.guide = None;
        state.kept_depths = None;
        state.shaping.clear();
    }
    state.shaping.begin_frame();
    state.tiers.begin_frame(|camera| views.get(camera).ok().map(|(_, _, settings, ..)| settings.quality));
    let is_excluding = !exclusions.boxes.is_empty();
    let mut work: Vec<Work> = views
        .iter()
        .filter(|(_, _, settings, ..)| settings.is_active())
        .filter_map(|item| {
            let model = item.2.model.id();
            let running = state.networks.get(&model).map_or(gpu.pipelines.variant, |network| network.plan().variant);
            let most = gpu.tuning.highest_tier(running, gpu.pipelines.variant);
            let tier = state.tiers.tier(item.0, item.2.quality, &gpu.device, &gpu.queue).min(most);
            let weights = state.networks.get(&model).map(Network::weights).or_else(|| uploaded(model))?.clone();
            find_work(item, tier, weights, &seen, is_excluding, gpu.pipelines.variant.activations)
        })
        .collect();
    reserve_networks(state, &work, &mut gpu);
    replace_networks(state, &work, uploaded, &mut gpu);
    work.retain(|work| is_runnable(state, work, &mut gpu));

    let excluded = exclusions.boxes.len() as u32;
    let regions: Vec<Vec<PlannedRegion>> = write_uniforms(state, &work, excluded, &gpu);
    if !work.is_empty() {
        exclusions.write(&gpu.device, &gpu.queue);
    }
    for (work, regions) in work.iter().zip(&regions) {
        let size_px = regions.iter().fold(UVec2::ZERO, |size, region| size.max(region.region.rect_px.size()));
        state.reserve_copy(work.view.target_format, size_px, &gpu.device);
    }
    let guided = work.iter().filter(|work| work.is_scaled()).map(|work| work.tier.most_px());
    let drawn_over = work.iter().filter(|work| work.last_depths.is_some()).map(Work::pixels);
    if !work.is_empty() {
        Guide::reserve(&mut state.guide, guided.max().unwrap_or(0), &gpu.device);
        KeptDepths::reserve(&mut state.kept_depths, drawn_over.max().unwrap_or(0), &gpu.device);
    }
    let busy: HashSet<Entity> = work.iter().map(|work| work.entity).collect();
    for entity in prepared.iter().filter(|entity| !busy.contains(entity)) {
        commands.entity(entity).try_remove::<PortraitView>();
    }
    for (work, regions) in work.iter().zip(regions) {
        let bound = Bound {
            depths: work.depths.cloned().unwrap_or_else(|| gpu.fallback(work.samples, CORE_3D_DEPTH_FORMAT)),
            motion: work.motion.cloned().unwrap_or_else(|| gpu.fallback(work.samples, MOTION_VECTOR_PREPASS_FORMAT)),
            mask: work.mask.unwrap_or(&seen.fallback.d2),
            boxes: exclusions.buffer.buffer(),
            last_depths: work.last_depths.cloned().unwrap_or_else(|| gpu.fallback(work.samples, CORE_3D_DEPTH_FORMAT)),
        };
        if let Some(mut view) = portrait_view(state, work, regions, bound, &mut gpu) {
            let faces = work.faces.iter().map(|(region, _)| region);
            view.measured = state.tiers.draw(work.entity, work.main_entity, work.tier, faces);
            commands.entity(work.entity).try_insert(view);
        }
    }
    state.pack.drop_unused();
    state.light.drop_unused();
    state.shape.drop_unused();
    state.keep_depth.drop_unused();
    state.composite.drop_unused();
}

/// Sees to it that each model's network has room for all its regions of this frame.
fn reserve_networks(state: &mut PortraitGpuState, work: &[Work], gpu: &mut Gpu) {
    let mut needs: HashMap<AssetId<PortraitModel>, (UVec2, usize, &GpuPortraitModel)> = HashMap::default();
    for work in work {
        let (size, slots, _) = needs.entry(work.model()).or_insert((UVec2::ONE, 0, &work.gpu));
        *slots += work.faces.len();
        *size = work.faces.iter().fold(*size, |size, (region, _)| size.max(region.network_px()));
    }
    for (model, (size, slots, weights)) in needs {
        let held = state.networks.get(&model);
        if held.is_some_and(|network| network.fits(size, slots)) {
            continue;
        }
        let size = held.map_or(size, |network| size.max(network.plan().capacity_px));
        let slots = slots.max(held.map_or(0, Network::slots));
        // The old buffers go before the new ones come.
        state.networks.remove(&model);
        let network =
            Network::new(weights, size, slots, &gpu.device, &gpu.cache, &gpu.pipelines, &mut gpu.pipeline_cache);
        match network {
            Some(network) => _ = state.networks.insert(model, network),
            None => error_once!(
                "portrait realism: the network's planes of {size} pixels are larger than this device can bind: the \
                 frame stays as it is"
            ),
        }
    }
}

/// Whether a view's network is there, its regions fit the device, and all its shaders are compiled.
fn is_runnable(state: &PortraitGpuState, work: &Work, gpu: &mut Gpu) -> bool {
    let Some(network) = state.network(work.model()) else { return false };
    if work.last_depths.is_some() && !KeptDepths::can_hold(work.pixels(), &gpu.device) {
        error_once!(
            "portrait realism: the depths of {} pixels of faces, over which gizmos may be drawn, are larger than this device \
             can bind: the frame stays as it is",
            work.pixels()
        );
        return false;
    }
    let pipelines = gpu.view_pipelines(work);
    let compute = [pipelines.pack, pipelines.light, pipelines.shape, pipelines.keep_depth];
    let readiness = compute
        .into_iter()
        .map(|id| Readiness::of(gpu.cache.get_compute_pipeline_state(id)))
        .chain([Readiness::of(gpu.cache.get_render_pipeline_state(pipelines.composite))])
        .fold(network.readiness(&gpu.cache), Readiness::and);
    if readiness == Readiness::Failed {
        error_once!("portrait realism: a shader does not compile (see above): the frame stays as it is");
    }
    readiness == Readiness::Ready
}
