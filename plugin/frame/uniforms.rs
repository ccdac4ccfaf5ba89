//! Step 5 of preparing a frame: the uniform of each region, with its parameter slot and its history.

use bevy::asset::AssetId;
use bevy::math::{UVec2, Vec3, Vec4};
use bevy::platform::collections::HashMap;
use bevy::render::render_resource::Buffer;
use portrait_network::transfer::{COLOR_CENTER, COLOR_SCALE};

use crate::api::model::PortraitModel;
use crate::api::settings::{PortraitMask, PortraitMaskSpace, PortraitRealism, clamp_or};
use crate::extract::overlays::Overlay;
use crate::frame::gpu::Gpu;
use crate::frame::state::PortraitGpuState;
use crate::inference::plan::Plan;
use crate::pipelines::StageKey;
use crate::region::Region;
use crate::select::view_work::{FaceWork, ViewWork, view_from_world};
use crate::stages::base_layer::{base_points, base_step};
use crate::stages::region_uniform::RegionUniform;
use crate::stages::shape::HistoryRegion;

/// A region whose uniform has been written.
pub(crate) struct PlannedRegion {
    pub region: Region,
    /// The model whose network it passes through.
    pub model: AssetId<PortraitModel>,
    /// The key of the stages around that network.
    pub key: StageKey,
    pub network_px: UVec2,
    pub slot: usize,
    pub uniform_offset: u32,
    /// The last frame's residual, and the length of this one's in bytes.
    pub history: Option<(Buffer, u64)>,
    /// True if base or detail layer has a factor other than 1.
    pub is_weighted: bool,
    /// True if base and detail layer have different factors, so that they have to be told apart.
    pub has_base_layer: bool,
}

impl PlannedRegion {
    /// Returns whether the residual passes through the shape stage.
    pub fn is_shaped(&self) -> bool {
        self.is_weighted || self.history.is_some()
    }
}

/// Writes the uniforms of all regions, view by view.
pub(crate) fn write_uniforms(state: &mut PortraitGpuState, work: &[ViewWork], gpu: &Gpu) -> Vec<Vec<PlannedRegion>> {
    let PortraitGpuState { networks, shaping, uniforms, .. } = state;
    uniforms.clear();
    let mut next_slot: HashMap<AssetId<PortraitModel>, usize> = HashMap::default();
    let mut planned = Vec::new();
    for work in work {
        let mut regions = Vec::new();
        let mut opaque_depths_at = 0;
        for face in &work.faces {
            let FaceWork { region, visible, weights } = face;
            let model = visible.model;
            let Some(network) = networks.get_mut(&model) else { continue };
            // Regions of all views that share a network take its slots in turn.
            let next_slot = next_slot.entry(model).or_default();
            let slot = *next_slot;
            *next_slot += 1;
            let network_px = region.network_px();
            network.write_params(slot, network_px, &gpu.queue);

            let plan = network.plan();
            let mut uniform = region_uniform(work, face, plan);
            uniform.opaque_depths_at = opaque_depths_at;
            opaque_depths_at += region.rect_px.size().element_product();
            let has_base_layer = uniform.base != uniform.detail;
            let is_weighted = has_base_layer || uniform.base != 1.0;

            let history = (work.settings.keeps_history() && work.motion_vectors.is_some()).then(|| {
                let key = (work.entity, visible.face.entity, model);
                let now = HistoryRegion { region: *region, padded_px: uniform.padded_px };
                let (format, reset) = (plan.variant.activations, work.settings.reset);
                let capacity = residual_bytes(plan, plan.capacity_px);
                let (buffer, last) = shaping.history(key, now, format, capacity, reset, &gpu.device);
                if let Some(HistoryRegion { region, padded_px }) = last {
                    uniform.history = clamp_or(work.settings.history, 0.0, PortraitRealism::MAX_HISTORY, 0.0);
                    (uniform.last_origin_px, uniform.last_size_px) = (region.rect_px.min, region.rect_px.size());
                    (uniform.last_network_px, uniform.last_padded_px) = (region.network_px(), padded_px);
                }
                (buffer, residual_bytes(plan, network_px))
            });
            let uniform_offset = uniforms.push(&uniform);
            regions.push(PlannedRegion {
                region: *region,
                model,
                key: work.stage_key(weights),
                network_px,
                slot,
                uniform_offset,
                history,
                is_weighted,
                has_base_layer,
            });
        }
        planned.push(regions);
    }
    if !uniforms.is_empty() {
        uniforms.write_buffer(&gpu.device, &gpu.queue);
    }
    planned
}

/// Returns the length of a residual's plane in bytes.
pub(crate) fn residual_bytes(plan: &Plan, network_px: UVec2) -> u64 {
    plan.residual_layout(network_px).plane_texels() * plan.variant.activations.texel_bytes()
}

/// Returns a region's uniform without what depends on other regions and other frames: kept depths and history.
pub(crate) fn region_uniform(work: &ViewWork, face: &FaceWork, plan: &Plan) -> RegionUniform {
    let view_from_world = view_from_world(work.view);
    let [base, detail] = face.layer_factors(work.settings);
    let FaceWork { region, visible, .. } = face;
    let face = visible.face;
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
        strength: settings.strength.min(1.0) * visible.fade,
        residual_scale: plan.residual_scale,
        feather_px: region.feather_px(),
        center_distance: -center.z,
        inverse_radius: face.radius.max(f32::MIN_POSITIVE).recip(),
        color_center: COLOR_CENTER,
        color_scale: COLOR_SCALE,
        guide_px: if region.is_scaled() { network_px } else { UVec2::ZERO },
        base_points: if base == detail { UVec2::ZERO } else { base_points(network_px) },
        base,
        detail,
        base_step: base_step(network_px),
        preserve_color: clamp_or(settings.preserve_color, 0.0, 1.0, 0.0),
        max_change: 1.0 - clamp_or(settings.likeness, 0.0, 1.0, 0.0),
        front_distance: visible.front_distance,
        mask_space: match &settings.mask {
            None => 0,
            Some(PortraitMask { space: PortraitMaskSpace::Screen, .. }) => 1,
            Some(PortraitMask { space: PortraitMaskSpace::Face, .. }) => 2,
        },
        excluded: work.excluded,
        has_depth: work.depths.is_some().into(),
        overlay: match work.overlay {
            None => 0,
            Some(Overlay::Anywhere) => 1,
            Some(Overlay::OffTheFace) => 2,
        },
        empty_depth: work.empty_depth.unwrap_or(-1.0),
        ..RegionUniform::default()
    }
}
