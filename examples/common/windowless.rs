//! An app without a window, whose cameras draw into a picture.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bevy::app::PluginsState;
use bevy::asset::LoadState;
use bevy::camera::RenderTarget;
use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::render_resource::{PipelineCache, TextureFormat, TextureUsages};
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured};
use bevy::render::{RenderApp, RenderPlugin};
use bevy::time::TimeUpdateStrategy;
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use image::RgbImage;

/// Maximum time to wait for a scene, and for a picture.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Number of frames drawn with everything in place before a frame counts.
const SETTLING_FRAMES: u32 = 3;

/// Settings of an app without a window.
pub struct Windowless {
    /// Width and height of the picture, pixels.
    pub size_px: UVec2,
    /// Folder of the assets.
    pub assets: PathBuf,
    /// Compiles shaders before a frame is drawn, so that no frame lacks a shader.
    pub wait_for_shaders: bool,
    /// Prints warnings, which a process can do for one app only.
    pub logs: bool,
}

/// The image into which cameras draw that are meant for the window.
#[derive(Resource)]
struct Screen(Handle<Image>);

#[derive(Resource, Default)]
struct Picture(Option<Image>);

impl Windowless {
    /// Starts an app with everything that `scene` puts into it, ready to be updated. The app's time stands still.
    pub fn start(self, scene: impl FnOnce(&mut App) -> Result<()>) -> Result<App> {
        let mut app = App::new();
        let plugins = DefaultPlugins
            .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
            .set(RenderPlugin { synchronous_pipeline_compilation: self.wait_for_shaders, ..default() })
            .set(AssetPlugin { file_path: self.assets.to_string_lossy().into_owned(), ..default() })
            .set(LogPlugin { level: bevy::log::Level::WARN, ..default() })
            .disable::<WinitPlugin>()
            .disable::<PipelinedRenderingPlugin>();
        app.add_plugins(if self.logs { plugins } else { plugins.disable::<LogPlugin>() });
        let mut screen = Image::new_target_texture(self.size_px.x, self.size_px.y, TextureFormat::Rgba8UnormSrgb, None);
        screen.texture_descriptor.usage |= TextureUsages::COPY_SRC;
        let screen = app.world_mut().resource_mut::<Assets<Image>>().add(screen);
        app.insert_resource(Screen(screen))
            .insert_resource(TimeUpdateStrategy::ManualDuration(Duration::ZERO))
            .init_resource::<Picture>()
            .add_observer(draw_into_the_screen);
        scene(&mut app)?;
        while app.plugins_state() == PluginsState::Adding {
            bevy::tasks::tick_global_task_pools_on_main_thread();
        }
        app.finish();
        app.cleanup();
        Ok(app)
    }
}

fn draw_into_the_screen(added: On<Insert, RenderTarget>, mut targets: Query<&mut RenderTarget>, screen: Res<Screen>) {
    if let Ok(mut target) = targets.get_mut(added.entity)
        && matches!(*target, RenderTarget::Window(_))
    {
        *target = screen.0.clone().into();
    }
}

/// Draws one frame.
pub fn update(app: &mut App) -> Result<()> {
    app.update();
    match app.should_exit() {
        Some(exit) if exit.is_error() => bail!("the scene did not start; the log above says why"),
        _ => Ok(()),
    }
}

/// Advances the app's time by `step` in each frame.
pub fn set_time_step(app: &mut App, step: Duration) {
    app.insert_resource(TimeUpdateStrategy::ManualDuration(step));
}

/// Draws until every scene is there and every pipeline has been compiled.
pub fn settle(app: &mut App) -> Result<()> {
    let (started, mut settled) = (Instant::now(), 0);
    while settled < SETTLING_FRAMES {
        update(app)?;
        let ready = scenes_are_there(app.world_mut())? && !pipelines_are_waiting(app)?;
        settled = if ready { settled + 1 } else { 0 };
        if started.elapsed() > PATIENCE {
            bail!("the scene was not ready after {} s", PATIENCE.as_secs());
        }
    }
    Ok(())
}

fn scenes_are_there(world: &mut World) -> Result<bool> {
    let roots: Vec<_> = world.query::<(&WorldAssetRoot, Has<Children>)>().iter(world).collect();
    let assets = world.resource::<AssetServer>();
    for (root, spawned) in roots {
        if let LoadState::Failed(error) = assets.load_state(&root.0) {
            bail!("a scene cannot be loaded: {error}");
        }
        if !spawned || !assets.is_loaded_with_dependencies(&root.0) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn pipelines_are_waiting(app: &App) -> Result<bool> {
    let render = app.get_sub_app(RenderApp).context("Bevy started without a renderer")?;
    Ok(render.world().resource::<PipelineCache>().waiting_pipelines().next().is_some())
}

/// Draws the next frame and returns it.
pub fn picture(app: &mut App) -> Result<RgbImage> {
    let screen = app.world().resource::<Screen>().0.clone();
    app.world_mut().spawn(Screenshot::image(screen)).observe(
        |captured: On<ScreenshotCaptured>, mut picture: ResMut<Picture>| picture.0 = Some(captured.image.clone()),
    );
    let started = Instant::now();
    loop {
        update(app)?;
        // Which frame is captured must not depend on how long the copy takes.
        set_time_step(app, Duration::ZERO);
        if let Some(image) = app.world_mut().resource_mut::<Picture>().0.take() {
            return Ok(image.try_into_dynamic().context("the picture has an unexpected format")?.into_rgb8());
        }
        if started.elapsed() > PATIENCE {
            bail!("no picture after {} s", PATIENCE.as_secs());
        }
    }
}
