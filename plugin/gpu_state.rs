//! What stays on the GPU from frame to frame: networks, copies of the frame, timers, uniforms and bind groups.

use std::hash::Hash;

use bevy::asset::AssetId;
use bevy::ecs::prelude::*;
use bevy::math::{Mat4, UVec2, Vec2, Vec4};
use bevy::platform::collections::{HashMap, HashSet};
use bevy::render::render_resource::{
    BindGroup, BufferId, DynamicUniformBuffer, Extent3d, SamplerId, ShaderType, Texture, TextureDescriptor,
    TextureDimension, TextureFormat, TextureUsages, TextureView, TextureViewDescriptor, TextureViewId,
};
use bevy::render::renderer::RenderDevice;

use crate::execute::Network;
use crate::guide::Guide;
use crate::model_asset::PortraitModel;
use crate::overlays::KeptDepths;
use crate::pipeline::{PackKey, ShapeKey};
use crate::shaping::Shaping;
use crate::tiers::CameraTiers;
use crate::variant::ActivationFormat;

/// The copy of the frame grows to multiples of this many pixels a side. None is a power of two: for those drivers on the CPU compile shaders
/// anew.
pub(crate) const COPY_STEP_PX: u32 = 96;

/// What the kernels at both ends of the network read (WGSL: `Region` in `shaders/shared/region.wgsl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, ShaderType)]
pub struct RegionUniform {
    /// Clip space → view space.
    pub view_from_clip: Mat4,
    /// World → view space.
    pub view_from_world: Mat4,
    /// View space → world.
    pub world_from_view: Mat4,
    /// World → the face's box, (0, 0, 0) to (1, 1, 1).
    pub face_from_world: Mat4,
    /// Viewport of the camera in its target: x, y, width, height.
    pub viewport_px: Vec4,
    /// Size of what the prepasses drew, in the viewport's top left corner: smaller than the viewport where the frame is
    /// scaled up after the main pass.
    pub main_pass_px: Vec2,
    /// 1 for left, top, right, bottom where the edge fades out.
    pub fading_sides: Vec4,
    /// Top left corner in the camera's target.
    pub origin_px: UVec2,
    /// Size in the camera's target.
    pub size_px: UVec2,
    /// Size that the network sees.
    pub network_px: UVec2,
    /// The same, filled up to the network's alignment.
    pub padded_px: UVec2,
    /// Of the region in the last frame.
    pub last_origin_px: UVec2,
    /// Of the region in the last frame.
    pub last_size_px: UVec2,
    /// Of the region in the last frame.
    pub last_network_px: UVec2,
    /// Of the region in the last frame.
    pub last_padded_px: UVec2,
    /// Size of the guide where the region is scaled down, else 0.
    pub guide_px: UVec2,
    /// Points at which the broad part of the residual is known, 0 where its factor is that of the fine part.
    pub light_points: UVec2,
    /// How much of the change is applied, 0–1.
    pub strength: f32,
    /// Size of a residual of 1 in display-referred sRGB.
    pub residual_scale: f32,
    /// Width of the faded edge.
    pub feather_px: f32,
    /// Distance of the face's centre along the view.
    pub center_distance: f32,
    /// 1 / the face's bounding radius.
    pub inverse_radius: f32,
    /// [`portrait_network::transfer::COLOR_CENTER`].
    pub color_center: f32,
    /// [`portrait_network::transfer::COLOR_SCALE`].
    pub color_scale: f32,
    /// Factor of the residual's broad part.
    pub light: f32,
    /// Factor of the residual's fine part.
    pub detail: f32,
    /// Pixels of the network between the points at which the broad part is known.
    pub light_step: u32,
    /// How much of the last frame's residual is kept, 0–0.95; 0 where there is none.
    pub history: f32,
    /// 0: luma and chroma change; 1: luma alone.
    pub preserve_color: f32,
    /// Most that a channel changes by, display-referred sRGB.
    pub most_change: f32,
    /// Whatever is nearer along the view is in front of the face.
    pub front_distance: f32,
    /// 0: no mask, 1: over the viewport, 2: over the face.
    pub mask_space: u32,
    /// How many boxes there are whose content is left alone.
    pub excluded: u32,
    /// Whether the camera has drawn depths.
    pub has_depth: u32,
    /// Whether something may have been drawn over the scene since its depths were kept.
    pub is_drawn_over: u32,
    /// Where they begin.
    pub kept_depths_at: u32,
}

/// Everything on the GPU that outlives a frame.
#[derive(Resource, Default)]
pub struct PortraitGpuState {
    pub(crate) networks: HashMap<AssetId<PortraitModel>, Network>,
    pub(crate) successors: HashMap<AssetId<PortraitModel>, Successor>,
    pub(crate) copies: HashMap<TextureFormat, RegionCopy>,
    pub(crate) guide: Option<Guide>,
    pub(crate) kept_depths: Option<KeptDepths>,
    pub(crate) shaping: Shaping,
    pub(crate) tiers: CameraTiers,
    pub(crate) uniforms: DynamicUniformBuffer<RegionUniform>,
    pub(crate) pack: BindGroups<PackSource>,
    pub(crate) light: BindGroups<LightSource>,
    pub(crate) shape: BindGroups<ShapeSource>,
    pub(crate) keep_depth: BindGroups<KeepDepthSource>,
    pub(crate) composite: BindGroups<CompositeSource>,
}

impl PortraitGpuState {
    /// The network of a model, if a camera has needed it.
    pub fn network(&self, model: AssetId<PortraitModel>) -> Option<&Network> {
        self.networks.get(&model)
    }

    /// GPU memory held by scratch buffers, the guide, histories, kept depths and copied regions, in bytes.
    pub fn allocated_bytes(&self) -> u64 {
        let successors = self.successors.values().map(|successor| &successor.network);
        let scratch: u64 = self.networks.values().chain(successors).map(|network| network.plan().scratch_bytes()).sum();
        let copies = self.copies.iter().map(|(format, copy)| {
            let texel = u64::from(format.block_copy_size(None).unwrap_or_default());
            u64::from(copy.size_px.x) * u64::from(copy.size_px.y) * texel
        });
        let guide = self.guide.as_ref().map_or(0, Guide::bytes);
        let depths = self.kept_depths.as_ref().map_or(0, KeptDepths::bytes);
        scratch + guide + depths + self.shaping.bytes() + copies.sum::<u64>()
    }

    /// Makes room for a region of `size_px` pixels of a target of this format.
    pub(crate) fn reserve_copy(&mut self, format: TextureFormat, size_px: UVec2, device: &RenderDevice) {
        let held = self.copies.get(&format).map_or(UVec2::ZERO, |copy| copy.size_px);
        if size_px.cmple(held).all() {
            return;
        }
        let round_up = |side: u32| side.next_multiple_of(COPY_STEP_PX);
        let limit = UVec2::splat(device.limits().max_texture_dimension_2d);
        let size_px = held.max(UVec2::new(round_up(size_px.x), round_up(size_px.y)).min(limit));
        self.copies.insert(format, RegionCopy::new(format, size_px, device));
    }
}

/// A network with other weights or kernels, which takes over once the driver has compiled them all.
pub(crate) struct Successor {
    pub network: Network,
    /// How many of its kernels have been used.
    pub used: usize,
    /// Whether it takes over in the next frame.
    pub is_ready: bool,
}

/// The part of the frame that is being enhanced. One for each format: regions are worked on one after the other.
pub(crate) struct RegionCopy {
    pub texture: Texture,
    pub view: TextureView,
    size_px: UVec2,
}

impl RegionCopy {
    fn new(format: TextureFormat, size_px: UVec2, device: &RenderDevice) -> Self {
        let texture = device.create_texture(&TextureDescriptor {
            label: Some("portrait region"),
            size: Extent3d { width: size_px.x, height: size_px.y, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: TextureDimension::D2,
            format,
            usage: TextureUsages::COPY_DST | TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        });
        let view = texture.create_view(&TextureViewDescriptor::default());
        Self { texture, view, size_px }
    }
}

/// What the bind group of the kernel that makes the input planes binds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct PackSource {
    pub key: PackKey,
    pub uniforms: BufferId,
    pub copy: TextureViewId,
    pub planes: BufferId,
    pub guide: BufferId,
    /// Normals and depths.
    pub prepass: [Option<TextureViewId>; 2],
}

/// What the bind group of the kernel that finds the broad part of a residual binds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct LightSource {
    pub activations: ActivationFormat,
    pub uniforms: BufferId,
    pub residual: BufferId,
    pub light: BufferId,
}

/// What the bind group of the kernel that shapes a residual binds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ShapeSource {
    pub key: ShapeKey,
    pub uniforms: BufferId,
    pub residual: BufferId,
    pub last: BufferId,
    pub shaped: BufferId,
    pub light: BufferId,
    pub motion: TextureViewId,
    pub copy: TextureViewId,
}

/// What the bind group of the kernel that keeps depths binds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct KeepDepthSource {
    pub multisampled: bool,
    pub uniforms: BufferId,
    pub depths: TextureViewId,
    pub kept: BufferId,
}

/// What the bind group of the composite pass binds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CompositeSource {
    pub multisampled: bool,
    pub uniforms: BufferId,
    pub copy: TextureViewId,
    pub residual: BufferId,
    pub guide: BufferId,
    pub depths: TextureViewId,
    pub mask: TextureViewId,
    pub mask_sampler: SamplerId,
    pub boxes: BufferId,
    pub last_depths: TextureViewId,
    pub kept_depths: BufferId,
}

/// Bind groups by what they bind; those not asked for during a frame are dropped at its end.
pub(crate) struct BindGroups<K> {
    groups: HashMap<K, BindGroup>,
    used: HashSet<K>,
}

impl<K> Default for BindGroups<K> {
    fn default() -> Self {
        Self { groups: HashMap::default(), used: HashSet::default() }
    }
}

impl<K: Clone + Eq + Hash> BindGroups<K> {
    pub fn get(&mut self, key: K, create: impl FnOnce() -> BindGroup) -> BindGroup {
        self.used.insert(key.clone());
        self.groups.entry(key).or_insert_with(create).clone()
    }

    pub fn drop_unused(&mut self) {
        self.groups.retain(|key, _| self.used.contains(key));
        self.used.clear();
    }
}
