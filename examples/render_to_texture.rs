//! A camera with the effect draws into a texture, which a screen in the scene shows, as in a call, a mirror or a surveillance
//! monitor.

mod common;

use anyhow::Result;
use bevy::camera::RenderTarget;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy_portrait_realism::prelude::*;
use clap::Parser;
use common::demo;
use common::start::{Example, Options};

/// Place of the room with the screen: far from the head, out of sight of the head's camera.
const ROOM: Vec3 = Vec3::new(30.0, 0.0, 0.0);
/// Edge of the screen, metres.
const SCREEN_M: f32 = 1.0;

#[derive(Parser)]
#[command(about = "The enhanced face on a screen in the scene; Space switches the effect")]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Width and height of the texture, pixels
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=4096))]
    texture: u32,
}

fn main() -> Result<()> {
    let Cli { options, texture } = Cli::parse();
    let example = Example { title: "Portrait Realism: on a screen", size_px: UVec2::new(960, 640), ..default() };
    example.run(&options, |app| {
        app.add_plugins(PortraitRealismPlugin).add_systems(Update, (demo::play, toggle, sway));
        let camera = demo::spawn(app)?;
        let world = app.world_mut();
        let image = Image::new_target_texture(texture, texture, TextureFormat::Rgba8UnormSrgb, None);
        let image = world.resource_mut::<Assets<Image>>().add(image);
        world.entity_mut(camera).insert((
            RenderTarget::from(image.clone()),
            // Before the camera that looks at the texture.
            Camera { order: -1, ..default() },
            options.portrait(PortraitRealism::default()),
        ));
        spawn_room(world, image);
        Ok(())
    })
}

fn spawn_room(world: &mut World, image: Handle<Image>) {
    let mut material =
        |material: StandardMaterial| MeshMaterial3d(world.resource_mut::<Assets<StandardMaterial>>().add(material));
    // Unlit: the screen shines as bright as what it shows.
    let screen = material(StandardMaterial { base_color_texture: Some(image), unlit: true, ..default() });
    let frame = material(StandardMaterial { perceptual_roughness: 0.4, ..Color::srgb(0.03, 0.03, 0.035).into() });
    let wall = material(StandardMaterial { perceptual_roughness: 0.9, ..Color::srgb(0.35, 0.38, 0.42).into() });
    let mut mesh = |mesh: Mesh| Mesh3d(world.resource_mut::<Assets<Mesh>>().add(mesh));
    let rim = SCREEN_M + 0.08;
    let parts = [
        (mesh(Rectangle::new(SCREEN_M, SCREEN_M).into()), screen, Vec3::new(0.0, 1.0, 0.031)),
        (mesh(Cuboid::new(rim, rim, 0.06).into()), frame.clone(), Vec3::new(0.0, 1.0, 0.0)),
        (mesh(Cuboid::new(0.08, 0.5, 0.05).into()), frame.clone(), Vec3::new(0.0, 0.25, -0.03)),
        (mesh(Cuboid::new(0.5, 0.02, 0.3).into()), frame, Vec3::new(0.0, 0.01, 0.0)),
        (mesh(Cuboid::new(6.0, 0.02, 3.0).into()), wall.clone(), Vec3::new(0.0, -0.01, 0.5)),
        (mesh(Cuboid::new(6.0, 4.0, 0.02).into()), wall, Vec3::new(0.0, 1.9, -0.8)),
    ];
    for (mesh, material, place) in parts {
        world.spawn((mesh, material, Transform::from_translation(ROOM + place)));
    }
    let lamp = PointLight { intensity: 150_000.0, ..default() };
    world.spawn((lamp, Transform::from_translation(ROOM + Vec3::new(1.2, 2.2, 1.5))));
    let place = Transform::from_translation(ROOM + Vec3::new(0.0, 1.1, 1.75));
    // The texture has gone through tone mapping already.
    world.spawn((Camera3d::default(), Tonemapping::None, place, Viewer));
}

/// The camera in front of the screen.
#[derive(Component)]
struct Viewer;

/// Moves the viewer a little, which shows that the screen is part of the scene.
fn sway(time: Res<Time>, mut viewer: Single<&mut Transform, With<Viewer>>) {
    let place = ROOM + Vec3::new(-0.55 * (time.elapsed_secs() * 0.4).cos(), 1.15, 1.7);
    **viewer = Transform::from_translation(place).looking_at(ROOM + Vec3::new(0.0, 0.95, 0.0), Vec3::Y);
}

fn toggle(keys: Res<ButtonInput<KeyCode>>, mut portrait: Single<&mut PortraitRealism>) {
    if keys.just_pressed(KeyCode::Space) {
        portrait.enabled = !portrait.enabled;
    }
}
