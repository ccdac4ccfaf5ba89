//! From figures of single pairs to figures of a method: means, the share of the gap closed, and groups of skin tone.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::data::{FACE_MASK, Pair};
use crate::measure::color::{delta_e_2000, lab};
use crate::measure::{Comparison, mean};

/// Mask values of skin. Brows, eyes and lips have larger ones.
const SKIN_MASK: std::ops::RangeInclusive<u8> = FACE_MASK..=200;
/// Number of samples of the bootstrap.
const BOOTSTRAPS: usize = 1000;

/// The figures of one image against its reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Distances and sharpness, in the face and in the whole image.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Mean ΔE2000 over skin.
    pub skin_delta_e: f64,
}

/// A group of skin tone, by the melanin that `scene.json` says the skin was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Melanin below 0.12.
    VeryFair,
    /// Melanin of 0.12 up to below 0.25.
    Fair,
    /// Melanin of 0.25 up to below 0.6.
    Medium,
    /// Melanin of 0.6 up to below 1.2.
    Brown,
    /// Melanin of 1.2 and more.
    Dark,
}

/// Shares of the gap between first and reference image that a method closes: 1 − d(method) / d(first), of the means.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GapClosed {
    /// Share of the L1 gap in the face.
    pub l1: f64,
    /// Share of the ꟻLIP gap in the face.
    pub flip: f64,
    /// 95 % interval of `l1`, by bootstrap over pairs.
    pub l1_interval: [f64; 2],
    /// 95 % interval of `flip`, by bootstrap over pairs.
    pub flip_interval: [f64; 2],
}

/// The figures of a method on the pairs of one skin tone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ToneReport {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean skin ΔE2000 of the first image.
    pub first_skin_delta_e: f64,
    /// Mean skin ΔE2000 of the method.
    pub skin_delta_e: f64,
    /// Shares of the gap closed in the face.
    pub gap_closed: GapClosed,
}

/// The figures of a method on all pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Means over pairs.
    pub mean: Comparison,
    /// Mean skin ΔE2000.
    pub skin_delta_e: f64,
    /// Shares of the gap closed in the face.
    pub gap_closed: GapClosed,
    /// Share of pairs whose ꟻLIP or L1 in the face is worse than the first image's.
    pub worse_fraction: f64,
    /// Median over pairs of the gradient energy in the face, relative to the reference's. For an even number of pairs it is the
    /// upper one of the two in the middle.
    pub sharpness_ratio: f64,
    /// Figures by skin tone, as far as tones are known.
    pub tone_groups: BTreeMap<Tone, ToneReport>,
}

impl Tone {
    /// Returns the group of a skin with this melanin.
    pub fn of(melanin: f64) -> Self {
        match melanin {
            m if m < 0.12 => Self::VeryFair,
            m if m < 0.25 => Self::Fair,
            m if m < 0.6 => Self::Medium,
            m if m < 1.2 => Self::Brown,
            _ => Self::Dark,
        }
    }
}

/// Measures the mean ΔE2000 of an image `[S, S, 3]`, 8-bit sRGB, over the skin of a pair; 0 where there is none.
pub fn skin_delta_e(image: &[u8], pair: &Pair) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u32);
    let pixels = image.as_chunks::<3>().0.iter().zip(pair.reference.as_chunks::<3>().0);
    for ((pixel, reference), _) in pixels.zip(&pair.mask).filter(|(_, mask)| SKIN_MASK.contains(mask)) {
        sum += delta_e_2000(lab(*pixel), lab(*reference));
        count += 1;
    }
    sum / f64::from(count.max(1))
}

/// Measures the shares of the gap that a method closes. `first` and `method` hold the same pairs in the same order.
pub fn gap_closed(first: &[Figures], method: &[Figures]) -> GapClosed {
    let l1: Vec<[f64; 2]> = zip(first, method, |figures| figures.comparison.face.l1);
    let flip = zip(first, method, |figures| figures.comparison.face.flip);
    let (l1_interval, flip_interval) = (interval(&l1), interval(&flip));
    GapClosed { l1: closed(l1.iter()), flip: closed(flip.iter()), l1_interval, flip_interval }
}

fn zip(first: &[Figures], method: &[Figures], pick: fn(&Figures) -> f64) -> Vec<[f64; 2]> {
    first.iter().zip(method).map(|(first, method)| [pick(first), pick(method)]).collect()
}

fn closed<'a>(distances: impl Iterator<Item = &'a [f64; 2]>) -> f64 {
    let [first, method] = distances.fold([0.0; 2], |sum, pair| [sum[0] + pair[0], sum[1] + pair[1]]);
    if first > 0.0 { 1.0 - method / first } else { 0.0 }
}

fn interval(distances: &[[f64; 2]]) -> [f64; 2] {
    if distances.is_empty() {
        return [0.0; 2];
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut draw = || closed((0..distances.len()).map(|_| &distances[rng.random_range(0..distances.len())]));
    let mut shares: Vec<f64> = (0..BOOTSTRAPS).map(|_| draw()).collect();
    shares.sort_by(f64::total_cmp);
    [shares[BOOTSTRAPS * 25 / 1000], shares[BOOTSTRAPS * 975 / 1000]]
}

/// Sums the figures of a method up. `tones` has an entry for each pair.
pub fn summarize(first: &[Figures], method: &[Figures], tones: &[Option<Tone>]) -> Summary {
    let delta_e = |figures: &[Figures]| average(figures.iter().map(|figures| figures.skin_delta_e));
    let worse = |(first, method): (&Figures, &Figures)| {
        let (first, method) = (first.comparison.face, method.comparison.face);
        f64::from(u8::from(method.flip > first.flip || method.l1 > first.l1))
    };
    let mut sharpness: Vec<f64> = method.iter().map(|figures| figures.comparison.face.sharpness).collect();
    sharpness.sort_by(f64::total_cmp);
    let mut tone_groups = BTreeMap::new();
    for tone in tones.iter().copied().flatten() {
        let of = |figures: &[Figures]| -> Vec<Figures> {
            figures.iter().zip(tones).filter(|(_, other)| **other == Some(tone)).map(|(figures, _)| *figures).collect()
        };
        let (first, method) = (of(first), of(method));
        tone_groups.entry(tone).or_insert_with(|| ToneReport {
            pairs: first.len(),
            first_skin_delta_e: delta_e(&first),
            skin_delta_e: delta_e(&method),
            gap_closed: gap_closed(&first, &method),
        });
    }
    Summary {
        mean: mean(&method.iter().map(|figures| figures.comparison).collect::<Vec<_>>()),
        skin_delta_e: delta_e(method),
        gap_closed: gap_closed(first, method),
        worse_fraction: average(first.iter().zip(method).map(worse)),
        sharpness_ratio: sharpness.get(sharpness.len() / 2).copied().unwrap_or(0.0),
        tone_groups,
    }
}

fn average(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::toy;
    use crate::measure::Scores;

    fn figures(l1: f64, flip: f64, sharpness: f64) -> Figures {
        let face = Scores { l1, flip, sharpness, ..Scores::default() };
        Figures { comparison: Comparison { whole: face, face }, skin_delta_e: 100.0 * l1 }
    }

    #[test]
    fn half_the_distance_closes_half_the_gap_and_one_worse_pair_of_four_is_a_quarter() {
        let first = [figures(0.2, 0.4, 1.0), figures(0.4, 0.2, 1.0), figures(0.1, 0.1, 1.0), figures(0.1, 0.1, 1.0)];
        let second =
            [figures(0.1, 0.2, 0.9), figures(0.1, 0.1, 1.1), figures(0.12, 0.05, 3.0), figures(0.08, 0.05, 0.8)];
        let tones = [Some(Tone::Fair), Some(Tone::Dark), Some(Tone::Fair), None];
        let summary = summarize(&first, &second, &tones);
        assert!((summary.gap_closed.l1 - 0.5).abs() < 1e-12 && (summary.gap_closed.flip - 0.5).abs() < 1e-12);
        assert!(summary.gap_closed.l1_interval[0] < 0.5 && summary.gap_closed.l1_interval[1] > 0.5);
        assert_eq!((summary.worse_fraction, summary.sharpness_ratio), (0.25, 1.1));
        let fair = summary.tone_groups[&Tone::Fair];
        assert_eq!((summary.tone_groups.len(), fair.pairs), (2, 2));
        assert!((fair.skin_delta_e - 11.0).abs() < 1e-9 && (fair.gap_closed.l1 - 0.08 / 0.3).abs() < 1e-12);
    }

    #[test]
    fn skin_is_compared_without_features_and_background() {
        let pair = toy::pair(4, 32);
        assert_eq!(skin_delta_e(&pair.reference, &pair), 0.0);
        let mut other = pair.reference.clone();
        for (at, mask) in pair.mask.iter().enumerate().filter(|(_, mask)| !SKIN_MASK.contains(mask)) {
            other[at * 3] = other[at * 3].wrapping_add(mask.wrapping_add(90));
        }
        assert_eq!(skin_delta_e(&other, &pair), 0.0);
        assert!(skin_delta_e(&pair.first, &pair) > 1.0);
    }

    #[test]
    fn melanin_falls_into_five_groups() {
        let tones = [0.02, 0.12, 0.3, 0.8, 2.0].map(Tone::of);
        assert_eq!(tones, [Tone::VeryFair, Tone::Fair, Tone::Medium, Tone::Brown, Tone::Dark]);
    }
}
