//! The plugin's answer on a camera.

use bevy::ecs::prelude::*;
use bevy::math::UVec2;
use bevy::reflect::Reflect;
use bevy::reflect::std_traits::ReflectDefault;

use crate::api::resolution::ResolutionTier;

/// Reports, on a camera with [`PortraitRealism`](crate::PortraitRealism), what the effect does there. The plugin adds it and writes it, one
/// frame late; with Bevy's `PipelinedRenderingPlugin` two.
///
/// A program that takes a still waits until [`tier`](Self::tier) is what it asked for, and, where faces have weights of their own, until
/// [`faces`](Self::faces) is the number of faces in the picture. As long as camera and faces stay, every frame from then on has the effect,
/// and so has a screenshot that is asked for then:
///
/// ```no_run
/// use bevy::prelude::*;
/// use bevy::render::view::screenshot::{Screenshot, save_to_disk};
/// use bevy_portrait_realism::prelude::*;
///
/// fn take_a_still(mut commands: Commands, camera: Single<&PortraitStatus>, mut is_taken: Local<bool>) {
///     if !*is_taken && camera.tier == Some(ResolutionTier::High) {
///         commands.spawn(Screenshot::primary_window()).observe(save_to_disk("still.png"));
///         *is_taken = true;
///     }
/// }
/// ```
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq)]
#[reflect(Component, Default, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PortraitStatus {
    /// The resolution in use, or `None` while nothing is enhanced.
    pub tier: Option<ResolutionTier>,
    /// Number of faces that are enhanced, 0 to [`PortraitRealism::max_faces`](crate::PortraitRealism::max_faces). Faces that are enhanced
    /// as one count as one; those whose weights are not there yet do not count.
    pub faces: usize,
    /// Width and height of the network's image of the largest enhanced face, in pixels.
    pub network_px: UVec2,
    /// Milliseconds that the effect takes on the GPU for this camera, median of the last measurements. `None` unless the resolution is
    /// [`PortraitResolution::Auto`](crate::PortraitResolution::Auto), and until it has been measured.
    pub gpu_ms: Option<f32>,
}
