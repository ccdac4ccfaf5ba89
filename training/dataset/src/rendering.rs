//! Conversion of a scene's [`Rendering`] to Bevy's components.

use bevy::anti_alias::contrast_adaptive_sharpening::ContrastAdaptiveSharpening;
use bevy::anti_alias::fxaa::Fxaa;
use bevy::anti_alias::smaa::Smaa;
use bevy::anti_alias::taa::TemporalAntiAliasing;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::ecs::world::EntityWorldMut;
use bevy::light::ShadowFilteringMethod;
use bevy::pbr::{ContactShadows, ScreenSpaceAmbientOcclusion};
use bevy::render::view::Msaa;

pub use portrait_files::rendering::{AntiAliasing, CardAlpha, Rendering, ShadowFilter, ToneMapping};

/// Thickness that screen-space effects take a face's features to have, in metres. Bevy's defaults suit a room.
const OCCLUDER_M: f32 = 0.03;
/// Length of a contact shadow, in metres.
const CONTACT_SHADOW_M: f32 = 0.04;

/// Returns Bevy's component for a tone mapper.
pub fn tonemapping(tone_mapping: ToneMapping) -> Tonemapping {
    match tone_mapping {
        ToneMapping::None => Tonemapping::None,
        ToneMapping::Reinhard => Tonemapping::Reinhard,
        ToneMapping::Aces => Tonemapping::AcesFitted,
        ToneMapping::AgX => Tonemapping::AgX,
        ToneMapping::TonyMcMapface => Tonemapping::TonyMcMapface,
    }
}

/// Gives a camera the components with which the first image is drawn.
pub fn apply(rendering: &Rendering, camera: &mut EntityWorldMut) {
    camera.insert((
        tonemapping(rendering.tone_mapping),
        match rendering.shadow_filter {
            ShadowFilter::Hardware => ShadowFilteringMethod::Hardware2x2,
            ShadowFilter::Gaussian => ShadowFilteringMethod::Gaussian,
        },
        match rendering.anti_aliasing {
            AntiAliasing::Msaa4 => Msaa::Sample4,
            _ => Msaa::Off,
        },
    ));
    match rendering.anti_aliasing {
        AntiAliasing::Fxaa => {
            camera.insert(Fxaa::default());
        }
        AntiAliasing::Smaa => {
            camera.insert(Smaa::default());
        }
        AntiAliasing::Taa => {
            camera.insert(TemporalAntiAliasing::default());
        }
        _ => {}
    }
    let multisampled = rendering.anti_aliasing == AntiAliasing::Msaa4;
    if rendering.ssao && !multisampled {
        camera.insert(ScreenSpaceAmbientOcclusion { constant_object_thickness: OCCLUDER_M, ..Default::default() });
    }
    if rendering.contact_shadows && !multisampled {
        camera.insert(ContactShadows { length: CONTACT_SHADOW_M, thickness: OCCLUDER_M, ..Default::default() });
    }
    if rendering.sharpening {
        camera.insert(ContrastAdaptiveSharpening::default());
    }
}
