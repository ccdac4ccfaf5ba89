//! The colour difference of ꟻLIP (Andersson et al., "FLIP: A Difference Evaluator for Alternating Images", 2020) as a
//! loss: images blurred as the eye blurs them, then compared in Hunt-adjusted CIELAB.
//!
//! ꟻLIP's second half, the difference of edges and points, is left out: L_E does that work.

use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
pub use portrait_files::config::FLIP_RADIUS_PX as RADIUS_PX;

/// Viewing distance, the one at which ꟻLIP's figures are measured.
const PIXELS_PER_DEGREE: f64 = 67.0;
/// Contrast sensitivity of luminance, red–green and blue–yellow: Gaussians a·√(π/b)·exp(−π²x²/b), x in degrees (Table 1).
const SENSITIVITY: [&[(f64, f64)]; 3] = [&[(1.0, 0.0047)], &[(1.0, 0.0053)], &[(34.1, 0.04), (13.5, 0.025)]];
/// Exponent of the distance.
const Q_C: f64 = 0.7;
/// Share of the largest distance at which the remapping to 0–1 has its knee.
const P_C: f64 = 0.4;
/// Value of the remapping at its knee.
const P_T: f64 = 0.95;
/// Largest distance, that of pure green and pure blue, to the power of Q_C.
const LARGEST: f64 = 41.2761;
/// Smoothing in CIELAB units, which keeps the root's and the power's derivatives finite where nothing differs.
const EPSILON: f64 = 0.01;

/// Matrix from linear sRGB to CIE XYZ under D65, each row divided by the white's own value.
const XYZ_OVER_WHITE: [[f64; 3]; 3] =
    [[0.4338954, 0.3762424, 0.1898622], [0.2126368, 0.7151830, 0.0721802], [0.0177524, 0.1094656, 0.8727819]];

/// Returns ꟻLIP's colour difference, 0–1, `[N, 1, H − 2r, W − 2r]` with r = [`RADIUS_PX`], of images `[N, 3, H, W]` in
/// display-referred sRGB. Values out of 0–1 count as 0 or 1.
pub fn color_difference<B: Backend>(second: Tensor<B, 4>, reference: Tensor<B, 4>) -> Tensor<B, 4> {
    let [l, a, b] = seen_lab(second);
    let [l_of, a_of, b_of] = seen_lab(reference);
    let chroma = ((a - a_of).square() + (b - b_of).square() + EPSILON * EPSILON).sqrt() - EPSILON;
    let distance = ((l - l_of).abs() + chroma + EPSILON).powf_scalar(Q_C) - EPSILON.powf(Q_C);
    let knee = P_C * LARGEST;
    let small = distance.clone() * (P_T / knee);
    let large = (distance.clone() - knee) * ((1.0 - P_T) / (LARGEST - knee)) + P_T;
    let is_large = distance.greater_elem(knee);
    small.mask_where(is_large, large)
}

/// Crops `weight` `[N, 1, H, W]` to the pixels at which [`color_difference`] has values.
pub fn inner<B: Backend>(weight: Tensor<B, 4>) -> Tensor<B, 4> {
    let [_, _, height, width] = weight.dims();
    weight.narrow(2, RADIUS_PX, height - 2 * RADIUS_PX).narrow(3, RADIUS_PX, width - 2 * RADIUS_PX)
}

/// Blurs an image by the eye's contrast sensitivity, and converts it to CIELAB with Hunt's adjustment.
fn seen_lab<B: Backend>(image: Tensor<B, 4>) -> [Tensor<B, 4>; 3] {
    let linear = srgb_decode(image.clamp(0.0, 1.0));
    let [x, y, z] = mix(channels(linear), XYZ_OVER_WHITE);
    // YCxCz, a linear opponent space; the −16 of its luminance changes nothing here.
    let opponents = [y.clone() * 116.0, (x - y.clone()) * 500.0, (y - z) * 200.0];
    let mut sensitivity = SENSITIVITY.iter();
    let [y, cx, cz] = opponents.map(|channel| blur(channel, sensitivity.next().map_or(&[], |gaussians| gaussians)));
    let y = y / 116.0;
    let xyz = [cx / 500.0 + y.clone(), y.clone(), y - cz / 200.0];
    // Blurred chroma on sharp luminance may leave the cube of colours.
    let inside = mix(xyz, inverse(XYZ_OVER_WHITE)).map(|channel| channel.clamp(0.0, 1.0));
    let [x, y, z] = mix(inside, XYZ_OVER_WHITE).map(lab_curve);
    let l = y.clone() * 116.0 - 16.0;
    let hunt = l.clone() * 0.01;
    [l, (x - y.clone()) * 500.0 * hunt.clone(), (y - z) * 200.0 * hunt]
}

fn channels<B: Backend>(image: Tensor<B, 4>) -> [Tensor<B, 4>; 3] {
    [0, 1, 2].map(|channel| image.clone().narrow(1, channel, 1))
}

fn mix<B: Backend>(channels: [Tensor<B, 4>; 3], matrix: [[f64; 3]; 3]) -> [Tensor<B, 4>; 3] {
    matrix.map(|row| {
        let [a, b, c] = channels.clone();
        a * row[0] + b * row[1] + c * row[2]
    })
}

fn srgb_decode<B: Backend>(image: Tensor<B, 4>) -> Tensor<B, 4> {
    let dark = image.clone().lower_equal_elem(0.04045);
    ((image.clone() + 0.055) / 1.055).powf_scalar(2.4).mask_where(dark, image / 12.92)
}

/// Applies CIELAB's cube root, a straight line near zero.
fn lab_curve<B: Backend>(value: Tensor<B, 4>) -> Tensor<B, 4> {
    const DELTA: f64 = 6.0 / 29.0;
    let cube = DELTA * DELTA * DELTA;
    let dark = value.clone().lower_equal_elem(cube);
    let line = value.clone() / (3.0 * DELTA * DELTA) + 4.0 / 29.0;
    // The root's derivative must stay finite where the line is taken, too.
    value.clamp_min(cube).powf_scalar(1.0 / 3.0).mask_where(dark, line)
}

/// Convolves with a weighted sum of Gaussians, each along rows and along columns, without padding.
fn blur<B: Backend>(channel: Tensor<B, 4>, gaussians: &[(f64, f64)]) -> Tensor<B, 4> {
    let taps = 2 * RADIUS_PX + 1;
    let one = |b: f64| -> Vec<f64> {
        let at = |tap: usize| (tap as f64 - RADIUS_PX as f64) / PIXELS_PER_DEGREE;
        (0..taps).map(|tap| (-(std::f64::consts::PI * at(tap)).powi(2) / b).exp()).collect()
    };
    let sum = |b: f64| one(b).iter().sum::<f64>();
    let share = |&(a, b): &(f64, f64)| a * (std::f64::consts::PI / b).sqrt() * sum(b).powi(2);
    let total: f64 = gaussians.iter().map(share).sum();
    let device = channel.device();
    let blurred = gaussians.iter().map(|gaussian| {
        let values: Vec<f32> = one(gaussian.1).iter().map(|value| (value / sum(gaussian.1)) as f32).collect();
        let kernel = |shape: [usize; 4]| Tensor::from_data(TensorData::new(values.clone(), shape), &device);
        let along = |image, shape| conv2d(image, kernel(shape), None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
        along(along(channel.clone(), [1, 1, 1, taps]), [1, 1, taps, 1]) * (share(gaussian) / total)
    });
    blurred.reduce(|sum, part| sum + part).unwrap_or(channel)
}

fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let cofactor = |row: usize, column: usize| {
        let (r1, r2, c1, c2) = ((row + 1) % 3, (row + 2) % 3, (column + 1) % 3, (column + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * cofactor(0, column)).sum();
    std::array::from_fn(|row| std::array::from_fn(|column| cofactor(column, row) / determinant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Inner;
    use crate::networks::values;

    const SIDE_PX: usize = 32;

    /// Returns what [`EPSILON`] takes off every difference that is much larger.
    fn smoothed_away() -> f32 {
        (EPSILON.powf(Q_C) * P_T / (P_C * LARGEST)) as f32
    }

    fn image(pixels: &[u8]) -> Tensor<Inner, 4> {
        let planar =
            (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).map(|&value| f32::from(value) / 255.0));
        Tensor::from_data(TensorData::new(planar.collect(), [1, 3, SIDE_PX, SIDE_PX]), &Default::default())
    }

    /// Measures the whole of ꟻLIP with another library, where this loss has values.
    fn flip(second: &[u8], reference: &[u8]) -> Vec<f32> {
        let of = |pixels: &[u8]| nv_flip::FlipImageRgb8::with_data(SIDE_PX as u32, SIDE_PX as u32, pixels);
        let map = nv_flip::flip(of(reference), of(second), PIXELS_PER_DEGREE as f32).to_vec();
        let inside = RADIUS_PX..SIDE_PX - RADIUS_PX;
        inside
            .clone()
            .flat_map(|row| inside.clone().map(move |column| row * SIDE_PX + column))
            .map(|at| map[at])
            .collect()
    }

    fn filled(pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        (0..SIDE_PX * SIDE_PX).flat_map(|at| pixel(at / SIDE_PX, at % SIDE_PX)).collect()
    }

    #[test]
    fn even_colours_differ_as_much_as_flip_says() {
        let colors = [[0, 0, 0], [12, 9, 7], [90, 60, 50], [200, 150, 130], [255, 250, 240], [0, 255, 0], [0, 0, 255]];
        for second in colors {
            for reference in colors {
                let (second, reference) = (filled(|_, _| second), filled(|_, _| reference));
                let found = values(color_difference(image(&second), image(&reference)));
                for (found, wanted) in found.iter().zip(flip(&second, &reference)) {
                    assert!(
                        (found - wanted).abs() < smoothed_away() + 0.0005,
                        "{:?} and {:?}: {found}, {wanted}",
                        &second[..3],
                        &reference[..3]
                    );
                }
            }
        }
    }

    #[test]
    fn blurred_colours_differ_as_much_as_flip_says() {
        // A colour pattern of equal luminance and equal edges on both sides: ꟻLIP's second half finds nothing to add.
        let stripes = |red: usize, blue: usize| {
            filled(move |row, column| {
                let wave = ((row + column) as f64 * 0.7).sin();
                [(150.0 + red as f64 + 8.0 * wave) as u8, 120, (100.0 + blue as f64 + 30.0 * wave) as u8]
            })
        };
        let (second, reference) = (stripes(0, 0), stripes(6, 25));
        let found = values(color_difference(image(&second), image(&reference)));
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let wanted = flip(&second, &reference);
        assert!(
            ((mean(&found) + smoothed_away()) / mean(&wanted) - 1.0).abs() < 0.03,
            "{}, {}",
            mean(&found),
            mean(&wanted)
        );
    }

    #[test]
    fn the_gradient_is_finite_everywhere() {
        use crate::backend::Training;
        let gradient = |second: &[u8], reference: &[u8]| {
            let second = Tensor::<Training, 4>::from_inner(image(second)).require_grad();
            let loss = color_difference(second.clone(), Tensor::from_inner(image(reference))).mean();
            second.grad(&loss.backward()).map(values).unwrap_or_default()
        };
        let (black, gray) = (filled(|_, _| [0; 3]), filled(|_, _| [128; 3]));
        for (second, reference) in [(&black, &black), (&gray, &gray), (&black, &gray), (&gray, &black)] {
            let gradient = gradient(second, reference);
            assert_eq!(gradient.len(), 3 * SIDE_PX * SIDE_PX);
            assert!(gradient.iter().all(|value| value.is_finite()), "{:?} and {:?}", second[0], reference[0]);
        }
        let pull = gradient(&black, &gray).iter().sum::<f32>();
        assert!(pull < 0.0, "black has to become lighter: {pull}");
    }
}
