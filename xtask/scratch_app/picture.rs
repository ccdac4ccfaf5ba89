//! The README's program, run without a window: with the effect the face is another one, and the rest is the same.

use std::time::{Duration, Instant};

use bevy::app::{PluginGroupBuilder, PluginsState};
use bevy::camera::RenderTarget;
use bevy::camera::primitives::Aabb;
use bevy::prelude::*;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::render_resource::{PipelineCache, TextureFormat, TextureUsages};
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured};
use bevy::render::{RenderApp, RenderPlugin};
use bevy::tasks::tick_global_task_pools_on_main_thread;
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_portrait_realism::prelude::*;
use bevy_portrait_realism::internals::{Region, box_corners, face_region};

const SIZE_PX: UVec2 = UVec2::new(640, 360);
/// Longest wait for a frame with everything in it.
const PATIENCE: Duration = Duration::from_secs(300);

mod readme {
    // An item of its own name goes before one of a glob.
    use super::WithoutWindow as DefaultPlugins;

    include!("../src/main.rs");

    pub fn run() {
        main();
    }
}

#[test]
fn the_readme_shows_an_enhanced_face() {
    readme::run();
}

/// Bevy's default plugins, which take pictures instead of opening a window.
struct WithoutWindow;

impl PluginGroup for WithoutWindow {
    fn build(self) -> PluginGroupBuilder {
        DefaultPlugins
            .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
            .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
            .disable::<WinitPlugin>()
            .disable::<PipelinedRenderingPlugin>()
            .add(|app: &mut App| _ = app.set_runner(compare))
    }
}

#[derive(Resource, Default)]
struct Picture(Option<Image>);

fn compare(mut app: App) -> AppExit {
    while app.plugins_state() == PluginsState::Adding {
        tick_global_task_pools_on_main_thread();
    }
    app.finish();
    app.cleanup();
    app.init_resource::<Picture>().update();

    let mut screen = Image::new_target_texture(SIZE_PX.x, SIZE_PX.y, TextureFormat::Rgba8UnormSrgb, None);
    screen.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    let screen = app.world_mut().resource_mut::<Assets<Image>>().add(screen);
    let mut cameras = app.world_mut().query_filtered::<Entity, With<PortraitRealism>>();
    let camera = cameras.single(app.world()).expect("the README has a camera with the effect");
    app.world_mut().entity_mut(camera).insert(RenderTarget::Image(screen.clone().into()));

    let [before, after] = [("before.png", 0.0), ("after.png", 1.0)].map(|(name, strength)| {
        app.world_mut().get_mut::<PortraitRealism>(camera).expect("the effect").strength = strength;
        settle(&mut app);
        let picture = picture(&mut app, &screen).try_into_dynamic().expect("a picture of 8 bits").into_rgb8();
        picture.save(name).expect("a picture can be written");
        picture
    });
    let region_px = region(app.world_mut(), camera).rect_px;
    let background = before[(0, 0)];
    // Bevy dithers it.
    let shows_head = |pixel: [u8; 3]| pixel.iter().zip(background.0).any(|(a, b)| a.abs_diff(b) > 2);
    let [mut head, mut changed, mut outside] = [0; 3];
    for ((x, y, first), second) in before.enumerate_pixels().zip(after.pixels()) {
        head += u32::from(shows_head(first.0));
        changed += u32::from(shows_head(first.0) && first != second);
        outside += u32::from(!region_px.contains(UVec2::new(x, y)) && first != second);
    }
    println!("{changed} of the head's {head} pixels changed, and {outside} outside {region_px:?}");
    assert!(head > 0 && changed > head / 2, "the face is not enhanced");
    assert_eq!(outside, 0, "the rest of the picture has changed");
    AppExit::Success
}

/// Draws until the head and every pipeline are there.
fn settle(app: &mut App) {
    let (started, mut settled) = (Instant::now(), 0);
    while settled < 3 {
        app.update();
        let world = app.world_mut();
        let (root, spawned) = world.query::<(&WorldAssetRoot, Has<Children>)>().single(world).expect("a head");
        let loaded = spawned && world.resource::<AssetServer>().is_loaded_with_dependencies(&root.0);
        let pipelines = app.sub_app(RenderApp).world().resource::<PipelineCache>();
        settled = if loaded && pipelines.waiting_pipelines().next().is_none() { settled + 1 } else { 0 };
        assert!(started.elapsed() < PATIENCE, "the head or a shader is still missing");
    }
}

/// Takes a picture of the next frame.
fn picture(app: &mut App, screen: &Handle<Image>) -> Image {
    app.world_mut().spawn(Screenshot::image(screen.clone())).observe(
        |captured: On<ScreenshotCaptured>, mut picture: ResMut<Picture>| picture.0 = Some(captured.image.clone()),
    );
    let started = Instant::now();
    loop {
        app.update();
        if let Some(picture) = app.world_mut().resource_mut::<Picture>().0.take() {
            return picture;
        }
        assert!(started.elapsed() < PATIENCE, "no picture");
    }
}

/// Returns the region of the head, the only thing with a box in the README's scene.
fn region(world: &mut World, camera: Entity) -> Region {
    let mut boxes = world.query::<(&Aabb, &GlobalTransform)>();
    let corners = boxes.iter(world).flat_map(|(bounds, place)| {
        box_corners(bounds.min().into(), bounds.max().into()).map(|corner| place.transform_point(corner))
    });
    let (min, max) = corners.fold((Vec3::MAX, Vec3::MIN), |(min, max), corner| (min.min(corner), max.max(corner)));
    let (view, place) = world.query::<(&Camera, &GlobalTransform)>().get(world, camera).expect("a camera");
    let clip_from_world = view.clip_from_view() * place.to_matrix().inverse();
    let screen_px = URect::from_corners(UVec2::ZERO, SIZE_PX);
    face_region(&box_corners(min, max), clip_from_world, screen_px).expect("the camera sees the head")
}
