//! The components a user sees: what to enhance, and how much.

use bevy::asset::Handle;
use bevy::camera::Camera;
use bevy::camera::primitives::Aabb;
use bevy::ecs::prelude::*;
use bevy::image::Image;
use bevy::reflect::Reflect;
use bevy::reflect::std_traits::ReflectDefault;
use bevy::render::extract_component::ExtractComponent;
use serde::{Deserialize, Serialize};

use crate::model_asset::PortraitModel;
use crate::quality::{PortraitQuality, PortraitStatus};
use crate::view::PortraitView;

/// Add it to a 3D camera: faces that the camera sees (see [`PortraitFace`]) are enhanced after tone mapping.
///
/// Nothing runs on the GPU while it is off, while the strength is 0, while no face is on screen, or until the weights
/// and the shaders are ready; the frame is then exactly what it is without the plugin. Every number can be animated; one that is
/// no number counts as its default, `strength` as 0.
///
/// Weights that read normals or depth bring prepasses to the camera while it is enhanced, for which Bevy compiles the
/// scene's materials once more; unless `RenderPlugin::synchronous_pipeline_compilation` is set, it does not draw them
/// meanwhile. A camera whose effect is switched on in the middle of a game shows no gap if it has `NormalPrepass` and
/// `DepthPrepass` from the start.
///
/// With serde, handles are left out: they name nothing that a file could.
#[derive(Component, Reflect, Clone, Debug, PartialEq, Serialize, Deserialize, ExtractComponent)]
#[reflect(Component, Default, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
#[extract_component_filter(With<Camera>)]
#[extract_component_sync_target((Self, PortraitView))]
#[require(PortraitStatus)]
pub struct PortraitRealism {
    /// On or off. Default: `true`.
    pub enabled: bool,
    /// How much of the change is applied, 0 to 1: 0 leaves the frame as it is, bit for bit. Default: `1.0`.
    pub strength: f32,
    /// How much of the broad part of the change is applied, 0 to 2: shading and tone, all that is wider than about a sixteenth of the
    /// region. Default: `1.0`.
    pub light: f32,
    /// How much of the fine part of the change is applied, 0 to 2: edges, hair, pores. Default: `1.0`.
    pub detail: f32,
    /// How far the frame keeps its own colour, 0 to 1: at 1 only the luma changes, and C_b and C_r (BT.709, display-referred) stay.
    /// Default: `0.0`.
    pub preserve_color: f32,
    /// How firmly the face stays what it is, 0 to 1: no channel of a pixel moves by more than `1 - likeness` of its range
    /// (display-referred sRGB). 0.9 still allows 25 of 255. Default: `0.0`, no limit.
    pub likeness: f32,
    /// Where the effect is applied and how much. Default: `None`, everywhere.
    pub mask: Option<PortraitMask>,
    /// How much of the last frame's change is kept where it fits to this frame's, 0 to 0.95: it is moved along with the surface, so that
    /// what flickers calms down, and only the change is delayed, never the frame. Adds Bevy's `MotionVectorPrepass` to the camera.
    /// Default: `0.0`.
    pub history: f32,
    /// Set it for a frame that has nothing to do with the one before, such as a cut: `history` begins anew. The plugin sets it back.
    /// Jumps of the camera by more than its view are noticed without. Default: `false`.
    pub reset: bool,
    /// Most faces that are enhanced in one frame, the largest on screen first; the smallest of them fades out before another takes its
    /// place. Faces that overlap count as one. Default: [`PortraitRealism::MAX_FACES`].
    pub max_faces: usize,
    /// Weights to use: [`PortraitModel::QUALITY`], [`PortraitModel::FAST`], or a file that the `AssetServer` loads. The
    /// prepasses that they read are added to the camera. Default: [`PortraitModel::QUALITY`].
    #[serde(skip)]
    pub model: Handle<PortraitModel>,
    /// How many pixels of a face the network sees: fixed, or as many as a time allows. Default:
    /// [`PortraitQuality::Quality`].
    pub quality: PortraitQuality,
}

impl Default for PortraitRealism {
    fn default() -> Self {
        Self {
            enabled: true,
            strength: 1.0,
            light: 1.0,
            detail: 1.0,
            preserve_color: 0.0,
            likeness: 0.0,
            mask: None,
            history: 0.0,
            reset: false,
            max_faces: Self::MAX_FACES,
            model: Handle::default(),
            quality: PortraitQuality::default(),
        }
    }
}

impl PortraitRealism {
    /// How many faces of a frame are enhanced unless a camera says otherwise.
    pub const MAX_FACES: usize = 8;
    /// The largest `history`: more would never settle.
    pub const MOST_HISTORY: f32 = 0.95;

    /// Whether there is anything to do.
    pub(crate) fn is_active(&self) -> bool {
        // Written so that NaN counts as off.
        self.enabled && self.strength > 0.0 && self.max_faces > 0 && !(self.light <= 0.0 && self.detail <= 0.0)
    }

    /// Whether the camera needs the depth of what it sees, whatever its weights read.
    pub(crate) fn needs_depth(&self) -> bool {
        self.mask.as_ref().is_some_and(|mask| mask.space == PortraitMaskSpace::Face)
    }

    /// Whether the camera needs motion vectors.
    pub(crate) fn keeps_history(&self) -> bool {
        self.history > 0.0
    }
}

/// A number of a user's, in its range.
pub(crate) fn within(value: f32, least: f32, most: f32, default: f32) -> f32 {
    if value.is_nan() { default } else { value.clamp(least, most) }
}

/// Where the effect is applied: the red channel of an image, 0 (not at all) to 1 (as everywhere else).
///
/// Until the image is loaded, and if it cannot be, nothing is enhanced: what it is there to protect stays untouched.
#[derive(Reflect, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[reflect(Default, Debug, Clone, PartialEq)]
pub struct PortraitMask {
    /// Any image that can be filtered, read as linear: without `is_srgb` unless its values are meant to be sRGB.
    #[serde(skip)]
    pub image: Handle<Image>,
    /// What the image is laid over. Default: [`PortraitMaskSpace::Screen`].
    pub space: PortraitMaskSpace,
}

/// What a mask is laid over; its upper left corner is (0, 0).
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[reflect(Default, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PortraitMaskSpace {
    /// The camera's viewport.
    #[default]
    Screen,
    /// The face's bounds, seen from the front (along the entity's -Z, as glTF has it): it turns with the face, and lies on it like a
    /// projected decal. Adds Bevy's `DepthPrepass` to the camera. Faces in a common region have that of the largest.
    Face,
}

/// Add it to what must never be painted over: a helmet, a hand, glasses. Where it is in front of a face, the frame stays as it is.
///
/// What it covers are the boxes ([`Aabb`]) of the entity and its descendants: a pixel whose surface lies in one of them is left alone.
/// Surfaces are found by depth, so it adds Bevy's `DepthPrepass` to cameras that enhance faces.
///
/// Whatever is nearer to the camera than a face's box is left alone even without it, on cameras with a `DepthPrepass`.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[reflect(Component, Default, Debug, Clone, PartialEq)]
pub struct PortraitExclude {
    /// It is blended (glass, smoke), so it has no depth: all that is seen through its box is left alone. Default: `false`.
    pub see_through: bool,
}

/// Add it to the entity of a face or head: the part of the frame around it is enhanced.
///
/// A face that is hidden, or on other render layers than the camera, is skipped. One that is smaller than 24 pixels on screen fades out,
/// and where two overlap they are enhanced as one.
#[derive(Component, Reflect, Clone, Debug, Default)]
#[reflect(Component, Default, Debug, Clone)]
pub struct PortraitFace {
    /// The face's box in the entity's local space. Default: `None`, the boxes ([`Aabb`]) of the entity and its
    /// descendants.
    ///
    /// Give it for a head that is one mesh with a body, or for a skinned mesh that moves far from its rest pose.
    pub bounds: Option<Aabb>,
}
