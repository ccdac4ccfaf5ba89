//! Two cameras on one screen, each with its own settings: the fast network on the left, the best one on the right.

mod common;

use anyhow::Result;
use bevy::camera::Viewport;
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;
use clap::Parser;
use common::demo::{self, Demo};
use common::start::{Example, Options};

#[derive(Parser)]
#[command(about = "A face seen by two cameras with different settings; 1 and 2 switch the effect of either")]
struct Cli {
    #[command(flatten)]
    options: Options,
}

/// Part of the screen that a camera draws: 0 is the left half, 1 the right.
#[derive(Component, Clone, Copy)]
struct Half(u32);

fn main() -> Result<()> {
    let Cli { options } = Cli::parse();
    let example = Example { title: "Portrait Realism: split screen", size_px: UVec2::new(1280, 640), ..default() };
    example.run(&options, |app| {
        app.add_plugins(PortraitRealismPlugin)
            .insert_resource(ClearColor(Color::srgb(0.28, 0.33, 0.32)))
            .add_systems(Update, (demo::play, share_screen, toggle));
        demo::load(app)?;
        let world = app.world_mut();
        demo::spawn_head(world, default());
        demo::spawn_lights(world);

        let fast = PortraitRealism { model: PortraitModel::FAST, resolution: PortraitResolution::Low, ..default() };
        let players =
            [("fast network, 128 pixels", fast, 0.15), ("best network, 512 pixels", PortraitRealism::default(), -0.45)];
        for (half, (label, settings, around)) in (0..).zip(players) {
            let (place, projection) = demo::pose(world);
            let place = turned_around(place, demo::face_bounds(world).center.into(), around);
            let camera = demo::camera(world.resource::<Demo>());
            let order = Camera { order: half as isize, ..default() };
            let camera = world.spawn((camera, order, place, projection, Half(half), options.portrait(settings))).id();
            let place = Node { position_type: PositionType::Absolute, left: px(12), top: px(12), ..default() };
            world.spawn((Text::new(label), place, UiTargetCamera(camera)));
        }
        Ok(())
    })
}

/// Returns a camera's place turned by `angle`, in radians, around the head; the camera looks at the same point.
fn turned_around(place: Transform, center: Vec3, angle: f32) -> Transform {
    let mut place = place;
    place.rotate_around(center, Quat::from_rotation_y(angle));
    place
}

/// Gives each camera its half of the screen: the first one clears the whole screen, the second one draws beside it.
fn share_screen(mut cameras: Query<(&mut Camera, &Half)>) {
    for (mut camera, Half(half)) in &mut cameras {
        let Some(screen) = camera.physical_target_size() else { continue };
        let middle = screen.x / 2;
        let (left, right) = if *half == 0 { (0, middle) } else { (middle, screen.x) };
        let (position, size) = (UVec2::new(left, 0), UVec2::new(right - left, screen.y));
        let is = camera.viewport.as_ref().map(|viewport| (viewport.physical_position, viewport.physical_size));
        if is != Some((position, size)) && size.min_element() > 0 {
            camera.viewport = Some(Viewport { physical_position: position, physical_size: size, ..default() });
        }
    }
}

fn toggle(keys: Res<ButtonInput<KeyCode>>, mut cameras: Query<(&mut PortraitRealism, &Half)>) {
    for (mut portrait, Half(half)) in &mut cameras {
        if keys.just_pressed([KeyCode::Digit1, KeyCode::Digit2][*half as usize]) {
            portrait.enabled = !portrait.enabled;
        }
    }
}
