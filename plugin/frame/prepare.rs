//! Before a frame is recorded: the regions of each camera, and the memory and bind groups that they need. A frame that is like the one
//! before makes nothing new.

use bevy::asset::AssetId;
use bevy::ecs::prelude::*;
use bevy::log::error_once;
use bevy::math::UVec2;
use bevy::platform::collections::{HashMap, HashSet};

use crate::api::model::PortraitModel;
use crate::extract::exclusion::Exclusions;
use crate::frame::bind::{ViewTextures, bind_view};
use crate::frame::gpu::Gpu;
use crate::frame::replace::{prepare_successors, swap_in_successors};
use crate::frame::state::PortraitGpuState;
use crate::frame::uniforms::{PlannedRegion, write_uniforms};
use crate::frame::view::PortraitView;
use crate::frame::warm::is_warm;
use crate::inference::executor::Executor;
use crate::inference::model::GpuPortraitModel;
use crate::pipelines::Readiness;
use crate::select::view_work::{PortraitCamera, SceneInputs, ViewWork, find_work};
use crate::stages::copy::RegionCopy;
use crate::stages::keep_depth::OpaqueDepths;
use crate::stages::pack::Guide;

/// Prepares every camera with the effect, in the steps of `docs/frame.md`.
pub(crate) fn prepare_portrait_views(
    mut commands: Commands,
    mut state: ResMut<PortraitGpuState>,
    mut gpu: Gpu,
    cameras: Query<PortraitCamera>,
    prepared: Query<Entity, With<PortraitView>>,
    scene: SceneInputs,
    mut exclusions: ResMut<Exclusions>,
) {
    let _measured = scene.time.measure();
    let state = &mut *state;
    let excluded = exclusions.boxes.len() as u32;

    // 1. Networks that became ready take over; what no camera refers to goes.
    swap_in_successors(state);
    drop_unused(state, &cameras, &scene);
    state.shaping.begin_frame();
    state.tiers.begin_frame(|camera| cameras.get(camera).ok().map(|camera| camera.settings.resolution));

    // 2. The resolution and the regions of each camera.
    let mut work = find_all_work(state, &cameras, &scene, excluded > 0, &gpu);

    // 3. Room in the networks, and successors for those that run other weights or kernels than they should.
    reserve_networks(state, &work, &mut gpu);
    gpu.warm_up.begin_frame();
    prepare_successors(state, &work, &scene, excluded, &mut gpu);

    // 4. Views whose pipelines are not compiled yet, or whose kernels a frame may not use yet, are left as they are.
    work.retain(|work| {
        let Some(network) = state.networks.get(&work.model()) else { return false };
        // Both are asked in any case: neither waits for the other.
        let is_warm = is_warm(network, work.stage_key(), work, &scene, excluded, &mut gpu);
        is_runnable(network, work, &mut gpu) && is_warm
    });
    let Gpu { warm_up, device, adapter, pipelines, .. } = &mut gpu;
    warm_up.start(device, adapter, pipelines);

    // 5. Uniforms, and with them histories.
    let regions = write_uniforms(state, &work, excluded, &gpu);

    // 6. Memory that the regions of a frame share.
    if !work.is_empty() {
        exclusions.write(&gpu.device, &gpu.queue);
        reserve_shared(state, &work, &regions, &gpu);
    }

    // 7. Bind groups, and the view that the pass reads.
    let busy: HashSet<Entity> = work.iter().map(|work| work.entity).collect();
    for entity in prepared.iter().filter(|entity| !busy.contains(entity)) {
        commands.entity(entity).try_remove::<PortraitView>();
    }
    for (work, regions) in work.iter().zip(regions) {
        let textures = ViewTextures::new(work, &scene, &mut gpu);
        let Some(boxes) = exclusions.buffer.buffer() else { continue };
        if let Some(mut view) = bind_view(state, work, regions, &textures, boxes, &mut gpu) {
            let regions = work.faces.iter().map(|(region, _)| region);
            view.measured = state.tiers.draw(work.entity, work.main_entity, work.tier, regions);
            commands.entity(work.entity).try_insert(view);
        }
    }
    state.bind_groups.drop_unused();
}

/// Drops the networks of models that are gone or that no camera refers to any more. Where a model's weights changed, the network with the
/// old ones goes on until another can take over, or until a prepass that it reads is no longer drawn.
fn drop_unused(state: &mut PortraitGpuState, cameras: &Query<PortraitCamera>, scene: &SceneInputs) {
    let users =
        |model: AssetId<PortraitModel>| cameras.iter().filter(move |camera| camera.settings.model.id() == model);
    state.networks.retain(|&model, network| {
        let inputs = &network.weights().model.graph().spec().inputs;
        let is_current = scene.uploaded(model).is_none_or(|gpu| network.runs(gpu));
        scene.models.get(model).is_some()
            && users(model).next().is_some()
            && (is_current || users(model).all(|camera| camera.has_prepasses_for(inputs)))
    });
    let PortraitGpuState { networks, successors, .. } = state;
    successors.retain(|model, _| networks.contains_key(model));
    state.copies.retain(|&format, _| cameras.iter().any(|camera| camera.view.target_format == format));
    if state.networks.is_empty() {
        state.guide = None;
        state.opaque_depths = None;
        state.shaping.clear();
    }
}

/// Finds the work of every camera whose effect is on and whose weights are there.
fn find_all_work<'a>(
    state: &mut PortraitGpuState,
    cameras: &'a Query<PortraitCamera>,
    scene: &'a SceneInputs,
    is_excluding: bool,
    gpu: &Gpu,
) -> Vec<ViewWork<'a>> {
    let active = cameras.iter().filter(|camera| camera.settings.is_active());
    let work = active.filter_map(|camera| {
        let model = camera.settings.model.id();
        let running = state.networks.get(&model);
        let chosen = gpu.pipelines.variant;
        let max_tier = gpu.trial.max_tier(running.map_or(chosen, |network| network.plan().variant), chosen);
        // The weights that run are those of the network that is there, even if newer ones have been uploaded.
        let weights = running.map(Executor::weights).or_else(|| scene.uploaded(model))?.clone();
        let tier = state.tiers.tier(camera.entity, camera.settings.resolution, &gpu.device, &gpu.queue).min(max_tier);
        find_work(camera, tier, weights, scene, is_excluding, gpu.pipelines.variant.activations)
    });
    work.collect()
}

/// Makes room in each model's network for all of its regions of this frame.
fn reserve_networks(state: &mut PortraitGpuState, work: &[ViewWork], gpu: &mut Gpu) {
    let mut needs: HashMap<AssetId<PortraitModel>, (UVec2, usize, &GpuPortraitModel)> = HashMap::default();
    for work in work {
        let (size, slots, _) = needs.entry(work.model()).or_insert((UVec2::ONE, 0, &work.gpu_model));
        *slots += work.faces.len();
        *size = work.faces.iter().fold(*size, |size, (region, _)| size.max(region.network_px()));
    }
    for (model, (size, slots, weights)) in needs {
        let held = state.networks.get(&model);
        if held.is_some_and(|network| network.fits(size, slots)) {
            continue;
        }
        let size = held.map_or(size, |network| size.max(network.plan().capacity_px));
        let slots = slots.max(held.map_or(0, Executor::slots));
        // The old buffers go before the new ones come, so that memory never holds both.
        state.networks.remove(&model);
        let network =
            Executor::new(weights, size, slots, &gpu.device, &gpu.cache, &gpu.pipelines, &mut gpu.pipeline_cache);
        match network {
            Some(network) => _ = state.networks.insert(model, network),
            None => error_once!(
                "portrait realism: the network's planes of {size} pixels are larger than this device can bind: the \
                 frame stays as it is"
            ),
        }
    }
}

/// Returns whether a view's regions fit the device, and all its shaders are compiled.
fn is_runnable(network: &Executor, work: &ViewWork, gpu: &mut Gpu) -> bool {
    if work.overlay.is_some() && !OpaqueDepths::can_hold(work.pixels(), &gpu.device) {
        error_once!(
            "portrait realism: the depths of {} pixels of faces, over which gizmos may be drawn, are larger than this device \
             can bind: the frame stays as it is",
            work.pixels()
        );
        return false;
    }
    let stages = gpu.stage_pipelines(work).readiness(&gpu.cache);
    let readiness = stages.and(network.readiness(&gpu.cache));
    if readiness == Readiness::Failed {
        error_once!("portrait realism: a shader does not compile (see above): the frame stays as it is");
    }
    readiness == Readiness::Ready
}

/// Makes room for region copies, the guide and the depths of opaque surfaces.
fn reserve_shared(state: &mut PortraitGpuState, work: &[ViewWork], regions: &[Vec<PlannedRegion>], gpu: &Gpu) {
    for (work, regions) in work.iter().zip(regions) {
        let size_px = regions.iter().fold(UVec2::ZERO, |size, region| size.max(region.region.rect_px.size()));
        RegionCopy::reserve(&mut state.copies, work.view.target_format, size_px, &gpu.device);
    }
    let scaled = work.iter().filter(|work| work.is_scaled()).map(|work| work.tier.max_px());
    Guide::reserve(&mut state.guide, scaled.max().unwrap_or(0), &gpu.device);
    let overlaid = work.iter().filter(|work| work.overlay.is_some()).map(ViewWork::pixels);
    OpaqueDepths::reserve(&mut state.opaque_depths, overlaid.max().unwrap_or(0), &gpu.device);
}
