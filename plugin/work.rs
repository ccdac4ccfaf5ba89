//! What there is to enhance in a view: its faces, and what the effect reads of it.

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
use bevy::math::{Mat4, URect, Vec2};
use bevy::render::camera::ExtractedCamera;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::{TextureSampleType, TextureView};
use bevy::render::sync_world::MainEntity;
use bevy::render::texture::{FallbackImage, GpuImage};
use bevy::render::view::{ExtractedView, Msaa, ViewDepthTexture};
use portrait_network::Plane;

use crate::diagnostics::CpuTime;
use crate::ends::EndsKey;
use crate::extract::ExtractedFaces;
use crate::faces::{self, SeenFace};
use crate::model_asset::{GpuPortraitModel, PortraitModel, PreparedPortraitModel};
use crate::overlays::DrawnOver;
use crate::pipeline::PackKey;
use crate::quality::QualityTier;
use crate::region::{FaceBounds, Region};
use crate::settings::{PortraitRealism, within};
use crate::variant::ActivationFormat;

/// As a share of the face's radius, how far in front of its box something has to be to count as in front of the face: noses and hair
/// reach out of tight boxes.
const FRONT_MARGIN: f32 = 0.2;

pub(crate) type ViewItem = (
    Entity,
    &'static MainEntity,
    &'static PortraitRealism,
    &'static ExtractedCamera,
    &'static ExtractedView,
    Option<&'static RenderLayers>,
    Option<&'static ViewPrepassTextures>,
    &'static Msaa,
    Option<&'static MainPassResolutionOverride>,
    Option<&'static ViewDepthTexture>,
);

/// A view with something to enhance.
pub(crate) struct Work<'a> {
    pub entity: Entity,
    pub main_entity: Entity,
    pub tier: QualityTier,
    pub settings: &'a PortraitRealism,
    pub view: &'a ExtractedView,
    /// Size of what the prepasses drew, in the viewport's top left corner.
    pub main_pass_px: Vec2,
    /// What its network runs, or is to run.
    pub gpu: GpuPortraitModel,
    pub pack_key: PackKey,
    pub normals: Option<&'a TextureView>,
    /// Those the camera has, whether the network reads them or not.
    pub depths: Option<&'a TextureView>,
    pub motion: Option<&'a TextureView>,
    pub mask: Option<&'a GpuImage>,
    /// The depths when all is drawn, where something may have been drawn over the scene.
    pub last_depths: Option<&'a TextureView>,
    pub samples: u32,
    pub faces: Vec<(Region, SeenFace<'a>)>,
}

impl Work<'_> {
    pub fn model(&self) -> AssetId<PortraitModel> {
        self.settings.model.id()
    }

    /// The kernel that makes the input planes, were the view to run these weights.
    pub fn pack_key(&self, weights: &GpuPortraitModel, activations: ActivationFormat) -> PackKey {
        PackKey::new(weights.model.graph(), self.is_multisampled(), activations)
    }

    /// What its kernels before and after the network depend on.
    pub fn ends_key(&self) -> EndsKey {
        let multisampled = self.is_multisampled();
        EndsKey { pack: self.pack_key, target: self.view.target_format, multisampled }
    }

    pub fn is_scaled(&self) -> bool {
        self.faces.iter().any(|(region, _)| region.is_scaled())
    }

    /// Of all its regions.
    pub fn pixels(&self) -> u64 {
        self.faces.iter().map(|(region, _)| region.rect_px.size().as_u64vec2().element_product()).sum()
    }

    pub fn is_multisampled(&self) -> bool {
        self.samples > 1
    }

    pub fn light(&self) -> f32 {
        within(self.settings.light, 0.0, 2.0, 1.0)
    }

    pub fn detail(&self) -> f32 {
        within(self.settings.detail, 0.0, 2.0, 1.0)
    }
}

/// What cameras see and name: from the main world, and from Bevy's renderer.
#[derive(SystemParam)]
pub(crate) struct Seen<'w> {
    pub faces: Res<'w, ExtractedFaces>,
    pub models: Res<'w, RenderAssets<PreparedPortraitModel>>,
    pub images: Res<'w, RenderAssets<GpuImage>>,
    pub fallback: Res<'w, FallbackImage>,
    pub drawn_over: Res<'w, DrawnOver>,
    pub time: Res<'w, CpuTime>,
}

/// The faces a view sees, if it can be enhanced.
pub(crate) fn find_work<'a>(
    item: <ViewItem as QueryData>::Item<'a, '_>,
    tier: QualityTier,
    gpu: GpuPortraitModel,
    seen: &'a Seen,
    is_excluding: bool,
    activations: ActivationFormat,
) -> Option<Work<'a>> {
    let (entity, main_entity, settings, camera, view, layers, prepass, msaa, main_pass, depth) = item;
    if camera.schedule == Core2d.intern() {
        error_once!("portrait realism: a 2D camera is left as it is: `PortraitRealism` belongs on a `Camera3d`");
        return None;
    }
    if !matches!(camera.compositing_space, None | Some(CompositingSpace::Linear)) {
        error_once!("portrait realism: a camera with another `CompositingSpace` than `Linear` is left as it is");
        return None;
    }
    let inputs = &gpu.model.graph().spec().inputs;
    let normals = prepass.and_then(ViewPrepassTextures::normal_view).filter(|_| inputs.contains(&Plane::Normal));
    let depths = prepass.and_then(ViewPrepassTextures::depth_view);
    let motion = prepass.and_then(ViewPrepassTextures::motion_vectors_view);
    // `equip_cameras` asked for them; they are there from the next frame on. Until then nothing that is excluded can be found.
    let reads_depth = inputs.contains(&Plane::Depth) || settings.needs_depth() || is_excluding;
    if (inputs.contains(&Plane::Normal) && normals.is_none()) || (reads_depth && depths.is_none()) {
        return None;
    }
    let mask = match &settings.mask {
        Some(mask) => Some(seen.images.get(&mask.image).filter(|image| can_be_filtered(image))?),
        None => None,
    };
    let last_depths = depth.filter(|_| seen.drawn_over.0.contains(&entity)).map(ViewDepthTexture::view);
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
    let samples = msaa.samples();
    let pack_key = PackKey::new(gpu.model.graph(), samples > 1, activations);
    let main_pass_px = main_pass.map_or(viewport_px.size(), |main_pass| main_pass.0.min(viewport_px.size())).as_vec2();
    let main_entity = main_entity.id();
    let work = Work {
        entity,
        main_entity,
        tier,
        settings,
        view,
        main_pass_px,
        gpu,
        pack_key,
        normals,
        depths,
        motion,
        mask,
        last_depths,
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

pub(crate) fn view_from_world(view: &ExtractedView) -> Mat4 {
    view.world_from_view.to_matrix().inverse()
}
