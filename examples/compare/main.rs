//! Shows before and after side by side, with every control of the effect.

#[path = "../common/mod.rs"]
mod common;
mod panel;
mod view;

use anyhow::Result;
use bevy::asset::RenderAssetUsages;
use bevy::camera::RenderTarget;
use bevy::prelude::*;
use bevy::render::diagnostic::RenderDiagnosticsPlugin;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};
use bevy_portrait_realism::prelude::*;
use clap::Parser;
use common::demo::{self, DemoClock};
use common::start::{Example, Options};
use view::{Picture, Shown, View};

/// Edge of the mask's image, pixels.
const MASK_PX: u32 = 128;

#[derive(Parser)]
#[command(about = "Before and after with a divider to drag, every control of the effect, and what it changes")]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// View to show first: split, before, after, difference, heat, region or mask
    #[arg(long, default_value = "split", value_parser = first_view)]
    view: View,
    /// Pixels of the pictures for each pixel of the view, along a side, 0.1 to 2
    #[arg(long, default_value_t = 1.0)]
    scale: f32,
    /// Begin with the head standing still
    #[arg(long)]
    paused: bool,
}

fn first_view(text: &str) -> Result<View> {
    let view = View::ALL.into_iter().find(|view| format!("{view:?}").eq_ignore_ascii_case(text));
    view.ok_or_else(|| anyhow::anyhow!("expected split, before, after, difference, heat, region or mask"))
}

/// True while the head moves.
#[derive(Resource)]
pub struct Playing(pub bool);

fn main() -> Result<()> {
    let Cli { options, view, scale, paused } = Cli::parse();
    let example = Example { title: "Portrait Realism: compare", size_px: UVec2::new(1120, 720), ..default() };
    example.run(&options, |app| {
        app.add_plugins((PortraitRealismPlugin, RenderDiagnosticsPlugin, view::ViewPlugin, panel::PanelPlugin))
            .insert_resource(Playing(!paused))
            .add_systems(Update, play);
        demo::load(app)?;
        let world = app.world_mut();
        let mask = world.resource_mut::<Assets<Image>>().add(oval());
        world.insert_resource(Shown { view, divider: 0.5, scale: scale.clamp(0.1, 2.0), mask });
        demo::spawn_head(world, default());
        demo::spawn_lights(world);

        // Two cameras at the same place draw into a picture each, before the camera that draws the window.
        let pictures = [Picture::Before, Picture::After].map(|picture| {
            let (camera, image) = (demo::spawn_camera(world), view::picture(world));
            let order = if picture == Picture::Before { -2 } else { -1 };
            let mut camera = world.entity_mut(camera);
            camera.insert((picture, Camera { order, ..default() }, RenderTarget::from(image.clone())));
            if picture == Picture::After {
                camera.insert(options.portrait(PortraitRealism::default()));
            }
            image
        });
        world.spawn((Camera2d, IsDefaultUiCamera));
        let view = view::spawn(world, pictures);
        let panel = world.spawn_scene(panel::panel())?.id();
        let window = Node { width: percent(100), height: percent(100), ..default() };
        world.spawn(window).add_children(&[view, panel]);
        Ok(())
    })
}

fn play(time: Res<Time>, playing: Res<Playing>, mut clock: ResMut<DemoClock>) {
    if playing.0 {
        clock.0 += time.delta_secs();
    }
}

/// Returns a mask that leaves out everything but the middle, with a soft edge.
fn oval() -> Image {
    let middle = (MASK_PX - 1) as f32 / 2.0;
    let texel = |x: u32, y: u32| {
        let from_middle = Vec2::new(x as f32 - middle, y as f32 - middle) / middle / Vec2::new(0.45, 0.6);
        ((1.0 - from_middle.length()) / 0.3 + 0.5).clamp(0.0, 1.0)
    };
    let texels = (0..MASK_PX * MASK_PX).map(|at| (texel(at % MASK_PX, at / MASK_PX) * 255.0).round() as u8);
    Image::new(
        Extent3d { width: MASK_PX, height: MASK_PX, depth_or_array_layers: 1 },
        TextureDimension::D2,
        texels.collect(),
        TextureFormat::R8Unorm,
        RenderAssetUsages::RENDER_WORLD,
    )
}
