//! Transparent targets: avatars over a desktop, portraits in the interface.

use bevy::camera::Hdr;
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use half::f16;
use portrait_network::transfer::{srgb_decode, srgb_encode};

use super::materials::{spawn_rectangle, unlit};
use crate::common::headless;
use crate::setups::twins::Twins;
use crate::stage::{LDR, SIZE};

/// Returns red, green, blue (linear) and alpha of every pixel.
fn pixels(format: TextureFormat, frame: &[u8]) -> Vec<[f32; 4]> {
    let values: Vec<f32> = match format {
        TextureFormat::Rgba8UnormSrgb => frame
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let value = f32::from(*value) / 255.0;
                if at % 4 < 3 { srgb_decode(value) } else { value }
            })
            .collect(),
        TextureFormat::Rgba16Float => {
            frame.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect()
        }
        other => panic!("{other:?} is not read here"),
    };
    values.as_chunks::<4>().0.to_vec()
}

#[test]
fn what_is_transparent_stays_and_what_is_half_transparent_changes_by_half() {
    for (format, msaa, hdr) in [
        (LDR, Msaa::Off, false),
        (LDR, Msaa::Sample4, false),
        (LDR, Msaa::Sample4, true),
        (TextureFormat::Rgba16Float, Msaa::Off, true),
    ] {
        let what = format!("{format:?}, {msaa:?}, high dynamic range {hdr}");
        let mut twins = Twins::within(headless("assets", true), format, msaa, ());
        let clear_color = ClearColorConfig::Custom(Color::NONE);
        twins.insert(Camera { clear_color, ..default() });
        if hdr {
            twins.insert(Hdr);
        }
        // A veil beside the face, in the region.
        let veil = StandardMaterial { alpha_mode: AlphaMode::Blend, ..unlit(Color::srgba(0.7, 0.5, 0.3, 0.4)) };
        spawn_rectangle(&mut twins.app, veil, Vec2::splat(0.3), Vec3::new(0.6, -0.5, 0.0));
        twins.switch(false);
        let [first, off] = twins.frames();
        assert!(first == off, "{what}: switched off");
        twins.switch(true);
        let frames = twins.frames();
        let bytes = frames[0].len() / (SIZE.x * SIZE.y) as usize;
        let core = twins.region().rect_px.inflate(-(twins.region().feather_px().ceil() as i32));
        let [mut clear, mut half, mut opaque] = [0, 0, 0];
        for (at, (before, after)) in pixels(format, &frames[0]).iter().zip(&pixels(format, &frames[1])).enumerate() {
            let px = UVec2::new(at as u32 % SIZE.x, at as u32 / SIZE.x);
            assert_eq!(before[3], after[3], "{what}: alpha at {px}");
            let same = frames[0][at * bytes..][..bytes] == frames[1][at * bytes..][..bytes];
            if before[3] == 0.0 {
                assert!(same, "{what}: {px} is transparent");
                clear += 1;
            } else if core.contains(px) {
                for channel in 0..3 {
                    let shown = srgb_encode(before[channel].clamp(0.0, 1.0));
                    let change = srgb_decode((shown + 0.1).min(1.0)) - srgb_decode(shown);
                    let (expected, found) = (before[channel] + before[3] * change, after[channel]);
                    let difference = (srgb_encode(expected) - srgb_encode(found)).abs();
                    assert!(difference < 0.01, "{what}: {px}: {found} ≠ {expected} at alpha {}", before[3]);
                }
                *(if before[3] < 1.0 { &mut half } else { &mut opaque }) += 1;
            }
        }
        println!("{what}: {clear} transparent, {half} half, {opaque} opaque pixels");
        assert!(clear > 500 && half > 30 && opaque > 300, "{what}: {clear}, {half}, {opaque}");
    }
}

#[test]
fn a_portrait_in_front_of_another_cameras_picture_leaves_that_picture_alone() {
    let mut twins = Twins::new(Msaa::Sample4, ());
    // The scene behind is a camera of its own; the portrait is drawn over it where its alpha is not 0.
    for (at, target) in twins.targets.clone().into_iter().enumerate() {
        let behind = crate::common::spawn_camera(&mut twins.app, &target, Msaa::Sample4);
        let layers = bevy::camera::visibility::RenderLayers::layer(9);
        let clear_color = ClearColorConfig::Custom(Color::srgb(0.5, 0.3, 0.1));
        twins.app.world_mut().entity_mut(behind).insert((Camera { order: -1, clear_color, ..default() }, layers));
        let blend = bevy::render::render_resource::BlendState::PREMULTIPLIED_ALPHA_BLENDING;
        let over = Camera {
            order: 1,
            clear_color: ClearColorConfig::Custom(Color::NONE),
            output_mode: bevy::camera::CameraOutputMode::Write {
                blend_state: Some(blend),
                clear_color: ClearColorConfig::None,
            },
            ..default()
        };
        twins.app.world_mut().entity_mut(twins.cameras[at]).insert(over);
    }
    twins.switch(true);
    let [first, second] = twins.frames();
    let behind = |px: &[u8]| (i32::from(px[0]) - 128).abs() <= 1 && (i32::from(px[1]) - 77).abs() <= 1;
    let pairs: Vec<_> = first.chunks(4).zip(second.chunks(4)).filter(|(first, _)| behind(first)).collect();
    assert!(pairs.len() > 1000, "{} pixels of the picture behind are on screen", pairs.len());
    assert!(pairs.iter().all(|(first, second)| first == second), "the picture behind stays");
    assert!(first != second, "the portrait is enhanced");
}
