//! Measures weights on pairs that they were not trained on, beside two peers: doing nothing and a colour grade.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use portrait_files::bounded;
use portrait_network::files::write_whole;
use portrait_network::{Model, Plane};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::batch::WeightTable;
use crate::config::Config;
use crate::dataset::{self, DatasetError, Pair};
use crate::export::commit;
use crate::lut::Lut;
use crate::metrics::compare;
use crate::model::Generator;
use crate::picture::{side_by_side, write_grid, write_png};
use crate::seeds::Seeds;
use crate::validate::second_image;

pub mod color;
pub mod figures;
mod html;
pub mod likeness;
pub mod temporal;

use figures::{Figures, Summary, Tone, skin_delta_e, summarize};
use likeness::{Likeness, LikenessError, PairLikeness};
use temporal::{Frame, Temporal, warping_error};

/// Rows of `pairs.png`.
const PICTURE_ROWS: usize = 8;
/// Pairs to look at side by side, evenly spread over the measured ones.
const BLIND_PAIRS: usize = 12;
const BLIND_ZOOM: u32 = 3;

/// Figures of one pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairReport {
    /// Its seed.
    pub seed: u64,
    /// Whose face it is.
    pub identity: String,
    /// Its skin, if `scene.json` says.
    pub tone: Option<Tone>,
    /// The *first rendered image*: doing nothing.
    pub first: Figures,
    /// The first rendered image, graded with a look-up table fitted to the training pairs.
    pub lut: Figures,
    /// The *second rendered image* of each model, rounded to 8 bits.
    pub models: BTreeMap<String, Figures>,
    /// Distances between faces, if they were asked for and a face was found.
    pub likeness: Option<PairLikeness>,
}

/// A model and its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelReport {
    /// The weights file's name.
    pub file: String,
    /// Of the file, hexadecimal.
    pub sha256: String,
    /// Multiplications and additions for each pixel, in thousands.
    pub kilo_macs_per_px: f64,
    /// Figures.
    #[serde(flatten)]
    pub summary: Summary,
    /// On the clips, if there are any.
    pub temporal: Option<Temporal>,
    /// Distances between faces, if they were asked for.
    pub likeness: Option<Likeness>,
}

/// What was measured; [`Report::json`] is `report.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The first weights file's name without its ending.
    pub default_model: String,
    /// Every model by name.
    pub models: BTreeMap<String, ModelReport>,
    /// Doing nothing.
    pub first: Summary,
    /// The look-up table.
    pub lut: Summary,
    /// Seeds measured.
    pub seeds: Seeds,
    /// Seeds that the look-up table was fitted to.
    pub lut_seeds: Seeds,
    /// Different faces among the pairs.
    pub identities: usize,
    /// Revision of this program.
    pub commit: String,
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
    /// Nothing to measure, or two files of one name.
    #[error("--weights: expected one or more files of different names, found {found}")]
    Names {
        /// The names.
        found: String,
    },
    /// The pairs cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The folder for the results is not empty.
    #[error("{path} exists and is not empty: name another folder or add --overwrite")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Distances between faces cannot be measured.
    #[error(transparent)]
    Likeness(#[from] LikenessError),
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
    /// The weights files, the default model first.
    pub weights: &'a [PathBuf],
    /// The dataset.
    pub data: &'a Path,
    /// Folder for the results.
    pub out: &'a Path,
    /// Seeds and importance.
    pub config: &'a Config,
    /// Seeds to measure instead of the config's validation seeds.
    pub seeds: Option<Seeds>,
    /// Seeds of clips, in `data` like the others: consecutive seeds are consecutive frames.
    pub clips: Option<Seeds>,
    /// Python interpreter with `training/likeness/requirements.txt`, to measure distances between faces.
    pub likeness: Option<&'a Path>,
    /// Write into a folder that has files.
    pub overwrite: bool,
}

/// One pair with everything made of its first image.
struct Measured<'a> {
    pair: &'a Pair,
    graded: Vec<u8>,
    /// By model, in the order of the weights files.
    seconds: Vec<Vec<u8>>,
}

/// Measures weights and writes `report.json`, `report.html`, `pairs.png` (first, look-up table, second, reference) and
/// `blind_<seed>.png` (first and second at 300 %).
///
/// # Errors
/// When weights or pairs cannot be read, or results cannot be written.
pub fn evaluate<B: Backend>(options: &EvaluateOptions, device: &B::Device) -> Result<Report, EvaluateError> {
    let EvaluateOptions { weights, data, out, config, .. } = *options;
    if !options.overwrite && !is_empty(out) {
        return Err(EvaluateError::Exists { path: out.into() });
    }
    let names: Vec<String> =
        weights.iter().map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect();
    if names.is_empty() || (1..names.len()).any(|at| names[..at].contains(&names[at])) {
        return Err(EvaluateError::Names { found: format!("{names:?}") });
    }
    if let Some(python) = options.likeness {
        likeness::measure(python, &names, &[])?; // A tool that does not run shall say so now, not in the end.
    }
    let models: Vec<Model> = weights.iter().map(|path| Model::load(path)).collect::<Result<_, _>>()?;
    let seeds = options.seeds.clone().unwrap_or_else(|| config.data.validation_seeds.clone());
    let lut_seeds = config.data.train_seeds.clone();
    let train = dataset::load(data, &lut_seeds, &[])?;
    let planes: Vec<_> = models.iter().flat_map(|model| model.graph().spec().inputs.clone()).collect();
    let pairs = dataset::load(data, &seeds, &planes)?;
    dataset::check_identities(&train, &pairs)?;

    let table = WeightTable::new(&config.loss.importance, &train);
    let lut = Lut::fit(&train, &table);
    let generators: Vec<Generator<B>> = models.iter().map(|model| Generator::from_model(model, device)).collect();
    let measured: Vec<Measured> = pairs
        .iter()
        .map(|pair| Measured {
            pair,
            graded: lut.apply(&pair.first),
            seconds: generators.iter().map(|generator| second_image(generator, pair, device)).collect(),
        })
        .collect();
    let mut each: Vec<PairReport> = measured.par_iter().map(|measured| report_pair(measured, &names, data)).collect();
    if let Some(python) = options.likeness {
        for (pair, likeness) in each.iter_mut().zip(likeness::measure(python, &names, &measured)?) {
            pair.likeness = likeness;
        }
    }
    let temporal: Vec<Option<Temporal>> = match &options.clips {
        Some(clips) => {
            let frames = dataset::load(data, clips, &[planes, vec![Plane::Depth]].concat())?;
            dataset::check_identities(&train, &frames)?;
            generators.iter().map(|generator| stillness(generator, &frames, data, device)).collect()
        }
        None => vec![None; names.len()],
    };
    let report = sum_up(options, &names, &models, (seeds, lut_seeds), each, &temporal)?;

    let write = |path: &Path, what: String| EvaluateError::Write { path: path.into(), what };
    std::fs::create_dir_all(out).map_err(|error| write(out, error.to_string()))?;
    let path = out.join("report.json");
    let text = serde_json::to_string_pretty(&report.json()).map_err(|error| write(&path, error.to_string()))?;
    write_whole(&path, (text + "\n").as_bytes()).map_err(|error| write(&path, error.to_string()))?;
    let path = out.join("report.html");
    write_whole(&path, html::page(&report, &measured).as_bytes()).map_err(|error| write(&path, error.to_string()))?;
    let path = out.join("pairs.png");
    let rows: Vec<Vec<&[u8]>> = spread(&measured, PICTURE_ROWS)
        .map(|m| vec![&m.pair.first[..], &m.graded, &m.seconds[0], &m.pair.reference])
        .collect();
    write_grid(&path, &rows).map_err(|error| write(&path, error.to_string()))?;
    for m in spread(&measured, BLIND_PAIRS) {
        let path = out.join(format!("blind_{:08}.png", m.pair.seed));
        let picture = side_by_side(&[&m.pair.first, &m.seconds[0]], BLIND_ZOOM);
        write_png(&path, &picture).map_err(|error| write(&path, error.to_string()))?;
    }
    Ok(report)
}

/// `count` of them, or all, evenly spread.
fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    (0..count).map(move |index| &all[index * all.len() / count])
}

fn report_pair(measured: &Measured, names: &[String], data: &Path) -> PairReport {
    let pair = measured.pair;
    let against = |image: &[u8]| Figures {
        comparison: compare(image, &pair.reference, &pair.mask, pair.size_px),
        skin_delta_e: skin_delta_e(image, pair),
    };
    let models = names.iter().cloned().zip(measured.seconds.iter().map(|second| against(second))).collect();
    PairReport {
        seed: pair.seed,
        identity: pair.identity.clone(),
        tone: melanin(&dataset::pair_folder(data, pair.seed).join("scene.json")).map(Tone::of),
        first: against(&pair.first),
        lut: against(&measured.graded),
        models,
        likeness: None,
    }
}

/// How still the second images of all clips among `frames` hold.
fn stillness<B: Backend>(
    generator: &Generator<B>,
    frames: &[Pair],
    data: &Path,
    device: &B::Device,
) -> Option<Temporal> {
    let seconds: Vec<Vec<u8>> = frames.iter().map(|pair| second_image(generator, pair, device)).collect();
    let error = |at: usize| {
        let (before, now) = (&frames[at - 1], &frames[at]);
        let frame = Frame::read(&dataset::pair_folder(data, now.seed).join("scene.json"))?;
        if now.seed != before.seed + 1 || now.identity != before.identity {
            return None;
        }
        let first = warping_error(&frame, now, &now.first, before, &before.first)?;
        Some((first, warping_error(&frame, now, &seconds[at], before, &seconds[at - 1])?))
    };
    Temporal::new(&(1..frames.len()).filter_map(error).collect::<Vec<_>>())
}

/// What head_studio says of the skin; other data sets say nothing.
fn melanin(scene: &Path) -> Option<f64> {
    let scene: Value = serde_json::from_str(&bounded::read_text(scene).ok()?).ok()?;
    scene["identity_parameters"]["melanin"].as_f64()
}

fn sum_up(
    options: &EvaluateOptions,
    names: &[String],
    models: &[Model],
    (seeds, lut_seeds): (Seeds, Seeds),
    each: Vec<PairReport>,
    temporal: &[Option<Temporal>],
) -> Result<Report, EvaluateError> {
    let tones: Vec<Option<Tone>> = each.iter().map(|pair| pair.tone).collect();
    let pick = |of: &dyn Fn(&PairReport) -> Figures| each.iter().map(of).collect::<Vec<_>>();
    let first = pick(&|pair| pair.first);
    let likeness: Vec<_> = each.iter().map(|pair| pair.likeness.clone()).collect();
    let mut reports = BTreeMap::new();
    for (((name, path), model), temporal) in names.iter().zip(options.weights).zip(models).zip(temporal) {
        let content = std::fs::read(path)
            .map_err(|error| EvaluateError::Write { path: path.clone(), what: error.to_string() })?;
        let report = ModelReport {
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect(),
            kilo_macs_per_px: model.graph().macs_per_px() / 1000.0,
            summary: summarize(&first, &pick(&|pair| pair.models[name]), &tones),
            temporal: *temporal,
            likeness: options.likeness.map(|_| Likeness::of(&likeness, name)),
        };
        reports.insert(name.clone(), report);
    }
    Ok(Report {
        default_model: names[0].clone(),
        models: reports,
        first: summarize(&first, &first, &tones),
        lut: summarize(&first, &pick(&|pair| pair.lut), &tones),
        seeds,
        lut_seeds,
        identities: each.iter().map(|pair| &pair.identity).collect::<std::collections::BTreeSet<_>>().len(),
        commit: commit(),
        each,
    })
}

/// Whether a folder is missing or has no entries.
pub fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(!folder.exists(), |mut entries| entries.next().is_none())
}

impl Report {
    /// The default model's figures.
    pub fn default_summary(&self) -> &Summary {
        &self.models[&self.default_model].summary
    }

    /// What `report.json` holds: the default model's main figures, then everything.
    pub fn json(&self) -> Value {
        let main = self.default_summary();
        json!({
            "default_model": self.default_model,
            "gap_closed": main.gap_closed,
            "lut_gap_closed": self.lut.gap_closed,
            "worse_fraction": main.worse_fraction,
            "sharpness_ratio": main.sharpness_ratio,
            "tone_groups": main.tone_groups,
            "temporal": self.models[&self.default_model].temporal,
            "likeness": self.models[&self.default_model].likeness,
            "pairs": self.each.len(),
            "identities": self.identities,
            "seeds": self.seeds,
            "lut_seeds": self.lut_seeds,
            "commit": self.commit,
            "first": self.first,
            "lut": self.lut,
            "models": self.models,
            "each": self.each,
        })
    }

    /// The means, for a terminal.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{} pairs, {} identities, seeds {}\n{:<12} {:<6} {:>7} {:>8} {:>7} {:>7} {:>9}\n",
            self.each.len(),
            self.identities,
            self.seeds,
            "image",
            "where",
            "L1",
            "PSNR dB",
            "SSIM",
            "FLIP",
            "sharpness"
        );
        let models = self.models.iter().map(|(name, model)| (name.as_str(), &model.summary));
        for (name, summary) in [("first", &self.first), ("lut", &self.lut)].into_iter().chain(models) {
            for (place, scores) in [("whole", summary.mean.whole), ("face", summary.mean.face)] {
                let _ = writeln!(
                    table,
                    "{name:<12} {place:<6} {:>7.4} {:>8.2} {:>7.4} {:>7.4} {:>9.3}",
                    scores.l1, scores.psnr_db, scores.ssim, scores.flip, scores.sharpness
                );
            }
            let gap = summary.gap_closed;
            let _ = writeln!(
                table,
                "{:12} gap closed in the face: L1 {:.1} %, FLIP {:.1} %; worse than the first image: {:.1} %",
                "",
                gap.l1 * 100.0,
                gap.flip * 100.0,
                summary.worse_fraction * 100.0
            );
            if let Some(likeness) = self.models.get(name).and_then(|model| model.likeness) {
                let _ = writeln!(table, "{:12} {likeness}", "");
            }
        }
        table
    }
}
