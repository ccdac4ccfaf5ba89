//! `portrait-train evaluate`: figures, blind pairs, and the scores of their answers.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use portrait_files::config::{Config, ConfigFile};
use portrait_files::seeds::Seeds;
use portrait_training::backend::{Inner, device};
use portrait_training::{BlindOptions, EvaluateOptions, PhotographsOptions, blind, evaluate, unseal};

/// Arguments of `evaluate`. Without `--unseal` it needs `--weights`, `--data` and at least one of `--out` and `--blind`.
#[derive(Args)]
pub struct Evaluation {
    /// Weights files, the default model first
    #[arg(long, num_args = 1.., required_unless_present = "unseal")]
    weights: Vec<PathBuf>,
    /// Folders of pairs: own people and game heads, of one size or several
    #[arg(long, num_args = 1.., required_unless_present = "unseal")]
    data: Vec<PathBuf>,
    /// The config of the training run, for its seeds (default: those of a config that names none)
    #[arg(long)]
    config: Option<PathBuf>,
    /// Seeds to measure, such as 1000000..1000100 or several ranges with commas (default: the config's validation seeds)
    #[arg(long)]
    seeds: Option<Seeds>,
    /// Seeds of clips, eight consecutive ones each, for the warping error
    #[arg(long, requires = "out")]
    clips: Option<Seeds>,
    /// Python interpreter with training/likeness/requirements.txt: measures distances between face embeddings
    #[arg(long, value_name = "PYTHON")]
    likeness: Option<PathBuf>,
    /// Folder of photographs of faces from the front: measures how far images are from photographs
    #[arg(long, value_name = "DIR", requires_all = ["photographs_python", "out"])]
    photographs: Option<PathBuf>,
    /// Python interpreter with training/photographs/requirements.txt, which `cargo xtask evaluate` passes
    #[arg(long, value_name = "PYTHON", requires = "photographs")]
    photographs_python: Option<PathBuf>,
    /// New folder for report.json, report.html and pictures; with --unseal the folder of a report, which gets the scores
    #[arg(long, required_unless_present_any = ["blind", "unseal"])]
    out: Option<PathBuf>,
    /// New folder for blind pairs of first and second images, a page that shows them to judges, and the sealed key
    #[arg(long, value_name = "DIR")]
    blind: Option<PathBuf>,
    /// Seed that draws the order and the sides of blind pairs (default: a random one)
    #[arg(long, value_name = "SEED", requires = "blind")]
    shuffle_seed: Option<u64>,
    /// Folder of blind pairs whose answers are to be scored
    #[arg(long, value_name = "DIR", requires = "answers")]
    #[arg(conflicts_with_all = ["weights", "data", "config", "seeds", "clips", "photographs", "blind"])]
    unseal: Option<PathBuf>,
    /// Files of answers that the page of the blind pairs wrote
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "unseal")]
    answers: Vec<PathBuf>,
    /// Write into a folder that has files; with --unseal replace scores that the report has
    #[arg(long)]
    overwrite: bool,
}

impl Evaluation {
    /// Does what the arguments ask for.
    ///
    /// # Errors
    /// Fails when something cannot be read, measured or written.
    pub fn run(&self) -> anyhow::Result<()> {
        if let Some(folder) = &self.unseal {
            return self.unseal(folder);
        }
        let config = match &self.config {
            Some(path) => ConfigFile::load(path)?.config().clone(),
            None => Config::default(),
        };
        if let Some(out) = &self.blind {
            self.blind(out, &config)?;
        }
        let Some(out) = &self.out else { return Ok(()) };
        let options = EvaluateOptions {
            weights: &self.weights,
            data: &self.data,
            out,
            config: &config,
            seeds: self.seeds.clone(),
            clips: self.clips.clone(),
            likeness: self.likeness.as_deref(),
            photographs: self
                .photographs
                .as_deref()
                .zip(self.photographs_python.as_deref())
                .map(|(folder, python)| PhotographsOptions { folder, python }),
            overwrite: self.overwrite,
        };
        let report = evaluate::<Inner>(&options, &device())?;
        report.warnings.iter().for_each(|what| println!("warning: {what}"));
        print!("{}", report.table());
        println!("written to {}", out.display());
        Ok(())
    }

    fn blind(&self, out: &Path, config: &Config) -> anyhow::Result<()> {
        let Some(weights) = self.weights.first() else { bail!("--blind needs --weights") };
        let options = BlindOptions {
            weights,
            data: &self.data,
            out,
            config,
            seeds: self.seeds.clone(),
            shuffle_seed: self.shuffle_seed.unwrap_or_else(rand::random),
        };
        let pairs = blind::<Inner>(&options, &device())?;
        println!("{pairs} blind pairs written to {}: open {}", out.display(), out.join("index.html").display());
        Ok(())
    }

    fn unseal(&self, folder: &Path) -> anyhow::Result<()> {
        let scores = unseal(folder, &self.answers)?;
        print!("{}", scores.table());
        if let Some(out) = &self.out {
            scores.add_to_report(out, self.overwrite)?;
            println!("added to {}", out.join("report.json").display());
        }
        Ok(())
    }
}
