//! The demo scene without a window: the frame before and after, side by side with its path-traced reference.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bevy::app::PluginsState;
use bevy::camera::RenderTarget;
use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::render_resource::{PipelineCache, PollType, TextureFormat, TextureUsages};
use bevy::render::renderer::RenderDevice;
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured};
use bevy::render::{RenderApp, RenderPlugin};
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_portrait_realism::PortraitKernels;
use bevy_portrait_realism::prelude::*;
use clap::Parser;
use common::{DemoClock, DemoPlugin};
use image::RgbImage;
use image::imageops::{FilterType, resize};

/// Longest wait for the scene, and for a picture.
const PATIENCE: Duration = Duration::from_secs(300);
/// Frames drawn with everything in place before one counts.
const SETTLING_FRAMES: u32 = 3;
/// Frames timed with the effect, and as many without.
const TIMED_FRAMES: u32 = 3;

#[derive(Parser)]
#[command(about = "Writes before.png, after.png and side_by_side.png (before | after | reference) of the demo scene")]
struct Options {
    /// Frames of the performance; with more than one, frame_0000.png, … are written as well.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Width and height of the pictures, pixels.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=4096))]
    size: u32,
    /// Folder for the pictures; made if need be, pictures in it are replaced.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Weights file instead of the ones in the binary.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Pixels that the network sees at most: fast (128 a side), balanced (256), quality (512), or as many as fit into a
    /// time, for example 8.5 (milliseconds on the GPU).
    #[arg(long, default_value = "quality", value_parser = quality)]
    quality: PortraitQuality,
}

fn quality(text: &str) -> Result<PortraitQuality> {
    Ok(match text {
        "fast" => PortraitQuality::Fast,
        "balanced" => PortraitQuality::Balanced,
        "quality" => PortraitQuality::Quality,
        budget => PortraitQuality::Auto {
            budget_ms: budget.parse().context("expected fast, balanced, quality or a number of milliseconds")?,
        },
    })
}

#[derive(Resource, Default)]
struct Picture(Option<Image>);

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    let mut app = start(options.size);
    let mut settings = PortraitRealism { quality: options.quality, ..default() };
    if let Some(path) = &options.weights {
        let model = portrait_network::Model::load(path)?;
        settings.model = app.world_mut().resource_mut::<Assets<PortraitModel>>().add(PortraitModel::from(model));
    }
    app.insert_resource(Settings(settings)).add_systems(Update, choose_settings);
    settle(&mut app)?;

    let after = picture(&mut app)?;
    set_enabled(&mut app, false);
    let before = picture(&mut app)?;
    set_enabled(&mut app, true);
    let save = |image: &RgbImage, name: &str| {
        let path = options.out.join(name);
        image.save(&path).with_context(|| format!("cannot write {}", path.display()))
    };
    save(&before, "before.png")?;
    save(&after, "after.png")?;
    save(&side_by_side(&before, &after)?, "side_by_side.png")?;
    for frame in 0..options.frames {
        if options.frames > 1 {
            app.world_mut().resource_mut::<DemoClock>().0 = frame as f32 / 30.0;
            save(&picture(&mut app)?, &format!("frame_{frame:04}.png"))?;
        }
    }
    let folder = std::path::absolute(&options.out)?;
    println!("before.png, after.png and side_by_side.png (before | after | reference) are in {}", folder.display());
    let [off_ms, on_ms] = frame_ms(&mut app)?;
    println!("a frame of {0}×{0} takes {off_ms:.0} ms without and {on_ms:.0} ms with the effect", options.size);
    let world = app.world_mut();
    for status in world.query::<&PortraitStatus>().iter(world) {
        let Some(tier) = status.tier else { continue };
        let time = status.gpu_ms.map(|ms| format!(", {ms:.1} ms on the GPU")).unwrap_or_default();
        println!(
            "tier in use: {tier:?}, the network sees {} × {} pixels{time}",
            status.network_px.x, status.network_px.y
        );
    }
    Ok(())
}

/// Median wall time of a frame, the GPU's part included, without and with the effect. Interleaved: machines are noisy.
fn frame_ms(app: &mut App) -> Result<[f64; 2]> {
    let mut times_ms = [const { Vec::new() }; 2];
    for _ in 0..TIMED_FRAMES {
        for (enabled, times_ms) in [false, true].into_iter().zip(&mut times_ms) {
            set_enabled(app, enabled);
            update(app)?;
            wait_for_gpu(app)?;
            let started = Instant::now();
            update(app)?;
            wait_for_gpu(app)?;
            times_ms.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times_ms.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }))
}

fn wait_for_gpu(app: &App) -> Result<()> {
    app.world().resource::<RenderDevice>().poll(PollType::wait_indefinitely()).context("the GPU did not finish")?;
    Ok(())
}

fn start(size_px: u32) -> App {
    let mut app = App::new();
    app.add_plugins(
        DefaultPlugins
            .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
            .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
            .set(AssetPlugin { file_path: common::assets_folder().to_string_lossy().into_owned(), ..default() })
            .set(LogPlugin { level: bevy::log::Level::WARN, ..default() })
            .disable::<WinitPlugin>()
            .disable::<PipelinedRenderingPlugin>(),
    );
    let mut target = Image::new_target_texture(size_px, size_px, TextureFormat::Rgba8UnormSrgb, None);
    target.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    let target = app.world_mut().resource_mut::<Assets<Image>>().add(target);
    app.insert_resource(Target(target.clone()))
        // The same kernels from the first frame to the last.
        .insert_resource(PortraitKernels::Suited)
        .init_resource::<Picture>()
        .add_plugins((PortraitRealismPlugin, DemoPlugin { target: RenderTarget::Image(target.into()) }));
    while app.plugins_state() == PluginsState::Adding {
        bevy::tasks::tick_global_task_pools_on_main_thread();
    }
    app.finish();
    app.cleanup();
    app
}

#[derive(Resource)]
struct Target(Handle<Image>);

#[derive(Resource)]
struct Settings(PortraitRealism);

fn choose_settings(settings: Res<Settings>, mut cameras: Query<&mut PortraitRealism, Added<PortraitRealism>>) {
    cameras.iter_mut().for_each(|mut portrait| *portrait = settings.0.clone());
}

fn set_enabled(app: &mut App, enabled: bool) {
    let world = app.world_mut();
    world.query::<&mut PortraitRealism>().iter_mut(world).for_each(|mut portrait| portrait.enabled = enabled);
}

fn update(app: &mut App) -> Result<()> {
    app.update();
    match app.should_exit() {
        Some(exit) if exit.is_error() => bail!("the demo scene did not start; the log above says why"),
        _ => Ok(()),
    }
}

/// Draws until the head is there and every pipeline has been compiled.
fn settle(app: &mut App) -> Result<()> {
    let started = Instant::now();
    let mut settled = 0;
    while settled < SETTLING_FRAMES {
        update(app)?;
        let world = app.world_mut();
        let meshes = world.query::<&Mesh3d>().iter(world).count();
        let render = app.get_sub_app(RenderApp).context("Bevy started without a renderer")?;
        let waiting = render.world().resource::<PipelineCache>().waiting_pipelines().next().is_some();
        // The background alone is one mesh.
        settled = if meshes > 1 && !waiting { settled + 1 } else { 0 };
        if started.elapsed() > PATIENCE {
            bail!("the demo scene was not ready after {} s", PATIENCE.as_secs());
        }
    }
    Ok(())
}

fn picture(app: &mut App) -> Result<RgbImage> {
    update(app)?;
    let target = app.world().resource::<Target>().0.clone();
    app.world_mut().spawn(Screenshot::image(target)).observe(
        |captured: On<ScreenshotCaptured>, mut picture: ResMut<Picture>| picture.0 = Some(captured.image.clone()),
    );
    let started = Instant::now();
    loop {
        update(app)?;
        if let Some(image) = app.world_mut().resource_mut::<Picture>().0.take() {
            return Ok(image.try_into_dynamic().context("the picture has an unexpected format")?.into_rgb8());
        }
        if started.elapsed() > PATIENCE {
            bail!("no picture after {} s", PATIENCE.as_secs());
        }
    }
}

fn side_by_side(before: &RgbImage, after: &RgbImage) -> Result<RgbImage> {
    let path: &Path = &common::assets_folder().join("heads/demo_reference.png");
    let reference = image::open(path).with_context(|| format!("cannot read {}", path.display()))?.into_rgb8();
    let size = before.width();
    let reference =
        if reference.width() == size { reference } else { resize(&reference, size, size, FilterType::Triangle) };
    let mut sheet = RgbImage::new(size * 3, size);
    for (column, part) in [before, after, &reference].into_iter().enumerate() {
        image::imageops::replace(&mut sheet, part, i64::from(size) * column as i64, 0);
    }
    Ok(sheet)
}
