//! The time and memory of the effect in Bevy's diagnostics.

use bevy::diagnostic::{Diagnostic, DiagnosticPath, DiagnosticsStore};
use bevy::prelude::*;
use bevy::render::diagnostic::RenderDiagnosticsPlugin;
use bevy::render::render_resource::WgpuFeatures;
use bevy::render::renderer::RenderDevice;
use bevy::render::settings::WgpuSettings;
use bevy_portrait_realism::prelude::*;

use crate::common::{
    assets, headless_of, plugins, render_world, renderer, settle, spawn_camera, spawn_face, target, update_until,
};
use crate::stage::{LDR, SIZE};

fn diagnostic<'a>(app: &'a App, path: &DiagnosticPath) -> Option<&'a Diagnostic> {
    app.world().resource::<DiagnosticsStore>().get(path)
}

fn latest(app: &App, path: &DiagnosticPath) -> Option<f64> {
    diagnostic(app, path)?.value()
}

/// Makes an app with a face that this many cameras see.
fn app(cameras: usize, measured: bool) -> App {
    let mut app = headless_of(plugins(renderer(WgpuSettings::default()), assets("assets")), |app| {
        app.add_plugins(PortraitRealismPlugin);
        if measured {
            app.add_plugins(RenderDiagnosticsPlugin);
        }
    });
    spawn_face(&mut app);
    for _ in 0..cameras {
        let target = target(&mut app, SIZE, LDR);
        let camera = spawn_camera(&mut app, &target, Msaa::Off);
        app.world_mut().entity_mut(camera).insert(PortraitRealism::default());
    }
    settle(&mut app);
    app
}

#[test]
fn the_whole_effect_and_its_stages_are_measured_under_their_documented_paths() {
    let mut app = app(2, true);
    let features = render_world(&app).resource::<RenderDevice>().features();
    assert!(
        features.contains(WgpuFeatures::TIMESTAMP_QUERY_INSIDE_ENCODERS),
        "this device has no time stamps: the test needs another one"
    );
    update_until(&mut app, "the effect is measured", |app| {
        latest(app, &PortraitRealismPlugin::GPU_MS).is_some() && latest(app, &PortraitRealismPlugin::CPU_MS).is_some()
    });
    assert_eq!(PortraitRealismPlugin::GPU_MS.as_str(), "portrait/gpu_ms");
    assert_eq!(PortraitRealismPlugin::CPU_MS.as_str(), "portrait/cpu_ms");
    for path in [PortraitRealismPlugin::GPU_MS, PortraitRealismPlugin::CPU_MS] {
        let diagnostic = diagnostic(&app, &path).expect("it is registered");
        let value = diagnostic.value().expect("it is measured");
        println!("{path}: {value:.3} {}", diagnostic.suffix);
        assert!(value > 0.0 && value < 60_000.0 && diagnostic.suffix == "ms", "{path} is {value}");
    }
    let stage_ms = |name: &str, clock: &str| {
        let path = DiagnosticPath::new(format!("render/portrait/{name}/elapsed_{clock}"));
        latest(&app, &path).unwrap_or_else(|| panic!("{path} is not measured"))
    };
    let stages = ["copy", "pack", "enc0", "mid1", "lift0", "head", "composite"];
    for clock in ["cpu", "gpu"] {
        assert!(stages.iter().all(|stage| stage_ms(stage, clock) >= 0.0));
    }
    // The total counts both cameras, and more than these stages.
    let own: f64 = stages.iter().map(|stage| stage_ms(stage, "gpu")).sum();
    let total = latest(&app, &PortraitRealismPlugin::GPU_MS).expect("it is measured");
    assert!(total > own, "{total} ms in all, {own} ms of them in these stages of one camera");
}

#[test]
fn nothing_is_measured_unless_somebody_asks() {
    let app = app(1, false);
    for path in [PortraitRealismPlugin::GPU_MS, PortraitRealismPlugin::CPU_MS] {
        let diagnostic = diagnostic(&app, &path).expect("it is registered");
        assert_eq!(diagnostic.history_len(), 0, "{path}");
    }
}
