//! The components a user sees: what to enhance, and how much.

use bevy::asset::Handle;
use bevy::camera::Camera;
use bevy::camera::primitives::Aabb;
use bevy::ecs::prelude::*;
use bevy::reflect::Reflect;
use bevy::reflect::std_traits::ReflectDefault;
use bevy::render::extract_component::ExtractComponent;

use crate::model_asset::PortraitModel;
use crate::prepare::PortraitView;
use crate::quality::{PortraitQuality, PortraitStatus};

/// Add it to a 3D camera: faces that the camera sees (see [`PortraitFace`]) are enhanced after tone mapping.
///
/// Nothing runs on the GPU while it is off, while the strength is 0, while no face is on screen, or until the weights
/// and the shaders are ready; the frame is then exactly what it is without the plugin.
///
/// Weights that read normals or depth bring prepasses to the camera while it is enhanced, for which Bevy compiles the
/// scene's materials once more; unless `RenderPlugin::synchronous_pipeline_compilation` is set, it does not draw them
/// meanwhile. A camera whose effect is switched on in the middle of a game shows no gap if it has `NormalPrepass` and
/// `DepthPrepass` from the start.
#[derive(Component, Reflect, Clone, Debug, ExtractComponent)]
#[reflect(Component, Default, Debug, Clone)]
#[extract_component_filter(With<Camera>)]
#[extract_component_sync_target((Self, PortraitView))]
#[require(PortraitStatus)]
pub struct PortraitRealism {
    /// On or off. Default: `true`.
    pub enabled: bool,
    /// How much of the change is applied, 0 to 1: 0 leaves the frame as it is. Default: `1.0`.
    pub strength: f32,
    /// Weights to use: [`PortraitModel::QUALITY`], [`PortraitModel::FAST`], or a file that the `AssetServer` loads. The
    /// prepasses that they read are added to the camera. Default: [`PortraitModel::QUALITY`].
    pub model: Handle<PortraitModel>,
    /// How many pixels of a face the network sees: fixed, or as many as a time allows. Default:
    /// [`PortraitQuality::Quality`].
    pub quality: PortraitQuality,
}

impl Default for PortraitRealism {
    fn default() -> Self {
        Self { enabled: true, strength: 1.0, model: Handle::default(), quality: PortraitQuality::default() }
    }
}

impl PortraitRealism {
    /// Whether there is anything to do.
    pub(crate) fn is_active(&self) -> bool {
        // Written so that NaN counts as off.
        self.enabled && self.strength > 0.0
    }
}

/// Add it to the entity of a face or head: the part of the frame around it is enhanced.
///
/// A face that is hidden, or on other render layers than the camera, is skipped. At most
/// [`MAX_FACES`](crate::region::MAX_FACES) faces are enhanced for each camera, the largest first.
#[derive(Component, Reflect, Clone, Debug, Default)]
#[reflect(Component, Default, Debug, Clone)]
pub struct PortraitFace {
    /// The face's box in the entity's local space. Default: `None`, the boxes ([`Aabb`]) of the entity and its
    /// descendants.
    ///
    /// Give it for a head that is one mesh with a body, or for a skinned mesh that moves far from its rest pose.
    pub bounds: Option<Aabb>,
}
