//! The components that a game developer adds to cameras and faces.

use bevy::asset::Handle;
use bevy::camera::primitives::Aabb;
use bevy::ecs::prelude::*;
use bevy::image::Image;
use bevy::reflect::Reflect;
use bevy::reflect::std_traits::ReflectDefault;
use serde::{Deserialize, Serialize};

use crate::api::model::PortraitModel;
use crate::api::resolution::PortraitResolution;
use crate::api::status::PortraitStatus;

/// Enhances the faces that a 3D camera sees (see [`PortraitFace`]), after tone mapping.
///
/// Nothing runs on the GPU while it is off, while the strength is 0, while no face is on screen, or until the weights and the shaders are
/// ready; the frame is then exactly what it is without the plugin. Every number can be animated. A number outside its range is clamped. NaN
/// counts as the default; as a `strength` it counts as 0.
///
/// Weights that read normals or depth bring prepasses to the camera while it is enhanced, for which Bevy compiles the scene's materials
/// once more; unless `RenderPlugin::synchronous_pipeline_compilation` is set, Bevy does not draw them meanwhile. A camera whose effect is
/// switched on in the middle of a game shows no gap if it has `NormalPrepass` and `DepthPrepass` from the start. Prepasses can change the
/// picture outside of a face (see `docs/compatibility.md`).
///
/// A change is weighed by the alpha of the pixel: on a transparent target, what is transparent stays as it is. A camera that draws over a
/// picture which was enhanced before, its own of the last frame or another camera's, enhances only what it draws itself.
///
/// With serde, handles are left out: a file cannot name them.
#[derive(Component, Reflect, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[reflect(Component, Default, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
#[require(PortraitStatus)]
pub struct PortraitRealism {
    /// Switches the effect on. While it is off the frame is the identical one, and the network's memory stays, so that the effect is back
    /// in the next frame; removing the component gives the memory back. Default: `true`.
    pub enabled: bool,
    /// Share of the change that is applied, 0 to 1. At 0 the frame stays as it is, bit for bit. Default: `1.0`.
    pub strength: f32,
    /// Factor of the change's base layer, 0 to 2: shading and tone, everything wider than about a sixteenth of the region. It multiplies
    /// what the weights recommend. Default: `1.0`, as the weights recommend.
    pub base: f32,
    /// Factor of the change's detail layer, 0 to 2: edges, hair, pores. Higher values follow the network more closely and lose more of the
    /// frame's own detail. It multiplies what the weights recommend. Default: `1.0`, as the weights recommend.
    pub detail: f32,
    /// Share of the frame's own colour that is kept, 0 to 1: at 1 only the luma changes, and C_b and C_r (BT.709, display-referred) stay.
    /// Default: `0.0`.
    pub preserve_color: f32,
    /// Limits the change of a face, 0 to 1: no channel of a pixel moves by more than `1 - likeness` of its range (display-referred sRGB).
    /// 0.9 still allows 25 of 255. Default: `0.0`, no limit.
    pub likeness: f32,
    /// Limits the effect to where an image says. Default: `None`, everywhere.
    pub mask: Option<PortraitMask>,
    /// Share of the last frame's change that is kept where it fits this frame, 0 to 0.95. The change is moved along with the surface, so
    /// flicker calms down; only the change is delayed, never the frame. Adds Bevy's `MotionVectorPrepass` to the camera. Default: `0.0`.
    pub history: f32,
    /// Begins `history` anew. Set it for a frame that has nothing to do with the one before, such as a cut; the plugin sets it back.
    /// Larger camera jumps are detected automatically. Default: `false`.
    pub reset: bool,
    /// Largest number of faces that are enhanced in one frame. The largest on screen come first, and the smallest of them fades out before
    /// another takes its place. Faces that overlap count as one, unless their weights differ. Default: [`PortraitRealism::MAX_FACES`].
    pub max_faces: usize,
    /// The weights of all faces that name none of their own ([`PortraitFace::model`]): [`PortraitModel::QUALITY`], [`PortraitModel::FAST`],
    /// or a file that the `AssetServer` loads. The prepasses that they and the weights of faces read are added to the camera. Default:
    /// [`PortraitModel::QUALITY`].
    #[serde(skip)]
    pub model: Handle<PortraitModel>,
    /// Number of pixels of a face that the network sees: fixed, or as many as a time allows. Default: [`PortraitResolution::High`].
    pub resolution: PortraitResolution,
}

impl Default for PortraitRealism {
    fn default() -> Self {
        Self {
            enabled: true,
            strength: 1.0,
            base: 1.0,
            detail: 1.0,
            preserve_color: 0.0,
            likeness: 0.0,
            mask: None,
            history: 0.0,
            reset: false,
            max_faces: Self::MAX_FACES,
            model: Handle::default(),
            resolution: PortraitResolution::default(),
        }
    }
}

impl PortraitRealism {
    /// The default of [`max_faces`](Self::max_faces).
    pub const MAX_FACES: usize = 8;
    /// The largest [`history`](Self::history): more would never settle.
    pub const MAX_HISTORY: f32 = 0.95;

    /// Returns whether there is anything to do.
    pub(crate) fn is_active(&self) -> bool {
        // Written so that a NaN strength counts as off.
        self.enabled && self.strength > 0.0 && self.max_faces > 0 && !(self.base <= 0.0 && self.detail <= 0.0)
    }

    /// Returns whether the camera needs a depth prepass even if its weights read no depth.
    pub(crate) fn needs_depth(&self) -> bool {
        self.mask.as_ref().is_some_and(|mask| mask.space == PortraitMaskSpace::Face)
    }

    /// Returns whether the camera needs motion vectors.
    pub(crate) fn keeps_history(&self) -> bool {
        self.history > 0.0
    }
}

/// Clamps a user's number to its range; NaN counts as the default.
pub(crate) fn clamp_or(value: f32, min: f32, max: f32, default: f32) -> f32 {
    if value.is_nan() { default } else { value.clamp(min, max) }
}

/// Limits the effect to where an image says: its red channel, 0 (no effect) to 1 (the whole effect).
///
/// Until the image is loaded, and if it cannot be loaded, nothing is enhanced, so that what the mask protects stays untouched.
#[derive(Reflect, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[reflect(Default, Debug, Clone, PartialEq)]
pub struct PortraitMask {
    /// The image: any format that can be filtered, read as linear. Load it without `is_srgb` unless its values are meant to be sRGB.
    #[serde(skip)]
    pub image: Handle<Image>,
    /// The space that the image is laid over. Default: [`PortraitMaskSpace::Screen`].
    pub space: PortraitMaskSpace,
}

/// Names the space that a mask is laid over; its upper left corner is (0, 0).
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[reflect(Default, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PortraitMaskSpace {
    /// The camera's viewport.
    #[default]
    Screen,
    /// The face's bounds, seen from the front: it turns with the face, and lies on it like a projected decal. What looks along the entity's
    /// +Z is in front, as in glTF. An entity of a glTF file that does not stand upright in it, as where an exporter turned the root of a
    /// model with Z up, and a joint of a skin have the axes of the file, as they were when the face was first seen; so has what Bevy's
    /// `GltfConvertCoordinates` turned about. Adds Bevy's `DepthPrepass` to the camera. Faces in a common region share the bounds of the
    /// largest.
    Face,
}

/// Protects an entity from being painted over: a helmet, a hand, glasses. Where it is in front of a face, the frame stays as it is.
///
/// It covers boxes around what the entity and its descendants draw, as [`PortraitFace`] finds them: a pixel whose surface lies in one of
/// them is left alone. On a joint of a skin, such as a hand's, it covers the vertices that the joint moves. What a camera does not draw it
/// does not protect there. Surfaces are found by depth, so it adds Bevy's `DepthPrepass` to cameras that enhance faces.
///
/// Surfaces that are nearer to the camera than a face's box by a fifth of the face's radius are left alone even without it, on cameras with
/// a `DepthPrepass`.
///
/// The log warns once of an entity that never has bounds, such as particles.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq)]
#[reflect(Component, Default, Debug, Clone, PartialEq)]
pub struct PortraitExclude {
    /// The box that is protected, in the entity's local space. Default: `None`, boxes around what the entity and its descendants draw.
    ///
    /// Give it for what has no bounds of its own: particles, or meshes that a shader moves.
    pub bounds: Option<Aabb>,
    /// Protects everything that is seen through the entity's boxes as well. Set it for what is blended and has no depth: glass, smoke.
    /// Default: `false`.
    pub see_through: bool,
}

/// Marks the entity of a face or head: the part of the frame around it is enhanced.
///
/// The face is what the entity and its descendants draw: their boxes ([`Aabb`]), moved as skins and morph targets move the meshes. On a
/// joint of a skin, such as the head bone of a character that is one mesh, the face is the vertices of which the joint and the joints below
/// it hold half of the weights or more.
///
/// Each camera sees a face as it draws it: a part that is hidden, or on other render layers than the camera, does not belong to the face
/// there, and no layers are layer 0, as everywhere in Bevy. Of a face of which a camera draws nothing, or that it looks at from within,
/// nothing is enhanced. A face smaller than 24 pixels on screen fades out, and faces that overlap are enhanced as one, unless their weights
/// differ.
///
/// A face that never gets bounds, such as that of a joint without vertices, is warned about once.
#[derive(Component, Reflect, Clone, Debug, Default)]
#[reflect(Component, Default, Debug, Clone)]
pub struct PortraitFace {
    /// The face's box in the entity's local space. Default: `None`, the box around what the entity and its descendants draw.
    ///
    /// Give it for a head that is one mesh with a body and has no joint of its own, or for a mesh that a shader moves.
    pub bounds: Option<Aabb>,
    /// The face's own weights, for every camera that sees it: [`PortraitModel::QUALITY`], [`PortraitModel::FAST`], or a file that the
    /// `AssetServer` loads. Default: `None`, the weights of the camera ([`PortraitRealism::model`]).
    ///
    /// Until they are loaded, and if they cannot be loaded, this face is left as it is, and the others are enhanced. Cameras get the
    /// prepasses that they read, whether a camera sees the face or not. Each different model holds its weights on the GPU; the memory for
    /// planes is shared by all of them. Where faces of different weights overlap on screen, both are enhanced, the larger one first.
    pub model: Option<Handle<PortraitModel>>,
}
