//! The rival that players name: a tone curve and contrast-adaptive sharpening, fitted to the training pairs.
//!
//! The curve, one for each channel, is fitted by least squares. Contrast-adaptive sharpening (AMD FidelityFX CAS, Lottes 2019)
//! follows in linear light: a pixel gets negative shares of its four direct neighbours, smaller ones where its surroundings reach
//! far towards black or white already. How much of it lowers L1 most is tried; none at all is one of the choices, so that
//! the rival never loses by sharpening what is too sharp already. Then the curve is fitted to what is left, and so on, as long as L1
//! falls.

use rayon::prelude::*;

use crate::data::{Pair, WeightTable};

/// Number of nodes of a curve.
const NODES: usize = 17;
/// Weight of a curve's smoothness, relative to the mean weight of the data at a node.
const SMOOTHNESS: f64 = 0.05;
/// Distance between two pixels that are fitted, in pixels.
const PIXEL_STEP: usize = 3;
/// Largest share of a neighbour, at full sharpening.
const MAX_SHARE: f32 = 0.2;
/// Number of amounts that are tried, from none to full sharpening.
const AMOUNTS: usize = 11;
/// Maximum number of times that curves and amount are fitted.
const ROUNDS: usize = 4;

/// Maps 8-bit sRGB images to 8-bit sRGB images by a tone curve for each channel and by sharpening.
#[derive(Clone, Debug, PartialEq)]
pub struct Sharpen {
    /// Value of each curve for each 8-bit value, in linear light, 0–1.
    curves: [Vec<f32>; 3],
    /// Amount of sharpening: 0 is none, 1 the most that contrast-adaptive sharpening offers.
    pub amount: f64,
}

/// One channel of a pixel in linear light, and what sharpening needs to know of its neighbours.
struct Surroundings {
    value: f32,
    /// Sum of the four direct neighbours.
    neighbors: f32,
    /// Share of each neighbour at full sharpening, 0 to [`MAX_SHARE`].
    share: f32,
}

impl Sharpen {
    /// Fits curves and amount to the pairs, each pixel weighted as in L1.
    pub fn fit(pairs: &[Pair], weights: &WeightTable) -> Self {
        let identity = || (0..256).map(|value| linear(value as f32 / 255.0)).collect();
        let mut best = Self { curves: std::array::from_fn(|_| identity()), amount: 0.0 };
        let mut least = f64::INFINITY;
        for _ in 0..ROUNDS {
            let (next, error) = best.refined(pairs, weights);
            if error >= least {
                break;
            }
            (best, least) = (next, error);
        }
        best
    }

    /// Adds what is left to the curves, and tries all amounts. Returns the weighted L1 too.
    fn refined(&self, pairs: &[Pair], weights: &WeightTable) -> (Self, f64) {
        let left = pairs.par_iter().map(|pair| self.left(pair, weights));
        let add =
            |a: Vec<[f64; 2]>, b: Vec<[f64; 2]>| a.iter().zip(&b).map(|(a, b)| [a[0] + b[0], a[1] + b[1]]).collect();
        let left = left.reduce(|| vec![[0.0; 2]; 3 * 256], add);
        let curves = std::array::from_fn(|channel| {
            let more = fit_curve(&left[channel * 256..(channel + 1) * 256]);
            let refined = |(value, more): (&f32, f64)| linear((srgb(*value) + more as f32).clamp(0.0, 1.0));
            self.curves[channel].iter().zip(more).map(refined).collect()
        });
        let refined = Self { curves, amount: self.amount };
        let errors = pairs.par_iter().map(|pair| refined.errors(pair, weights));
        let errors = errors.reduce(|| [0.0; AMOUNTS], |a, b| std::array::from_fn(|at| a[at] + b[at]));
        let best = (0..AMOUNTS).min_by(|&a, &b| errors[a].total_cmp(&errors[b])).unwrap_or(0);
        (Self { amount: best as f64 / (AMOUNTS - 1) as f64, ..refined }, errors[best])
    }

    /// Applies curves and sharpening to an image `[S, S, 3]`, 8-bit sRGB.
    pub fn apply(&self, image: &[u8], side_px: usize) -> Vec<u8> {
        let light = self.light(image);
        let amount = self.amount as f32;
        let value = |at: usize| (srgb(surroundings(&light, side_px, at).sharpened(amount)) * 255.0).round() as u8;
        (0..image.len()).map(value).collect()
    }

    /// Applies the curves alone; the result is linear.
    fn light(&self, image: &[u8]) -> Vec<f32> {
        image.iter().enumerate().map(|(at, value)| self.curves[at % 3][usize::from(*value)]).collect()
    }

    /// Sums up, for each channel and 8-bit value of the first image, the weight of its pixels and what is left to add to them, with
    /// their weight: all that least squares need to know.
    fn left(&self, pair: &Pair, weights: &WeightTable) -> Vec<[f64; 2]> {
        let light = self.light(&pair.first);
        let mut left = vec![[0.0; 2]; 3 * 256];
        for pixel in (0..pair.mask.len()).step_by(PIXEL_STEP) {
            let weight = f64::from(weights.weight(pair.mask[pixel]));
            for channel in 0..3 {
                let at = pixel * 3 + channel;
                let made = srgb(surroundings(&light, pair.size_px, at).sharpened(self.amount as f32));
                let [total, wanted] = &mut left[channel * 256 + usize::from(pair.first[at])];
                *total += weight;
                *wanted += weight * f64::from(f32::from(pair.reference[at]) / 255.0 - made);
            }
        }
        left
    }

    /// Sums the weighted L1 of a pair up for each amount of sharpening.
    fn errors(&self, pair: &Pair, weights: &WeightTable) -> [f64; AMOUNTS] {
        let light = self.light(&pair.first);
        let mut errors = [0.0; AMOUNTS];
        for pixel in (0..pair.mask.len()).step_by(PIXEL_STEP) {
            let weight = f64::from(weights.weight(pair.mask[pixel]));
            for at in pixel * 3..pixel * 3 + 3 {
                let around = surroundings(&light, pair.size_px, at);
                let wanted = f32::from(pair.reference[at]) / 255.0;
                for (step, error) in errors.iter_mut().enumerate() {
                    let amount = step as f32 / (AMOUNTS - 1) as f32;
                    *error += weight * f64::from((srgb(around.sharpened(amount)) - wanted).abs());
                }
            }
        }
        errors
    }
}

impl Surroundings {
    fn sharpened(&self, amount: f32) -> f32 {
        let share = amount * self.share;
        ((self.value - share * self.neighbors) / (1.0 - 4.0 * share)).clamp(0.0, 1.0)
    }
}

/// Looks at the neighbours of `at`, the index of a channel's value in a linear image `[S, S, 3]`. Beyond its edge the image goes on
/// as it ends.
fn surroundings(light: &[f32], side: usize, at: usize) -> Surroundings {
    let (x, y, channel) = (at / 3 % side, at / 3 / side, at % 3);
    let near = |dx: usize, dy: usize| {
        let inside = |place: usize, step: usize| (place + step).saturating_sub(1).min(side - 1);
        light[(inside(y, dy) * side + inside(x, dx)) * 3 + channel]
    };
    let direct = [near(1, 0), near(0, 1), near(2, 1), near(1, 2)];
    let diagonal = [near(0, 0), near(2, 0), near(0, 2), near(2, 2)];
    let fold = |start: f32, values: &[f32; 4], pick: fn(f32, f32) -> f32| values.iter().copied().fold(start, pick);
    // Extremes of the cross and of all nine count alike, so that a lone diagonal neighbour weighs half.
    let (low, high) = (fold(light[at], &direct, f32::min), fold(light[at], &direct, f32::max));
    let low = (low + fold(low, &diagonal, f32::min)) / 2.0;
    let high = (high + fold(high, &diagonal, f32::max)) / 2.0;
    let room = (low.min(1.0 - high) / high.max(1e-6)).clamp(0.0, 1.0);
    Surroundings { value: light[at], neighbors: direct.iter().sum(), share: MAX_SHARE * room.sqrt() }
}

/// Fits a curve to what is left of a channel: what it adds, in sRGB, to each 8-bit value.
fn fit_curve(left: &[[f64; 2]]) -> Vec<f64> {
    // The smoothness term pulls towards nothing at all where there are no data.
    let (mut matrix, mut right) = ([[0.0; NODES]; NODES], [0.0; NODES]);
    for (value, [total, wanted]) in left.iter().enumerate() {
        let nodes = around(value);
        for (node, share) in nodes {
            right[node] += share * wanted;
            for (other, other_share) in nodes {
                matrix[node][other] += total * share * other_share;
            }
        }
    }
    let smooth = SMOOTHNESS * left.iter().map(|[total, _]| total).sum::<f64>() / NODES as f64 + f64::MIN_POSITIVE;
    for node in 0..NODES {
        matrix[node][node] += 1e-3 * smooth;
        if node > 0 {
            matrix[node][node] += smooth;
            matrix[node - 1][node - 1] += smooth;
            matrix[node][node - 1] -= smooth;
            matrix[node - 1][node] -= smooth;
        }
    }
    let offsets = solve(matrix, right);
    (0..left.len()).map(|value| around(value).iter().map(|(node, share)| offsets[*node] * share).sum()).collect()
}

/// Returns the two nodes around an 8-bit value, and the share of each.
fn around(value: usize) -> [(usize, f64); 2] {
    let place = value as f64 / 255.0 * (NODES - 1) as f64;
    let node = (place as usize).min(NODES - 2);
    [(node, 1.0 - (place - node as f64)), (node + 1, place - node as f64)]
}

/// Solves symmetric, positive definite equations in which each node knows only its neighbours, by elimination.
fn solve(mut matrix: [[f64; NODES]; NODES], mut right: [f64; NODES]) -> [f64; NODES] {
    for node in 1..NODES {
        let factor = matrix[node][node - 1] / matrix[node - 1][node - 1];
        matrix[node][node] -= factor * matrix[node - 1][node];
        right[node] -= factor * right[node - 1];
    }
    for node in (0..NODES).rev() {
        if node + 1 < NODES {
            right[node] -= matrix[node][node + 1] * right[node + 1];
        }
        right[node] /= matrix[node][node];
    }
    right
}

/// Converts a display-referred sRGB value to linear light (IEC 61966-2-1).
fn linear(value: f32) -> f32 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// Converts linear light to display-referred sRGB.
fn srgb(light: f32) -> f32 {
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use portrait_files::config::Importance;

    use super::*;
    use crate::data::toy;
    use crate::measure::sharpness_ratio;

    fn fit(pairs: &[Pair]) -> Sharpen {
        Sharpen::fit(pairs, &WeightTable::new(&Importance::default(), pairs))
    }

    /// Pairs whose reference is the first image after `change`.
    fn pairs(change: impl Fn(&Pair) -> Vec<u8>) -> Vec<Pair> {
        (0..6)
            .map(|seed| {
                let pair = toy::pair(seed, 48);
                Pair { reference: change(&pair), ..pair }
            })
            .collect()
    }

    #[test]
    fn a_curve_and_an_amount_of_sharpening_are_found_again() {
        let curve = |value: usize| linear((value as f32 / 255.0).powf(1.2) * 0.9);
        let curves: [Vec<f32>; 3] = std::array::from_fn(|_| (0..256).map(curve).collect());
        for amount in [0.0, 0.4, 1.0] {
            let rival = Sharpen { curves: curves.clone(), amount };
            let pairs = pairs(|pair| rival.apply(&pair.first, pair.size_px));
            let found = fit(&pairs);
            // One step of those that are tried, and what floats leave of it.
            assert!((found.amount - amount).abs() < 0.1 + 1e-9, "{amount}: {}", found.amount);
            let image = found.apply(&pairs[3].first, 48);
            let off = image.iter().zip(&pairs[3].reference).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
            assert!(off / (image.len() as f64) < 0.5, "{amount}: {} of 255 away", off / image.len() as f64);
        }
    }

    #[test]
    fn sharpening_sharpens_and_never_makes_new_extremes_out_of_flat_colour() {
        let pair = toy::pair(3, 48);
        let identity: [Vec<f32>; 3] =
            std::array::from_fn(|_| (0..256).map(|value| linear(value as f32 / 255.0)).collect());
        let sharpen = |amount| Sharpen { curves: identity.clone(), amount }.apply(&pair.first, 48);
        assert_eq!(sharpen(0.0), pair.first);
        let ratio = |amount| sharpness_ratio(&sharpen(amount), &pair.first, 48, &|_| true);
        assert!(ratio(1.0) > 1.2 && ratio(0.5) > 1.05 && ratio(0.5) < ratio(1.0), "{} {}", ratio(0.5), ratio(1.0));
        let flat = vec![77; 48 * 48 * 3];
        assert_eq!(Sharpen { curves: identity.clone(), amount: 1.0 }.apply(&flat, 48), flat);
        // Beside black there is no room: a hard edge stays as it is.
        let edge: Vec<u8> = (0..48 * 48).flat_map(|at| [if at % 48 < 24 { 0 } else { 200 }; 3]).collect();
        assert_eq!(Sharpen { curves: identity.clone(), amount: 1.0 }.apply(&edge, 48), edge);
    }

    #[test]
    fn what_is_too_sharp_already_is_not_sharpened() {
        // The reference is the softer image of the toy pair.
        let pairs: Vec<Pair> = (0..4)
            .map(|seed| toy::pair(seed, 48))
            .map(|pair| Pair { first: pair.reference.clone(), reference: pair.first.clone(), ..pair })
            .collect();
        assert_eq!(fit(&pairs).amount, 0.0);
    }
}
