//! Procedural pairs: not faces, but something to learn, for tests, first steps and measurements of speed.
//!
//! The reference is an ellipsoid with two eyes and a fine texture; the first image is the same, blurred, flatter and
//! with a colour cast.

use std::path::Path;

use image::{EncodableLayout, ImageBuffer, ImageError, Luma, PixelWithColorType, Rgb};
use portrait_files::atomic;
use portrait_files::folder::seed_folder;
use portrait_files::manifest::{PAIR_FORMAT, PairInfo};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::pair::{FACE_MASK, Pair};
use crate::picture::write_png;

const COLOR_CAST: [f32; 3] = [0.85, 0.95, 1.0];

/// Makes a pair from its seed.
pub fn pair(seed: u64, size_px: usize) -> Pair {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |low: f32, high: f32| rng.random_range(low..high);
    let skin = [draw(0.5, 0.9), draw(0.35, 0.7), draw(0.25, 0.6)];
    let behind = [draw(0.1, 0.6), draw(0.1, 0.6), draw(0.1, 0.6)];
    let (center_x, center_y) = (draw(-0.15, 0.15), draw(-0.15, 0.15));
    let (radius_x, radius_y) = (draw(0.5, 0.7), draw(0.6, 0.85));
    let light = [draw(-0.6, 0.6), draw(-0.5, 0.2), 0.7];
    let (wave_x, wave_y) = (draw(0.6, 1.4), draw(0.6, 1.4));

    // In the ellipsoid's own coordinates, from −1 to 1, a pixel's place is its normal as well.
    let pixels = size_px * size_px;
    let mut reference = vec![0.0_f32; pixels * 3];
    let mut mask = vec![0_u8; pixels];
    let mut normal = vec![32768_u16; pixels * 3];
    let mut depth = vec![0_u16; pixels];
    let unsigned = |value: f32| ((value * 0.5 + 0.5).clamp(0.0, 1.0) * 65535.0).round() as u16;
    for at in 0..pixels {
        let (px, py) = ((at % size_px) as f32, (at / size_px) as f32);
        let x = ((px + 0.5) / size_px as f32 * 2.0 - 1.0 - center_x) / radius_x;
        let y = ((py + 0.5) / size_px as f32 * 2.0 - 1.0 - center_y) / radius_y;
        let squared = x * x + y * y;
        let inside = squared < 1.0;
        let z = (1.0 - squared).max(0.0).sqrt();
        let eye = inside && (x.abs() - 0.4).hypot(y + 0.2) < 0.15;
        let shade = 0.55 + 0.45 * (x * light[0] + y * light[1] + z * light[2]).max(0.0);
        let pores = 0.06 * (px * wave_x).sin() * (py * wave_y).sin();
        for channel in 0..3 {
            reference[at * 3 + channel] = match (inside, eye) {
                (false, _) => behind[channel],
                (true, false) => (skin[channel] * shade + pores).clamp(0.0, 1.0),
                (true, true) => 0.15 + 0.1 * channel as f32,
            };
        }
        if inside {
            mask[at] = if eye { 255 } else { FACE_MASK };
            for (axis, value) in [x, -y, z].into_iter().enumerate() {
                normal[at * 3 + axis] = unsigned(value);
            }
            depth[at] = unsigned(z * 0.8);
        }
    }
    let to_bytes =
        |values: &[f32]| values.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect::<Vec<_>>();
    Pair {
        seed,
        identity: format!("toy-{seed}"),
        size_px,
        first: to_bytes(&degrade(&reference, size_px)),
        reference: to_bytes(&reference),
        mask,
        normal,
        depth,
        light_groups: None,
    }
}

/// Blurs an image `[S, S, 3]` with a 3×3 box, and takes contrast and adds a colour cast.
fn degrade(image: &[f32], side: usize) -> Vec<f32> {
    let mut degraded = Vec::with_capacity(image.len());
    for y in 0..side {
        for x in 0..side {
            for (channel, cast) in COLOR_CAST.into_iter().enumerate() {
                let mut sum = 0.0;
                for (dx, dy) in (0..9).map(|tap| (tap % 3, tap / 3)) {
                    let near = |at: usize, offset: usize| (at + offset).saturating_sub(1).min(side - 1);
                    sum += image[(near(y, dy) * side + near(x, dx)) * 3 + channel];
                }
                degraded.push((0.15 + 0.7 * sum / 9.0) * cast);
            }
        }
    }
    degraded
}

/// Writes a pair as `portrait-dataset` does.
///
/// # Errors
/// Fails when a file cannot be written.
pub fn write(folder: &Path, pair: &Pair) -> Result<(), ImageError> {
    let folder = seed_folder(folder, pair.seed);
    std::fs::create_dir_all(&folder)?;
    let side = pair.size_px as u32;
    save::<Rgb<u8>>(&folder.join("first.png"), side, &pair.first)?;
    save::<Rgb<u8>>(&folder.join("reference.png"), side, &pair.reference)?;
    save::<Luma<u8>>(&folder.join("mask.png"), side, &pair.mask)?;
    save::<Rgb<u16>>(&folder.join("normal.png"), side, &pair.normal)?;
    save::<Luma<u16>>(&folder.join("depth.png"), side, &pair.depth)?;
    let info = PairInfo {
        format: PAIR_FORMAT,
        seed: pair.seed,
        identity: pair.identity.clone().into(),
        size_px: side,
        files: Default::default(),
    };
    Ok(atomic::write(&folder.join("pair.json"), serde_json::json!(info).to_string().as_bytes())?)
}

/// Writes a square image. An image without values is left out.
fn save<P>(path: &Path, side: u32, values: &[P::Subpixel]) -> Result<(), ImageError>
where
    P: PixelWithColorType,
    [P::Subpixel]: EncodableLayout,
{
    match ImageBuffer::<P, _>::from_raw(side, side, values.to_vec()) {
        Some(image) => write_png(path, &image),
        None => Ok(()),
    }
}
