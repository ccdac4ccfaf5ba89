//! How every example starts: in a window, or – with `--frames N --out PNG` – without one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bevy::prelude::*;
use bevy_portrait_realism::PortraitKernels;
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
    /// Weights: quality or fast [default: the example's own]
    #[arg(long, value_name = "NAME", value_parser = ["quality", "fast"])]
    pub model: Option<String>,
    /// Pixels that the network sees at most: fast (128 a side), balanced (256), quality (512), or as many as fit into a
    /// time, for example 8.5 (milliseconds on the GPU) [default: the example's own]
    #[arg(long, value_parser = quality)]
    pub quality: Option<PortraitQuality>,
}

impl Options {
    /// The example's settings with what was asked for.
    pub fn portrait(&self, settings: PortraitRealism) -> PortraitRealism {
        let model = match self.model.as_deref() {
            Some("fast") => PortraitModel::FAST,
            Some(_) => PortraitModel::QUALITY,
            None => settings.model,
        };
        let quality = self.quality.unwrap_or(settings.quality);
        PortraitRealism { enabled: settings.enabled && !self.off, model, quality, ..settings }
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

/// Reads `--quality`.
pub fn quality(text: &str) -> Result<PortraitQuality> {
    Ok(match text {
        "fast" => PortraitQuality::Fast,
        "balanced" => PortraitQuality::Balanced,
        "quality" => PortraitQuality::Quality,
        budget => PortraitQuality::Auto {
            budget_ms: budget.parse().context("expected fast, balanced, quality or a number of milliseconds")?,
        },
    })
}

/// An example.
pub struct Example {
    /// Title of the window.
    pub title: &'static str,
    /// Size of the window or picture where `--size` says nothing, pixels.
    pub size_px: UVec2,
    /// Where assets are.
    pub assets: PathBuf,
}

impl Default for Example {
    fn default() -> Self {
        Self { title: "Portrait Realism", size_px: UVec2::splat(720), assets: demo::assets_folder() }
    }
}

impl Example {
    /// Runs the example: Bevy's `DefaultPlugins`, and what `scene` adds.
    pub fn run(self, options: &Options, scene: impl FnOnce(&mut App) -> Result<()>) -> Result<()> {
        let size_px = options.size.unwrap_or(self.size_px);
        if let (Some(frames), Some(out)) = (options.frames, &options.out) {
            check_free(out, options.overwrite)?;
            let windowless =
                windowless::Windowless { size_px, assets: self.assets, wait_for_shaders: true, logs: true };
            let mut app = windowless.start(|app| {
                // The same kernels from the first frame to the last.
                app.insert_resource(PortraitKernels::Suited);
                scene(app)
            })?;
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

/// Found out before minutes are spent on the picture.
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
