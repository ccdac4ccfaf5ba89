//! The resolution of the network's image.

use bevy::reflect::Reflect;
use bevy::reflect::std_traits::ReflectDefault;
use serde::{Deserialize, Serialize};

use crate::region::MAX_NETWORK_PX;

/// Sets how many pixels of a face the network sees at most. The change that it makes is brought to the frame's own resolution with the frame
/// as a guide, so no resolution loses detail of the frame; a higher one adds finer detail and costs more.
///
/// A face that is smaller on screen than a resolution allows costs the same in every higher one. The choice of the network is another
/// setting: [`PortraitRealism::model`](crate::PortraitRealism::model).
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[reflect(Default, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PortraitResolution {
    /// At most 128 pixels a side.
    Low,
    /// At most 256 pixels a side.
    Medium,
    /// At most 512 pixels a side. The default.
    #[default]
    High,
    /// The highest of the three that keeps within a time. The effect is measured on the GPU, a few frames late and without waiting for it.
    /// It starts with [`ResolutionTier::High`]; it steps down after about a dozen measurements that are too long, and up only where the
    /// higher resolution would leave a fifth of the budget free for about a second.
    ///
    /// It needs time stamps on the GPU (Vulkan and DirectX 12 have them). Without them it logs a warning once and is `Medium`.
    Auto {
        /// Milliseconds that all faces of the camera may take in one frame. A budget that nothing keeps within (0, negative, NaN) is
        /// `Low`, an infinite one `High`.
        budget_ms: f32,
    },
}

/// A resolution in use: see [`PortraitResolution`].
#[derive(Reflect, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[reflect(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ResolutionTier {
    /// At most 128 pixels a side.
    Low,
    /// At most 256 pixels a side.
    Medium,
    /// At most 512 pixels a side.
    High,
}

impl ResolutionTier {
    /// The tiers from the smallest to the largest.
    pub(crate) const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// Returns the width and height that the network sees at most, in pixels. Larger regions are scaled down for it.
    pub const fn max_px(self) -> u32 {
        match self {
            Self::Low => 128,
            Self::Medium => 256,
            Self::High => MAX_NETWORK_PX,
        }
    }
}
