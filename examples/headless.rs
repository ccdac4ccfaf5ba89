//! Draws the demo scene without a window: the frame before and after, side by side with its path-traced reference.

mod common;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use bevy::prelude::*;
use bevy::render::render_resource::PollType;
use bevy::render::renderer::RenderDevice;
use bevy_portrait_realism::prelude::*;
use clap::Parser;
use common::demo::{self, DemoClock};
use common::start::resolution;
use common::windowless::{Windowless, picture, settle, update};
use image::RgbImage;
use image::imageops::{FilterType, resize};

/// Number of frames that are timed with the effect, and of frames without.
const TIMED_FRAMES: u32 = 3;

#[derive(Parser)]
#[command(about = "Writes before.png, after.png and side_by_side.png (before | after | reference) of the demo scene")]
struct Options {
    /// Number of frames of the performance; with more than one, frame_0000.png, … are written as well.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Width and height of the pictures, pixels.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=4096))]
    size: u32,
    /// Folder for the pictures, which is made if need be; pictures in the folder are replaced.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Weights file instead of the ones in the binary.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Maximum resolution of the network: low (128 pixels a side), medium (256), high (512), or a time budget in
    /// milliseconds on the GPU, for example 8.5.
    #[arg(long, default_value = "high", value_parser = resolution)]
    resolution: PortraitResolution,
}

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    let windowless = Windowless {
        size_px: UVec2::splat(options.size),
        assets: demo::assets_folder(),
        wait_for_shaders: true,
        logs: true,
    };
    let mut app = windowless.start(|app| {
        app.add_plugins(PortraitRealismPlugin);
        let camera = demo::spawn(app)?;
        let mut settings = PortraitRealism { resolution: options.resolution, ..default() };
        if let Some(path) = &options.weights {
            let model = portrait_network::Model::from_bytes(&std::fs::read(path)?)?;
            settings.model = app.world_mut().resource_mut::<Assets<PortraitModel>>().add(PortraitModel::from(model));
        }
        app.world_mut().entity_mut(camera).insert(settings);
        Ok(())
    })?;
    settle(&mut app)?;

    let after = picture(&mut app)?;
    set_enabled(&mut app, false);
    // The first frame without what the effect needs still has its prepasses.
    update(&mut app)?;
    let before = picture(&mut app)?;
    set_enabled(&mut app, true);
    update(&mut app)?;
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

/// Returns the median wall time of a frame, the GPU's part included, without and with the effect. Both are timed in turn, since machines
/// are noisy.
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

fn set_enabled(app: &mut App, enabled: bool) {
    let world = app.world_mut();
    world.query::<&mut PortraitRealism>().iter_mut(world).for_each(|mut portrait| portrait.enabled = enabled);
}

fn side_by_side(before: &RgbImage, after: &RgbImage) -> Result<RgbImage> {
    let path: &Path = &demo::assets_folder().join("heads/demo_reference.png");
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
