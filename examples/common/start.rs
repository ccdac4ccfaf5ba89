//! Starts every example: in a window, or – with `--frames N --out PNG` – without one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;
use clap::Args;
use image::ImageFormat;

use super::{demo, windowless};

/// Time between two frames of a picture's scene.
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// Options that every example has.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Draw no window: let the scene run for this many frames, 30 a second, and write the last one to --out
    #[arg(long, value_name = "N", requires = "out", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub frames: Option<u32>,
    /// The PNG file to write
    #[arg(long, value_name = "PNG", requires = "frames")]
    pub out: Option<PathBuf>,
    /// Replace the PNG file if it is there
    #[arg(long)]
    pub overwrite: bool,
    /// Size of the window or picture in pixels: 1280x720, or 512 for a square
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub size: Option<UVec2>,
    /// Start with the effect switched off
    #[arg(long)]
    pub off: bool,
    /// Weights to use, quality or fast [default: the example's own]
    #[arg(long, value_name = "NAME", value_parser = ["quality", "fast"])]
    pub model: Option<String>,
    /// Maximum resolution of the network: low (128 pixels a side), medium (256), high (512), or a time budget in
    /// milliseconds on the GPU, for example 8.5 [default: the example's own]
    #[arg(long, value_parser = resolution)]
    pub resolution: Option<PortraitResolution>,
}

impl Options {
    /// Returns the example's settings, changed as the command line asks.
    pub fn portrait(&self, settings: PortraitRealism) -> PortraitRealism {
        let model = match self.model.as_deref() {
            Some("fast") => PortraitModel::FAST,
            Some(_) => PortraitModel::QUALITY,
            None => settings.model,
        };
        let resolution = self.resolution.unwrap_or(settings.resolution);
        PortraitRealism { enabled: settings.enabled && !self.off, model, resolution, ..settings }
    }
}

/// Reads `--size`.
fn size(text: &str) -> Result<UVec2> {
    let (width, height) = text.split_once('x').unwrap_or((text, text));
    let side = |text: &str| -> Result<u32> {
        let side = text.parse().context("expected pixels, for example 1280x720 or 512")?;
        ensure!((16..=8192).contains(&side), "expected 16 to 8192 pixels a side");
        Ok(side)
    };
    Ok(UVec2::new(side(width)?, side(height)?))
}

/// Reads `--resolution`.
pub fn resolution(text: &str) -> Result<PortraitResolution> {
    Ok(match text {
        "low" => PortraitResolution::Low,
        "medium" => PortraitResolution::Medium,
        "high" => PortraitResolution::High,
        budget => PortraitResolution::Auto {
            budget_ms: budget.parse().context("expected low, medium, high or a number of milliseconds")?,
        },
    })
}

/// The window and the assets of an example.
pub struct Example {
    /// Title of the window.
    pub title: &'static str,
    /// Size of the window or picture where `--size` says nothing, pixels.
    pub size_px: UVec2,
    /// Folder of the assets.
    pub assets: PathBuf,
}

impl Default for Example {
    fn default() -> Self {
        Self { title: "Portrait Realism", size_px: UVec2::splat(720), assets: demo::assets_folder() }
    }
}

impl Example {
    /// Runs the example with Bevy's `DefaultPlugins` and everything that `scene` adds.
    pub fn run(self, options: &Options, scene: impl FnOnce(&mut App) -> Result<()>) -> Result<()> {
        let size_px = options.size.unwrap_or(self.size_px);
        if let (Some(frames), Some(out)) = (options.frames, &options.out) {
            check_free(out, options.overwrite)?;
            let windowless =
                windowless::Windowless { size_px, assets: self.assets, wait_for_shaders: true, logs: true };
            let mut app = windowless.start(scene)?;
            return write_picture(&mut app, frames, out);
        }
        let window = Window { title: self.title.into(), resolution: size_px.into(), ..default() };
        let mut app = App::new();
        app.add_plugins(
            DefaultPlugins
                .set(WindowPlugin { primary_window: Some(window), ..default() })
                .set(AssetPlugin { file_path: self.assets.to_string_lossy().into_owned(), ..default() }),
        );
        scene(&mut app)?;
        match app.run() {
            AppExit::Success => Ok(()),
            AppExit::Error(_) => bail!("the app stopped with an error; the log above says which"),
        }
    }
}

/// Fails if the picture may not be written, before minutes are spent on drawing it.
fn check_free(out: &Path, overwrite: bool) -> Result<()> {
    ensure!(out.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")), "{} is no .png file", out.display());
    ensure!(overwrite || !out.exists(), "{} exists already; --overwrite replaces it", out.display());
    let folder = std::path::absolute(out)?.parent().map(Path::to_path_buf).unwrap_or_default();
    ensure!(folder.is_dir(), "there is no folder {}", folder.display());
    Ok(())
}

fn write_picture(app: &mut App, frames: u32, out: &Path) -> Result<()> {
    windowless::settle(app)?;
    windowless::set_time_step(app, FRAME);
    for _ in 1..frames {
        windowless::update(app)?;
    }
    let picture = windowless::picture(app)?;
    picture.save_with_format(out, ImageFormat::Png).with_context(|| format!("cannot write {}", out.display()))?;
    println!("{} × {} pixels of frame {frames} are in {}", picture.width(), picture.height(), out.display());
    Ok(())
}
