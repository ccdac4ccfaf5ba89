//! The command line of `portrait-dataset`, from folders of scenes to folders of training pairs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use portrait_dataset::DatasetError;
use portrait_dataset::calibrate::{KINDS, TOLERANCE, calibrate};
use portrait_dataset::claim::Claim;
use portrait_dataset::pair::{self, Outcome};
use portrait_dataset::seeds::{SeedRange, seed_folder};
use portrait_dataset::sheet::contact_sheet;
use portrait_dataset::studio::Studio;
use portrait_dataset::verify::{PairReport, Summary, WANTED_IOU, measure};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render first image, normals and depth of each seed, and tone-map its reference
    Render(Seeds),
    /// Compare Bevy's light with Cycles' on grey spheres
    Calibrate {
        /// Folder with area.glb, area.exr, area.json, environment.glb, ...
        #[arg(long)]
        data: PathBuf,
    },
    /// Measure finished pairs: silhouettes, brightness and detail, by split, source and kind of light
    Verify {
        #[command(flatten)]
        seeds: Seeds,
        /// Also write the figures to this JSON file, which must not exist
        #[arg(long)]
        report: Option<PathBuf>,
        /// Also draw up to 24 of the pairs, first image left, into this picture (.png or .jpg), which must not exist
        #[arg(long)]
        sheet: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Seeds {
    /// Half-open range A..B; shards take disjoint ranges
    #[arg(long)]
    seeds: SeedRange,
    /// Take every N-th seed of the range
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    stride: u32,
    /// Folder that head_studio wrote
    #[arg(long)]
    data: PathBuf,
}

impl Seeds {
    fn list(&self) -> Result<Vec<u64>, DatasetError> {
        if !self.data.is_dir() {
            return Err(DatasetError::DataFolderMissing { path: self.data.clone() });
        }
        let seeds: Vec<u64> = self.seeds.seeds(self.stride as usize).collect();
        if !seeds.iter().any(|seed| seed_folder(&self.data, *seed).is_dir()) {
            return Err(DatasetError::DataFolderEmpty { folder: self.data.clone(), wanted: seeds.len() });
        }
        Ok(seeds)
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Render(seeds) => render(&seeds),
        Command::Calibrate { data } => run_calibration(&data),
        Command::Verify { seeds, report, sheet } => verify(&seeds, report.as_deref(), sheet.as_deref()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("portrait-dataset: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn render(arguments: &Seeds) -> Result<bool> {
    let seeds = arguments.list()?;
    let _claim = Claim::take(&arguments.data, &arguments.seeds, arguments.stride)?;
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} pairs, {elapsed} gone, {eta} left {msg}")?;
    let bar = ProgressBar::new(seeds.len() as u64).with_style(style);
    // Bevy starts only when there is something to draw.
    let mut studio = None;
    let (mut made, mut kept, mut failures) = (0, 0, Vec::new());
    for seed in seeds {
        match render_one(&mut studio, &arguments.data, seed) {
            Ok(Outcome::Made(pair)) => {
                made += 1;
                bar.set_message(format!("(seed {seed}: silhouette IoU {:.3})", pair.silhouette_iou));
            }
            Ok(Outcome::Kept(_)) => kept += 1,
            Err(error) => {
                bar.suspend(|| eprintln!("seed {seed}: {error}"));
                failures.push(seed);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{made} pairs made, {kept} kept, {} failed, in {:.1?}", failures.len(), bar.elapsed());
    if !failures.is_empty() {
        println!("failed seeds: {failures:?}");
    }
    Ok(failures.is_empty())
}

fn render_one(studio: &mut Option<Studio>, data: &Path, seed: u64) -> Result<Outcome, DatasetError> {
    if let Some(pair) = pair::finished(data, seed)? {
        return Ok(Outcome::Kept(pair));
    }
    let studio = match studio {
        Some(studio) => studio,
        None => studio.insert(Studio::new(data)?),
    };
    pair::make(studio, data, seed)
}

fn run_calibration(data: &Path) -> Result<bool> {
    let mut studio = Studio::new(data)?;
    let mut fine = true;
    for kind in KINDS {
        let found = calibrate(&mut studio, data, kind)?;
        let verdict = if found.is_fine() { "fine" } else { "OFF" };
        println!(
            "{kind:12} Bevy {:.5}, Cycles {:.5}, ratio {:.4}: {verdict} (tolerance {:.0} %)",
            found.bevy,
            found.cycles,
            found.ratio(),
            TOLERANCE * 100.0
        );
        fine &= found.is_fine();
    }
    Ok(fine)
}

fn verify(arguments: &Seeds, report: Option<&Path>, sheet: Option<&Path>) -> Result<bool> {
    let (mut pairs, mut failed, mut absent): (Vec<PairReport>, usize, usize) = (Vec::new(), 0, 0);
    println!("    seed  silhouette IoU  luminance first  reference  sharpness  hair");
    for seed in arguments.list()? {
        if !seed_folder(&arguments.data, seed).is_dir() {
            absent += 1;
            continue;
        }
        match measure(&arguments.data, seed) {
            Ok(pair) => {
                let hair = pair.hair_ratio.map_or("   -".into(), |ratio| format!("{ratio:4.2}"));
                println!(
                    "{seed:08}  {:14.4}  {:15.4}  {:9.4}  {:9.2}  {hair}{}",
                    pair.silhouette_iou,
                    pair.first_luminance,
                    pair.reference_luminance,
                    pair.sharpness_ratio,
                    if pair.is_beyond_limits() { "  beyond the limits" } else { "" }
                );
                pairs.push(pair);
            }
            Err(error) => {
                println!("{seed:08}  {error}");
                failed += 1;
            }
        }
    }
    let summary = Summary(&pairs);
    let mean_iou = pairs.iter().map(|pair| pair.silhouette_iou).sum::<f32>() / pairs.len().max(1) as f32;
    println!("{}", summary.text());
    println!("{} pairs, mean IoU {mean_iou:.4}; {failed} failed; {absent} seeds have no scene", pairs.len());
    if let Some(path) = report {
        let mut file = std::fs::File::create_new(path).with_context(|| format!("cannot make {}", path.display()))?;
        writeln!(file, "{:#}", summary.json())?;
    }
    if let Some(path) = sheet {
        let seeds: Vec<u64> = pairs.iter().map(|pair| pair.seed).collect();
        let cannot = || format!("cannot draw {}", path.display());
        ensure!(!path.exists(), "{} exists; expected a new file's name", path.display());
        contact_sheet(&arguments.data, &seeds).with_context(cannot)?.save(path).with_context(cannot)?;
    }
    // Single heads of loose hair stay below; a data set that does is misaligned.
    Ok(failed == 0 && mean_iou >= WANTED_IOU)
}
