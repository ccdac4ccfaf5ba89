//! The evaluation itself: reads weights and pairs, makes all images, measures them and writes the results.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use portrait_files::folder::{is_empty, seed_folder};
use portrait_files::manifest::Fingerprint;
use portrait_files::name::folded;
use portrait_files::seeds::Seeds;
use portrait_files::{atomic, bounded, weights};
use portrait_network::{Model, Plane, Recommended};
use rayon::prelude::*;
use serde_json::Value;

use super::html;
use super::likeness::{self, Likeness};
use super::lut::Lut;
use super::measured::{BLIND_PAIRS, Measured, spread};
use super::options::{EvaluateError, EvaluateOptions};
use super::photographs::{self, Photographs};
use super::report::{ModelReport, PairReport, Report};
use super::summary::{Figures, Tone, skin_delta_e, summarize};
use crate::commit::commit;
use crate::data::{Pair, WeightTable, doubts, read};
use crate::measure::warping::{Frame, Temporal, warping_error};
use crate::measure::{compare, second_image};
use crate::networks::Generator;
use crate::picture::{side_by_side, write_grid, write_png};

/// Number of rows of `pairs.png`.
const PICTURE_ROWS: usize = 8;
/// Width of a pixel in `blind_<seed>.png`, in pixels.
const BLIND_ZOOM: u32 = 3;

/// A model with what the report says of its file.
struct Candidate {
    /// Name of the file without its ending.
    name: String,
    file: String,
    sha256: String,
    model: Model,
}

/// Measures weights and writes `report.json`, `report.html`, `pairs.png` (first, look-up table, second, reference) and
/// `blind_<seed>.png` (first and second at 300 %).
///
/// # Errors
/// Fails when weights or pairs cannot be read, or results cannot be written.
pub fn evaluate<B: Backend>(options: &EvaluateOptions, device: &B::Device) -> Result<Report, EvaluateError> {
    let EvaluateOptions { data, config, .. } = *options;
    if !options.overwrite && !is_empty(options.out) {
        return Err(EvaluateError::Exists { path: options.out.into() });
    }
    let names = names(options)?;
    // A tool that does not run shall say so now, not in the end.
    if let Some(python) = options.likeness {
        likeness::measure(python, &names, &[])?;
    }
    if let Some(photographs) = &options.photographs {
        photographs::measure(photographs, &names, &[])?;
    }
    let candidates: Vec<Candidate> =
        names.iter().zip(options.weights).map(|(name, path)| Candidate::load(name, path)).collect::<Result<_, _>>()?;
    let seeds = options.seeds.clone().unwrap_or_else(|| config.data.validation_seeds.clone());
    let lut_seeds = config.data.train_seeds.clone();
    let train = read::load(data, &lut_seeds, &[])?;
    let planes: Vec<Plane> = candidates.iter().flat_map(|found| found.model.graph().spec().inputs.clone()).collect();
    let pairs = read::load(data, &seeds, &planes)?;
    read::check_identities(&train, &pairs)?;
    let warnings = doubts::doubts(data, &train.iter().chain(&pairs).collect::<Vec<&Pair>>());

    // Every image that is measured or shown, made once.
    let table = WeightTable::new(&config.loss.importance, &train);
    let lut = Lut::fit(&train, &table);
    let generators: Vec<Generator<B>> =
        candidates.iter().map(|found| Generator::from_model(&found.model, device)).collect();
    let measured: Vec<Measured> = pairs
        .iter()
        .map(|pair| Measured {
            pair,
            graded: lut.apply(&pair.first),
            seconds: generators
                .iter()
                .zip(&candidates)
                .map(|(generator, found)| second_image(generator, found.model.recommended, pair, device))
                .collect(),
        })
        .collect();

    let mut each: Vec<PairReport> = measured.par_iter().map(|measured| report_pair(measured, &names, data)).collect();
    if let Some(python) = options.likeness {
        for (pair, likeness) in each.iter_mut().zip(likeness::measure(python, &names, &measured)?) {
            pair.likeness = likeness;
        }
    }
    let photographs = match &options.photographs {
        Some(photographs) => photographs::measure(photographs, &names, &measured.iter().collect::<Vec<_>>())?,
        None => BTreeMap::new(),
    };
    let temporal: Vec<Option<Temporal>> = match &options.clips {
        Some(clips) => {
            let frames = read::load(data, clips, &[planes, vec![Plane::Depth]].concat())?;
            read::check_identities(&train, &frames)?;
            let each = generators.iter().zip(&candidates);
            each.map(|(generator, found)| temporal(generator, found.model.recommended, &frames, data, device)).collect()
        }
        None => vec![None; names.len()],
    };
    let report =
        Report { warnings, ..sum_up(options, candidates, (seeds, lut_seeds), each, &temporal, &photographs) };
    write(options.out, &report, &measured)?;
    Ok(report)
}

/// Returns the names of the models: those of their files without the ending, all different.
fn names(options: &EvaluateOptions) -> Result<Vec<String>, EvaluateError> {
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = options.weights.iter().map(stem).collect();
    if names.is_empty() || (1..names.len()).any(|at| names[..at].contains(&names[at])) {
        return Err(EvaluateError::Names { found: format!("{names:?}") });
    }
    Ok(names)
}

impl Candidate {
    fn load(name: &str, path: &Path) -> Result<Self, EvaluateError> {
        let (content, model) = weights::load_with_content(path)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name: name.into(), file, sha256: Fingerprint::of(&content).sha256, model })
    }
}

/// Measures everything that was made of one pair.
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
        tone: melanin(&seed_folder(data, pair.seed).join("scene.json")).map(Tone::of),
        first: against(&pair.first),
        lut: against(&measured.graded),
        models,
        likeness: None,
    }
}

/// Measures how still the second images of all clips among `frames` hold.
fn temporal<B: Backend>(
    generator: &Generator<B>,
    factors: Recommended,
    frames: &[Pair],
    data: &Path,
    device: &B::Device,
) -> Option<Temporal> {
    let seconds: Vec<Vec<u8>> = frames.iter().map(|pair| second_image(generator, factors, pair, device)).collect();
    let error = |at: usize| {
        let (before, now) = (&frames[at - 1], &frames[at]);
        let frame = Frame::read(&seed_folder(data, now.seed).join("scene.json"))?;
        // The first frame of a clip follows the last one of another clip.
        if now.seed != before.seed + 1 || now.identity != before.identity {
            return None;
        }
        let first = warping_error(&frame, now, &now.first, before, &before.first)?;
        Some((first, warping_error(&frame, now, &seconds[at], before, &seconds[at - 1])?))
    };
    Temporal::new(&(1..frames.len()).filter_map(error).collect::<Vec<_>>())
}

/// Reads the melanin that head_studio made the skin with; other data sets name none.
fn melanin(scene: &Path) -> Option<f64> {
    let scene: Value = serde_json::from_str(&bounded::read_text(scene).ok()?).ok()?;
    scene["identity_parameters"]["melanin"].as_f64()
}

/// Sums the figures of all pairs up to a report. `temporal` has an entry for each candidate, and so has `photographs`, if they
/// were asked for.
fn sum_up(
    options: &EvaluateOptions,
    candidates: Vec<Candidate>,
    (seeds, lut_seeds): (Seeds, Seeds),
    each: Vec<PairReport>,
    temporal: &[Option<Temporal>],
    photographs: &BTreeMap<String, Photographs>,
) -> Report {
    let tones: Vec<Option<Tone>> = each.iter().map(|pair| pair.tone).collect();
    let pick = |of: &dyn Fn(&PairReport) -> Figures| each.iter().map(of).collect::<Vec<_>>();
    let first = pick(&|pair| pair.first);
    let likeness: Vec<_> = each.iter().map(|pair| pair.likeness.clone()).collect();
    let default_model = candidates.first().map(|candidate| candidate.name.clone()).unwrap_or_default();
    let models = candidates.into_iter().zip(temporal).map(|(candidate, temporal)| {
        let Candidate { name, file, sha256, model } = candidate;
        let report = ModelReport {
            file,
            sha256,
            kilo_macs_per_px: model.graph().macs_per_px() / 1000.0,
            summary: summarize(&first, &pick(&|pair| pair.models[&name]), &tones),
            temporal: *temporal,
            likeness: options.likeness.map(|_| Likeness::of(&likeness, &name)),
            photographs: photographs.get(&name).copied(),
        };
        (name, report)
    });
    let models: BTreeMap<String, ModelReport> = models.collect();
    Report {
        default_model,
        models,
        first: summarize(&first, &first, &tones),
        lut: summarize(&first, &pick(&|pair| pair.lut), &tones),
        seeds,
        lut_seeds,
        identities: each.iter().map(|pair| folded(&pair.identity)).collect::<BTreeSet<_>>().len(),
        commit: commit(),
        warnings: Vec::new(),
        each,
    }
}

/// Writes all results into a folder.
fn write(out: &Path, report: &Report, measured: &[Measured]) -> Result<(), EvaluateError> {
    let failed = |path: &Path, what: String| EvaluateError::Write { path: path.into(), what };
    let write = |name: &str, text: String| {
        let path = out.join(name);
        atomic::write(&path, text.as_bytes()).map_err(|error| failed(&path, error.to_string()))
    };
    std::fs::create_dir_all(out).map_err(|error| failed(out, error.to_string()))?;
    let json = serde_json::to_string_pretty(&report.json());
    write("report.json", json.map_err(|error| failed(&out.join("report.json"), error.to_string()))? + "\n")?;
    write("report.html", html::page(report, measured))?;
    let path = out.join("pairs.png");
    let rows: Vec<Vec<&[u8]>> = spread(measured, PICTURE_ROWS)
        .map(|m| vec![&m.pair.first[..], &m.graded, &m.seconds[0], &m.pair.reference])
        .collect();
    write_grid(&path, &rows).map_err(|error| failed(&path, error.to_string()))?;
    for m in spread(measured, BLIND_PAIRS) {
        let path = out.join(format!("blind_{:08}.png", m.pair.seed));
        let picture = side_by_side(&[&m.pair.first, &m.seconds[0]], BLIND_ZOOM);
        write_png(&path, &picture).map_err(|error| failed(&path, error.to_string()))?;
    }
    Ok(())
}
