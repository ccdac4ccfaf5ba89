//! The evaluation itself: reads weights and pairs, makes all images, measures them and writes the results.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use portrait_files::folder::{is_empty, seed_folder};
use portrait_files::manifest::Fingerprint;
use portrait_files::name::{find, folded};
use portrait_files::pair_image::{self, Content};
use portrait_files::pixels::Size;
use portrait_files::{atomic, bounded, weights};
use portrait_network::{Model, Plane, Recommended};
use rayon::prelude::*;

use super::facts::Source;
use super::html;
use super::likeness::{self, Likeness};
use super::lut::Lut;
use super::measured::{DataFolder, Measured, load, spread};
use super::options::{EvaluateError, EvaluateOptions};
use super::photographs::{self, Photographs};
use super::reason::Reason;
use super::report::{Column, MAIN_PX, ModelColumn, ModelReport, PairReport, Report};
use super::sharpen::Sharpen;
use super::summary::{Figures, is_worse, skin_delta_e, summarize};
use crate::commit::commit;
use crate::data::{Pair, WeightTable, doubts, read};
use crate::measure::eyes::eyes;
use crate::measure::frame::Frame;
use crate::measure::warping::{Temporal, warping_error};
use crate::measure::{compare, second_image, sharpness_ratio};
use crate::networks::Generator;
use crate::picture::{side_by_side, write_grid, write_png};

/// Number of rows of `pairs.png`.
const PICTURE_ROWS: usize = 8;
/// Number of rows of `before_after.png`.
const BEFORE_AFTER_ROWS: usize = 4;
/// Number of pairs of each source to look at side by side.
const LOOK_PAIRS: usize = 12;
/// Width of a pixel in `blind_<source>_<number>_<seed>.png`, in pixels.
const LOOK_ZOOM: u32 = 3;

/// A model with what the report says of its file.
pub struct Candidate {
    /// Name of the file without its ending.
    pub name: String,
    pub file: String,
    pub sha256: String,
    pub model: Model,
}

/// Measures weights and writes `report.json`, `report.html`, `pairs.png` (first, look-up table, curve and sharpening, second,
/// reference), `before_after.png` (first, the second image of every model, reference) and `blind_<source>_<number>_<seed>.png`
/// (first and second at 300 %).
///
/// # Errors
/// Fails when weights or pairs cannot be read, or results cannot be written.
pub fn evaluate<B: Backend>(options: &EvaluateOptions, device: &B::Device) -> Result<Report, EvaluateError> {
    let EvaluateOptions { data, config, .. } = *options;
    if !options.overwrite && !is_empty(options.out) {
        return Err(EvaluateError::Exists { path: options.out.into() });
    }
    check_folders(data)?;
    let names = names(options.weights)?;
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
    let trained = load(data, &lut_seeds, &[])?;
    let planes: Vec<Plane> = candidates.iter().flat_map(|found| found.model.graph().spec().inputs.clone()).collect();
    let folders = load(data, &seeds, &planes)?;
    for (trained, folder) in trained.iter().flat_map(|trained| folders.iter().map(move |folder| (trained, folder))) {
        read::check_held_out(config.data.held_out, &trained.pairs, &folder.pairs)?;
    }
    let warnings = warnings(data, &trained, &folders);
    let train: Vec<Pair> = trained.into_iter().flat_map(|folder| folder.pairs).collect();

    // Every image that is measured or shown, made once.
    let table = WeightTable::new(&config.loss.importance, &train);
    let (lut, sharpen) = (Lut::fit(&train, &table), Sharpen::fit(&train, &table));
    let generators: Vec<Generator<B>> =
        candidates.iter().map(|found| Generator::from_model(&found.model, device)).collect();
    let second = |pair: &Pair, (generator, found): (&Generator<B>, &Candidate)| {
        second_image(generator, found.model.recommended, pair, device)
    };
    let measured: Vec<Measured> = folders
        .iter()
        .flat_map(|folder| folder.with_facts().map(move |(pair, facts)| (folder.path, pair, facts)))
        .map(|(data, pair, facts)| Measured {
            pair,
            data,
            facts,
            graded: lut.apply(&pair.first),
            sharpened: sharpen.apply(&pair.first, pair.size_px),
            seconds: generators.iter().zip(&candidates).map(|model| second(pair, model)).collect(),
        })
        .collect();

    let mut each: Vec<PairReport> = measured.par_iter().map(|measured| report_pair(measured, &names)).collect();
    if let Some(python) = options.likeness {
        for (pair, likeness) in each.iter_mut().zip(likeness::measure(python, &names, &measured)?) {
            pair.likeness = likeness;
        }
    }
    let temporal: Vec<Option<Temporal>> = match &options.clips {
        Some(clips) => {
            let clips = load(data, clips, &[planes, vec![Plane::Depth]].concat())?;
            for folder in &clips {
                read::check_held_out(config.data.held_out, &train, &folder.pairs)?;
            }
            let each = generators.iter().zip(&candidates);
            each.map(|(generator, found)| temporal(generator, found.model.recommended, &clips, device)).collect()
        }
        None => vec![None; names.len()],
    };
    let columns = columns(options, &names, &measured, &each)?;
    let models = candidates.into_iter().zip(temporal).map(|(candidate, temporal)| {
        let Candidate { name, file, sha256, model } = candidate;
        let kilo_macs_per_px = model.graph().macs_per_px() / 1000.0;
        (name, ModelReport { file, sha256, kilo_macs_per_px, temporal })
    });
    let report = Report {
        default_model: names[0].clone(),
        models: models.collect(),
        columns,
        sharpen_amount: sharpen.amount,
        seeds,
        lut_seeds,
        held_out: config.data.held_out,
        identities: identities(&each),
        commit: commit(),
        warnings,
        each,
    };
    write(options.out, &report, &measured)?;
    Ok(report)
}

/// Returns the names of the models: those of their files without the ending, all different.
pub fn names(weights: &[PathBuf]) -> Result<Vec<String>, EvaluateError> {
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = weights.iter().map(stem).collect();
    if names.is_empty() || (1..names.len()).any(|at| names[..at].contains(&names[at])) {
        return Err(EvaluateError::Names { found: format!("{names:?}") });
    }
    Ok(names)
}

/// Checks that there is a data folder, and that none would be counted twice.
pub fn check_folders(data: &[PathBuf]) -> Result<(), EvaluateError> {
    let real: BTreeSet<PathBuf> =
        data.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect();
    if data.is_empty() || real.len() < data.len() {
        return Err(EvaluateError::Folders { found: format!("{data:?}") });
    }
    Ok(())
}

/// Returns what is probably wrong with the pairs of each data folder, in words.
fn warnings(data: &[PathBuf], trained: &[DataFolder], measured: &[DataFolder]) -> Vec<String> {
    let of = |path: &PathBuf| {
        let pairs: Vec<&Pair> = trained
            .iter()
            .chain(measured)
            .filter(|folder| folder.path == path)
            .flat_map(|folder| &folder.pairs)
            .collect();
        // Seeds alone do not tell which pair is meant where there are several folders.
        let place = if data.len() > 1 { format!("{}: ", path.display()) } else { String::new() };
        doubts::doubts(path, &pairs).into_iter().map(move |what| place.clone() + &what)
    };
    data.iter().flat_map(of).collect()
}

impl Candidate {
    /// Reads a weights file.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn load(name: &str, path: &Path) -> Result<Self, EvaluateError> {
        let (content, model) = weights::load_with_content(path)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name: name.into(), file, sha256: Fingerprint::of(&content).sha256, model })
    }
}

/// Measures everything that was made of one pair.
fn report_pair(measured: &Measured, names: &[String]) -> PairReport {
    let (pair, facts) = (measured.pair, &measured.facts);
    let eyes = find_eyes(pair, &seed_folder(measured.data, pair.seed));
    let against = |image: &[u8]| Figures {
        comparison: compare(image, &pair.reference, &pair.mask, pair.size_px),
        skin_delta_e: skin_delta_e(image, pair),
        eyes_sharpness: eyes.as_ref().map(|eyes| sharpness_ratio(image, &pair.reference, pair.size_px, &|at| eyes[at])),
    };
    let first = against(&pair.first);
    let seconds: Vec<Figures> = measured.seconds.iter().map(|second| against(second)).collect();
    let worse = if is_worse(&first, &seconds[0]) { Reason::of(pair, &measured.seconds[0]) } else { None };
    PairReport {
        data: measured.data.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        seed: pair.seed,
        size_px: pair.size_px,
        identity: pair.identity.clone(),
        source: facts.source,
        light_kind: facts.light_kind.clone(),
        tone: facts.tone,
        first,
        lut: against(&measured.graded),
        sharpen: against(&measured.sharpened),
        models: names.iter().cloned().zip(seconds).collect(),
        worse,
        likeness: None,
    }
}

/// Finds the eyes of a pair; `None` where its scene does not describe the camera, or there is no depth.
fn find_eyes(pair: &Pair, folder: &Path) -> Option<Vec<bool>> {
    let frame = Frame::read(&folder.join("scene.json"))?;
    if !pair.depth.is_empty() {
        return eyes(&frame, pair, &pair.depth);
    }
    // A network that reads no depth leaves it on the disk.
    let size = Size::Edge { px: pair.size_px as u32, said_by: "pair.json" };
    let content = bounded::read(&find(folder, "depth.png").ok()??, size.max_bytes()).ok()?;
    let depth = pair_image::decode(&content, Content::Depth, size).ok()?;
    eyes(&frame, pair, &depth.into_luma16().into_raw())
}

/// Measures how still the second images of all clips hold.
fn temporal<B: Backend>(
    generator: &Generator<B>,
    factors: Recommended,
    clips: &[DataFolder],
    device: &B::Device,
) -> Option<Temporal> {
    let mut errors = Vec::new();
    for DataFolder { path, pairs: frames } in clips {
        let seconds: Vec<Vec<u8>> = frames.iter().map(|pair| second_image(generator, factors, pair, device)).collect();
        errors.extend((1..frames.len()).filter_map(|at| {
            let (before, now) = (&frames[at - 1], &frames[at]);
            let frame = Frame::read(&seed_folder(path, now.seed).join("scene.json"))?;
            // The first frame of a clip follows the last one of another clip.
            if now.seed != before.seed + 1 || now.identity != before.identity {
                return None;
            }
            let first = warping_error(&frame, now, &now.first, before, &before.first)?;
            Some((first, warping_error(&frame, now, &seconds[at], before, &seconds[at - 1])?))
        }));
    }
    Temporal::new(&errors)
}

/// Sums the figures of all pairs up by source and size, and compares the main size of each source with photographs.
fn columns(
    options: &EvaluateOptions,
    names: &[String],
    measured: &[Measured],
    each: &[PairReport],
) -> Result<Vec<Column>, EvaluateError> {
    // Own people before game heads, the main size before others.
    let places: BTreeSet<(Source, bool, usize)> =
        each.iter().map(|pair| (pair.source, pair.size_px != MAIN_PX, pair.size_px)).collect();
    let mut columns: Vec<Column> = Vec::new();
    for (source, _, size_px) in places {
        let is_in = |pair: &PairReport| (pair.source, pair.size_px) == (source, size_px);
        let (measured, pairs): (Vec<&Measured>, Vec<&PairReport>) =
            measured.iter().zip(each).filter(|(_, pair)| is_in(pair)).unzip();
        let photographs: BTreeMap<String, Photographs> = match &options.photographs {
            Some(photographs) if columns.iter().all(|column| column.source != source) => {
                photographs::measure(photographs, names, &measured)?
            }
            _ => BTreeMap::new(),
        };
        let facts: Vec<_> = measured.iter().map(|m| &m.facts).collect();
        let pick = |of: &dyn Fn(&PairReport) -> Figures| pairs.iter().map(|pair| of(pair)).collect::<Vec<_>>();
        let first = pick(&|pair| pair.first);
        let sum = |of: &dyn Fn(&PairReport) -> Figures| summarize(&first, &pick(of), &facts);
        let likeness: Vec<_> = pairs.iter().map(|pair| pair.likeness.clone()).collect();
        let models = names.iter().map(|name| {
            let column = ModelColumn {
                summary: sum(&|pair| pair.models[name]),
                likeness: options.likeness.map(|_| Likeness::of(&likeness, name)),
                photographs: photographs.get(name).copied(),
            };
            (name.clone(), column)
        });
        let mut worse_because = BTreeMap::new();
        pairs
            .iter()
            .filter_map(|pair| pair.worse)
            .for_each(|why| *worse_because.entry(why.to_string()).or_insert(0) += 1);
        columns.push(Column {
            source,
            size_px,
            pairs: pairs.len(),
            identities: identities(pairs.iter().copied()),
            first: sum(&|pair| pair.first),
            lut: sum(&|pair| pair.lut),
            sharpen: sum(&|pair| pair.sharpen),
            models: models.collect(),
            worse_because,
        });
    }
    Ok(columns)
}

/// Counts different people.
fn identities<'a>(pairs: impl IntoIterator<Item = &'a PairReport>) -> usize {
    pairs.into_iter().map(|pair| folded(&pair.identity)).collect::<BTreeSet<_>>().len()
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
    // To look at: the main column, and the first column of every source.
    let of = |column: &Column| -> Vec<&Measured> {
        measured.iter().zip(&report.each).filter(|(_, pair)| column.has(pair)).map(|(m, _)| m).collect()
    };
    let looked_at: Vec<(Source, Vec<&Measured>)> = Source::ALL
        .into_iter()
        .filter_map(|source| report.column(source))
        .map(|column| (column.source, spread(&of(column), LOOK_PAIRS).copied().collect()))
        .collect();
    write("report.html", html::page(report, measured, &looked_at))?;
    let path = out.join("pairs.png");
    let rows: Vec<Vec<&[u8]>> = spread(&of(report.main()), PICTURE_ROWS)
        .map(|m| vec![&m.pair.first[..], &m.graded, &m.sharpened, &m.seconds[0], &m.pair.reference])
        .collect();
    write_grid(&path, &rows).map_err(|error| failed(&path, error.to_string()))?;
    let path = out.join("before_after.png");
    let rows: Vec<Vec<&[u8]>> = spread(&of(report.main()), BEFORE_AFTER_ROWS)
        .map(|m| {
            let seconds = m.seconds.iter().map(|second| &second[..]);
            std::iter::once(&m.pair.first[..]).chain(seconds).chain([&m.pair.reference[..]]).collect()
        })
        .collect();
    write_grid(&path, &rows).map_err(|error| failed(&path, error.to_string()))?;
    for (source, pairs) in looked_at {
        for (at, m) in pairs.into_iter().enumerate() {
            let path = out.join(format!("blind_{}_{:02}_{:08}.png", source.key(), at + 1, m.pair.seed));
            let picture = side_by_side(&[&m.pair.first, &m.seconds[0]], LOOK_ZOOM);
            write_png(&path, &picture).map_err(|error| failed(&path, error.to_string()))?;
        }
    }
    Ok(())
}
