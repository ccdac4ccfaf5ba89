//! Compares Bevy's light with Cycles' on a grey sphere, for each kind of light.

use std::path::Path;

use portrait_files::FileError;
use portrait_files::pixels::Size;

use crate::error::DatasetError;
use crate::linear_image::{LinearImage, luminance};
use crate::scene::Scene;
use crate::studio::Studio;

/// Kinds of light that head_studio writes spheres for.
pub const KINDS: [&str; 6] = ["area", "point", "spot", "sun", "environment", "ambient"];
/// Maximum deviation of the ratio from 1.
pub const TOLERANCE: f32 = 0.05;
/// Minimum coverage of a pixel that counts; the sphere's edge does not.
const INSIDE_ALPHA: f32 = 0.999;

/// The mean luminance of one sphere in both engines.
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    /// Kind of light.
    pub kind: &'static str,
    /// Bevy's mean linear luminance.
    pub bevy: f32,
    /// Cycles' mean linear luminance.
    pub cycles: f32,
}

impl Calibration {
    /// Returns Bevy's luminance over Cycles'.
    pub fn ratio(&self) -> f32 {
        self.bevy / self.cycles.max(1e-9)
    }

    /// Tells whether the ratio is within [`TOLERANCE`] of 1.
    pub fn is_fine(&self) -> bool {
        (self.ratio() - 1.0).abs() <= TOLERANCE
    }
}

/// Renders `<kind>.glb` as `<kind>.json` says and compares with `<kind>.exr`.
///
/// # Errors
/// Fails when a file is missing or broken, or rendering fails.
pub fn calibrate(studio: &mut Studio, data: &Path, kind: &'static str) -> Result<Calibration, DatasetError> {
    let files = ["json", "exr", "glb"].map(|ending| data.join(format!("{kind}.{ending}")));
    if let Some(path) = files.iter().find(|path| !path.exists()) {
        return Err(FileError::Missing { path: path.clone(), needed_by: "a calibration" }.into());
    }
    let scene = Scene::read(&files[0])?;
    let reference = LinearImage::read_exr(&files[1], Size::Edge { px: scene.size_px, said_by: "its .json" })?;
    let radiance = studio.shoot_radiance(&scene, &format!("{kind}.glb"))?;
    let mean = |image: &LinearImage| mean_inside(image, &reference);
    Ok(Calibration { kind, bevy: mean(&radiance), cycles: mean(&reference) })
}

fn mean_inside(image: &LinearImage, reference: &LinearImage) -> f32 {
    let inside = image.pixels.iter().zip(&reference.pixels).filter(|(_, pixel)| pixel[3] >= INSIDE_ALPHA);
    let (sum, count) =
        inside.fold((0.0, 0), |(sum, count), (pixel, _)| (sum + luminance([pixel[0], pixel[1], pixel[2]]), count + 1));
    sum / (count.max(1) as f32)
}
