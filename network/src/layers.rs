//! The two layers of a residual: the *base layer*, an average over about a sixteenth of the region, and the *detail layer*, which is what
//! is left. Renderers give each a factor ([`Recommended`]). This is the slow, obvious form that the plugin's kernels
//! (`shaders/stages/base_layer.wgsl`, `shaders/stages/shape.wgsl`) follow.

use crate::weights::Recommended;

/// Steps between the points of the base layer along the longer side of an image, at most.
pub const BASE_STEPS: u32 = 16;

/// Returns the distance between the points of the base layer on an image whose longer side has `max_px` pixels, in pixels.
pub fn base_step(max_px: u32) -> u32 {
    max_px.div_ceil(BASE_STEPS).max(1)
}

/// Returns a residual `[C, H, W]` with its base and its detail layer multiplied by their factors.
///
/// The base layer is known at points [`base_step`] pixels apart, from (0, 0) to one beyond the last pixel. At a point it is the average of
/// the pixels around, weighted by a tent that reaches to the neighbouring points; between points it is bilinear.
///
/// # Panics
/// Panics if the residual has not a whole number of planes of `height · width` values.
pub fn weigh(residual: &[f32], height: usize, width: usize, factors: Recommended) -> Vec<f32> {
    assert_eq!(residual.len() % (height * width).max(1), 0, "a residual of whole planes");
    let Recommended { base, detail } = factors;
    if base == detail {
        return residual.iter().map(|value| base * value).collect();
    }
    let planes = residual.chunks(height * width);
    planes.flat_map(|plane| weigh_plane(plane, height, width, base, detail)).collect()
}

fn weigh_plane(plane: &[f32], height: usize, width: usize, base: f32, detail: f32) -> Vec<f32> {
    let step = base_step(height.max(width) as u32) as usize;
    let points = |side: usize| (side - 1) / step + 2;
    let (across, down) = (points(width), points(height));
    let around = |point: usize, side: usize| (point * step).saturating_sub(step)..(point * step + step + 1).min(side);
    let tent = |pixel: usize, point: usize| (1.0 - pixel.abs_diff(point * step) as f32 / step as f32).max(0.0);
    let mut layer = vec![0.0; across * down];
    for (point, average) in layer.iter_mut().enumerate() {
        let (px, py) = (point % across, point / across);
        let (mut sum, mut total) = (0.0, 0.0);
        for y in around(py, height) {
            for x in around(px, width) {
                let weight = tent(x, px) * tent(y, py);
                sum += weight * plane[y * width + x];
                total += weight;
            }
        }
        // A point beyond the image may have no pixel near it.
        *average = if total > 0.0 { sum / total } else { 0.0 };
    }
    let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
    let weighed = plane.iter().enumerate().map(|(pixel, &value)| {
        let (x, y) = (pixel % width, pixel / width);
        let corner = y / step * across + x / step;
        let part = |place: usize| (place % step) as f32 / step as f32;
        let row = |first: usize| mix(layer[first], layer[first + 1], part(x));
        let smooth = mix(row(corner), row(corner + across), part(y));
        base * smooth + detail * (value - smooth)
    });
    weighed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(height: usize, width: usize) -> Vec<f32> {
        (0..3 * height * width).map(|at| ((at * 2_654_435_761) % 1000) as f32 / 1000.0 - 0.5).collect()
    }

    #[test]
    fn base_and_detail_add_up_to_the_residual() {
        for (height, width) in [(1, 1), (5, 7), (64, 48), (33, 130)] {
            let residual = noisy(height, width);
            let [base, detail] = [(1.0, 0.0), (0.0, 1.0)]
                .map(|(base, detail)| weigh(&residual, height, width, Recommended { base, detail }));
            for ((all, base), detail) in residual.iter().zip(base).zip(detail) {
                assert!((all - base - detail).abs() < 1e-6, "{height} × {width}: {all} ≠ {base} + {detail}");
            }
        }
    }

    #[test]
    fn a_constant_is_all_base_layer_and_noise_is_nearly_all_detail() {
        let constant = weigh(&[0.25; 3 * 40 * 40], 40, 40, Recommended { base: 1.0, detail: 0.0 });
        assert!(constant.iter().all(|value| (value - 0.25).abs() < 1e-6));
        let residual = noisy(128, 128);
        let base = weigh(&residual, 128, 128, Recommended { base: 1.0, detail: 0.0 });
        let energy = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>();
        assert!(energy(&base) < 0.05 * energy(&residual));
    }

    #[test]
    fn equal_factors_scale_the_whole() {
        let residual = noisy(20, 9);
        let half = weigh(&residual, 20, 9, Recommended { base: 0.5, detail: 0.5 });
        assert!(residual.iter().zip(half).all(|(all, half)| half == 0.5 * all));
    }
}
