//! Before a frame is recorded: the regions of each camera, and the memory and bind groups they need. Nothing is
//! allocated for a frame that is like the one before.

use bevy::asset::AssetId;
use bevy::camera::CompositingSpace;
use bevy::camera::visibility::RenderLayers;
use bevy::core_pipeline::core_3d::CORE_3D_DEPTH_FORMAT;
use bevy::core_pipeline::prepass::{MOTION_VECTOR_PREPASS_FORMAT, ViewPrepassTextures};
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::ecs::system::SystemParam;
use bevy::log::error_once;
use bevy::math::{Mat4, URect, UVec2, Vec3, Vec4};
use bevy::platform::collections::{HashMap, HashSet};
use bevy::render::camera::ExtractedCamera;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, Buffer, CachedComputePipelineId, CachedRenderPipelineId, CommandEncoderDescriptor,
    DynamicBindGroupEntries, PipelineCache, TextureFormat, TextureSampleType, TextureView,
};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bevy::render::sync_world::MainEntity;
use bevy::render::texture::{FallbackImage, FallbackImageMsaa, GpuImage};
use bevy::render::view::{ExtractedView, Msaa};
use portrait_network::Plane;
use portrait_network::transfer::{COLOR_CENTER, COLOR_SCALE};

use crate::exclusion::Exclusions;
use crate::execute::Network;
use crate::extract::ExtractedFaces;
use crate::faces::{self, SeenFace};
use crate::gpu_state::{
    CompositeSource, LightSource, PackSource, PortraitGpuState, RegionUniform, ShapeSource, Successor,
};
use crate::guide::Guide;
use crate::model_asset::{GpuPortraitModel, PortraitModel, PreparedPortraitModel};
use crate::pipeline::{
    CompositeKey, ComputeKey, PackKey, PortraitPipelineCache, PortraitPipelines, Readiness, ShapeKey,
};
use crate::plan::Plan;
use crate::quality::QualityTier;
use crate::region::{FaceBounds, Region};
use crate::settings::{PortraitMask, PortraitMaskSpace, PortraitRealism, within};
use crate::shaping::{Kept, light_points, light_step};
use crate::variant::ActivationFormat;

/// As a share of the face's radius, how far in front of its box something has to be to count as in front of the face: noses and hair
/// reach out of tight boxes.
const FRONT_MARGIN: f32 = 0.2;

/// On a view in the render world: what the pass does for it in this frame.
#[derive(Component)]
pub struct PortraitView {
    pub(crate) model: AssetId<PortraitModel>,
    pub(crate) format: TextureFormat,
    pub(crate) pack_pipeline: CachedComputePipelineId,
    pub(crate) composite_pipeline: CachedRenderPipelineId,
    pub(crate) light_pipeline: CachedComputePipelineId,
    pub(crate) shape_pipeline: CachedComputePipelineId,
    pub(crate) pack: BindGroup,
    pub(crate) regions: Vec<PreparedRegion>,
    /// Where the time that it takes is to be written, if somebody wants to know.
    pub(crate) measured: Option<usize>,
}

/// One face of one view.
#[derive(Clone)]
pub(crate) struct PreparedRegion {
    pub region: Region,
    /// Width and height that the network sees.
    pub network_px: UVec2,
    /// Which of the network's parameter slots is its own.
    pub slot: usize,
    /// Dynamic offset of its [`RegionUniform`].
    pub uniform_offset: u32,
    pub shape: Option<PreparedShape>,
    pub composite: BindGroup,
}

/// What is done to a residual before it is composited.
#[derive(Clone)]
pub(crate) struct PreparedShape {
    /// Finds the broad part at this many points.
    pub light: Option<(BindGroup, UVec2)>,
    pub bind_group: BindGroup,
    pub shaped: Buffer,
    /// Where the outcome is kept for the next frame, and its length in bytes.
    pub history: Option<(Buffer, u64)>,
}

/// A region whose uniform has been written.
struct PlannedRegion {
    region: Region,
    network_px: UVec2,
    slot: usize,
    uniform_offset: u32,
    /// The last frame's residual, and the length of this one's in bytes.
    history: Option<(Buffer, u64)>,
    has_light: bool,
}

type ViewItem = (
    Entity,
    &'static MainEntity,
    &'static PortraitRealism,
    &'static ExtractedCamera,
    &'static ExtractedView,
    Option<&'static RenderLayers>,
    Option<&'static ViewPrepassTextures>,
    &'static Msaa,
);

/// A view with something to enhance.
struct Work<'a> {
    entity: Entity,
    main_entity: Entity,
    tier: QualityTier,
    settings: &'a PortraitRealism,
    view: &'a ExtractedView,
    gpu: &'a GpuPortraitModel,
    pack_key: PackKey,
    normals: Option<&'a TextureView>,
    /// Those the camera has, whether the network reads them or not.
    depths: Option<&'a TextureView>,
    motion: Option<&'a TextureView>,
    mask: Option<&'a GpuImage>,
    samples: u32,
    faces: Vec<(Region, SeenFace<'a>)>,
}

impl Work<'_> {
    fn model(&self) -> AssetId<PortraitModel> {
        self.settings.model.id()
    }

    fn is_scaled(&self) -> bool {
        self.faces.iter().any(|(region, _)| region.network_px() != region.rect_px.size())
    }

    fn is_multisampled(&self) -> bool {
        self.samples > 1
    }

    fn light(&self) -> f32 {
        within(self.settings.light, 0.0, 2.0, 1.0)
    }

    fn detail(&self) -> f32 {
        within(self.settings.detail, 0.0, 2.0, 1.0)
    }
}

/// The pipelines of a view but for its network's.
struct ViewPipelines {
    pack: CachedComputePipelineId,
    light: CachedComputePipelineId,
    shape: CachedComputePipelineId,
    composite: CachedRenderPipelineId,
}

/// The GPU and Bevy's pipelines, as every function here needs them.
#[derive(SystemParam)]
pub(crate) struct Gpu<'w> {
    device: Res<'w, RenderDevice>,
    queue: Res<'w, RenderQueue>,
    cache: Res<'w, PipelineCache>,
    pipelines: Res<'w, PortraitPipelines>,
    pipeline_cache: ResMut<'w, PortraitPipelineCache>,
}

impl Gpu<'_> {
    /// All are asked for at once, so that none is missing when a user turns to another setting.
    fn view_pipelines(&mut self, work: &Work) -> ViewPipelines {
        let Self { cache, pipelines, pipeline_cache, .. } = self;
        let (activations, multisampled) = (work.pack_key.activations, work.is_multisampled());
        let composite = CompositeKey { target: work.view.target_format, activations, multisampled };
        let shape = ComputeKey::Shape(ShapeKey { activations, multisampled });
        ViewPipelines {
            pack: pipeline_cache.compute(cache, pipelines, ComputeKey::Pack(work.pack_key)),
            light: pipeline_cache.compute(cache, pipelines, ComputeKey::Light(activations)),
            shape: pipeline_cache.compute(cache, pipelines, shape),
            composite: pipeline_cache.composite(cache, pipelines, composite),
        }
    }
}

/// What cameras see and name: from the main world, and from Bevy's renderer.
#[derive(SystemParam)]
pub(crate) struct Seen<'w> {
    faces: Res<'w, ExtractedFaces>,
    models: Res<'w, RenderAssets<PreparedPortraitModel>>,
    images: Res<'w, RenderAssets<GpuImage>>,
    fallback: Res<'w, FallbackImage>,
}

pub(crate) fn prepare_portrait_views(
    mut commands: Commands,
    mut state: ResMut<PortraitGpuState>,
    mut gpu: Gpu,
    views: Query<ViewItem>,
    prepared: Query<Entity, With<PortraitView>>,
    seen: Seen,
    mut exclusions: ResMut<Exclusions>,
    mut fallbacks: FallbackImageMsaa,
) {
    let state = &mut *state;
    let uploaded = |model: AssetId<PortraitModel>| seen.models.get(model).and_then(|model| model.0.as_ref());
    // A model that no camera names any more, or whose weights changed, takes its buffers with it.
    let is_wanted = |model: AssetId<PortraitModel>, network: &Network| {
        let named = views.iter().any(|(_, _, settings, ..)| settings.model.id() == model);
        named && uploaded(model).is_some_and(|gpu| network.runs(gpu))
    };
    state.networks.retain(|&model, network| is_wanted(model, network));
    state.successors.retain(|&model, successor| is_wanted(model, &successor.network));
    state.copies.retain(|&format, _| views.iter().any(|(_, _, _, _, view, ..)| view.target_format == format));
    if state.networks.is_empty() {
        state.guide = None;
        state.shaping.clear();
    }
    state.shaping.begin_frame();
    state.tiers.begin_frame(|camera| views.get(camera).ok().map(|(_, _, settings, ..)| settings.quality));
    let mut work: Vec<Work> = views
        .iter()
        .filter(|(_, _, settings, ..)| settings.is_active())
        .filter_map(|item| {
            let tier = state.tiers.tier(item.0, item.2.quality, &gpu.device, &gpu.queue);
            find_work(item, tier, uploaded(item.2.model.id())?, &seen, gpu.pipelines.variant.activations)
        })
        .collect();
    reserve_networks(state, &work, &mut gpu);
    replace_kernels(state, &work, &mut gpu);
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
    if !work.is_empty() {
        Guide::reserve(&mut state.guide, guided.max().unwrap_or(0), &gpu.device);
    }
    let busy: HashSet<Entity> = work.iter().map(|work| work.entity).collect();
    for entity in prepared.iter().filter(|entity| !busy.contains(entity)) {
        commands.entity(entity).remove::<PortraitView>();
    }
    for (work, regions) in work.iter().zip(regions) {
        let spare = |fallbacks: &mut FallbackImageMsaa, format| {
            fallbacks.image_for_samplecount(work.samples, format).texture_view.clone()
        };
        let bound = Bound {
            depths: work.depths.cloned().unwrap_or_else(|| spare(&mut fallbacks, CORE_3D_DEPTH_FORMAT)),
            motion: work.motion.cloned().unwrap_or_else(|| spare(&mut fallbacks, MOTION_VECTOR_PREPASS_FORMAT)),
            mask: work.mask.unwrap_or(&seen.fallback.d2),
            boxes: exclusions.buffer.buffer(),
        };
        if let Some(mut view) = portrait_view(state, work, regions, bound, &mut gpu) {
            let faces = work.faces.iter().map(|(region, _)| region);
            view.measured = state.tiers.draw(work.entity, work.main_entity, work.tier, faces);
            commands.entity(work.entity).insert(view);
        }
    }
    state.pack.drop_unused();
    state.light.drop_unused();
    state.shape.drop_unused();
    state.composite.drop_unused();
}

/// The faces a view sees, if it can be enhanced.
fn find_work<'a>(
    (entity, main_entity, settings, camera, view, layers, prepass, msaa): <ViewItem as QueryData>::Item<'a, '_>,
    tier: QualityTier,
    gpu: &'a GpuPortraitModel,
    seen: &'a Seen,
    activations: ActivationFormat,
) -> Option<Work<'a>> {
    if !matches!(camera.compositing_space, None | Some(CompositingSpace::Linear)) {
        error_once!("portrait realism: a camera with another `CompositingSpace` than `Linear` is left as it is");
        return None;
    }
    let inputs = &gpu.model.graph().spec().inputs;
    let normals = prepass.and_then(ViewPrepassTextures::normal_view).filter(|_| inputs.contains(&Plane::Normal));
    let depths = prepass.and_then(ViewPrepassTextures::depth_view);
    let motion = prepass.and_then(ViewPrepassTextures::motion_vectors_view);
    // `add_prepasses` asked for them; they are there from the next frame on.
    if (inputs.contains(&Plane::Normal) && normals.is_none()) || (inputs.contains(&Plane::Depth) && depths.is_none()) {
        return None;
    }
    let mask = match &settings.mask {
        Some(mask) if mask.space == PortraitMaskSpace::Face && depths.is_none() => return None,
        Some(mask) => Some(seen.images.get(&mask.image).filter(|image| can_be_filtered(image))?),
        None => None,
    };
    let view_from_world = view_from_world(view);
    let clip_from_world = view.clip_from_world.unwrap_or_else(|| view.clip_from_view * view_from_world);
    let viewport = view.viewport;
    let viewport_px = URect::new(viewport.x, viewport.y, viewport.x + viewport.z, viewport.y + viewport.w);
    let camera_layers = layers.unwrap_or_default();
    let on_screen = seen
        .faces
        .0
        .iter()
        .filter(|face| face.layers.as_ref().is_none_or(|layers| layers.intersects(camera_layers)))
        .filter_map(|face| {
            let bounds = FaceBounds::new(&face.corners, clip_from_world, viewport_px)?;
            let distances = face.corners.iter().map(|&corner| -view_from_world.transform_point3(corner).z);
            let front_distance = distances.fold(f32::MAX, f32::min) - FRONT_MARGIN * face.radius;
            Some(SeenFace { bounds, face, front_distance, fade: bounds.fade() })
        });
    let faces: Vec<_> = faces::choose(on_screen.collect(), settings.max_faces)
        .into_iter()
        .filter_map(|face| Some((face.bounds.region(tier.most_px())?, face)))
        .collect();
    let pack_key = PackKey::new(gpu.model.graph(), msaa.samples() > 1, activations);
    let (main_entity, samples) = (main_entity.id(), msaa.samples());
    let work = Work {
        entity,
        main_entity,
        tier,
        settings,
        view,
        gpu,
        pack_key,
        normals,
        depths,
        motion,
        mask,
        samples,
        faces,
    };
    (!work.faces.is_empty()).then_some(work)
}

fn can_be_filtered(image: &GpuImage) -> bool {
    let format = image.texture.format();
    let filterable = format.sample_type(None, None) == Some(TextureSampleType::Float { filterable: true });
    if !filterable {
        error_once!(
            "portrait realism: a mask is {format:?}, which cannot be filtered: nothing is enhanced with it. Use for example R8Unorm or \
             Rgba8Unorm"
        );
    }
    filterable
}

fn view_from_world(view: &ExtractedView) -> Mat4 {
    view.world_from_view.to_matrix().inverse()
}

/// Sees to it that each model's network has room for all its regions of this frame.
fn reserve_networks(state: &mut PortraitGpuState, work: &[Work], gpu: &mut Gpu) {
    let mut needs: HashMap<AssetId<PortraitModel>, (UVec2, usize, &GpuPortraitModel)> = HashMap::default();
    for work in work {
        let (size, slots, _) = needs.entry(work.model()).or_insert((UVec2::ONE, 0, work.gpu));
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

/// Where other kernels have been chosen than a network runs, lets one with them take over. Their last steps of compiling are spread over
/// frames, and the old network goes on meanwhile.
fn replace_kernels(state: &mut PortraitGpuState, work: &[Work], gpu: &mut Gpu) {
    for work in work {
        let model = work.model();
        let Some(held) = state.networks.get(&model) else { continue };
        if held.plan().variant == gpu.pipelines.variant {
            state.successors.remove(&model);
            continue;
        }
        let (size, slots) = (held.plan().capacity_px, held.slots());
        let suits =
            |next: &Successor| next.network.fits(size, slots) && next.network.plan().variant == gpu.pipelines.variant;
        if !state.successors.get(&model).is_some_and(suits) {
            let Gpu { device, cache, pipelines, pipeline_cache, .. } = gpu;
            let network = Network::new(work.gpu, size, slots, device, cache, pipelines, pipeline_cache);
            let Some(network) = network else { continue };
            state.successors.insert(model, Successor { network, used: 0 });
        }
        let Some(next) = state.successors.get_mut(&model) else { continue };
        if next.network.readiness(&gpu.cache) != Readiness::Ready {
            continue;
        }
        if next.used < next.network.kernels() {
            next.network.write_params(0, UVec2::ONE, &gpu.queue);
            let mut encoder = gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
            next.network.record_first_use(next.used, &mut encoder, &gpu.cache);
            gpu.queue.submit([encoder.finish()]);
            next.used += 1;
        } else if let Some(next) = state.successors.remove(&model) {
            state.networks.insert(model, next.network);
        }
    }
}

/// Whether a view's network is there and all its shaders are compiled.
fn is_runnable(state: &PortraitGpuState, work: &Work, gpu: &mut Gpu) -> bool {
    let Some(network) = state.network(work.model()) else { return false };
    let pipelines = gpu.view_pipelines(work);
    let compute = [pipelines.pack, pipelines.light, pipelines.shape];
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

/// Gives each region its parameter slot, its uniform and its history.
fn write_uniforms(state: &mut PortraitGpuState, work: &[Work], excluded: u32, gpu: &Gpu) -> Vec<Vec<PlannedRegion>> {
    let PortraitGpuState { networks, shaping, uniforms, .. } = state;
    uniforms.clear();
    let mut next_slot: HashMap<AssetId<PortraitModel>, usize> = HashMap::default();
    let mut planned = Vec::new();
    for work in work {
        let mut regions = Vec::new();
        let network = networks.get_mut(&work.model());
        let Some(network) = network else {
            planned.push(regions);
            continue;
        };
        for (region, seen) in &work.faces {
            let next_slot = next_slot.entry(work.model()).or_default();
            let slot = *next_slot;
            *next_slot += 1;
            let network_px = region.network_px();
            network.write_params(slot, network_px, &gpu.queue);
            let plan = network.plan();
            let mut uniform = region_uniform(work, region, seen, plan);
            uniform.excluded = excluded;
            let has_light = uniform.light != uniform.detail;
            let history = (work.settings.keeps_history() && work.motion.is_some()).then(|| {
                let key = (work.entity, seen.face.entity);
                let now = Kept { region: *region, padded_px: uniform.padded_px };
                let (format, reset) = (plan.variant.activations, work.settings.reset);
                let (buffer, last) =
                    shaping.history(key, now, format, residual_bytes(plan, plan.capacity_px), reset, &gpu.device);
                if let Some(Kept { region, padded_px }) = last {
                    uniform.history = within(work.settings.history, 0.0, PortraitRealism::MOST_HISTORY, 0.0);
                    (uniform.last_origin_px, uniform.last_size_px) = (region.rect_px.min, region.rect_px.size());
                    (uniform.last_network_px, uniform.last_padded_px) = (region.network_px(), padded_px);
                }
                (buffer, residual_bytes(plan, network_px))
            });
            let uniform_offset = uniforms.push(&uniform);
            let region = *region;
            regions.push(PlannedRegion { region, network_px, slot, uniform_offset, history, has_light });
        }
        planned.push(regions);
    }
    if !uniforms.is_empty() {
        uniforms.write_buffer(&gpu.device, &gpu.queue);
    }
    planned
}

/// Length of the residual's plane.
fn residual_bytes(plan: &Plan, network_px: UVec2) -> u64 {
    plan.residual_layout(network_px).plane_texels() * plan.variant.activations.texel_bytes()
}

fn region_uniform(work: &Work, region: &Region, seen: &SeenFace, plan: &Plan) -> RegionUniform {
    let view_from_world = view_from_world(work.view);
    let face = seen.face;
    let center: Vec3 = view_from_world.transform_point3(face.center);
    let network_px = region.network_px();
    let settings = work.settings;
    RegionUniform {
        view_from_clip: work.view.clip_from_view.inverse(),
        view_from_world,
        world_from_view: work.view.world_from_view.to_matrix(),
        face_from_world: face.face_from_world,
        viewport_px: work.view.viewport.as_vec4(),
        fading_sides: Vec4::from_array(region.fading_sides.map(|fades| if fades { 1.0 } else { 0.0 })),
        origin_px: region.rect_px.min,
        size_px: region.rect_px.size(),
        network_px,
        padded_px: plan.padded_px(network_px),
        strength: settings.strength.min(1.0) * seen.fade,
        residual_scale: plan.residual_scale,
        feather_px: region.feather_px(),
        center_distance: -center.z,
        inverse_radius: face.radius.max(f32::MIN_POSITIVE).recip(),
        color_center: COLOR_CENTER,
        color_scale: COLOR_SCALE,
        light: work.light(),
        detail: work.detail(),
        light_step: light_step(network_px),
        preserve_color: within(settings.preserve_color, 0.0, 1.0, 0.0),
        most_change: 1.0 - within(settings.likeness, 0.0, 1.0, 0.0),
        front_distance: seen.front_distance,
        mask_space: match &settings.mask {
            None => 0,
            Some(PortraitMask { space: PortraitMaskSpace::Screen, .. }) => 1,
            Some(PortraitMask { space: PortraitMaskSpace::Face, .. }) => 2,
        },
        has_depth: work.depths.is_some().into(),
        // The history is filled in by the caller.
        ..RegionUniform::default()
    }
}

/// What the last two steps bind beside the network's buffers.
struct Bound<'a> {
    depths: TextureView,
    motion: TextureView,
    mask: &'a GpuImage,
    boxes: Option<&'a Buffer>,
}

/// Pipelines and bind groups of a view.
fn portrait_view(
    state: &mut PortraitGpuState,
    work: &Work,
    planned: Vec<PlannedRegion>,
    bound: Bound,
    gpu: &mut Gpu,
) -> Option<PortraitView> {
    let ids = gpu.view_pipelines(work);
    let PortraitGpuState { networks, copies, guide, shaping, uniforms, pack, light, shape, composite, .. } = state;
    let Gpu { device, cache, pipelines, .. } = gpu;
    let format = work.view.target_format;
    let network = networks.get(&work.model())?;
    let copy = copies.get(&format)?;
    let guide = &guide.as_ref()?.buffer;
    let boxes = bound.boxes?;
    let uniform = uniforms.binding()?;
    let uniforms = uniforms.buffer()?.id();
    let pack_source = PackSource {
        key: work.pack_key,
        uniforms,
        copy: copy.view.id(),
        planes: network.input().id(),
        guide: guide.id(),
        prepass: [work.normals.map(TextureView::id), work.depths.map(TextureView::id)],
    };
    let pack = pack.get(pack_source, || {
        let layout = cache.get_bind_group_layout(&pipelines.pack_layout(work.pack_key));
        let planes = network.input().as_entire_binding();
        let mut entries = DynamicBindGroupEntries::new_with_indices((
            (0, uniform.clone()),
            (1, &copy.view),
            (2, planes),
            (5, guide.as_entire_binding()),
        ));
        if let Some(normals) = work.normals.filter(|_| work.pack_key.normal_channel.is_some()) {
            entries = entries.extend_with_indices(((3, normals),));
        }
        if let Some(depths) = work.depths.filter(|_| work.pack_key.depth_channel.is_some()) {
            entries = entries.extend_with_indices(((4, depths),));
        }
        device.create_bind_group("portrait pack", &layout, &entries)
    });
    let (activations, multisampled) = (work.pack_key.activations, work.is_multisampled());
    let regions = planned.into_iter().map(|planned| {
        let shape = (planned.has_light || planned.history.is_some()).then(|| {
            let plan = network.plan();
            let [shaped, points] = shaping.reserve(residual_bytes(plan, plan.capacity_px), device);
            let light = planned.has_light.then(|| {
                let source =
                    LightSource { activations, uniforms, residual: network.residual().id(), light: points.id() };
                let bind_group = light.get(source, || {
                    let layout = cache.get_bind_group_layout(&pipelines.light_layout);
                    let residual = network.residual().as_entire_binding();
                    let entries = BindGroupEntries::with_indices((
                        (0, uniform.clone()),
                        (1, residual),
                        (4, points.as_entire_binding()),
                    ));
                    device.create_bind_group("portrait light", &layout, &entries)
                });
                (bind_group, light_points(planned.network_px))
            });
            let last = planned.history.as_ref().map_or(network.residual(), |(buffer, _)| buffer);
            let source = ShapeSource {
                key: ShapeKey { activations, multisampled },
                uniforms,
                residual: network.residual().id(),
                last: last.id(),
                shaped: shaped.id(),
                light: points.id(),
                motion: bound.motion.id(),
                copy: copy.view.id(),
                guide: guide.id(),
            };
            let bind_group = shape.get(source, || {
                let layout = cache.get_bind_group_layout(&pipelines.shape_layout(multisampled));
                let entries = BindGroupEntries::sequential((
                    uniform.clone(),
                    network.residual().as_entire_binding(),
                    last.as_entire_binding(),
                    shaped.as_entire_binding(),
                    points.as_entire_binding(),
                    &bound.motion,
                    &copy.view,
                    guide.as_entire_binding(),
                ));
                device.create_bind_group("portrait shape", &layout, &entries)
            });
            PreparedShape { light, bind_group, shaped, history: planned.history }
        });
        let residual = shape.as_ref().map_or(network.residual(), |shape| &shape.shaped);
        let source = CompositeSource {
            multisampled,
            uniforms,
            copy: copy.view.id(),
            residual: residual.id(),
            guide: guide.id(),
            depths: bound.depths.id(),
            mask: bound.mask.texture_view.id(),
            mask_sampler: bound.mask.sampler.id(),
            boxes: boxes.id(),
        };
        let composite = composite.get(source, || {
            let layout = cache.get_bind_group_layout(&pipelines.composite_layout(multisampled));
            let entries = BindGroupEntries::sequential((
                uniform.clone(),
                &copy.view,
                residual.as_entire_binding(),
                guide.as_entire_binding(),
                &bound.depths,
                &bound.mask.texture_view,
                &bound.mask.sampler,
                boxes.as_entire_binding(),
            ));
            device.create_bind_group("portrait composite", &layout, &entries)
        });
        let PlannedRegion { region, network_px, slot, uniform_offset, .. } = planned;
        PreparedRegion { region, network_px, slot, uniform_offset, shape, composite }
    });
    let regions = regions.collect();
    Some(PortraitView {
        model: work.model(),
        format,
        pack_pipeline: ids.pack,
        light_pipeline: ids.light,
        shape_pipeline: ids.shape,
        composite_pipeline: ids.composite,
        pack,
        regions,
        measured: None,
    })
}
