//! The distance of an 8-bit image from its reference: L1, PSNR, SSIM and ꟻLIP, over the whole image and over the face.

use serde::{Deserialize, Serialize};

use super::color::luminance;
use crate::data::FACE_MASK;

/// Maximum PSNR that is reported, in dB: that of two equal images.
pub const MAX_PSNR_DB: f64 = 99.0;
/// Taps of SSIM's Gaussian window to each side of its middle (Wang et al. 2004).
const SSIM_RADIUS: isize = 5;
/// Standard deviation of SSIM's Gaussian window, in pixels.
const SSIM_SIGMA: f64 = 1.5;

/// Figures of one image, or their means over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean absolute difference in sRGB, 0–1. Lower is closer.
    pub l1: f64,
    /// Peak signal-to-noise ratio in sRGB, dB. Higher is closer.
    pub psnr_db: f64,
    /// Structural similarity, mean over the colour channels, at most 1. Higher is closer.
    pub ssim: f64,
    /// Mean ꟻLIP at 67 pixels per degree, 0–1. Lower is closer.
    pub flip: f64,
    /// Gradient energy of the grey image relative to the reference's: below 1 is softer, above 1 is sharper or noisier.
    pub sharpness: f64,
}

/// Figures over the whole image and over the face.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Figures over every pixel.
    pub whole: Scores,
    /// Figures over pixels with a mask of at least [`FACE_MASK`]. All are 0 where there is no such pixel.
    pub face: Scores,
}

/// Compares two images `[S, S, 3]`, 8-bit sRGB. `mask` is `[S, S]`.
pub fn compare(image: &[u8], reference: &[u8], mask: &[u8], side_px: usize) -> Comparison {
    let ssim = ssim_map(image, reference, side_px);
    let flip = flip_map(image, reference, side_px);
    let scores = |inside: &dyn Fn(usize) -> bool| {
        let pixels: Vec<usize> = (0..side_px * side_px).filter(|&at| inside(at)).collect();
        if pixels.is_empty() {
            return Scores::default();
        }
        let count = pixels.len() as f64;
        let mean = |values: &dyn Fn(usize) -> f64| pixels.iter().map(|&at| values(at)).sum::<f64>() / count;
        let difference = |at: usize, channel: usize| {
            (f64::from(image[at * 3 + channel]) - f64::from(reference[at * 3 + channel])) / 255.0
        };
        let squared = mean(&|at| (0..3).map(|channel| difference(at, channel).powi(2)).sum::<f64>() / 3.0);
        Scores {
            l1: mean(&|at| (0..3).map(|channel| difference(at, channel).abs()).sum::<f64>() / 3.0),
            psnr_db: (-10.0 * squared.log10()).min(MAX_PSNR_DB),
            ssim: mean(&|at| ssim[at]),
            flip: mean(&|at| f64::from(flip[at])),
            sharpness: sharpness_ratio(image, reference, side_px, inside),
        }
    };
    Comparison { whole: scores(&|_| true), face: scores(&|at| mask[at] >= FACE_MASK) }
}

/// Averages many comparisons.
pub fn mean(comparisons: &[Comparison]) -> Comparison {
    let mean = |pick: &dyn Fn(&Comparison) -> Scores| {
        let average = |value: &dyn Fn(Scores) -> f64| {
            comparisons.iter().map(|comparison| value(pick(comparison))).sum::<f64>() / comparisons.len().max(1) as f64
        };
        Scores {
            l1: average(&|scores| scores.l1),
            psnr_db: average(&|scores| scores.psnr_db),
            ssim: average(&|scores| scores.ssim),
            flip: average(&|scores| scores.flip),
            sharpness: average(&|scores| scores.sharpness),
        }
    };
    Comparison { whole: mean(&|comparison| comparison.whole), face: mean(&|comparison| comparison.face) }
}

/// Measures the gradient energy of `image`, relative to that of `reference`, `inside`. Both are `[S, S, 3]`, 8-bit sRGB.
pub fn sharpness_ratio(image: &[u8], reference: &[u8], side_px: usize, inside: &dyn Fn(usize) -> bool) -> f64 {
    gradient_energy(image, side_px, inside) / gradient_energy(reference, side_px, inside).max(1e-9)
}

/// Measures gradient energy: the mean squared difference of horizontal and vertical neighbours `inside` of the grey image, 0–1. Grey
/// is the weighted sum of the display-referred channels.
fn gradient_energy(image: &[u8], side_px: usize, inside: &dyn Fn(usize) -> bool) -> f64 {
    let gray: Vec<f64> = image.as_chunks::<3>().0.iter().map(|pixel| luminance(pixel.map(f64::from)) / 255.0).collect();
    let (mut sum, mut count) = (0.0, 0_u64);
    for at in (0..side_px * side_px).filter(|&at| inside(at)) {
        let (right, below) = (at % side_px + 1 < side_px, at + side_px < side_px * side_px);
        for (_, neighbor) in [(right, at + 1), (below, at + side_px)].into_iter().filter(|entry| entry.0) {
            if inside(neighbor) {
                sum += (gray[at] - gray[neighbor]).powi(2);
                count += 1;
            }
        }
    }
    sum / count.max(1) as f64
}

/// Measures SSIM (Wang et al. 2004) at each pixel, the mean over the channels. The window is cut off at the image's edge.
fn ssim_map(image: &[u8], reference: &[u8], side: usize) -> Vec<f64> {
    let (c1, c2) = (0.01_f64.powi(2), 0.03_f64.powi(2));
    let mut map = vec![0.0; side * side];
    for channel in 0..3 {
        let plane = |image: &[u8]| -> Vec<f64> {
            image.iter().skip(channel).step_by(3).map(|&value| f64::from(value) / 255.0).collect()
        };
        let (x, y) = (plane(image), plane(reference));
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<_>>();
        let (mean_x, mean_y) = (blur(&x, side), blur(&y, side));
        let (xx, yy, xy) = (blur(&product(&x, &x), side), blur(&product(&y, &y), side), blur(&product(&x, &y), side));
        for (at, ssim) in map.iter_mut().enumerate() {
            let (mx, my) = (mean_x[at], mean_y[at]);
            let (vx, vy, cov) = (xx[at] - mx * mx, yy[at] - my * my, xy[at] - mx * my);
            let value = (2.0 * mx * my + c1) * (2.0 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2));
            *ssim += value / 3.0;
        }
    }
    map
}

/// Blurs a plane with SSIM's Gaussian window.
fn blur(plane: &[f64], side: usize) -> Vec<f64> {
    let kernel: Vec<f64> =
        (-SSIM_RADIUS..=SSIM_RADIUS).map(|tap| (-0.5 * (tap as f64 / SSIM_SIGMA).powi(2)).exp()).collect();
    let pass = |plane: &[f64], stride: usize, position: &dyn Fn(usize) -> usize| -> Vec<f64> {
        (0..plane.len())
            .map(|at| {
                let (mut sum, mut total) = (0.0, 0.0);
                for (tap, weight) in (-SSIM_RADIUS..=SSIM_RADIUS).zip(&kernel) {
                    if let Some(inside) = position(at).checked_add_signed(tap).filter(|&inside| inside < side) {
                        sum += weight * plane[at + inside * stride - position(at) * stride];
                        total += weight;
                    }
                }
                sum / total
            })
            .collect()
    };
    let rows = pass(plane, 1, &|at| at % side);
    pass(&rows, side, &|at| at / side)
}

/// Measures ꟻLIP (Andersson et al. 2020) at each pixel.
fn flip_map(image: &[u8], reference: &[u8], side: usize) -> Vec<f32> {
    let flip_image = |pixels: &[u8]| nv_flip::FlipImageRgb8::with_data(side as u32, side as u32, pixels);
    nv_flip::flip(flip_image(reference), flip_image(image), nv_flip::DEFAULT_PIXELS_PER_DEGREE).to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::toy;

    #[test]
    fn an_image_compared_with_itself_is_perfect() {
        let pair = toy::pair(1, 32);
        let scores = compare(&pair.reference, &pair.reference, &pair.mask, 32);
        for scores in [scores.whole, scores.face] {
            assert_eq!((scores.l1, scores.psnr_db), (0.0, MAX_PSNR_DB));
            assert!((scores.ssim - 1.0).abs() < 1e-9 && scores.flip < 1e-6 && scores.sharpness == 1.0, "{scores:?}");
        }
    }

    #[test]
    fn a_known_offset_gives_the_known_l1_and_psnr() {
        let (dark, light) = (vec![100_u8; 16 * 16 * 3], vec![151_u8; 16 * 16 * 3]);
        let scores = compare(&light, &dark, &[0; 256], 16).whole;
        assert!((scores.l1 - 0.2).abs() < 1e-12);
        assert!((scores.psnr_db - 13.979_400).abs() < 1e-4);
        assert!(scores.ssim < 1.0 && scores.flip > 0.05);
    }

    #[test]
    fn sharpness_is_the_squared_gradient_of_the_grey_image_inside() {
        // Stripes of one pixel: twice the contrast is four times the energy.
        let stripes = |low: u8, high: u8| -> Vec<u8> {
            (0..16 * 16).flat_map(|at| if at % 2 == 0 { [low; 3] } else { [high; 3] }).collect()
        };
        let (weak, strong) = (stripes(100, 120), stripes(90, 130));
        assert!((sharpness_ratio(&strong, &weak, 16, &|_| true) - 4.0).abs() < 1e-9);
        // Colour alone has no grey gradient: 0.7152 of green is worth 0.2126 of red.
        let hue: Vec<u8> = (0..16 * 16).flat_map(|at| if at % 2 == 0 { [0, 213, 0] } else { [255, 137, 0] }).collect();
        assert!(sharpness_ratio(&hue, &weak, 16, &|_| true) < 0.01);
        // What is not inside does not count.
        let mut outside = weak.clone();
        outside[..3 * 128].fill(0);
        assert!((sharpness_ratio(&outside, &weak, 16, &|at| at >= 128) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_blurred_first_image_is_softer_and_less_similar() {
        let pair = toy::pair(2, 64);
        let scores = compare(&pair.first, &pair.reference, &pair.mask, 64).face;
        assert!(scores.sharpness < 0.9 && scores.ssim < 0.99 && scores.psnr_db < 30.0, "{scores:?}");
    }
}
