//! Measures finished pairs: whether the two images show the same thing, equally bright.

use std::path::Path;

use image::Rgb32FImage;

use crate::error::DatasetError;
use crate::linear_image::{LinearImage, luminance};
use crate::manifest::PAIR;
use crate::pair::{self, SILHOUETTE_ALPHA};
use crate::pixels::{self, Format};
use crate::scene::Scene;
use crate::seeds::seed_folder;

/// Minimum overlap of the silhouettes that is wanted.
pub const WANTED_IOU: f32 = 0.98;

/// The figures of one pair.
#[derive(Clone, Copy, Debug)]
pub struct PairReport {
    /// Seed of the pair.
    pub seed: u64,
    /// Overlap of the silhouettes, intersection over union, 0–1.
    pub silhouette_iou: f32,
    /// Mean display-referred luminance (of sRGB values, 0 to 1) of `first.png` inside the reference's silhouette.
    pub first_luminance: f32,
    /// Mean display-referred luminance of `reference.png` inside the reference's silhouette.
    pub reference_luminance: f32,
}

/// Measures a finished pair from its files.
///
/// # Errors
/// Fails when the pair is not finished or a file does not decode.
pub fn measure(data: &Path, seed: u64) -> Result<PairReport, DatasetError> {
    let folder = seed_folder(data, seed);
    if pair::finished(data, seed)?.is_none() {
        return Err(DatasetError::PairMissing(folder.join(PAIR)));
    }
    let scene = Scene::read(&folder.join("scene.json"))?;
    let reference = pair::read_reference(&folder, &scene)?;
    let read = |name: &str| pixels::read(&folder.join(name), Format::Png, scene.size());
    let depth = read("depth.png")?.into_luma16();
    let drawn = depth.pixels().map(|pixel| pixel.0[0] > 0);
    let silhouette_iou = pair::silhouette_iou(drawn, &reference);
    let mean = |name: &str| Ok::<_, DatasetError>(mean_luminance(&read(name)?.into_rgb32f(), &reference));
    Ok(PairReport {
        seed,
        silhouette_iou,
        first_luminance: mean("first.png")?,
        reference_luminance: mean("reference.png")?,
    })
}

fn mean_luminance(image: &Rgb32FImage, reference: &LinearImage) -> f32 {
    let inside = image.pixels().zip(&reference.pixels).filter(|(_, pixel)| pixel[3] >= SILHOUETTE_ALPHA);
    let (sum, count) = inside.fold((0.0, 0), |(sum, count), (pixel, _)| (sum + luminance(pixel.0), count + 1));
    sum / (count.max(1) as f32)
}
