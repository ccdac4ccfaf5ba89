//! The plugin's answer on a camera.

use bevy::ecs::prelude::*;
use bevy::math::UVec2;
use bevy::reflect::Reflect;
use bevy::reflect::std_traits::ReflectDefault;

use crate::api::resolution::ResolutionTier;

/// Reports, on a camera with [`PortraitRealism`](crate::PortraitRealism), what the effect does there. The plugin adds it and writes it, one
/// frame late.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq)]
#[reflect(Component, Default, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PortraitStatus {
    /// The resolution in use, or `None` while nothing is enhanced.
    pub tier: Option<ResolutionTier>,
    /// Width and height of the network's image of the largest face, in pixels.
    pub network_px: UVec2,
    /// Milliseconds that the effect takes on the GPU for this camera, median of the last measurements. `None` unless the resolution is
    /// [`PortraitResolution::Auto`](crate::PortraitResolution::Auto), and until it has been measured.
    pub gpu_ms: Option<f32>,
}
