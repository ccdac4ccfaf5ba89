//! The work of a view: its regions, and the textures that the stages read of it.

use bevy::asset::AssetId;
use bevy::camera::{CameraMainTextureUsages, CompositingSpace, MainPassResolutionOverride};
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
use bevy::render::render_resource::{TextureSampleType, TextureUsages, TextureView};
use bevy::render::sync_world::MainEntity;
use bevy::render::texture::{FallbackImage, GpuImage};
use bevy::render::view::{ExtractedView, Msaa, ViewDepthTexture};
use portrait_network::Plane;

use crate::api::model::PortraitModel;
use crate::api::resolution::ResolutionTier;
use crate::api::settings::{PortraitRealism, clamp_or};
use crate::diagnostics::CpuTime;
use crate::extract::canvases::Canvases;
use crate::extract::faces::{ExtractedFace, ExtractedFaces};
use crate::extract::overlays::{OverlaidViews, Overlay};
use crate::inference::model::{GpuPortraitModel, PreparedPortraitModel};
use crate::inference::variant::ActivationFormat;
use crate::pipelines::StageKey;
use crate::region::{FaceBounds, Region};
use crate::select::choose::{VisibleFace, choose};
use crate::select::view_volume::ViewVolume;
use crate::stages::pack::PackKey;

/// Distance in front of a face's box, as a share of the face's radius, from which on something counts as in front of the face: noses and
/// hair reach out of tight boxes.
const FRONT_MARGIN: f32 = 0.2;

/// A camera with the effect, in the render world.
#[derive(QueryData)]
pub(crate) struct PortraitCamera {
    pub entity: Entity,
    pub main_entity: &'static MainEntity,
    pub settings: &'static PortraitRealism,
    pub camera: &'static ExtractedCamera,
    pub view: &'static ExtractedView,
    pub usages: &'static CameraMainTextureUsages,
    pub prepass: Option<&'static ViewPrepassTextures>,
    pub msaa: &'static Msaa,
    pub main_pass: Option<&'static MainPassResolutionOverride>,
    pub depth: Option<&'static ViewDepthTexture>,
}

impl<'w> PortraitCameraItem<'w, '_> {
    /// Returns whether the camera has drawn the prepasses that these planes are made of.
    pub fn has_prepasses_for(&self, inputs: &[Plane]) -> bool {
        (!inputs.contains(&Plane::Normal) || self.normals().is_some())
            && (!inputs.contains(&Plane::Depth) || self.depths().is_some())
    }

    fn normals(&self) -> Option<&'w TextureView> {
        self.prepass.and_then(ViewPrepassTextures::normal_view)
    }

    fn depths(&self) -> Option<&'w TextureView> {
        self.prepass.and_then(ViewPrepassTextures::depth_view)
    }

    fn motion_vectors(&self) -> Option<&'w TextureView> {
        self.prepass.and_then(ViewPrepassTextures::motion_vectors_view)
    }
}

/// Faces, models and images that cameras see and refer to, from the main world, and from Bevy's renderer.
#[derive(SystemParam)]
pub(crate) struct SceneInputs<'w> {
    pub faces: Res<'w, ExtractedFaces>,
    pub models: Res<'w, RenderAssets<PreparedPortraitModel>>,
    pub images: Res<'w, RenderAssets<GpuImage>>,
    pub fallback: Res<'w, FallbackImage>,
    pub overlaid: Res<'w, OverlaidViews>,
    pub canvases: Res<'w, Canvases>,
    pub time: Res<'w, CpuTime>,
}

impl SceneInputs<'_> {
    /// Returns the weights of a model as they were uploaded last.
    pub fn uploaded(&self, model: AssetId<PortraitModel>) -> Option<&GpuPortraitModel> {
        self.models.get(model)?.0.as_ref()
    }
}

/// A face of a view that is to be enhanced, or several that are enhanced as one.
pub(crate) struct FaceWork<'a> {
    pub region: Region,
    pub visible: VisibleFace<'a>,
    /// The weights that its network runs, or is to run.
    pub weights: GpuPortraitModel,
}

impl FaceWork<'_> {
    /// Returns the factors of the residual's base and detail layer: the settings times what the weights recommend.
    pub fn layer_factors(&self, settings: &PortraitRealism) -> [f32; 2] {
        let recommended = &self.weights.model.recommended;
        [(settings.base, recommended.base), (settings.detail, recommended.detail)]
            .map(|(setting, recommended)| clamp_or(setting, 0.0, 2.0, 1.0) * recommended)
    }
}

/// A view with something to enhance.
pub(crate) struct ViewWork<'a> {
    pub entity: Entity,
    pub main_entity: Entity,
    pub tier: ResolutionTier,
    pub settings: &'a PortraitRealism,
    pub view: &'a ExtractedView,
    /// Size of what the prepasses drew, in the viewport's top left corner.
    pub main_pass_px: Vec2,
    /// How the networks' planes are stored.
    pub activations: ActivationFormat,
    /// Normals of the prepass, whether a network reads them or not.
    pub normals: Option<&'a TextureView>,
    /// Depths of the prepass, whether a network reads them or not.
    pub depths: Option<&'a TextureView>,
    pub motion_vectors: Option<&'a TextureView>,
    pub mask: Option<&'a GpuImage>,
    /// Where an overlay may be drawn over the scene.
    pub overlay: Option<Overlay>,
    /// The depth where the camera has drawn nothing, if only what it has drawn itself is enhanced.
    pub empty_depth: Option<f32>,
    /// The depth buffer after everything has been drawn, for views with overlays or with an empty depth.
    pub final_depths: Option<&'a TextureView>,
    pub samples: u32,
    /// Number of boxes that are excluded in this view.
    pub excluded: u32,
    /// The faces, the largest first.
    pub faces: Vec<FaceWork<'a>>,
}

impl ViewWork<'_> {
    /// Returns what the stages around a network with these weights depend on in this view.
    pub fn stage_key(&self, weights: &GpuPortraitModel) -> StageKey {
        let multisampled = self.is_multisampled();
        let pack = PackKey::new(weights.model.graph(), multisampled, self.activations);
        StageKey { pack, target: self.view.target_format, multisampled }
    }

    /// Returns whether a region is scaled down for the network.
    pub fn is_scaled(&self) -> bool {
        self.faces.iter().any(|face| face.region.is_scaled())
    }

    /// Returns the number of pixels of all regions in the frame.
    pub fn pixels(&self) -> u64 {
        self.faces.iter().map(|face| face.region.rect_px.size().as_u64vec2().element_product()).sum()
    }

    pub fn is_multisampled(&self) -> bool {
        self.samples > 1
    }
}

/// Finds the regions of a view. Returns `None` where there is nothing to enhance, or something is missing that the effect reads.
/// `weights_of` returns the weights of a model, if they are there: a face without them is left as it is, and keeps its place among the
/// largest, so that nothing else changes when they come.
pub(crate) fn find_work<'a>(
    camera: PortraitCameraItem<'a, '_>,
    tier: ResolutionTier,
    weights_of: impl Fn(AssetId<PortraitModel>) -> Option<GpuPortraitModel>,
    scene: &'a SceneInputs,
    excluded: u32,
    activations: ActivationFormat,
) -> Option<ViewWork<'a>> {
    let PortraitCameraItem { settings, view, .. } = camera;
    if camera.camera.schedule == Core2d.intern() {
        error_once!("portrait realism: a 2D camera is left as it is: `PortraitRealism` belongs on a `Camera3d`");
        return None;
    }
    if !matches!(camera.camera.compositing_space, None | Some(CompositingSpace::Linear)) {
        error_once!("portrait realism: a camera with another `CompositingSpace` than `Linear` is left as it is");
        return None;
    }
    if !camera.usages.0.contains(TextureUsages::COPY_SRC) {
        error_once!("portrait realism: add `TextureUsages::COPY_SRC` to the camera's `CameraMainTextureUsages`");
        return None;
    }
    // `equip_cameras` asked for the prepasses, which are drawn from the next frame on. Until then nothing that is excluded can be found.
    let (normals, depths, motion_vectors) = (camera.normals(), camera.depths(), camera.motion_vectors());
    if (settings.needs_depth() || excluded > 0) && depths.is_none() {
        return None;
    }
    // Until its image is loaded, a mask covers everything: what it is there to protect stays untouched.
    let mask = match &settings.mask {
        Some(mask) => Some(scene.images.get(&mask.image).filter(|image| can_be_filtered(image))?),
        None => None,
    };
    let empty_depth = match scene.canvases.0.get(&camera.entity) {
        Some(&Some(depth)) => Some(depth),
        Some(None) => {
            error_once!(
                "portrait realism: a camera that clears neither its colours nor its depths is left as it is: nothing tells what it has \
                 drawn from what was enhanced before. Set `Camera::clear_color` or `Camera3d::depth_load_op`"
            );
            return None;
        }
        None => None,
    };
    let overlay = scene.overlaid.0.get(&camera.entity).copied();
    let reads_depths = overlay.is_some() || empty_depth.is_some();
    let final_depths = camera.depth.filter(|_| reads_depths).map(ViewDepthTexture::view);
    if reads_depths && final_depths.is_none() {
        return None;
    }

    let viewport = view.viewport;
    let viewport_px = URect::new(viewport.x, viewport.y, viewport.x + viewport.z, viewport.y + viewport.w);
    let seen = scene.faces.of(camera.main_entity.id());
    let chosen = choose(visible_faces(view, viewport_px, seen, settings.model.id()), settings.max_faces);
    let faces = chosen.into_iter().filter_map(|visible| {
        let weights = weights_of(visible.model)?;
        let region = visible.bounds.region(tier.max_px())?;
        let has_prepasses = camera.has_prepasses_for(&weights.model.graph().spec().inputs);
        has_prepasses.then_some(FaceWork { region, visible, weights })
    });
    let faces: Vec<_> = faces.collect();
    let main_pass = camera.main_pass.map(|main_pass| main_pass.0.min(viewport_px.size()));
    let main_pass_px = main_pass.unwrap_or(viewport_px.size()).as_vec2();
    (!faces.is_empty()).then_some(ViewWork {
        entity: camera.entity,
        main_entity: camera.main_entity.id(),
        tier,
        settings,
        view,
        main_pass_px,
        activations,
        normals,
        depths,
        motion_vectors,
        mask,
        overlay,
        empty_depth,
        final_depths,
        samples: camera.msaa.samples(),
        excluded,
        faces,
    })
}

/// Returns the faces that lie in a view, of those that its camera draws. Faces without weights of their own have the camera's.
fn visible_faces<'a>(
    view: &ExtractedView,
    viewport_px: URect,
    faces: &'a [ExtractedFace],
    of_camera: AssetId<PortraitModel>,
) -> Vec<VisibleFace<'a>> {
    let view_from_world = view_from_world(view);
    let clip_from_world = view.clip_from_world.unwrap_or_else(|| view.clip_from_view * view_from_world);
    let volume = ViewVolume::new(clip_from_world);
    let visible = faces.iter().filter_map(|face| {
        let bounds = FaceBounds::new(&face.corners, clip_from_world, viewport_px)?;
        let shown = face.drawn.iter().map(|corners| volume.shows(corners)).fold(0.0, f32::max);
        let distances = face.corners.iter().map(|&corner| -view_from_world.transform_point3(corner).z);
        let front_distance = distances.fold(f32::MAX, f32::min) - FRONT_MARGIN * face.radius;
        let model = face.model.unwrap_or(of_camera);
        (shown > 0.0).then(|| VisibleFace { bounds, face, model, front_distance, fade: bounds.fade() * shown })
    });
    visible.collect()
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

/// Returns the transform from the world to view space.
pub(crate) fn view_from_world(view: &ExtractedView) -> Mat4 {
    view.world_from_view.to_matrix().inverse()
}
