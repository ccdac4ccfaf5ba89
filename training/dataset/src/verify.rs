//! Measures finished pairs: whether the two images show the same thing, equally bright, with as much detail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use image::Rgb32FImage;
use portrait_files::pixels::{self, Format};
use serde_json::{Value, json};

use crate::error::DatasetError;
use crate::linear_image::luminance;
use crate::manifest::PAIR;
use crate::pair::{self, SILHOUETTE_ALPHA};
use crate::scene::Scene;
use crate::seeds::seed_folder;

/// Minimum overlap of the silhouettes that is wanted.
pub const WANTED_IOU: f32 = 0.98;
/// Range that is wanted of the median of gradient energy, first image over reference.
pub const WANTED_SHARPNESS: [f32; 2] = [0.9, 1.6];
/// Range that is wanted of the median of luminance, first image over reference, for each kind of light.
pub const WANTED_LUMA: [f32; 2] = [0.9, 1.1];
/// Range that is wanted of the median of luminance where hair is, first image over reference.
pub const WANTED_HAIR: [f32; 2] = [0.8, 1.25];
/// Range of a single pair's ratios; beyond it something is wrong with the pair.
const PAIR_LIMITS: [f32; 2] = [0.5, 2.0];
/// Values of `mask.png` where a pixel is all hair.
const HAIR_MASK: std::ops::RangeInclusive<u8> = 63..=65;
/// Minimum number of pixels of hair for which its luminance is compared.
const ENOUGH_HAIR: usize = 40;

/// The figures of one pair.
#[derive(Clone, Debug)]
pub struct PairReport {
    /// Seed of the pair.
    pub seed: u64,
    /// Split that the scene names.
    pub split: String,
    /// Source of the head: `own`, or another as `scene.json` names it.
    pub source: String,
    /// Kind of light that the scene names.
    pub light_kind: String,
    /// Overlap of the silhouettes, intersection over union, 0–1.
    pub silhouette_iou: f32,
    /// Mean display-referred luminance (of sRGB values, 0 to 1) of `first.png` inside the reference's silhouette.
    pub first_luminance: f32,
    /// Mean display-referred luminance of `reference.png` inside the reference's silhouette.
    pub reference_luminance: f32,
    /// Mean squared gradient of luminance inside the silhouette, the first image's over the reference's.
    pub sharpness_ratio: f32,
    /// Mean luminance where the mask has hair, the first image's over the reference's; `None` with too little hair.
    pub hair_ratio: Option<f32>,
}

impl PairReport {
    /// Returns the first image's mean luminance over the reference's.
    pub fn luma_ratio(&self) -> f32 {
        self.first_luminance / self.reference_luminance.max(1e-6)
    }

    /// Tells whether something is wrong with the pair.
    pub fn is_beyond_limits(&self) -> bool {
        let beyond = |ratio: f32| !(PAIR_LIMITS[0]..=PAIR_LIMITS[1]).contains(&ratio);
        beyond(self.luma_ratio())
            || beyond(self.sharpness_ratio / WANTED_SHARPNESS[0])
            || self.hair_ratio.is_some_and(beyond)
            || self.silhouette_iou < 0.9
    }
}

/// Measures a finished pair from its files.
///
/// # Errors
/// Fails when the pair is not finished or a file does not decode.
pub fn measure(data: &Path, seed: u64) -> Result<PairReport, DatasetError> {
    let folder = seed_folder(data, seed);
    let pair = pair::finished(data, seed)?.ok_or_else(|| DatasetError::PairMissing(folder.join(PAIR)))?;
    let scene = Scene::read(&folder.join("scene.json"))?;
    let reference = pair::read_reference(&folder, &scene)?;
    let read = |name: &str| pixels::read(&folder.join(name), Format::Png, scene.size());
    let mask = read("mask.png")?.into_luma8();
    let [first, shown] = [read("first.png")?, read("reference.png")?].map(|image| Luma::of(&image.into_rgb32f()));
    let inside: Vec<bool> = reference.pixels.iter().map(|pixel| pixel[3] >= SILHOUETTE_ALPHA).collect();
    let hair: Vec<bool> = mask.pixels().map(|pixel| HAIR_MASK.contains(&pixel.0[0])).collect();
    let enough = hair.iter().filter(|is_hair| **is_hair).count() >= ENOUGH_HAIR;
    let energy = shown.gradient_energy(&inside).max(1e-9);
    Ok(PairReport {
        seed,
        split: scene.split,
        source: scene.source,
        light_kind: scene.light_kind,
        silhouette_iou: pair.silhouette_iou,
        first_luminance: first.mean(&inside),
        reference_luminance: shown.mean(&inside),
        sharpness_ratio: first.gradient_energy(&inside) / energy,
        hair_ratio: enough.then(|| first.mean(&hair) / shown.mean(&hair).max(1e-6)),
    })
}

/// The display-referred luminance of an image, `[H, W]`.
struct Luma {
    width: usize,
    values: Vec<f32>,
}

impl Luma {
    fn of(image: &Rgb32FImage) -> Self {
        Self { width: image.width() as usize, values: image.pixels().map(|pixel| luminance(pixel.0)).collect() }
    }

    fn mean(&self, inside: &[bool]) -> f32 {
        mean(self.values.iter().zip(inside).filter(|(_, inside)| **inside).map(|(value, _)| *value))
    }

    /// Returns the mean squared difference to the right and lower neighbours that are inside as well.
    fn gradient_energy(&self, inside: &[bool]) -> f32 {
        let differences = (0..self.values.len()).flat_map(|at| {
            let right = (at % self.width + 1 < self.width).then_some(at + 1);
            [right, Some(at + self.width)].map(|beside| (at, beside))
        });
        let both = differences.filter_map(|(at, beside)| {
            let beside = beside.filter(|beside| inside.get(*beside) == Some(&true))?;
            inside[at].then(|| (self.values[at] - self.values[beside]).powi(2))
        });
        mean(both)
    }
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f32
}

/// Returns the median; NaN where there is no value.
fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f32::NAN)
}

/// The figures of many pairs.
pub struct Summary<'a>(pub &'a [PairReport]);

impl Summary<'_> {
    /// Lists splits and kinds of source, `(split, source)`, that the pairs have.
    pub fn groups(&self) -> BTreeSet<(String, String)> {
        self.0.iter().map(|pair| (pair.split.clone(), pair.source_kind().into())).collect()
    }

    fn median(&self, chosen: impl Fn(&PairReport) -> bool, value: impl Fn(&PairReport) -> Option<f32>) -> f32 {
        median(self.0.iter().filter(|pair| chosen(pair)).filter_map(value).collect())
    }

    /// Returns a line for each split and source, one for all kinds of light, and one with the seeds of pairs beyond the limits.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for (split, source) in self.groups() {
            let chosen = |pair: &PairReport| pair.split == split && pair.source_kind() == source;
            let count = self.0.iter().filter(|pair| chosen(pair)).count();
            lines.push(format!(
                "{split} {source}: {count} pairs; medians: sharpness first/reference {:.2} (wanted {:.1} to {:.1}), \
                 luminance {:.2}, hair {:.2} (wanted {} to {}), IoU {:.4}",
                self.median(chosen, |pair| Some(pair.sharpness_ratio)),
                WANTED_SHARPNESS[0],
                WANTED_SHARPNESS[1],
                self.median(chosen, |pair| Some(pair.luma_ratio())),
                self.median(chosen, |pair| pair.hair_ratio),
                WANTED_HAIR[0],
                WANTED_HAIR[1],
                self.median(chosen, |pair| Some(pair.silhouette_iou)),
            ));
        }
        let by_light = self.luma_by_light();
        let kinds = by_light.iter().map(|(kind, ratio)| format!("{kind} {ratio:.2}")).collect::<Vec<_>>().join(", ");
        lines.push(format!("luminance by light (wanted {} to {}): {kinds}", WANTED_LUMA[0], WANTED_LUMA[1]));
        let beyond: Vec<u64> = self.0.iter().filter(|pair| pair.is_beyond_limits()).map(|pair| pair.seed).collect();
        lines.push(format!("{} pairs beyond the limits: {beyond:?}", beyond.len()));
        lines.join("\n")
    }

    fn luma_by_light(&self) -> BTreeMap<String, f32> {
        let kinds: BTreeSet<&String> = self.0.iter().map(|pair| &pair.light_kind).collect();
        let ratio = |kind: &String| self.median(|pair| pair.light_kind == *kind, |pair| Some(pair.luma_ratio()));
        kinds.into_iter().map(|kind| (kind.clone(), ratio(kind))).collect()
    }

    /// Returns the figures as JSON, by source, and `luma_ratio` by kind of light.
    pub fn json(&self) -> Value {
        let sources: BTreeSet<&str> = self.0.iter().map(PairReport::source_kind).collect();
        let of = |value: &dyn Fn(&PairReport) -> Option<f32>| {
            let each = sources.iter().map(|source| {
                let found = self.median(|pair| pair.source_kind() == *source, value);
                ((*source).to_owned(), rounded(found))
            });
            Value::Object(each.collect())
        };
        let count = |source: &&str| self.0.iter().filter(|pair| pair.source_kind() == *source).count();
        let scenes: serde_json::Map<String, Value> =
            sources.iter().map(|source| ((*source).to_owned(), count(source).into())).collect();
        let by_light: serde_json::Map<String, Value> =
            self.luma_by_light().into_iter().map(|(kind, ratio)| (kind, rounded(ratio))).collect();
        json!({
            "scenes": scenes,
            "sharpness_first_over_reference": of(&|pair| Some(pair.sharpness_ratio)),
            "luma_ratio": by_light,
            "hair_luma_ratio": rounded(self.median(|_| true, |pair| pair.hair_ratio)),
            "silhouette_iou": rounded(self.median(|_| true, |pair| Some(pair.silhouette_iou))),
        })
    }
}

impl PairReport {
    /// Returns `own` for head_studio's heads, and `game` for every other source.
    pub fn source_kind(&self) -> &str {
        if self.source == "own" { "own" } else { "game" }
    }
}

/// Rounds to four digits, as a report shows it.
fn rounded(value: f32) -> Value {
    json!((f64::from(value) * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_energy_counts_neighbours_inside_alone() {
        let luma = Luma { width: 3, values: vec![0.0, 1.0, 5.0, 0.0, 0.0, 5.0] };
        let inside = [true, true, false, true, true, false];
        // Right: 1 and 0. Down: 0 and 1.
        assert_eq!(luma.gradient_energy(&inside), 0.5);
        assert_eq!(luma.mean(&inside), 0.25);
    }

    #[test]
    fn pairs_are_summed_up_by_split_source_and_light() {
        let pair = |source: &str, light_kind: &str, first_luminance, sharpness_ratio| PairReport {
            seed: 3,
            split: "training".into(),
            source: source.into(),
            light_kind: light_kind.into(),
            silhouette_iou: 0.99,
            first_luminance,
            reference_luminance: 0.5,
            sharpness_ratio,
            hair_ratio: None,
        };
        let pairs = [pair("own", "sun", 0.5, 1.0), pair("own", "sun", 0.6, 1.2), pair("a head.glb", "hard", 1.5, 9.0)];
        let summary = Summary(&pairs);
        let figures = summary.json();
        assert_eq!(figures["scenes"], json!({"own": 2, "game": 1}));
        assert_eq!(figures["luma_ratio"]["hard"], json!(3.0));
        assert_eq!(figures["sharpness_first_over_reference"]["game"], json!(9.0));
        assert!(summary.text().contains("training own: 2 pairs"), "{}", summary.text());
        assert!(summary.text().contains("1 pairs beyond the limits: [3]"), "{}", summary.text());
    }
}
