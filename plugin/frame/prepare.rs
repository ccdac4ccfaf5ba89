//! Before a frame is recorded: the regions of each camera, and the memory and bind groups that they need. A frame that is like the one
//! before makes nothing new.

use bevy::asset::AssetId;
use bevy::ecs::prelude::*;
use bevy::log::error_once;
use bevy::math::UVec2;
use bevy::platform::collections::{HashMap, HashSet};

use crate::api::model::PortraitModel;
use crate::api::resolution::ResolutionTier;
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
use crate::select::view_work::{FaceWork, PortraitCamera, PortraitCameraItem, SceneInputs, ViewWork, find_work};
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

    // 1. Networks that became ready take over; what no camera refers to goes.
    swap_in_successors(state);
    drop_unused(state, &cameras, &scene);
    state.shaping.begin_frame();
    state.tiers.begin_frame(|camera| cameras.get(camera).ok().map(|camera| camera.settings.resolution));

    // 2. The resolution and the regions of each camera.
    let mut work = find_all_work(state, &cameras, &scene, &exclusions, &gpu);

    // 3. Room in the networks, successors for those that run other weights or kernels than they should, and the memory that all share.
    reserve_networks(state, &work, &mut gpu);
    gpu.warm_up.begin_frame();
    prepare_successors(state, &work, &scene, &mut gpu);
    share_scratch(state, &gpu);

    // 4. Faces whose pipelines are not compiled yet, or whose kernels a frame may not use yet, are left as they are.
    work.retain_mut(|work| {
        let runs: Vec<bool> = work.faces.iter().map(|face| is_runnable(state, work, face, &scene, &mut gpu)).collect();
        let mut runs = runs.into_iter();
        work.faces.retain(|_| runs.next().unwrap_or_default());
        !work.faces.is_empty() && depths_fit(work, &gpu)
    });
    let Gpu { warm_up, device, adapter, pipelines, .. } = &mut gpu;
    warm_up.start(device, adapter, pipelines);

    // 5. Uniforms, and with them histories.
    let regions = write_uniforms(state, &work, &gpu);

    // 6. Memory that the regions of a frame share.
    if !work.is_empty() {
        work.iter().for_each(|work| exclusions.write(work.main_entity, &gpu.device, &gpu.queue));
        reserve_shared(state, &work, &regions, &gpu);
    }

    // 7. Bind groups, and the view that the pass reads.
    let busy: HashSet<Entity> = work.iter().map(|work| work.entity).collect();
    for entity in prepared.iter().filter(|entity| !busy.contains(entity)) {
        commands.entity(entity).try_remove::<PortraitView>();
    }
    for (work, regions) in work.iter().zip(regions) {
        let textures = ViewTextures::new(work, &scene, &mut gpu);
        let Some(boxes) = exclusions.buffer(work.main_entity) else { continue };
        if let Some(mut view) = bind_view(state, work, regions, &textures, boxes, &mut gpu) {
            let regions = work.faces.iter().map(|face| &face.region);
            view.measured = state.tiers.draw(work.entity, work.main_entity, work.tier, regions);
            commands.entity(work.entity).try_insert(view);
        }
    }
    state.bind_groups.drop_unused();
}

/// Drops the networks of models that are gone, or that neither a camera nor a face refers to any more. Where a model's weights changed, the
/// network with the old ones goes on until another can take over, or until a prepass that it reads is no longer drawn.
fn drop_unused(state: &mut PortraitGpuState, cameras: &Query<PortraitCamera>, scene: &SceneInputs) {
    type Model = AssetId<PortraitModel>;
    let refers = |camera: &PortraitCameraItem, model: Model| camera.settings.model.id() == model;
    let sees = |camera: &PortraitCameraItem, model: Model| {
        scene.faces.of(camera.main_entity.id()).iter().any(|face| face.model == Some(model))
    };
    state.networks.retain(|&model, network| {
        let inputs = &network.weights().model.graph().spec().inputs;
        let is_current = scene.uploaded(model).is_none_or(|gpu| network.runs(gpu));
        let mut users = cameras.iter().filter(|camera| refers(camera, model) || sees(camera, model));
        // A face that is out of view keeps its network, so that it is enhanced at once when it is seen again.
        scene.models.get(model).is_some()
            && cameras.iter().any(|camera| refers(&camera, model) || scene.faces.any_owns(model))
            && (is_current || users.all(|camera| camera.has_prepasses_for(inputs)))
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

/// Finds the work of every camera whose effect is on.
fn find_all_work<'a>(
    state: &mut PortraitGpuState,
    cameras: &'a Query<PortraitCamera>,
    scene: &'a SceneInputs,
    exclusions: &Exclusions,
    gpu: &Gpu,
) -> Vec<ViewWork<'a>> {
    let PortraitGpuState { networks, tiers, .. } = state;
    let chosen = gpu.pipelines.variant;
    // The weights that run are those of the network that is there, even if newer ones have been uploaded.
    let weights_of = |model: AssetId<PortraitModel>| {
        networks.get(&model).map(Executor::weights).or_else(|| scene.uploaded(model)).cloned()
    };
    let active = cameras.iter().filter(|camera| camera.settings.is_active());
    let work = active.filter_map(|camera| {
        let faces = scene.faces.of(camera.main_entity.id());
        let models = faces.iter().map(|face| face.model.unwrap_or(camera.settings.model.id()));
        let running = models.filter_map(|model| Some(networks.get(&model)?.plan().variant));
        let max_tiers = running.chain([chosen]).map(|running| gpu.trial.max_tier(running, chosen));
        let max_tier = max_tiers.min().unwrap_or(ResolutionTier::High);
        let tier = tiers.tier(camera.entity, camera.settings.resolution, &gpu.device, &gpu.queue).min(max_tier);
        let excluded = exclusions.count(camera.main_entity.id());
        find_work(camera, tier, weights_of, scene, excluded, chosen.activations)
    });
    work.collect()
}

/// Makes room in each model's network for all of its regions of this frame.
fn reserve_networks(state: &mut PortraitGpuState, work: &[ViewWork], gpu: &mut Gpu) {
    let mut needs: HashMap<AssetId<PortraitModel>, (UVec2, usize, &GpuPortraitModel)> = HashMap::default();
    for work in work {
        for face in &work.faces {
            let (size, slots, _) = needs.entry(face.visible.model).or_insert((UVec2::ONE, 0, &face.weights));
            *slots += 1;
            *size = (*size).max(face.region.network_px());
        }
    }
    for (model, (size, slots, weights)) in needs {
        let held = state.networks.get(&model);
        if held.is_some_and(|network| network.fits(size, slots)) {
            continue;
        }
        let size = held.map_or(size, |network| size.max(network.plan().capacity_px));
        let slots = slots.max(held.map_or(0, Executor::slots));
        // The old network goes in any case: it is too small for what is seen.
        state.networks.remove(&model);
        let Gpu { device, cache, pipelines, pipeline_cache, .. } = &mut *gpu;
        match Executor::new(weights, (size, slots), &mut state.scratch, device, cache, pipelines, pipeline_cache) {
            Some(network) => _ = state.networks.insert(model, network),
            None => error_once!(
                "portrait realism: the planes of the network `{}` at {size} pixels are larger than this device can bind: its \
                 faces stay as they are",
                weights.model.graph().spec().name
            ),
        }
    }
}

/// Gives back the scratch memory that no network needs any more, and has all networks run in what is there.
fn share_scratch(state: &mut PortraitGpuState, gpu: &Gpu) {
    let PortraitGpuState { networks, successors, scratch, .. } = state;
    let all = networks.values().chain(successors.values().map(|next| &next.network));
    scratch.trim(all.map(Executor::plan), &gpu.device);
    let all = networks.values_mut().chain(successors.values_mut().map(|next| &mut next.network));
    all.for_each(|network| network.keep_up_with(scratch, &gpu.device, &gpu.cache));
}

/// Returns whether a face's network is there, and all of its shaders are compiled and warm.
fn is_runnable(state: &PortraitGpuState, work: &ViewWork, face: &FaceWork, scene: &SceneInputs, gpu: &mut Gpu) -> bool {
    let Some(network) = state.networks.get(&face.visible.model) else { return false };
    let key = work.stage_key(&face.weights);
    // Both are asked in any case: neither waits for the other.
    let is_warm = is_warm(network, key, work, face, scene, gpu);
    let stages = gpu.stage_pipelines(key).readiness(&gpu.cache);
    let readiness = stages.and(network.readiness(&gpu.cache));
    if readiness == Readiness::Failed {
        error_once!("portrait realism: a shader does not compile (see above): the frame stays as it is");
    }
    readiness == Readiness::Ready && is_warm
}

/// Returns whether the device can bind the depths that are kept of a view, if any are.
fn depths_fit(work: &ViewWork, gpu: &Gpu) -> bool {
    let fit = work.overlay.is_none() || OpaqueDepths::can_hold(work.pixels(), &gpu.device);
    if !fit {
        error_once!(
            "portrait realism: the depths of {} pixels of faces, over which gizmos may be drawn, are larger than this device \
             can bind: the frame stays as it is",
            work.pixels()
        );
    }
    fit
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
