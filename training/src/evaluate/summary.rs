//! From figures of single pairs to figures of a method: means, the share of the gap closed, and groups of skin tone and light.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::facts::{Facts, Tone};
use crate::data::{FACE_MASK, Pair};
use crate::measure::color::{delta_e_2000, lab};
use crate::measure::{Comparison, mean};

/// Mask values of skin. Brows, eyes and lips have larger ones.
pub const SKIN_MASK: std::ops::RangeInclusive<u8> = FACE_MASK..=200;
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
    /// Gradient energy around the eyes, relative to the reference's; `None` where no eyes were found.
    pub eyes_sharpness: Option<f64>,
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

/// The figures of a method on the pairs of one skin tone or kind of light.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean skin ΔE2000 of the first image.
    pub first_skin_delta_e: f64,
    /// Mean skin ΔE2000 of the method.
    pub skin_delta_e: f64,
    /// Shares of the gap closed in the face.
    pub gap_closed: GapClosed,
    /// Share of pairs whose ꟻLIP or L1 in the face is worse than the first image's.
    pub worse_fraction: f64,
    /// Median over pairs of the sharpness in the face.
    pub sharpness_ratio: f64,
}

/// The figures of a method on several pairs of one size.
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
    /// Median over pairs of the gradient energy in the face, relative to the reference's.
    pub sharpness_ratio: f64,
    /// Median over pairs of the gradient energy around the eyes, relative to the reference's; `None` where no eyes were found.
    pub eyes_sharpness_ratio: Option<f64>,
    /// Number of pairs in which eyes were found.
    pub eyes_pairs: usize,
    /// Figures by skin tone, as far as tones are known.
    pub tone_groups: BTreeMap<Tone, GroupReport>,
    /// Figures by kind of light, as far as kinds are known.
    pub light_kinds: BTreeMap<String, GroupReport>,
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

/// Tells whether an image is farther from the reference than the first image, in the face.
pub fn is_worse(first: &Figures, method: &Figures) -> bool {
    let (first, method) = (first.comparison.face, method.comparison.face);
    method.flip > first.flip || method.l1 > first.l1
}

/// Sums the figures of a method up. `facts` has an entry for each pair.
pub fn summarize(first: &[Figures], method: &[Figures], facts: &[&Facts]) -> Summary {
    let eyes = || method.iter().filter_map(|figures| figures.eyes_sharpness);
    let tones: Vec<Option<Tone>> = facts.iter().map(|facts| facts.tone).collect();
    let kinds: Vec<Option<String>> = facts.iter().map(|facts| facts.light_kind.clone()).collect();
    Summary {
        mean: mean(&method.iter().map(|figures| figures.comparison).collect::<Vec<_>>()),
        skin_delta_e: delta_e(method),
        gap_closed: gap_closed(first, method),
        worse_fraction: worse_fraction(first, method),
        sharpness_ratio: sharpness(method),
        eyes_sharpness_ratio: median(eyes()),
        eyes_pairs: eyes().count(),
        tone_groups: groups(first, method, &tones),
        light_kinds: groups(first, method, &kinds),
    }
}

/// Sums the pairs of each group up. `keys` has an entry for each pair.
fn groups<K: Clone + Ord>(first: &[Figures], method: &[Figures], keys: &[Option<K>]) -> BTreeMap<K, GroupReport> {
    let of = |figures: &[Figures], key: &K| -> Vec<Figures> {
        figures.iter().zip(keys).filter(|(_, other)| other.as_ref() == Some(key)).map(|(figures, _)| *figures).collect()
    };
    let report = |key: &K| {
        let (first, method) = (of(first, key), of(method, key));
        GroupReport {
            pairs: first.len(),
            first_skin_delta_e: delta_e(&first),
            skin_delta_e: delta_e(&method),
            gap_closed: gap_closed(&first, &method),
            worse_fraction: worse_fraction(&first, &method),
            sharpness_ratio: sharpness(&method),
        }
    };
    let keys: BTreeSet<&K> = keys.iter().flatten().collect();
    keys.into_iter().map(|key| (key.clone(), report(key))).collect()
}

fn delta_e(figures: &[Figures]) -> f64 {
    average(figures.iter().map(|figures| figures.skin_delta_e))
}

fn worse_fraction(first: &[Figures], method: &[Figures]) -> f64 {
    average(first.iter().zip(method).map(|(first, method)| f64::from(u8::from(is_worse(first, method)))))
}

fn sharpness(figures: &[Figures]) -> f64 {
    median(figures.iter().map(|figures| figures.comparison.face.sharpness)).unwrap_or(0.0)
}

fn average(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

/// Returns the median, of an even number of values the mean of the two in the middle; `None` of no values.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::toy;
    use crate::measure::Scores;

    fn figures(l1: f64, flip: f64, sharpness: f64) -> Figures {
        let face = Scores { l1, flip, sharpness, ..Scores::default() };
        let eyes_sharpness = (sharpness < 2.0).then_some(sharpness / 2.0);
        Figures { comparison: Comparison { whole: face, face }, skin_delta_e: 100.0 * l1, eyes_sharpness }
    }

    #[test]
    fn half_the_distance_closes_half_the_gap_and_one_worse_pair_of_four_is_a_quarter() {
        let first = [figures(0.2, 0.4, 1.0), figures(0.4, 0.2, 1.0), figures(0.1, 0.1, 1.0), figures(0.1, 0.1, 1.0)];
        let second =
            [figures(0.1, 0.2, 0.9), figures(0.1, 0.1, 1.1), figures(0.12, 0.05, 3.0), figures(0.08, 0.05, 0.8)];
        let facts = [(Some(Tone::Fair), "sun"), (Some(Tone::Dark), "studio"), (Some(Tone::Fair), "sun"), (None, "sun")]
            .map(|(tone, kind)| Facts { tone, light_kind: Some(kind.into()), ..Facts::default() });
        let summary = summarize(&first, &second, &facts.each_ref());
        assert!((summary.gap_closed.l1 - 0.5).abs() < 1e-12 && (summary.gap_closed.flip - 0.5).abs() < 1e-12);
        assert!(summary.gap_closed.l1_interval[0] < 0.5 && summary.gap_closed.l1_interval[1] > 0.5);
        assert_eq!((summary.worse_fraction, summary.sharpness_ratio), (0.25, 1.0), "the mean of the two in the middle");
        assert_eq!((summary.eyes_sharpness_ratio, summary.eyes_pairs), (Some(0.45), 3));
        let fair = summary.tone_groups[&Tone::Fair];
        assert_eq!((summary.tone_groups.len(), fair.pairs), (2, 2));
        assert!((fair.skin_delta_e - 11.0).abs() < 1e-9 && (fair.gap_closed.l1 - 0.08 / 0.3).abs() < 1e-12);
        let sun = summary.light_kinds["sun"];
        assert_eq!((summary.light_kinds.len(), sun.pairs, sun.sharpness_ratio), (2, 3, 0.9));
        assert!((sun.worse_fraction - 1.0 / 3.0).abs() < 1e-12 && (sun.gap_closed.l1 - 0.25).abs() < 1e-12);
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
}
