//! Targets of cameras: formats, textures that other cameras show, and several windows.

use bevy::camera::visibility::RenderLayers;
use bevy::camera::{Hdr, ManualTextureViewHandle, RenderTarget};
use bevy::prelude::*;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::TextureFormat;
use bevy::render::texture::{GpuImage, ManualTextureView, ManualTextureViews};
use bevy_portrait_realism::prelude::*;
use half::f16;
use portrait_network::transfer::srgb_encode;

use super::twins::{ADDED, Twins, brighter, difference_at};
use crate::common::{frame, headless, render_world, settle, spawn_camera, spawn_face, target};
use crate::stage::{LDR, SIZE, assert_inside, changed, model};

/// Returns display-referred sRGB of every channel of every pixel, in the order of the format.
fn display_referred(format: TextureFormat, frame: &[u8]) -> Vec<f32> {
    match format {
        TextureFormat::Rgba8UnormSrgb | TextureFormat::Bgra8UnormSrgb => {
            frame.iter().map(|value| f32::from(*value) / 255.0).collect()
        }
        TextureFormat::Rgba8Unorm | TextureFormat::Bgra8Unorm => {
            frame.iter().map(|value| srgb_encode(f32::from(*value) / 255.0)).collect()
        }
        TextureFormat::Rgba16Float => {
            let values = frame.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32());
            values.map(|value| srgb_encode(value.clamp(0.0, 1.0))).collect()
        }
        other => panic!("{other:?} is not read here"),
    }
}

#[test]
fn every_format_gets_the_same_change_in_what_is_seen() {
    for format in [
        LDR,
        TextureFormat::Bgra8UnormSrgb,
        TextureFormat::Rgba8Unorm,
        TextureFormat::Bgra8Unorm,
        TextureFormat::Rgba16Float,
    ] {
        let mut twins = Twins::within(headless("assets", true), format, Msaa::Off, ());
        for hdr in [false, true] {
            if hdr {
                twins.insert(Hdr);
            }
            twins.switch(false);
            let [first, off] = twins.frames();
            assert!(first == off, "{format:?}, switched off");
            twins.switch(true);
            let [first, second] = twins.frames().map(|frame| display_referred(format, &frame));
            let rect = twins.region().rect_px;
            // 8 bits of linear colour are coarse in the dark.
            let tolerance =
                if matches!(format, TextureFormat::Rgba8Unorm | TextureFormat::Bgra8Unorm) { 0.02 } else { 0.006 };
            let core = rect.inflate(-(twins.region().feather_px().ceil() as i32));
            for (at, (first, second)) in first.iter().zip(&second).enumerate().filter(|(at, _)| at % 4 < 3) {
                let px = UVec2::new(at as u32 / 4 % SIZE.x, at as u32 / 4 / SIZE.x);
                let added = second - first;
                if core.contains(px) {
                    let expected = (first + 0.1).min(1.0) - first;
                    assert!((added - expected).abs() < tolerance, "{format:?} hdr {hdr} at {px}: {added} ≠ {expected}");
                } else if !(px.cmpge(rect.min).all() && px.cmplt(rect.max).all()) {
                    assert_eq!(added, 0.0, "{format:?} hdr {hdr} at {px}");
                }
            }
        }
    }
}

#[test]
fn a_material_shows_the_enhanced_texture_that_a_camera_rendered() {
    let mut twins = Twins::new(Msaa::Off, ());
    for camera in twins.cameras {
        twins.app.world_mut().get_mut::<Camera>(camera).expect("a camera").order = -1;
    }
    // Two screens, far from the face, each on a layer of its own with a camera before it.
    let screens: Vec<Handle<Image>> = (0..2)
        .map(|at| {
            let texture = twins.targets[at].clone();
            let screen = target(&mut twins.app, SIZE, LDR);
            let camera = spawn_camera(&mut twins.app, &screen, Msaa::Off);
            let (place, layer) = (Vec3::X * 100.0, RenderLayers::layer(5 + at));
            let world = twins.app.world_mut();
            let mesh = world.resource_mut::<Assets<Mesh>>().add(Rectangle::new(1.2, 1.0));
            let material = StandardMaterial { base_color_texture: Some(texture), unlit: true, ..default() };
            let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
            world.spawn((Mesh3d(mesh), MeshMaterial3d(material), Transform::from_translation(place), layer.clone()));
            let tone_mapping = bevy::core_pipeline::tonemapping::Tonemapping::None;
            world.entity_mut(camera).insert((Transform::from_translation(place + Vec3::Z * 1.5), tone_mapping, layer));
            screen
        })
        .collect();
    let mut shown = |enabled| {
        twins.switch(enabled);
        settle(&mut twins.app);
        [frame(&mut twins.app, &screens[0]), frame(&mut twins.app, &screens[1])]
    };
    let [first, off] = shown(false);
    assert!(first == off, "both screens show the first image");
    let [first, second] = shown(true);
    let added = difference_at(&first, &second, SIZE / 2);
    assert!((added - ADDED).abs() <= 2.0, "{added} of 255 added in the middle of the screen");
    assert!(
        changed(&first, &second, SIZE.x).iter().all(|px| px.x > 8 && px.x < SIZE.x - 8),
        "around it nothing changed"
    );
}

/// Makes a target that is like a window to the renderer, without a window system: a texture that Bevy did not make, with an sRGB view.
fn window(app: &mut App, number: u32) -> (RenderTarget, Handle<Image>) {
    let image = target(app, SIZE, TextureFormat::Bgra8UnormSrgb);
    app.update();
    let texture_view = {
        let images = render_world(app).resource::<RenderAssets<GpuImage>>();
        images.get(&image).expect("it is uploaded").texture_view.clone()
    };
    let view = ManualTextureView { texture_view, size: SIZE, view_format: TextureFormat::Bgra8UnormSrgb };
    let handle = ManualTextureViewHandle(number);
    app.world_mut().resource_mut::<ManualTextureViews>().insert(handle, view);
    (RenderTarget::TextureView(handle), image)
}

#[test]
fn cameras_of_several_windows_are_enhanced_each_with_its_own_settings() {
    let mut app = headless("assets", true);
    spawn_face(&mut app);
    let settings = PortraitRealism { model: model(&mut app, brighter()), ..default() };
    let windows = [1, 2, 3].map(|number| window(&mut app, number));
    let cameras = windows.each_ref().map(|(window, image)| {
        let camera = spawn_camera(&mut app, image, Msaa::Sample4);
        app.world_mut().entity_mut(camera).insert(window.clone());
        camera
    });
    for (camera, strength) in cameras.into_iter().zip([0.0, 1.0, 0.5]) {
        app.world_mut().entity_mut(camera).insert(PortraitRealism { strength, ..settings.clone() });
    }
    settle(&mut app);
    let [first, full, half] = windows.each_ref().map(|(_, image)| frame(&mut app, image));
    let region = super::twins::region_of(&app, cameras[1]);
    for (second, expected) in [(&full, ADDED), (&half, 0.5 * ADDED)] {
        assert_inside(&region, &changed(&first, second, SIZE.x));
        let added = difference_at(&first, second, SIZE / 2);
        assert!((added - expected).abs() <= 3.0, "{added} of 255 added, expected {expected}");
    }

    // One of the windows is closed.
    app.world_mut().entity_mut(cameras[0]).despawn();
    app.world_mut().resource_mut::<ManualTextureViews>().remove(&ManualTextureViewHandle(1));
    settle(&mut app);
    assert!(frame(&mut app, &windows[1].1) == full && frame(&mut app, &windows[2].1) == half);
}
