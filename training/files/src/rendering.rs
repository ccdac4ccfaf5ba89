//! How a game draws and shows a scene: tone mapping, exposure, anti-aliasing and shadows.

use serde::{Deserialize, Serialize};

/// Frames after which temporal anti-aliasing has settled: twice its jitter's sequence.
const TAA_FRAMES: usize = 16;

/// `rendering` in `scene.json`. Tone mapping and exposure hold for both images, the rest for the first image alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rendering {
    /// From radiance to display.
    pub tone_mapping: ToneMapping,
    /// Stops by which the scene is brighter, −1 to 1.
    pub exposure_ev: f32,
    /// Of edges.
    pub anti_aliasing: AntiAliasing,
    /// Edge of each light's shadow map, texels.
    pub shadow_map_px: usize,
    /// Of shadow edges.
    pub shadow_filter: ShadowFilter,
    /// Whether lamps cast shadows.
    pub shadows: bool,
    /// Screen-space ambient occlusion; not with multisampling.
    pub ssao: bool,
    /// Screen-space shadows of lamps, short ones; not with multisampling.
    pub contact_shadows: bool,
    /// Contrast-adaptive sharpening of the finished image.
    pub sharpening: bool,
    /// How hair cards use their alpha.
    pub card_alpha: CardAlpha,
}

/// Use of a hair card's alpha.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardAlpha {
    /// All or nothing.
    #[default]
    Mask,
    /// A share of the samples; masked without multisampling.
    AlphaToCoverage,
    /// Blended over what is behind.
    Blend,
}

/// Bevy's tone mappers that games use most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToneMapping {
    /// Clamped.
    None,
    /// x / (1 + x), by channel.
    Reinhard,
    /// Stephen Hill's fit.
    Aces,
    /// Troy Sobotka's.
    #[serde(rename = "agx")]
    AgX,
    /// Tomasz Stachowiak's, Bevy's default.
    #[default]
    TonyMcMapface,
}

impl ToneMapping {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Reinhard, Self::Aces, Self::AgX, Self::TonyMcMapface];

    /// As in `scene.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reinhard => "reinhard",
            Self::Aces => "aces",
            Self::AgX => "agx",
            Self::TonyMcMapface => "tony_mc_mapface",
        }
    }
}

/// Anti-aliasing of the first image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AntiAliasing {
    /// One sample.
    #[serde(rename = "none")]
    None,
    /// Four samples, the only number that WebGPU promises.
    #[default]
    #[serde(rename = "msaa_4x")]
    Msaa4,
    /// On the finished image.
    #[serde(rename = "fxaa")]
    Fxaa,
    /// On the finished image, by shapes of edges.
    #[serde(rename = "smaa")]
    Smaa,
    /// Over frames.
    #[serde(rename = "taa")]
    Taa,
}

/// Filtering of shadow maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowFilter {
    /// Two by two texels.
    Hardware,
    /// Ignacio Castaño's Gaussian, Bevy's default.
    #[default]
    Gaussian,
}

impl Default for Rendering {
    /// Bevy's defaults, and the shadow map size of scenes of format 1.
    fn default() -> Self {
        Self {
            tone_mapping: ToneMapping::default(),
            exposure_ev: 0.0,
            anti_aliasing: AntiAliasing::default(),
            shadow_map_px: 1024,
            shadow_filter: ShadowFilter::default(),
            shadows: true,
            ssao: false,
            contact_shadows: false,
            sharpening: false,
            card_alpha: CardAlpha::default(),
        }
    }
}

impl Rendering {
    /// Factor on radiance.
    pub fn gain(&self) -> f32 {
        self.exposure_ev.exp2()
    }

    /// Frames that are drawn before the picture is taken, beyond the first.
    pub fn extra_frames(&self) -> usize {
        if self.anti_aliasing == AntiAliasing::Taa { TAA_FRAMES } else { 0 }
    }
}
