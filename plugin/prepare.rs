//! Before a frame is recorded: the regions of each camera, and the memory and bind groups they need. Nothing is
//! allocated for a frame that is like the one before.

use bevy::asset::AssetId;
use bevy::core_pipeline::prepass::ViewPrepassTextures;
use bevy::ecs::prelude::*;
use bevy::ecs::system::SystemParam;
use bevy::log::error_once;
use bevy::math::UVec2;
use bevy::platform::collections::{HashMap, HashSet};
use bevy::render::render_resource::{PipelineCache, TextureFormat, TextureView};
use bevy::render::renderer::{RenderAdapter, RenderDevice, RenderQueue};
use bevy::render::texture::FallbackImageMsaa;
use portrait_network::Plane;

use crate::ends::EndsPipelines;
use crate::exclusion::Exclusions;
use crate::execute::Network;
use crate::first_use::FirstUses;
use crate::gpu_state::{PortraitGpuState, RegionUniform};
use crate::guide::Guide;
use crate::model_asset::{GpuPortraitModel, PortraitModel};
use crate::overlays::KeptDepths;
use crate::pipeline::{PortraitPipelineCache, PortraitPipelines, Readiness};
use crate::replace::{replace_networks, take_over};
use crate::tuning::Tuning;
use crate::uniforms::{PlannedRegion, region_uniform, write_uniforms};
use crate::view::{Bound, PortraitView, portrait_view};
use crate::work::{Seen, ViewItem, Work, find_work};

/// The GPU and Bevy's pipelines, as every function here needs them.
#[derive(SystemParam)]
pub(crate) struct Gpu<'w> {
    pub device: Res<'w, RenderDevice>,
    pub queue: Res<'w, RenderQueue>,
    pub cache: Res<'w, PipelineCache>,
    pub pipelines: Res<'w, PortraitPipelines>,
    pub pipeline_cache: ResMut<'w, PortraitPipelineCache>,
    pub first_uses: ResMut<'w, FirstUses>,
    adapter: Res<'w, RenderAdapter>,
    tuning: Res<'w, Tuning>,
    fallbacks: FallbackImageMsaa<'w>,
}

impl Gpu<'_> {
    /// What is bound where a camera has no such texture; nothing is read from it.
    pub fn fallback(&mut self, samples: u32, format: TextureFormat) -> TextureView {
        self.fallbacks.image_for_samplecount(samples, format).texture_view.clone()
    }

    /// The pipelines of a view but for its network's.
    pub fn ends_pipelines(&mut self, work: &Work) -> EndsPipelines {
        EndsPipelines::new(work.ends_key(), &self.cache, &self.pipelines, &mut self.pipeline_cache)
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
    let excluded = exclusions.boxes.len() as u32;
    gpu.first_uses.begin_frame();
    reserve_networks(state, &work, &mut gpu);
    replace_networks(state, &work, uploaded, &mut gpu);
    work.retain(|work| {
        // Neither waits for the other.
        let are_used = are_used(state, work, excluded, &seen, &mut gpu);
        is_runnable(state, work, &mut gpu) && are_used
    });
    gpu.first_uses.start(&gpu.device, &gpu.adapter, &gpu.pipelines);

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
        let bound = Bound::new(work, &seen, &mut gpu);
        let Some(boxes) = exclusions.buffer.buffer() else { continue };
        if let Some(mut view) = portrait_view(state, work, regions, bound, boxes, &mut gpu) {
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

/// Whether a view's kernels may be used in a frame.
fn are_used(state: &PortraitGpuState, work: &Work, excluded: u32, seen: &Seen, gpu: &mut Gpu) -> bool {
    let Some(network) = state.network(work.model()) else { return false };
    let has_network = gpu.first_uses.has_network(network);
    let Some((region, face)) = work.faces.first().filter(|_| !gpu.first_uses.has_ends(work.ends_key())) else {
        return has_network;
    };
    let uniform = RegionUniform { excluded, ..region_uniform(work, region, face, network.plan()) };
    let bound = Bound::new(work, seen, gpu);
    gpu.first_uses.want_ends(work, &bound, uniform);
    false
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
    let pipelines = gpu.ends_pipelines(work);
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
