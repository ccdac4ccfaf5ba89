//! How large the network's image is: what a user asks for, and what is in use.

use bevy::ecs::prelude::*;
use bevy::math::UVec2;
use bevy::reflect::Reflect;
use bevy::reflect::std_traits::ReflectDefault;
use serde::{Deserialize, Serialize};

use crate::region::MAX_NETWORK_PX;

/// How many pixels of a face the network sees at most. What it adds is brought to the frame's own resolution with the
/// frame as a guide, so no tier loses detail of the frame; a higher one adds finer detail and costs more.
///
/// This is not the choice of the network: that is [`PortraitRealism::model`](crate::PortraitRealism::model). A face
/// that is smaller on screen than a tier allows costs the same in every higher one.
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[reflect(Default, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PortraitQuality {
    /// [`QualityTier::Fast`], always.
    Fast,
    /// [`QualityTier::Balanced`], always.
    Balanced,
    /// [`QualityTier::Quality`], always. The default.
    #[default]
    Quality,
    /// The highest tier that keeps within a time. It is measured: what the camera's faces cost on the GPU, a few frames late
    /// and without waiting for it. Starts with [`QualityTier::Quality`]; steps down after about a dozen measurements that
    /// are too long, and up only where the higher tier would leave a fifth of the budget free for about a second.
    ///
    /// Needs time stamps on the GPU (Vulkan and DirectX 12 have them). Without, it says so once and is `Balanced`.
    Auto {
        /// Milliseconds that all faces of the camera may take in one frame. A budget that nothing keeps within (0,
        /// negative, NaN) is `Fast`, an infinite one `Quality`.
        budget_ms: f32,
    },
}

/// A size of the network's image.
#[derive(Reflect, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[reflect(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum QualityTier {
    /// At most 128 pixels a side.
    Fast,
    /// At most 256 pixels a side.
    Balanced,
    /// At most 512 pixels a side.
    Quality,
}

impl QualityTier {
    /// From the smallest to the largest.
    pub(crate) const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::Quality];

    /// Most pixels a side that the network sees; larger regions are scaled down for it.
    pub const fn most_px(self) -> u32 {
        match self {
            Self::Fast => 128,
            Self::Balanced => 256,
            Self::Quality => MAX_NETWORK_PX,
        }
    }
}

/// On a camera with [`PortraitRealism`](crate::PortraitRealism): what the effect does there. The plugin writes it, one
/// frame late; it is added by itself.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq)]
#[reflect(Component, Default, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PortraitStatus {
    /// The tier in use, or `None` while nothing is enhanced.
    pub tier: Option<QualityTier>,
    /// Width and height of the network's image of the largest face, pixels.
    pub network_px: UVec2,
    /// Milliseconds that the effect takes on the GPU for this camera, median of the last measurements. `None` unless
    /// the quality is [`PortraitQuality::Auto`], and until it has been measured.
    pub gpu_ms: Option<f32>,
}
