//! The settings with which a game draws and shows a scene: tone mapping, exposure, anti-aliasing and shadows.

use serde::{Deserialize, Serialize};

/// Number of frames after which temporal anti-aliasing has settled: twice its jitter's sequence.
const TAA_FRAMES: usize = 16;

/// The settings of `rendering` in `scene.json`. Tone mapping and exposure hold for both images, the rest for the first image
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rendering {
    /// Tone mapper, from radiance to display.
    pub tone_mapping: ToneMapping,
    /// Exposure: stops by which the scene is brighter, −1 to 1.
    pub exposure_ev: f32,
    /// Anti-aliasing of edges.
    pub anti_aliasing: AntiAliasing,
    /// Width and height of each light's shadow map, in texels.
    pub shadow_map_px: usize,
    /// Filter of shadow edges.
    pub shadow_filter: ShadowFilter,
    /// True if lamps cast shadows.
    pub shadows: bool,
    /// True for screen-space ambient occlusion, which has no effect with multisampling.
    pub ssao: bool,
    /// True for short screen-space shadows of lamps, which have no effect with multisampling.
    pub contact_shadows: bool,
    /// True for contrast-adaptive sharpening of the finished image.
    pub sharpening: bool,
    /// Use of the alpha of hair cards.
    pub card_alpha: CardAlpha,
}

/// The use of a hair card's alpha.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardAlpha {
    /// Alpha is cut off: a texel is there or not.
    #[default]
    Mask,
    /// Alpha is the share of a pixel's samples that are covered; without multisampling it is cut off.
    AlphaToCoverage,
    /// Alpha blends the card over the image behind it.
    Blend,
}

/// A tone mapper of Bevy; these are the ones that games use most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToneMapping {
    /// No tone mapping: values are clamped.
    None,
    /// Reinhard's curve, x / (1 + x), by channel.
    Reinhard,
    /// Stephen Hill's fit of ACES.
    Aces,
    /// Troy Sobotka's AgX.
    #[serde(rename = "agx")]
    AgX,
    /// Tomasz Stachowiak's Tony McMapface, Bevy's default.
    #[default]
    TonyMcMapface,
}

impl ToneMapping {
    /// Every tone mapper.
    pub const ALL: [Self; 5] = [Self::None, Self::Reinhard, Self::Aces, Self::AgX, Self::TonyMcMapface];

    /// Returns the name that `scene.json` uses.
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

/// The anti-aliasing of the first image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AntiAliasing {
    /// No anti-aliasing: one sample.
    #[serde(rename = "none")]
    None,
    /// Multisampling with four samples, the only number that WebGPU promises.
    #[default]
    #[serde(rename = "msaa_4x")]
    Msaa4,
    /// Fast approximate anti-aliasing of the finished image.
    #[serde(rename = "fxaa")]
    Fxaa,
    /// Subpixel morphological anti-aliasing of the finished image.
    #[serde(rename = "smaa")]
    Smaa,
    /// Temporal anti-aliasing over frames.
    #[serde(rename = "taa")]
    Taa,
}

/// The filter of shadow maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowFilter {
    /// Hardware filter of two by two texels.
    Hardware,
    /// Ignacio Castaño's Gaussian, Bevy's default.
    #[default]
    Gaussian,
}

impl Default for Rendering {
    /// Returns Bevy's defaults, and the shadow map size of scenes of format 1.
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
    /// Returns the exposure as a factor on radiance.
    pub fn gain(&self) -> f32 {
        self.exposure_ev.exp2()
    }

    /// Returns the number of frames, beyond the first, that are drawn before the picture is taken.
    pub fn extra_frames(&self) -> usize {
        if self.anti_aliasing == AntiAliasing::Taa { TAA_FRAMES } else { 0 }
    }
}
