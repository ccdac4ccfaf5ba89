//! Before a frame is recorded: the regions of each camera, and the memory and bind groups they need. Nothing is
//! allocated for a frame that is like the one before.

use bevy::asset::AssetId;
use bevy::camera::visibility::RenderLayers;
use bevy::camera::{CompositingSpace, MainPassResolutionOverride};
use bevy::core_pipeline::prepass::ViewPrepassTextures;
use bevy::core_pipeline::schedule::Core2d;
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::ecs::schedule::ScheduleLabel;
use bevy::ecs::system::SystemParam;
use bevy::log::error_once;
use bevy::math::{Mat4, URect, UVec2, Vec2, Vec3, Vec4};
use bevy::platform::collections::{HashMap, HashSet};
use bevy::render::camera::ExtractedCamera;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, CachedComputePipelineId, CachedRenderPipelineId, DynamicBindGroupEntries,
    PipelineCache, TextureFormat, TextureView,
};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bevy::render::sync_world::MainEntity;
use bevy::render::view::{ExtractedView, Msaa};
use portrait_network::Plane;
use portrait_network::transfer::{COLOR_CENTER, COLOR_SCALE};

use crate::diagnostics::CpuTime;
use crate::execute::Network;
use crate::extract::{ExtractedFace, ExtractedFaces};
use crate::gpu_state::{CompositeSource, PackSource, PortraitGpuState, RegionUniform};
use crate::guide::Guide;
use crate::model_asset::{GpuPortraitModel, PortraitModel, PreparedPortraitModel};
use crate::pipeline::{CompositeKey, ComputeKey, PackKey, PortraitPipelineCache, PortraitPipelines, Readiness};
use crate::quality::QualityTier;
use crate::region::{MAX_FACES, Region, face_region};
use crate::replace::{replace_networks, take_over};
use crate::settings::PortraitRealism;
use crate::variant::ActivationFormat;

/// On a view in the render world: what the pass does for it in this frame.
#[derive(Component)]
pub struct PortraitView {
    pub(crate) model: AssetId<PortraitModel>,
    pub(crate) format: TextureFormat,
    pub(crate) pack_pipeline: CachedComputePipelineId,
    pub(crate) composite_pipeline: CachedRenderPipelineId,
    pub(crate) pack: BindGroup,
    pub(crate) composite: BindGroup,
    pub(crate) regions: Vec<PreparedRegion>,
    /// Where the time that it takes is to be written, if somebody wants to know.
    pub(crate) measured: Option<usize>,
}

/// One face of one view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedRegion {
    pub region: Region,
    /// Width and height that the network sees.
    pub network_px: UVec2,
    /// Which of the network's parameter slots is its own.
    pub slot: usize,
    /// Dynamic offset of its [`RegionUniform`].
    pub uniform_offset: u32,
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
    Option<&'static MainPassResolutionOverride>,
);

/// A view with something to enhance.
pub(crate) struct Work<'a> {
    entity: Entity,
    main_entity: Entity,
    tier: QualityTier,
    settings: &'a PortraitRealism,
    view: &'a ExtractedView,
    /// Size of what the prepasses drew, in the viewport's top left corner.
    main_pass_px: Vec2,
    is_multisampled: bool,
    /// What its network runs, or is to run.
    gpu: GpuPortraitModel,
    pack_key: PackKey,
    normals: Option<&'a TextureView>,
    depths: Option<&'a TextureView>,
    faces: Vec<(Region, &'a ExtractedFace)>,
}

impl Work<'_> {
    pub fn model(&self) -> AssetId<PortraitModel> {
        self.settings.model.id()
    }

    /// The kernel that makes the input planes, were the view to run these weights.
    pub fn pack_key(&self, weights: &GpuPortraitModel, activations: ActivationFormat) -> PackKey {
        PackKey::new(weights.model.graph(), self.is_multisampled, activations)
    }

    fn network_px(&self, region: &Region) -> UVec2 {
        region.network_px(self.tier.most_px())
    }

    fn is_scaled(&self) -> bool {
        self.faces.iter().any(|(region, _)| self.network_px(region) != region.rect_px.size())
    }
}

/// The GPU and Bevy's pipelines, as every function here needs them.
#[derive(SystemParam)]
pub(crate) struct Gpu<'w> {
    pub device: Res<'w, RenderDevice>,
    pub queue: Res<'w, RenderQueue>,
    pub cache: Res<'w, PipelineCache>,
    pub pipelines: Res<'w, PortraitPipelines>,
    pub pipeline_cache: ResMut<'w, PortraitPipelineCache>,
    time: Res<'w, CpuTime>,
}

impl Gpu<'_> {
    /// The pipelines at both ends of the network.
    fn view_pipelines(&mut self, work: &Work) -> (CachedComputePipelineId, CachedRenderPipelineId) {
        let pack = self.pipeline_cache.compute(&self.cache, &self.pipelines, ComputeKey::Pack(work.pack_key));
        let key = CompositeKey { target: work.view.target_format, activations: work.pack_key.activations };
        (pack, self.pipeline_cache.composite(&self.cache, &self.pipelines, key))
    }
}

pub(crate) fn prepare_portrait_views(
    mut commands: Commands,
    mut state: ResMut<PortraitGpuState>,
    mut gpu: Gpu,
    views: Query<ViewItem>,
    prepared: Query<Entity, With<PortraitView>>,
    faces: Res<ExtractedFaces>,
    models: Res<RenderAssets<PreparedPortraitModel>>,
) {
    let _measured = gpu.time.measure();
    let state = &mut *state;
    let uploaded = |model: AssetId<PortraitModel>| models.get(model).and_then(|model| model.0.as_ref());
    // A model that is gone, or that no camera names any more, takes its buffers with it. Where its weights changed, the
    // network with the old ones goes on until another can take over, or until what it reads is no longer drawn.
    let naming =
        |model: AssetId<PortraitModel>| views.iter().filter(move |(_, _, settings, ..)| settings.model.id() == model);
    take_over(state);
    state.networks.retain(|&model, network| {
        models.get(model).is_some()
            && naming(model).next().is_some()
            && (uploaded(model).is_none_or(|gpu| network.runs(gpu))
                || naming(model).all(|(_, _, _, _, _, _, prepass, ..)| planes(network.weights(), prepass).is_some()))
    });
    let PortraitGpuState { networks, successors, .. } = state;
    successors.retain(|model, _| networks.contains_key(model));
    state.copies.retain(|&format, _| views.iter().any(|(_, _, _, _, view, ..)| view.target_format == format));
    if state.networks.is_empty() {
        state.guide = None;
    }
    state.tiers.begin_frame(|camera| views.get(camera).ok().map(|(_, _, settings, ..)| settings.quality));
    let mut work: Vec<Work> = views
        .iter()
        .filter(|(_, _, settings, ..)| settings.is_active())
        .filter_map(|item| {
            let tier = state.tiers.tier(item.0, item.2.quality, &gpu.device, &gpu.queue);
            let model = item.2.model.id();
            let weights = state.networks.get(&model).map(Network::weights).or_else(|| uploaded(model))?.clone();
            find_work(item, tier, weights, &faces.0, gpu.pipelines.variant.activations)
        })
        .collect();
    reserve_networks(state, &work, &mut gpu);
    replace_networks(state, &work, uploaded, &mut gpu);
    work.retain(|work| is_runnable(state, work, &mut gpu));

    let regions: Vec<Vec<PreparedRegion>> = write_uniforms(state, &work, &gpu);
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
        if let Some(mut view) = portrait_view(state, work, regions, &mut gpu) {
            let faces = work.faces.iter().map(|(region, _)| region);
            view.measured = state.tiers.draw(work.entity, work.main_entity, work.tier, faces);
            commands.entity(work.entity).insert(view);
        }
    }
    state.pack.drop_unused();
    state.composite.drop_unused();
}

/// Normals and depths, if the network reads them; `None` where one of them is missing.
fn planes<'a>(
    weights: &GpuPortraitModel,
    prepass: Option<&'a ViewPrepassTextures>,
) -> Option<[Option<&'a TextureView>; 2]> {
    let inputs = &weights.model.graph().spec().inputs;
    let plane = |plane, view: Option<&'a TextureView>| {
        if inputs.contains(&plane) { view.map(Some) } else { Some(None) }
    };
    Some([
        plane(Plane::Normal, prepass.and_then(ViewPrepassTextures::normal_view))?,
        plane(Plane::Depth, prepass.and_then(ViewPrepassTextures::depth_view))?,
    ])
}

/// The faces a view sees, if it can be enhanced.
fn find_work<'a>(
    (entity, main_entity, settings, camera, view, layers, prepass, msaa, main_pass): <ViewItem as QueryData>::Item<
        'a,
        '_,
    >,
    tier: QualityTier,
    gpu: GpuPortraitModel,
    faces: &'a [ExtractedFace],
    activations: ActivationFormat,
) -> Option<Work<'a>> {
    if camera.schedule == Core2d.intern() {
        error_once!("portrait realism: a 2D camera is left as it is: `PortraitRealism` belongs on a `Camera3d`");
        return None;
    }
    if !matches!(camera.compositing_space, None | Some(CompositingSpace::Linear)) {
        error_once!("portrait realism: a camera with another `CompositingSpace` than `Linear` is left as it is");
        return None;
    }
    // `equip_cameras` asked for them; they are there from the next frame on.
    let [normals, depths] = planes(&gpu, prepass)?;
    let clip_from_world = view.clip_from_world.unwrap_or_else(|| view.clip_from_view * view_from_world(view));
    let viewport = view.viewport;
    let viewport_px = URect::new(viewport.x, viewport.y, viewport.x + viewport.z, viewport.y + viewport.w);
    let camera_layers = layers.unwrap_or_default();
    let mut faces: Vec<_> = faces
        .iter()
        .filter(|face| face.layers.as_ref().is_none_or(|layers| layers.intersects(camera_layers)))
        .filter_map(|face| Some((face_region(&face.corners, clip_from_world, viewport_px)?, face)))
        .collect();
    let area = |region: &Region| u64::from(region.rect_px.width()) * u64::from(region.rect_px.height());
    faces.sort_by_key(|(region, _)| std::cmp::Reverse(area(region)));
    faces.truncate(MAX_FACES);
    let is_multisampled = msaa.samples() > 1;
    let pack_key = PackKey::new(gpu.model.graph(), is_multisampled, activations);
    let main_pass_px = main_pass.map_or(viewport_px.size(), |main_pass| main_pass.0.min(viewport_px.size())).as_vec2();
    let main_entity = main_entity.id();
    let work = Work {
        entity,
        main_entity,
        tier,
        settings,
        view,
        main_pass_px,
        is_multisampled,
        gpu,
        pack_key,
        normals,
        depths,
        faces,
    };
    (!work.faces.is_empty()).then_some(work)
}

fn view_from_world(view: &ExtractedView) -> Mat4 {
    view.world_from_view.to_matrix().inverse()
}

/// Sees to it that each model's network has room for all its regions of this frame.
fn reserve_networks(state: &mut PortraitGpuState, work: &[Work], gpu: &mut Gpu) {
    let mut needs: HashMap<AssetId<PortraitModel>, (UVec2, usize, &GpuPortraitModel)> = HashMap::default();
    for work in work {
        let (size, slots, _) = needs.entry(work.model()).or_insert((UVec2::ONE, 0, &work.gpu));
        *slots += work.faces.len();
        *size = work.faces.iter().fold(*size, |size, (region, _)| size.max(work.network_px(region)));
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

/// Whether a view's network is there and all its shaders are compiled.
fn is_runnable(state: &PortraitGpuState, work: &Work, gpu: &mut Gpu) -> bool {
    let Some(network) = state.network(work.model()) else { return false };
    let (pack, composite) = gpu.view_pipelines(work);
    let readiness = network
        .readiness(&gpu.cache)
        .and(Readiness::of(gpu.cache.get_compute_pipeline_state(pack)))
        .and(Readiness::of(gpu.cache.get_render_pipeline_state(composite)));
    if readiness == Readiness::Failed {
        error_once!("portrait realism: a shader does not compile (see above): the frame stays as it is");
    }
    readiness == Readiness::Ready
}

/// Gives each region its parameter slot and its uniform.
fn write_uniforms(state: &mut PortraitGpuState, work: &[Work], gpu: &Gpu) -> Vec<Vec<PreparedRegion>> {
    state.uniforms.clear();
    let mut next_slot: HashMap<AssetId<PortraitModel>, usize> = HashMap::default();
    let mut prepared = Vec::new();
    for work in work {
        let mut regions = Vec::new();
        let network = state.networks.get_mut(&work.model());
        let Some(network) = network else {
            prepared.push(regions);
            continue;
        };
        for (region, face) in &work.faces {
            let next_slot = next_slot.entry(work.model()).or_default();
            let slot = *next_slot;
            *next_slot += 1;
            let network_px = work.network_px(region);
            network.write_params(slot, network_px, &gpu.queue);
            let uniform = region_uniform(work, region, face, network);
            let uniform_offset = state.uniforms.push(&uniform);
            regions.push(PreparedRegion { region: *region, network_px, slot, uniform_offset });
        }
        prepared.push(regions);
    }
    if !state.uniforms.is_empty() {
        state.uniforms.write_buffer(&gpu.device, &gpu.queue);
    }
    prepared
}

fn region_uniform(work: &Work, region: &Region, face: &ExtractedFace, network: &Network) -> RegionUniform {
    let view_from_world = view_from_world(work.view);
    let center: Vec3 = view_from_world.transform_point3(face.center);
    RegionUniform {
        view_from_clip: work.view.clip_from_view.inverse(),
        view_from_world,
        viewport_px: work.view.viewport.as_vec4(),
        main_pass_px: work.main_pass_px,
        fading_sides: Vec4::from_array(region.fading_sides.map(|fades| if fades { 1.0 } else { 0.0 })),
        origin_px: region.rect_px.min,
        size_px: region.rect_px.size(),
        network_px: work.network_px(region),
        padded_px: network.plan().padded_px(work.network_px(region)),
        strength: work.settings.strength.min(1.0),
        residual_scale: network.plan().residual_scale,
        feather_px: region.feather_px(),
        center_distance: -center.z,
        inverse_radius: face.radius.max(f32::MIN_POSITIVE).recip(),
        color_center: COLOR_CENTER,
        color_scale: COLOR_SCALE,
    }
}

/// Pipelines and bind groups of a view.
fn portrait_view(
    state: &mut PortraitGpuState,
    work: &Work,
    regions: Vec<PreparedRegion>,
    gpu: &mut Gpu,
) -> Option<PortraitView> {
    let PortraitGpuState { networks, copies, guide, uniforms, pack, composite, .. } = state;
    let format = work.view.target_format;
    let network = networks.get(&work.model())?;
    let copy = copies.get(&format)?;
    let guide = &guide.as_ref()?.buffer;
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
        let layout = gpu.cache.get_bind_group_layout(&gpu.pipelines.pack_layout(work.pack_key));
        let planes = network.input().as_entire_binding();
        let mut entries = DynamicBindGroupEntries::new_with_indices((
            (0, uniform.clone()),
            (1, &copy.view),
            (2, planes),
            (5, guide.as_entire_binding()),
        ));
        if let Some(normals) = work.normals {
            entries = entries.extend_with_indices(((3, normals),));
        }
        if let Some(depths) = work.depths {
            entries = entries.extend_with_indices(((4, depths),));
        }
        gpu.device.create_bind_group("portrait pack", &layout, &entries)
    });
    let composite_source =
        CompositeSource { uniforms, copy: copy.view.id(), residual: network.residual().id(), guide: guide.id() };
    let composite = composite.get(composite_source, || {
        let layout = gpu.cache.get_bind_group_layout(&gpu.pipelines.composite_layout);
        let residual = network.residual().as_entire_binding();
        let guide = guide.as_entire_binding();
        let entries = BindGroupEntries::sequential((uniform.clone(), &copy.view, residual, guide));
        gpu.device.create_bind_group("portrait composite", &layout, &entries)
    });
    let (pack_pipeline, composite_pipeline) = gpu.view_pipelines(work);
    let (model, measured) = (work.model(), None);
    Some(PortraitView { model, format, pack_pipeline, composite_pipeline, pack, composite, regions, measured })
}
