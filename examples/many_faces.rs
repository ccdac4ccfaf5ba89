//! A crowd: one camera, a dozen faces, and a budget in milliseconds for all of them. The largest faces are enhanced first.

mod common;

use anyhow::Result;
use bevy::diagnostic::{DiagnosticsStore, FrameTimeDiagnosticsPlugin};
use bevy::prelude::*;
use bevy::render::diagnostic::RenderDiagnosticsPlugin;
use bevy_portrait_realism::prelude::*;
use clap::Parser;
use common::demo::{self, Demo, DemoHead};
use common::measured::portrait_ms;
use common::start::{Example, Options};

/// Budget of all faces together, milliseconds on the GPU.
const BUDGET_MS: f32 = 8.0;
/// Number of heads in a row.
const ROW: u32 = 4;
/// Distance from one head to the next across, and from one row to the next up and back, metres.
const SPACING: Vec3 = Vec3::new(0.46, 0.22, -0.5);

#[derive(Parser)]
#[command(
    about = "A dozen faces within one budget; Space switches the effect, up and down change how many are enhanced"
)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Number of faces
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100))]
    faces: u32,
    /// Maximum number of faces that are enhanced, the largest first
    #[arg(long, default_value_t = PortraitRealism::MAX_FACES)]
    max_faces: usize,
}

fn main() -> Result<()> {
    let Cli { options, faces, max_faces } = Cli::parse();
    let example = Example { title: "Portrait Realism: many faces", size_px: UVec2::new(1280, 720), ..default() };
    example.run(&options, |app| {
        app.add_plugins((PortraitRealismPlugin, FrameTimeDiagnosticsPlugin::default(), RenderDiagnosticsPlugin))
            .insert_resource(ClearColor(Color::srgb(0.30, 0.34, 0.36)))
            .add_systems(Startup, add_label)
            .add_systems(Update, (demo::play, press_keys, show));
        demo::load(app)?;
        let world = app.world_mut();
        for number in 0..faces {
            let (column, row) = (number % ROW, number / ROW);
            let in_row = (faces - row * ROW).min(ROW);
            // Every other row looks through the gaps of the one before it.
            let aside = column as f32 - (in_row as f32 - 1.0) / 2.0 + if row % 2 == 1 { 0.5 } else { 0.0 };
            let place = Transform::from_translation(SPACING * Vec3::new(aside, row as f32, row as f32))
                .with_rotation(Quat::from_rotation_y(-0.12 * aside));
            demo::spawn_head(world, DemoHead { place, late_s: number as f32 * 1.7 });
        }
        // At the demo's exposure light is counted in watts per square metre.
        let sun = DirectionalLight { illuminance: 2.5, color: Color::srgb(1.0, 0.94, 0.86), ..default() };
        world.spawn((sun, Transform::from_xyz(-1.0, 1.2, 1.5).looking_at(Vec3::ZERO, Vec3::Y)));

        let budget = PortraitResolution::Auto { budget_ms: BUDGET_MS };
        let settings = PortraitRealism { model: PortraitModel::FAST, resolution: budget, max_faces, ..default() };
        let camera = demo::camera(world.resource::<Demo>());
        let place = Transform::from_xyz(0.1, 1.0, 2.3).looking_at(Vec3::new(0.1, 0.82, 0.0), Vec3::Y);
        let lens = PerspectiveProjection { fov: 0.44, near: 0.05, ..default() };
        world.spawn((camera, place, Projection::from(lens), options.portrait(settings)));
        Ok(())
    })
}

fn add_label(mut commands: Commands) {
    commands.spawn((Text::default(), Node { margin: UiRect::all(px(12)), ..default() }));
}

fn press_keys(keys: Res<ButtonInput<KeyCode>>, mut portrait: Single<&mut PortraitRealism>) {
    if keys.just_pressed(KeyCode::Space) {
        portrait.enabled = !portrait.enabled;
    }
    if keys.just_pressed(KeyCode::ArrowUp) {
        portrait.max_faces += 1;
    }
    if keys.just_pressed(KeyCode::ArrowDown) {
        portrait.max_faces = portrait.max_faces.saturating_sub(1);
    }
}

fn show(
    diagnostics: Res<DiagnosticsStore>,
    camera: Single<(&PortraitRealism, &PortraitStatus)>,
    faces: Query<(), With<PortraitFace>>,
    mut label: Single<&mut Text>,
) {
    let frame_time = diagnostics.get(&FrameTimeDiagnosticsPlugin::FRAME_TIME);
    let frame_ms = frame_time.and_then(|diagnostic| diagnostic.smoothed()).unwrap_or_default();
    let (portrait, status) = *camera;
    let state = match status.tier {
        Some(tier) if portrait.enabled => format!("{tier:?}, {:.1} of", portrait_ms(&diagnostics)),
        _ => "off,".to_string(),
    };
    let (there, max) = (faces.iter().count(), portrait.max_faces);
    label.0 = format!("{there} faces, {max} enhanced at most (Space, up, down)\n{state} {frame_ms:.1} ms");
}
