//! Loss of the graphics device, as when a driver was updated or crashed, or a laptop woke up.

use std::sync::Arc;

use bevy::light::cluster::GlobalClusterSettings;
use bevy::prelude::*;
use bevy::render::error_handler::{ErrorType, RenderError, RenderErrorHandler, RenderErrorPolicy};
use bevy::render::render_resource::{PollType, WgpuFeatures};
use bevy::render::renderer::{RenderDevice, RenderInstance};
use bevy::render::settings::{WgpuLimits, WgpuSettings};
use bevy_portrait_realism::PortraitUnsupported;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::internals::PortraitPipelines;
use bevy_portrait_realism::prelude::*;

use crate::common::{
    assets, face_bounds, frame, headless_of, plugins, render_world, renderer, spawn_camera, target, update_until,
    without_materials,
};
use crate::frame::assert_close;
use crate::log::Log;
use crate::setups::twins::brighter;
use crate::stage::{LDR, SIZE, Stage, model};
use crate::steady::runs_alone;

/// Makes an app whose renderer handles errors with `handler`.
fn app(handler: RenderErrorHandler) -> App {
    let mut app = headless_of(plugins(renderer(WgpuSettings::default()), assets("assets")), |app| {
        app.insert_resource(handler).add_plugins(PortraitRealismPlugin);
    });
    // Bevy 0.19.1 panics where it reads back from a lost device how many lights there are.
    app.world_mut().resource_mut::<GlobalClusterSettings>().gpu_clustering = None;
    app
}

/// Recovers from a lost device, the only error that is expected.
fn recover_with(error: &RenderError, wgpu: WgpuSettings) -> RenderErrorPolicy {
    assert_eq!(error.ty, ErrorType::DeviceLost, "{error:?}");
    RenderErrorPolicy::Recover(wgpu.into())
}

fn device(app: &App) -> RenderDevice {
    render_world(app).resource::<RenderDevice>().clone()
}

fn lose(app: &App) {
    device(app).wgpu_device().destroy();
    // Bevy hears of it in the next frame.
    _ = device(app).poll(PollType::wait_indefinitely());
}

/// Updates the app until Bevy has another device.
fn recover(app: &mut App) {
    // Devices of two instances may have the same number.
    let instance = |app: &App| render_world(app).resource::<RenderInstance>().0.clone();
    let lost = instance(app);
    lose(app);
    update_until(app, "another device", |app| !Arc::ptr_eq(&lost, &instance(app)));
}

#[test]
fn the_effect_comes_back_with_the_new_device_bit_for_bit() {
    let handler = RenderErrorHandler(|error, _, _| recover_with(error, WgpuSettings::default()));
    let mut stage = Stage::within(app(handler), Msaa::Sample4, ());
    let shaped = PortraitRealism { base: 0.6, detail: 1.4, ..default() };
    let fast = PortraitRealism { model: PortraitModel::FAST, ..default() };
    let own = PortraitRealism { model: model(&mut stage.app, brighter()), ..default() };
    for settings in [fast, shaped, own] {
        let second = stage.set(settings.clone());
        assert!(second != stage.first);
        let held = stage.allocated_bytes();
        // Twice in a row, and once while the effect is off.
        for enabled in [true, true, false] {
            stage.app.world_mut().entity_mut(stage.camera).insert(PortraitRealism { enabled, ..settings.clone() });
            stage.app.update();
            recover(&mut stage.app);
            assert!(stage.set(settings.clone()) == second, "with the new device, enabled before: {enabled}");
            assert!(stage.app.world().resource::<PortraitRealismSupported>().is_supported());
            assert_eq!(stage.allocated_bytes(), held);
        }
        let off = PortraitRealism { enabled: false, ..settings.clone() };
        assert!(stage.set(off) == stage.first, "and off is off");
    }
    // The device is lost in the frame in which a camera first asks for the effect, before weights and shaders are there.
    stage.app.world_mut().entity_mut(stage.camera).insert(PortraitRealism::default());
    recover(&mut stage.app);
    let second = stage.frame();
    stage.app.world_mut().entity_mut(stage.camera).remove::<PortraitRealism>();
    assert!(second != stage.first && stage.frame() == stage.first);
    assert_eq!(stage.allocated_bytes(), 0);
    assert!(stage.set(PortraitRealism::default()) == second);
}

#[test]
fn on_a_lesser_device_the_effect_comes_back_with_kernels_that_run_there() {
    let handler = RenderErrorHandler(|error, _, _| {
        let disabled_features = Some(WgpuFeatures::SHADER_F16 | WgpuFeatures::SHADER_INT64);
        recover_with(error, WgpuSettings { disabled_features, ..default() })
    });
    let mut stage = Stage::within(app(handler), Msaa::Off, ());
    let second = stage.set(PortraitRealism { model: PortraitModel::FAST, ..default() });
    recover(&mut stage.app);
    let again = stage.frame();
    let variant = render_world(&stage.app).resource::<PortraitPipelines>().variant;
    assert!(!variant.half_products && !variant.reads_textures, "{variant:?}");
    assert!(again != stage.first);
    assert_close(&second, &again, 2);
}

#[test]
fn on_a_device_that_cannot_run_it_the_effect_stays_off_with_one_message() {
    if !runs_alone("lost_device::on_a_device_that_cannot_run_it_the_effect_stays_off_with_one_message") {
        return;
    }
    let log = Log::listen();
    // Bevy's own materials need as much as the effect does, so the materials are left out.
    let plugins = without_materials(WgpuSettings::default());
    let mut app = headless_of(plugins, |app| {
        let handler = RenderErrorHandler(|error, _, _| {
            let limits = WgpuLimits { max_storage_buffers_per_shader_stage: 3, ..default() };
            recover_with(error, WgpuSettings { constrained_limits: Some(limits), ..default() })
        });
        app.insert_resource(handler).add_plugins(PortraitRealismPlugin);
    });
    // Some shaders wait for the missing shaders of the materials for ever.
    let update = |app: &mut App| (0..20).for_each(|_| app.update());
    app.world_mut().spawn((Transform::default(), PortraitFace { bounds: Some(face_bounds()), ..default() }));
    let target = target(&mut app, SIZE, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    update(&mut app);
    let first = frame(&mut app, &target);
    let settings = PortraitRealism { model: model(&mut app, brighter()), ..default() };
    app.world_mut().entity_mut(camera).insert(settings);
    update(&mut app);
    assert!(frame(&mut app, &target) != first, "it runs at first");
    recover(&mut app);
    update(&mut app);
    assert!(frame(&mut app, &target) == first, "the frame stays as it is");
    let reason = app.world().resource::<PortraitRealismSupported>().reason().cloned();
    assert!(matches!(reason, Some(PortraitUnsupported::Limit { .. })), "{reason:?}");
    assert_eq!(app.world().get::<PortraitStatus>(camera), Some(&PortraitStatus::default()));
    assert_eq!(render_world(&app).resource::<PortraitGpuState>().allocated_bytes(), 0);
    let said = log.about("portrait realism");
    assert!(said.len() == 1 && said[0].contains("the frame stays as it is"), "{said:#?}");
}

#[test]
fn where_bevy_stops_rendering_the_app_goes_on_without_a_frame_or_a_panic() {
    // Bevy asks the app to end unless it is told otherwise.
    let mut stage = Stage::within(app(RenderErrorHandler::default()), Msaa::Off, ());
    stage.set(PortraitRealism::default());
    lose(&stage.app);
    update_until(&mut stage.app, "the end", |app| app.should_exit().is_some());
    assert!(stage.app.should_exit().is_some_and(|exit| exit.is_error()));

    let handler = RenderErrorHandler(|_, _, _| RenderErrorPolicy::StopRendering);
    let mut stage = Stage::within(app(handler), Msaa::Off, ());
    let settings = PortraitRealism { history: 0.5, ..default() };
    stage.set(settings.clone());
    lose(&stage.app);
    for step in 0..20 {
        let (app, camera) = (&mut stage.app, stage.camera);
        match step % 5 {
            0 => _ = app.world_mut().entity_mut(camera).remove::<PortraitRealism>(),
            1 => _ = app.world_mut().entity_mut(camera).insert(settings.clone()),
            2 => {
                _ = app
                    .world_mut()
                    .entity_mut(camera)
                    .insert(PortraitRealism { model: PortraitModel::FAST, ..default() })
            }
            3 => _ = model(app, brighter()),
            _ => {
                _ = app
                    .world_mut()
                    .spawn((Transform::default(), PortraitFace { bounds: Some(face_bounds()), ..default() }))
            }
        }
        app.update();
    }
    assert!(stage.app.should_exit().is_none());
}
