//! Bevy's effects on the scene's light, which come before tone mapping and so before the plugin's effect.

use bevy::camera::Hdr;
use bevy::post_process::auto_exposure::{AutoExposure, AutoExposurePlugin};
use bevy::post_process::bloom::Bloom;
use bevy::post_process::dof::{DepthOfField, DepthOfFieldMode};
use bevy::post_process::effect_stack::{ChromaticAberration, LensDistortion, Vignette};
use bevy::post_process::motion_blur::MotionBlur;
use bevy::prelude::*;
use bevy::render::settings::WgpuSettings;
use bevy_portrait_realism::prelude::*;

use super::twins::Twins;
use crate::common::{assets, headless_of, plugins, renderer};
use crate::golden::assert_golden;
use crate::stage::{LDR, SIZE, changed};

/// Switches on an effect of Bevy's, and asserts that it changes the frame and that the face is enhanced as before on top of it.
fn assert_enhanced_with(twins: &mut Twins, name: &str, effect: impl Bundle + Clone) {
    let [without, _] = twins.frames();
    twins.insert(effect);
    let [with, _] = twins.frames();
    assert!(changed(&without, &with, SIZE.x).len() > 100, "{name} does something");
    twins.assert_enhanced(name, 2);
}

#[test]
fn bloom_is_enhanced() {
    let mut twins = Twins::new(Msaa::Off, Hdr);
    assert_enhanced_with(&mut twins, "bloom", Bloom { intensity: 0.5, ..default() });
}

#[test]
fn depth_of_field_is_enhanced() {
    for mode in [DepthOfFieldMode::Gaussian, DepthOfFieldMode::Bokeh] {
        let mut twins = Twins::new(Msaa::Off, Hdr);
        let blurred = DepthOfField { mode, focal_distance: 0.3, aperture_f_stops: 0.05, ..default() };
        assert_enhanced_with(&mut twins, &format!("depth of field, {mode:?}"), blurred);
    }
}

#[test]
fn vignette_chromatic_aberration_and_lens_distortion_are_enhanced() {
    let mut twins = Twins::new(Msaa::Off, Hdr);
    assert_enhanced_with(&mut twins, "vignette", Vignette::default());
    assert_enhanced_with(&mut twins, "chromatic aberration", ChromaticAberration { intensity: 0.2, ..default() });
    // The frame is bent; the region is where the face would be without the bend, and is enhanced all the same.
    assert_enhanced_with(&mut twins, "lens distortion", LensDistortion::default());
    let [_, second] = twins.frames();
    assert_golden(&twins.app, "vignette_chromatic_aberration_lens_distortion", SIZE, &second);
}

#[test]
fn motion_blur_of_a_moving_face_is_enhanced() {
    let mut twins = Twins::new(Msaa::Off, MotionBlur { shutter_angle: 2.0, samples: 4 });
    twins.assert_enhanced("motion blur, at rest", 2);
    let mut blurred = 0;
    for step in 1..=10 {
        let is_enhanced = step % 2 == 0;
        twins.switch(is_enhanced);
        twins.app.world_mut().entity_mut(twins.face).insert(Transform::from_xyz(0.02 * step as f32, 0.0, 0.0));
        twins.app.update();
        let [first, second] = twins.shown();
        let changed = changed(&first, &second, SIZE.x);
        assert_eq!(changed.len() > 500, is_enhanced, "{} pixels changed", changed.len());
        twins.app.update();
        let [at_rest, _] = twins.shown();
        blurred += usize::from(at_rest != first);
    }
    assert!(blurred >= 8, "a moving face is blurred: {blurred} of 10 frames");
}

#[test]
fn auto_exposure_is_enhanced() {
    let app = headless_of(plugins(renderer(WgpuSettings::default()), assets("assets")), |app| {
        app.add_plugins((AutoExposurePlugin, PortraitRealismPlugin));
    });
    let mut twins = Twins::within(app, LDR, Msaa::Off, Hdr);
    twins.insert(AutoExposure { speed_brighten: 100.0, speed_darken: 100.0, ..default() });
    twins.assert_enhanced("auto exposure", 2);
}
