//! The effect with MSAA, and with anti-aliasing before and after the effect.

use bevy::anti_alias::contrast_adaptive_sharpening::ContrastAdaptiveSharpening;
use bevy::anti_alias::fxaa::Fxaa;
use bevy::anti_alias::smaa::Smaa;
use bevy::anti_alias::taa::TemporalAntiAliasing;
use bevy::camera::Hdr;
use bevy::prelude::*;
use bevy::render::render_resource::{TextureFormat, TextureFormatFeatureFlags};
use bevy::render::renderer::RenderAdapter;
use bevy_portrait_realism::prelude::*;

use super::twins::{ADDED, Twins, difference_at};
use crate::common::render_world;
use crate::stage::{LDR, SIZE, assert_inside, changed};

/// Returns true if the adapter draws this many samples of all formats that a camera needs, and prints a line where it does not.
fn draws(app: &App, msaa: Msaa) -> bool {
    let adapter = render_world(app).resource::<RenderAdapter>();
    [LDR, TextureFormat::Rgba16Float, TextureFormat::Depth32Float, TextureFormat::Rgb10a2Unorm].into_iter().all(
        |format| {
            let flags: TextureFormatFeatureFlags = adapter.get_texture_format_features(format).flags;
            flags.sample_count_supported(msaa.samples())
        },
    )
}

#[test]
fn every_count_of_samples_is_enhanced() {
    let mut twins = Twins::new(Msaa::Off, ());
    let mut tried = 0;
    for msaa in [Msaa::Off, Msaa::Sample2, Msaa::Sample4, Msaa::Sample8] {
        if !draws(&twins.app, msaa) {
            println!("not tried: this adapter does not draw {msaa:?}");
            continue;
        }
        twins.insert(msaa);
        twins.assert_enhanced(&format!("{msaa:?}"), 2);
        tried += 1;
    }
    assert!(tried >= 2, "every adapter draws one sample, and four");
}

#[test]
fn every_count_of_samples_hands_normals_and_depth_to_the_network() {
    let mut twins = Twins::new(Msaa::Off, ());
    twins.settings.model = PortraitModel::QUALITY;
    for msaa in [Msaa::Off, Msaa::Sample2, Msaa::Sample4, Msaa::Sample8] {
        if !draws(&twins.app, msaa) {
            println!("not tried: this adapter does not draw {msaa:?}");
            continue;
        }
        twins.insert(msaa);
        twins.switch(true);
        let [first, second] = twins.frames();
        let status = twins.app.world().get::<PortraitStatus>(twins.cameras[1]).copied();
        assert!(status.is_some_and(|status| status.tier.is_some()), "{msaa:?}: it runs");
        assert!(changed(&first, &second, SIZE.x).len() > 500, "{msaa:?}");
        twins.switch(false);
        let [first, second] = twins.frames();
        assert!(first == second, "{msaa:?}, switched off");
    }
}

#[test]
fn taa_camera_is_enhanced_and_nothing_outside_changes() {
    for hdr in [false, true] {
        let mut twins = Twins::new(Msaa::Off, TemporalAntiAliasing::default());
        if hdr {
            twins.insert(Hdr);
        }
        twins.assert_enhanced(&format!("TAA, high dynamic range {hdr}"), 2);
        // Each frame is jittered in another way, and the history goes on, so frames are compared one after the other.
        let mut seen = Vec::new();
        for _ in 0..8 {
            twins.app.update();
            let [first, second] = twins.shown();
            assert_inside(&twins.region(), &changed(&first, &second, SIZE.x));
            assert!((difference_at(&first, &second, SIZE / 2) - ADDED).abs() <= 2.0);
            seen.push(first);
        }
        seen.dedup();
        println!("{} different frames of 8", seen.len());
    }
}

#[test]
fn anti_aliasing_after_the_effect_changes_a_few_pixels_around_it_at_most() {
    let mut twins = Twins::new(Msaa::Off, ());
    // Each pass reads pixels around a pixel: FXAA and SMAA search along edges, sharpening looks at the neighbours.
    let sharpening = ContrastAdaptiveSharpening { enabled: true, sharpening_strength: 0.4, denoise: false };
    for hdr in [false, true] {
        for (name, reach) in [("FXAA", 12), ("SMAA", 24), ("sharpening", 1)] {
            for camera in twins.cameras {
                let mut camera = twins.app.world_mut().entity_mut(camera);
                camera.remove::<(Fxaa, Smaa, ContrastAdaptiveSharpening)>();
                match name {
                    "FXAA" => _ = camera.insert(Fxaa::default()),
                    "SMAA" => _ = camera.insert(Smaa::default()),
                    _ => _ = camera.insert(sharpening.clone()),
                }
                if hdr {
                    camera.insert(Hdr);
                }
            }
            twins.switch(false);
            let [first, off] = twins.frames();
            assert!(first == off, "{name}, switched off");
            twins.switch(true);
            let [first, second] = twins.frames();
            let mut region = twins.region();
            region.rect_px = region.rect_px.inflate(reach).intersect(URect::from_corners(UVec2::ZERO, SIZE));
            assert_inside(&region, &changed(&first, &second, SIZE.x));
            // The middle of the sphere is smooth: there is nothing to anti-alias, and little to sharpen.
            let added = difference_at(&first, &second, SIZE / 2);
            assert!((added - ADDED).abs() <= 4.0, "{name}: {added} of 255 added");
        }
    }
}
