//! The smallest use: a head turns and changes its expression; Space switches the effect, 1 to 4 choose its resolution.

mod common;

use anyhow::Result;
use bevy::diagnostic::{DiagnosticsStore, FrameTimeDiagnosticsPlugin};
use bevy::prelude::*;
use bevy::render::diagnostic::RenderDiagnosticsPlugin;
use bevy_portrait_realism::prelude::*;
use clap::Parser;
use common::demo;
use common::measured::portrait_ms;
use common::start::{Example, Options};

/// Budget of the resolution that key 4 leaves to the plugin, milliseconds on the GPU.
const BUDGET_MS: f32 = 4.0;

#[derive(Parser)]
#[command(about = "A face that turns; Space switches the effect, 1 to 4 choose its resolution")]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<()> {
    let Cli { options } = Cli::parse();
    Example::default().run(&options, |app| {
        app.add_plugins((PortraitRealismPlugin, FrameTimeDiagnosticsPlugin::default(), RenderDiagnosticsPlugin))
            .add_systems(Startup, add_label)
            .add_systems(Update, (demo::play, toggle, show));
        let camera = demo::spawn(app)?;
        app.world_mut().entity_mut(camera).insert(options.portrait(PortraitRealism::default()));
        Ok(())
    })
}

fn add_label(mut commands: Commands) {
    commands.spawn((Text::default(), Node { margin: UiRect::all(px(12)), ..default() }));
}

fn toggle(keys: Res<ButtonInput<KeyCode>>, mut portrait: Single<&mut PortraitRealism>) {
    if keys.just_pressed(KeyCode::Space) {
        portrait.enabled = !portrait.enabled;
    }
    for (key, resolution) in [
        (KeyCode::Digit1, PortraitResolution::Low),
        (KeyCode::Digit2, PortraitResolution::Medium),
        (KeyCode::Digit3, PortraitResolution::High),
        (KeyCode::Digit4, PortraitResolution::Auto { budget_ms: BUDGET_MS }),
    ] {
        if keys.just_pressed(key) {
            portrait.resolution = resolution;
        }
    }
}

fn show(
    diagnostics: Res<DiagnosticsStore>,
    camera: Single<(&PortraitRealism, &PortraitStatus)>,
    mut label: Single<&mut Text>,
) {
    let frame_time = diagnostics.get(&FrameTimeDiagnosticsPlugin::FRAME_TIME);
    let frame_ms = frame_time.and_then(|diagnostic| diagnostic.smoothed()).unwrap_or_default();
    let (portrait, status) = *camera;
    label.0 = if portrait.enabled {
        let (resolution, network_px) = (portrait.resolution, status.network_px);
        format!(
            "Portrait Realism on (Space)\n{resolution:?} (1-4), network {} x {}\n{:.1} of {frame_ms:.1} ms",
            network_px.x,
            network_px.y,
            portrait_ms(&diagnostics)
        )
    } else {
        format!("Portrait Realism off (Space)\n{frame_ms:.1} ms")
    };
}
