//! The smallest use: a head turns and changes its expression; Space switches the effect, 1 to 4 choose its quality.

mod common;

use bevy::camera::RenderTarget;
use bevy::diagnostic::{DiagnosticsStore, FrameTimeDiagnosticsPlugin};
use bevy::prelude::*;
use bevy::render::diagnostic::RenderDiagnosticsPlugin;
use bevy_portrait_realism::prelude::*;
use common::{DemoClock, DemoPlugin};

/// For the tier that key 4 leaves to the plugin, milliseconds on the GPU.
const BUDGET_MS: f32 = 4.0;

fn main() -> AppExit {
    let window = Window { title: "Portrait Realism".into(), resolution: (720, 720).into(), ..default() };
    App::new()
        .add_plugins((
            DefaultPlugins
                .set(WindowPlugin { primary_window: Some(window), ..default() })
                .set(AssetPlugin { file_path: common::assets_folder().to_string_lossy().into_owned(), ..default() }),
            FrameTimeDiagnosticsPlugin::default(),
            RenderDiagnosticsPlugin,
            PortraitRealismPlugin,
            DemoPlugin { target: RenderTarget::default() },
        ))
        .add_systems(Startup, add_label)
        .add_systems(Update, (play, toggle, show))
        .run()
}

fn add_label(mut commands: Commands) {
    commands.spawn((Text::default(), Node { margin: UiRect::all(px(12)), ..default() }));
}

fn play(time: Res<Time>, mut clock: ResMut<DemoClock>) {
    clock.0 += time.delta_secs();
}

fn toggle(keys: Res<ButtonInput<KeyCode>>, mut cameras: Query<&mut PortraitRealism>) {
    if keys.just_pressed(KeyCode::Space) {
        cameras.iter_mut().for_each(|mut portrait| portrait.enabled = !portrait.enabled);
    }
    for (key, quality) in [
        (KeyCode::Digit1, PortraitQuality::Fast),
        (KeyCode::Digit2, PortraitQuality::Balanced),
        (KeyCode::Digit3, PortraitQuality::Quality),
        (KeyCode::Digit4, PortraitQuality::Auto { budget_ms: BUDGET_MS }),
    ] {
        if keys.just_pressed(key) {
            cameras.iter_mut().for_each(|mut portrait| portrait.quality = quality);
        }
    }
}

fn show(
    diagnostics: Res<DiagnosticsStore>,
    cameras: Query<(&PortraitRealism, &PortraitStatus)>,
    mut label: Query<&mut Text>,
) {
    let frame_time = diagnostics.get(&FrameTimeDiagnosticsPlugin::FRAME_TIME);
    let frame_ms = frame_time.and_then(|diagnostic| diagnostic.smoothed()).unwrap_or_default();
    let on = cameras.iter().find(|(portrait, _)| portrait.enabled);
    for mut text in &mut label {
        text.0 = if let Some((portrait, status)) = on {
            let (quality, network_px) = (portrait.quality, status.network_px);
            format!(
                "Portrait Realism on (Space)\n{quality:?} (1-4), network {} x {}\n{:.1} of {frame_ms:.1} ms",
                network_px.x,
                network_px.y,
                portrait_ms(&diagnostics)
            )
        } else {
            format!("Portrait Realism off (Space)\n{frame_ms:.1} ms")
        };
    }
}

/// Milliseconds that the effect takes on the GPU, or on the CPU where the GPU has no timer.
fn portrait_ms(diagnostics: &DiagnosticsStore) -> f64 {
    let ms = |path| diagnostics.get(&path).and_then(|diagnostic| diagnostic.smoothed());
    ms(PortraitRealismPlugin::GPU_MS).or_else(|| ms(PortraitRealismPlugin::CPU_MS)).unwrap_or_default()
}
