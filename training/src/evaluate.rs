//! Measures weights on pairs that they were not trained on, beside two peers: doing nothing and a colour grade.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use portrait_network::Model;
use serde::Serialize;
use thiserror::Error;

use crate::batch::{WeightTable, whole};
use crate::config::{Config, Importance};
use crate::conv::values;
use crate::dataset::{self, DatasetError, Pair};
use crate::lut::Lut;
use crate::metrics::{Comparison, compare, mean, sharpness};
use crate::model::Generator;
use crate::picture::{quantize, write_grid};
use crate::report::Validation;
use crate::seeds::Seeds;

/// Rows of the picture.
const PICTURE_ROWS: usize = 8;

/// Figures of one image or method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Methods {
    /// The *first rendered image*: doing nothing.
    pub first: Comparison,
    /// The first rendered image, graded with a look-up table fitted to the training pairs.
    pub lut: Comparison,
    /// The *second rendered image*, rounded to 8 bits.
    pub second: Comparison,
}

/// Figures of one pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairReport {
    /// Its seed.
    pub seed: u64,
    /// Whose face it is.
    pub identity: String,
    /// Its figures.
    #[serde(flatten)]
    pub methods: Methods,
}

/// What `report.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The weights file.
    pub weights: PathBuf,
    /// Seeds measured.
    pub seeds: Seeds,
    /// Seeds that the look-up table was fitted to.
    pub lut_seeds: Seeds,
    /// Pairs measured.
    pub pairs: usize,
    /// Different faces among them.
    pub identities: usize,
    /// Means over pairs.
    pub mean: Methods,
    /// Each pair.
    pub each: Vec<PairReport>,
}

/// Why an evaluation cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The weights cannot be read.
    #[error(transparent)]
    Weights(#[from] portrait_network::WeightsError),
    /// The pairs cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The folder for the results is not empty.
    #[error("{path} exists and is not empty: name another folder or add --overwrite")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A result cannot be written.
    #[error("{path}: {what}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
}

/// What to evaluate.
#[derive(Clone, Debug)]
pub struct EvaluateOptions<'a> {
    /// The weights file.
    pub weights: &'a Path,
    /// The dataset.
    pub data: &'a Path,
    /// Folder for `report.json` and `pairs.png`.
    pub out: &'a Path,
    /// Seeds and importance.
    pub config: &'a Config,
    /// Seeds to measure instead of the config's validation seeds.
    pub seeds: Option<Seeds>,
    /// Write into a folder that has files.
    pub overwrite: bool,
}

/// Measures weights and writes `report.json` and `pairs.png` (first, look-up table, second, reference).
///
/// # Errors
/// When weights or pairs cannot be read, or results cannot be written.
pub fn evaluate<B: Backend>(options: &EvaluateOptions, device: &B::Device) -> Result<Report, EvaluateError> {
    let EvaluateOptions { weights, data, out, config, .. } = *options;
    if !options.overwrite && !is_empty(out) {
        return Err(EvaluateError::Exists { path: out.into() });
    }
    let model = Model::load(weights)?;
    let generator = Generator::<B>::from_model(&model, device);
    let seeds = options.seeds.clone().unwrap_or_else(|| config.data.validation_seeds.clone());
    let lut_seeds = config.data.train_seeds.clone();
    let train = dataset::load(data, &lut_seeds, &[])?;
    let measured = dataset::load(data, &seeds, &model.graph().spec().inputs)?;
    dataset::check_identities(&train, &measured)?;

    let table = WeightTable::new(&config.loss.importance, &train);
    let lut = Lut::fit(&train, &table);
    let mut each = Vec::new();
    let mut pictures = Vec::new();
    for pair in &measured {
        let graded = lut.apply(&pair.first);
        let second = second_image(&generator, pair, device);
        let against = |image: &[u8]| compare(image, &pair.reference, &pair.mask, pair.size_px);
        let methods = Methods { first: against(&pair.first), lut: against(&graded), second: against(&second) };
        each.push(PairReport { seed: pair.seed, identity: pair.identity.clone(), methods });
        if pictures.len() < PICTURE_ROWS {
            pictures.push((pair, graded, second));
        }
    }
    let average =
        |pick: fn(&Methods) -> Comparison| mean(&each.iter().map(|report| pick(&report.methods)).collect::<Vec<_>>());
    let report = Report {
        weights: weights.into(),
        seeds,
        lut_seeds,
        pairs: measured.len(),
        identities: dataset::identity_count(&measured),
        mean: Methods { first: average(|m| m.first), lut: average(|m| m.lut), second: average(|m| m.second) },
        each,
    };

    let write = |path: &Path, what: String| EvaluateError::Write { path: path.into(), what };
    std::fs::create_dir_all(out).map_err(|error| write(out, error.to_string()))?;
    let path = out.join("report.json");
    let text = serde_json::to_string_pretty(&report).map_err(|error| write(&path, error.to_string()))?;
    std::fs::write(&path, text).map_err(|error| write(&path, error.to_string()))?;
    let path = out.join("pairs.png");
    let rows: Vec<Vec<&[u8]>> =
        pictures.iter().map(|(pair, graded, second)| vec![&pair.first[..], graded, second, &pair.reference]).collect();
    write_grid(&path, &rows).map_err(|error| write(&path, error.to_string()))?;
    Ok(report)
}

/// The *second rendered image* of a pair, 8-bit sRGB `[S, S, 3]`.
pub fn second_image<B: Backend>(generator: &Generator<B>, pair: &Pair, device: &B::Device) -> Vec<u8> {
    let planes = &generator.graph().spec().inputs;
    let table = WeightTable::new(&Importance::default(), &[]);
    quantize(&values(generator.forward(whole(pair, planes, &table).tensors::<B>(device).planes)))
}

/// Cheap figures for validation while training.
pub fn validate<B: Backend>(
    generator: &Generator<B>,
    pairs: &[Pair],
    weights: &WeightTable,
    step: u64,
    device: &B::Device,
) -> Validation {
    let mut sum = Validation { step, ..Validation::default() };
    for pair in pairs {
        let second = second_image(generator, pair, device);
        let inside = |at: usize| pair.mask[at] >= dataset::FACE_MASK;
        let face = (0..pair.mask.len()).filter(|&at| inside(at)).count().max(1) as f64;
        let (mut weighted, mut face_sum, mut first_sum) = (0.0, 0.0, 0.0);
        for (at, &mask) in pair.mask.iter().enumerate() {
            let difference = |image: &[u8]| {
                let pixels = image[at * 3..at * 3 + 3].iter().zip(&pair.reference[at * 3..at * 3 + 3]);
                pixels.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / (3.0 * 255.0)
            };
            let second = difference(&second);
            weighted += second * f64::from(weights.weight(mask));
            if inside(at) {
                face_sum += second;
                first_sum += difference(&pair.first);
            }
        }
        let share = 1.0 / pairs.len() as f64;
        let relative =
            sharpness(&second, pair.size_px, &inside) / sharpness(&pair.reference, pair.size_px, &inside).max(1e-9);
        sum.weighted_l1 += weighted / pair.mask.len() as f64 * share;
        sum.face_l1 += face_sum / face * share;
        sum.first_face_l1 += first_sum / face * share;
        sum.face_sharpness += relative * share;
    }
    sum
}

/// Whether a folder is missing or has no entries.
pub fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(!folder.exists(), |mut entries| entries.next().is_none())
}

impl Report {
    /// The means, for a terminal.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{} pairs, {} identities, seeds {}\n{:<8} {:<6} {:>8} {:>9} {:>7} {:>7} {:>10}\n",
            self.pairs, self.identities, self.seeds, "image", "where", "L1", "PSNR dB", "SSIM", "FLIP", "sharpness"
        );
        for (name, comparison) in [("first", self.mean.first), ("lut", self.mean.lut), ("second", self.mean.second)] {
            for (place, scores) in [("whole", comparison.whole), ("face", comparison.face)] {
                let _ = writeln!(
                    table,
                    "{name:<8} {place:<6} {:>8.4} {:>9.2} {:>7.4} {:>7.4} {:>10.3}",
                    scores.l1, scores.psnr_db, scores.ssim, scores.flip, scores.sharpness
                );
            }
        }
        table
    }
}
