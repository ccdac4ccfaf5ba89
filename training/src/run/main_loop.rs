//! The loop of a run, as the first worker goes through it: steps, log, validation, pictures, checkpoints, and when to stop.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use portrait_files::atomic::explain_full_disk;
use portrait_network::{Graph, Provenance, Recommended};
use rand_chacha::ChaCha8Rng;

use super::checkpoint::{self, Progress};
use super::error::TrainError;
use super::folder::METRICS;
use super::options::TrainOptions;
use super::report::{Event, Losses, Summary};
use super::trainer::{Rejection, Trainer};
use super::workers::Worker;
use crate::data::{Batch, Pair, WeightTable, read};
use crate::measure::{Validation, second_image, validate};
use crate::networks::Generator;
use crate::picture::write_grid;

/// Number of faces in a picture.
const PICTURE_ROWS: usize = 4;

/// Makes a worker's share of a step's batch.
pub type Draw<'a> = dyn Fn(&mut ChaCha8Rng, &Worker) -> Batch + Sync + 'a;

/// A run in progress, as the first worker sees it.
pub struct Run<'a, B: AutodiffBackend> {
    pub options: &'a TrainOptions<'a>,
    pub trainer: Trainer<B>,
    pub progress: Progress,
    pub graph: &'a Graph,
    pub train: &'a [Pair],
    pub validation: Vec<Pair>,
    pub weights: &'a WeightTable,
    pub draw: &'a Draw<'a>,
    /// Tell each other worker to take a step; the workers end when these are dropped.
    pub go: Vec<Sender<()>>,
    pub device: B::Device,
    pub metrics: File,
    pub watch: &'a mut dyn FnMut(&Event),
}

/// Steps since the last line of the log.
#[derive(Default)]
struct Since {
    losses: Losses,
    steps: u64,
    seconds: f64,
}

impl<B: AutodiffBackend> Run<'_, B> {
    /// Trains to the end. `repaired` lines of the log were dropped before, and there are `doubts` about the pairs.
    pub fn run(mut self, repaired: usize, doubts: Vec<String>) -> Result<Summary, TrainError> {
        self.tell(Event::Started {
            step: self.trainer.step,
            train_pairs: self.train.len(),
            train_identities: read::identity_count(self.train),
            validation_pairs: self.validation.len(),
            workers: self.trainer.worker.count(),
            backend: B::name(&self.device),
            parameters: self.graph.parameter_count(),
            init_sha256: self.progress.init_sha256.clone(),
            perceptual_sha256: self.progress.perceptual_sha256.clone(),
        })?;
        for what in doubts {
            self.tell(Event::Warned { step: self.trainer.step, what })?;
        }
        if repaired > 0 {
            self.tell(Event::Repaired { step: self.trainer.step, lines: repaired })?;
        }
        // A run that is killed before its first checkpoint begins again, and must not do so from random weights.
        if self.trainer.step == 0 && self.progress.init_sha256.is_some() {
            self.save()?;
        }
        let (converged, reason) = self.steps()?;
        let checkpoint = self.save()?;
        let summary = Summary {
            step: self.trainer.step,
            converged,
            reason,
            best: self.progress.best,
            rejected: self.progress.rejected,
            checkpoint,
        };
        self.tell(Event::Finished(summary.clone()))?;
        Ok(summary)
    }

    /// Takes steps until there is a reason to end, and returns it, and whether it is convergence.
    fn steps(&mut self) -> Result<(bool, String), TrainError> {
        let run = &self.options.config.config().run;
        let begin = Instant::now();
        let (mut since, mut in_a_row) = (Since::default(), 0);
        loop {
            if self.options.stop.load(Ordering::Relaxed) {
                return Ok((false, "interrupted; go on with --resume".into()));
            }
            if self.trainer.step >= run.max_steps {
                return Ok((false, format!("max_steps of {} reached", run.max_steps)));
            }
            let minutes = begin.elapsed().as_secs_f64() / 60.0;
            if let Some(max) = run.max_minutes.filter(|&max| minutes >= max) {
                return Ok((false, format!("max_minutes of {max} reached")));
            }
            if !self.step(&mut since, &mut in_a_row)? {
                continue;
            }
            let step = self.trainer.step;
            if step.is_multiple_of(run.log_every) {
                let Since { losses, steps, seconds } = std::mem::take(&mut since);
                let (losses, seconds_per_step) = (losses.scaled(1.0 / steps as f64), seconds / steps as f64);
                self.tell(Event::Step { step, max_steps: run.max_steps, losses, seconds_per_step })?;
            }
            let plateau = if step.is_multiple_of(run.validate_every) { self.validate()? } else { None };
            if step.is_multiple_of(run.picture_every) {
                self.picture()?;
            }
            if step.is_multiple_of(run.checkpoint_every) {
                self.save()?;
            }
            if let Some(reason) = plateau {
                return Ok((true, reason));
            }
        }
    }

    /// Takes one step with all workers. Returns false for a step that was rejected.
    fn step(&mut self, since: &mut Since, in_a_row: &mut u64) -> Result<bool, TrainError> {
        let config = self.options.config.config();
        let start = Instant::now();
        for go in &self.go {
            // A worker that is gone is missed in the step.
            let _ = go.send(());
        }
        match self.trainer.step(config, self.draw) {
            Ok(losses) => {
                *in_a_row = 0;
                since.losses = since.losses + losses;
                since.steps += 1;
                since.seconds += start.elapsed().as_secs_f64();
                Ok(true)
            }
            Err(Rejection::Workers(error)) => Err(error.into()),
            Err(rejection) => {
                *in_a_row += 1;
                self.progress.rejected += 1;
                let (step, reason) = (self.trainer.step, rejection.to_string());
                self.tell(Event::Rejected { step, reason: reason.clone(), in_a_row: *in_a_row })?;
                if *in_a_row >= config.run.max_rejected {
                    return Err(TrainError::Diverged { step, count: *in_a_row, reason });
                }
                Ok(false)
            }
        }
    }

    /// Returns the averaged weights as a network without autodiff.
    fn average(&self) -> Result<Generator<B::InnerBackend>, TrainError> {
        let model = self.trainer.average_model(Provenance::default())?;
        Ok(Generator::from_model(&model, &self.device))
    }

    /// Measures the averaged weights, and saves a checkpoint when they are the best so far. Returns why the run has converged,
    /// if it has.
    fn validate(&mut self) -> Result<Option<String>, TrainError> {
        let config = self.options.config.config();
        let generator = self.average()?;
        let step = self.trainer.step;
        let validation = validate(&generator, &self.validation, self.weights, step, &self.device);
        self.progress.validation = Some(validation);
        let converged = self.progress.convergence.observe(validation.weighted_l1, step, &config.run.convergence);
        self.tell(Event::Validated { validation })?;
        // In the warm-up L1 alone decides, and its blurred optimum is not what is wanted.
        let whole_loss = step >= config.loss.warm_up_steps + config.loss.ramp_steps;
        let better = |best: Validation| validation.weighted_l1 < best.weighted_l1;
        if whole_loss && self.progress.best.is_none_or(better) {
            self.progress.best = Some(validation);
            self.save()?;
        }
        Ok(converged)
    }

    /// Writes a picture of a few validation faces: first, second and reference image.
    fn picture(&self) -> Result<(), TrainError> {
        let generator = self.average()?;
        let shown = self.validation.iter().take(PICTURE_ROWS);
        let seconds: Vec<Vec<u8>> =
            shown.clone().map(|pair| second_image(&generator, Recommended::default(), pair, &self.device)).collect();
        let rows: Vec<Vec<&[u8]>> =
            shown.zip(&seconds).map(|(pair, second)| vec![&pair.first[..], second, &pair.reference]).collect();
        let folder = self.options.out.join("pictures");
        std::fs::create_dir_all(&folder).map_err(|error| TrainError::write(&folder, &error))?;
        let path = folder.join(format!("step_{:08}.png", self.trainer.step));
        write_grid(&path, &rows).map_err(|error| TrainError::write(&path, &error))
    }

    /// Writes a checkpoint, unless this step has one, and returns its folder.
    fn save(&mut self) -> Result<PathBuf, TrainError> {
        // The log of a step is on the disk when its checkpoint is.
        let log = self.options.out.join(METRICS);
        self.metrics.sync_data().map_err(|error| TrainError::write(&log, &error))?;
        let folder = checkpoint::folder(self.options.out);
        let path = checkpoint::save(&folder, &self.trainer, &self.progress, self.options.config)?;
        self.tell(Event::Saved { step: self.trainer.step, path: path.clone() })?;
        Ok(path)
    }

    /// Writes an event to the log, and shows it to the function that watches.
    fn tell(&mut self, event: Event) -> Result<(), TrainError> {
        let path = self.options.out.join(METRICS);
        let mut line = serde_json::to_string(&event).map_err(|error| TrainError::write(&path, &error))?;
        line.push('\n');
        let written = self.metrics.write_all(line.as_bytes()).map_err(explain_full_disk);
        written.map_err(|error| TrainError::write(&path, &error))?;
        (self.watch)(&event);
        Ok(())
    }
}
