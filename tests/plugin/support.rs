//! Devices on which the effect cannot run: the plugin says so, and is harmless there.

use bevy::core_pipeline::prepass::{DepthPrepass, NormalPrepass};
use bevy::prelude::*;
use bevy::render::RenderApp;
use bevy::render::settings::{WgpuLimits, WgpuSettings, WgpuSettingsPriority};
use bevy_portrait_realism::PortraitUnsupported;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::prelude::*;

use crate::common::{
    assets, face_bounds, frame, headless, headless_of, plugins, render_world, renderer, spawn_camera, target,
    without_materials,
};
use crate::stage::{LDR, SIZE};

fn reason(app: &App) -> Option<PortraitUnsupported> {
    app.world().resource::<PortraitRealismSupported>().reason().cloned()
}

#[test]
fn a_device_that_runs_the_effect_says_so_before_the_first_frame() {
    let mut app = headless("assets", true);
    assert_eq!(reason(&app), None);
    assert!(app.world().resource::<PortraitRealismSupported>().is_supported());
    app.update();
    assert_eq!(render_world(&app).resource::<PortraitRealismSupported>(), app.world().resource());
}

#[test]
fn a_device_that_cannot_run_the_effect_says_what_it_lacks_and_shows_the_first_image() {
    // The limits are those of WebGL2. Bevy's own materials ask a Vulkan device for more, so the materials are left out.
    let wgpu = WgpuSettings {
        priority: WgpuSettingsPriority::WebGL2,
        constrained_limits: Some(WgpuLimits::downlevel_webgl2_defaults()),
        ..default()
    };
    let plugins = without_materials(wgpu);
    let mut app = headless_of(plugins, |app| {
        app.add_plugins(PortraitRealismPlugin);
    });
    // Some shaders wait for the missing shaders of the materials for ever.
    let update = |app: &mut App| (0..20).for_each(|_| app.update());
    let expected = PortraitUnsupported::Limit { limit: "max_storage_buffers_per_shader_stage", found: 0, needed: 4 };
    assert_eq!(reason(&app), Some(expected.clone()));
    let text = expected.to_string();
    assert!(text.contains("`max_storage_buffers_per_shader_stage` is 0, expected at least 4: raise it"), "{text}");

    app.world_mut().spawn((Transform::default(), PortraitFace { bounds: Some(face_bounds()), ..default() }));
    let target = target(&mut app, SIZE, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Sample4);
    update(&mut app);
    let first = frame(&mut app, &target);
    app.world_mut().entity_mut(camera).insert(PortraitRealism::default());
    update(&mut app);
    assert!(frame(&mut app, &target) == first, "the frame stays as it is");
    let camera = app.world().entity(camera);
    assert!(!camera.contains::<NormalPrepass>() && !camera.contains::<DepthPrepass>(), "nobody reads a prepass");
    assert_eq!(camera.get::<PortraitStatus>(), Some(&PortraitStatus::default()));
    assert_eq!(render_world(&app).resource::<PortraitGpuState>().allocated_bytes(), 0);
    assert_eq!(reason(&app), Some(expected), "it stays so");
}

#[test]
fn without_a_renderer_the_reason_says_how_to_get_one() {
    // The renderer has no backend, as on a server.
    let wgpu = WgpuSettings { backends: None, ..default() };
    let mut without_backend = headless_of(plugins(renderer(wgpu), assets("assets")), |app| {
        app.add_plugins(PortraitRealismPlugin);
    });
    assert!(without_backend.get_sub_app(RenderApp).is_none());
    let mut without_assets = App::new();
    without_assets.add_plugins((MinimalPlugins, PortraitRealismPlugin));
    let mut too_early = App::new();
    too_early.add_plugins((PortraitRealismPlugin, MinimalPlugins, AssetPlugin::default()));
    for app in [&mut without_backend, &mut without_assets, &mut too_early] {
        app.world_mut().spawn((Camera3d::default(), PortraitRealism::default()));
        app.finish();
        (0..3).for_each(|_| app.update());
        let reason = reason(app).expect("there is no device");
        assert_eq!(reason, PortraitUnsupported::NoRenderer);
        assert!(reason.to_string().contains("after Bevy's `DefaultPlugins`"), "{reason}");
    }
}
