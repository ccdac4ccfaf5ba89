//! What the kernels at both ends of the network are told of each region.

use bevy::asset::AssetId;
use bevy::math::{UVec2, Vec3, Vec4};
use bevy::platform::collections::HashMap;
use bevy::render::render_resource::Buffer;
use portrait_network::transfer::{COLOR_CENTER, COLOR_SCALE};

use crate::faces::SeenFace;
use crate::gpu_state::{PortraitGpuState, RegionUniform};
use crate::model_asset::PortraitModel;
use crate::plan::Plan;
use crate::prepare::Gpu;
use crate::region::Region;
use crate::settings::{PortraitMask, PortraitMaskSpace, PortraitRealism, within};
use crate::shaping::{Kept, light_points, light_step};
use crate::work::{Work, view_from_world};

/// A region whose uniform has been written.
pub(crate) struct PlannedRegion {
    pub region: Region,
    pub network_px: UVec2,
    pub slot: usize,
    pub uniform_offset: u32,
    /// The last frame's residual, and the length of this one's in bytes.
    pub history: Option<(Buffer, u64)>,
    /// Whether its light and its detail have a factor other than 1.
    pub is_weighted: bool,
    /// Whether their factors differ.
    pub has_light: bool,
}

/// Gives each region its parameter slot, its uniform and its history.
pub(crate) fn write_uniforms(
    state: &mut PortraitGpuState,
    work: &[Work],
    excluded: u32,
    gpu: &Gpu,
) -> Vec<Vec<PlannedRegion>> {
    let PortraitGpuState { networks, shaping, uniforms, .. } = state;
    uniforms.clear();
    let mut next_slot: HashMap<AssetId<PortraitModel>, usize> = HashMap::default();
    let mut planned = Vec::new();
    for work in work {
        let mut regions = Vec::new();
        let mut kept_depths = 0;
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
            uniform.kept_depths_at = kept_depths;
            kept_depths += region.rect_px.size().element_product();
            let has_light = uniform.light != uniform.detail;
            let is_weighted = has_light || uniform.light != 1.0;
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
            regions.push(PlannedRegion { region, network_px, slot, uniform_offset, history, is_weighted, has_light });
        }
        planned.push(regions);
    }
    if !uniforms.is_empty() {
        uniforms.write_buffer(&gpu.device, &gpu.queue);
    }
    planned
}

/// Length of the residual's plane.
pub(crate) fn residual_bytes(plan: &Plan, network_px: UVec2) -> u64 {
    plan.residual_layout(network_px).plane_texels() * plan.variant.activations.texel_bytes()
}

/// What is known of a region before its slot and its history are.
pub(crate) fn region_uniform(work: &Work, region: &Region, seen: &SeenFace, plan: &Plan) -> RegionUniform {
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
        main_pass_px: work.main_pass_px,
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
        guide_px: if region.is_scaled() { network_px } else { UVec2::ZERO },
        light_points: if work.light() == work.detail() { UVec2::ZERO } else { light_points(network_px) },
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
        is_drawn_over: work.last_depths.is_some().into(),
        // The history is filled in by the caller.
        ..RegionUniform::default()
    }
}
