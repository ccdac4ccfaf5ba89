//! A training run: data, steps, validation, pictures, checkpoints, and when to stop.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use portrait_network::files::explained;
use portrait_network::{Graph, Provenance, WeightsError};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::batch::{Batch, WeightTable, random_crops};
use crate::checkpoint::{self, CheckpointError, Progress};
use crate::config::{Config, ConfigError, ConfigFile};
use crate::dataset::{self, DatasetError, Pair};
use crate::evaluate::is_empty;
use crate::export::commit;
use crate::light_groups;
use crate::model::Generator;
use crate::picture::write_grid;
use crate::report::{Event, Summary, Validation};
use crate::run_folder::{METRICS, begin, is_begun, lock_folder, open_metrics};
use crate::trainer::{Losses, Rejection, Trainer};
use crate::validate::{second_image, validate};
use crate::workers::{Session, Worker, WorkersError};

/// Faces in a picture.
const PICTURE_ROWS: usize = 4;

/// What to train.
#[derive(Clone, Debug)]
pub struct TrainOptions<'a> {
    /// The config, and its text for the checkpoints.
    pub config: &'a ConfigFile,
    /// The dataset.
    pub data: &'a Path,
    /// Folder for checkpoints, `metrics.jsonl` and pictures.
    pub out: &'a Path,
    /// Go on from the newest checkpoint in `out`.
    pub resume: bool,
    /// When this becomes true, the run saves a checkpoint and ends.
    pub stop: &'a AtomicBool,
}

/// Why a run cannot start or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The config is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The pairs cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The averaged weights are not finite.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The folder has files, and nobody asked to go on.
    #[error("{path} exists and is not empty: add --resume to go on with the run in it, or name another folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in the folder.
    #[error("another run is writing to {path}: wait for its end or stop it, or name another folder")]
    Running {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to go on from.
    #[error("{path} holds no checkpoint to resume from: leave out --resume to start a run")]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// The run in the folder was started with another config.
    #[error(
        "{path} was trained with another config: only `run` (but not `run.seed`) may differ when a run is resumed; \
         name another folder to start over"
    )]
    OtherConfig {
        /// The checkpoint.
        path: PathBuf,
    },
    /// Too many steps in a row were rejected.
    #[error(
        "{count} steps in a row were rejected at step {step}, the last because {reason}; the newest checkpoint is \
         whole: resume from it with lower learning rates, or look for damaged images"
    )]
    Diverged {
        /// Steps done.
        step: u64,
        /// Steps rejected.
        count: u64,
        /// What was wrong with the last one.
        reason: String,
    },
    /// The workers cannot train together, or one is gone.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// A log or picture cannot be written.
    #[error("{path}: {what}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
}

/// Makes the whole batch of a step.
type Draw<'a> = dyn Fn(&mut ChaCha8Rng) -> Batch + Sync + 'a;

/// A run in progress, as the first worker sees it.
struct Run<'a, B: AutodiffBackend> {
    options: &'a TrainOptions<'a>,
    trainer: Trainer<B>,
    progress: Progress,
    graph: &'a Graph,
    train: &'a [Pair],
    validation: Vec<Pair>,
    weights: &'a WeightTable,
    draw: &'a Draw<'a>,
    /// Tells each other worker to take a step; they end when this is dropped.
    go: Vec<Sender<()>>,
    device: B::Device,
    metrics: File,
    watch: &'a mut dyn FnMut(&Event),
}

/// Trains until the parameters converge, `max_steps` or `max_minutes` are over, or `stop` is set. `watch` sees every
/// event that `metrics.jsonl` holds. Workers take `devices` in turn; without any, the backend's default device.
///
/// # Errors
/// When config, data or folder are not as they should be, or the run diverges.
pub fn train<B: AutodiffBackend>(
    options: &TrainOptions,
    devices: &[B::Device],
    watch: &mut dyn FnMut(&Event),
) -> Result<Summary, TrainError> {
    let config = options.config.config();
    config.validate()?;
    let graph = config.graph()?;
    let begun = is_begun(options.out);
    let lock = if begun { Some(lock_folder(options.out)?) } else { None };
    let newest = checkpoint::latest(&checkpoint::folder(options.out))?;
    let checkpoint = match (options.resume, newest) {
        (false, _) if !is_empty(options.out) => return Err(TrainError::Exists { path: options.out.into() }),
        (true, None) if !begun => return Err(TrainError::NothingToResume { path: options.out.into() }),
        (true, Some(checkpoint)) => {
            if !config.continues(checkpoint::snapshot(&checkpoint)?.config.config()) {
                return Err(TrainError::OtherConfig { path: checkpoint });
            }
            Some(checkpoint)
        }
        // A run that was killed before its first checkpoint begins again.
        (_, None) | (false, _) => None,
    };
    let planes = &graph.spec().inputs;
    let mut train = dataset::load(options.data, &config.data.train_seeds, planes)?;
    if config.data.relight > 0.0 {
        light_groups::attach(options.data, &mut train)?;
    }
    let mut validation = dataset::load(options.data, &config.data.validation_seeds, planes)?;
    dataset::check_identities(&train, &validation)?;
    dataset::check_crop(&train, config.data.crop_px)?;
    validation.truncate(config.run.validation_pairs);

    let weights = WeightTable::new(&config.loss.importance, &train);
    let draw = |rng: &mut ChaCha8Rng| random_crops(&train, planes, &weights, &config.data, rng);

    let _session = Session::begin(config.run.workers)?;
    let mut progress = Progress { commit: commit(), ..Progress::default() };
    let mut replicas = Vec::new();
    for worker in Worker::all(config.run.workers) {
        let device = devices.iter().cycle().nth(worker.index()).cloned().unwrap_or_default();
        let mut trainer = match &checkpoint {
            Some(checkpoint) => {
                let (trainer, saved) = checkpoint::resume(checkpoint, config, &graph, &device)?;
                progress = saved;
                trainer
            }
            None => Trainer::<B>::initial(config, &graph, &device),
        };
        trainer.worker = worker;
        replicas.push((trainer, device));
    }
    let (trainer, device) = replicas.remove(0);
    let _lock = lock.map_or_else(|| begin(options.out), Ok)?;
    let (metrics, repaired) = open_metrics(options.out, trainer.step)?;
    std::thread::scope(|scope| {
        let (draw, train, weights, graph) = (&draw as &Draw, &train[..], &weights, &graph);
        let (mut go, mut others) = (Vec::new(), Vec::new());
        for (trainer, device) in replicas {
            let (tell, told) = channel();
            go.push(tell);
            others.push(scope.spawn(move || follow(trainer, &device, config, draw, &told)));
        }
        let place = trainer.worker.join::<B::InnerBackend>(&device);
        let run =
            Run { options, trainer, progress, graph, train, validation, weights, draw, go, device, metrics, watch };
        let outcome = place.map_err(TrainError::from).and_then(|_place| run.run(repaired));
        // One that panicked has said why, and the first one has missed it.
        others.into_iter().for_each(|other| drop(other.join()));
        outcome
    })
}

/// A worker other than the first: a step whenever it is told to.
fn follow<B: AutodiffBackend>(
    mut trainer: Trainer<B>,
    device: &B::Device,
    config: &Config,
    draw: &Draw,
    told: &Receiver<()>,
) {
    let Ok(_place) = trainer.worker.join::<B::InnerBackend>(device) else { return };
    while told.recv().is_ok() {
        // What is rejected here is rejected, and told, by the first worker as well.
        if let Err(Rejection::Workers(_)) = trainer.step(config, draw) {
            return;
        }
    }
}

impl<B: AutodiffBackend> Run<'_, B> {
    /// `repaired` lines of the log were dropped.
    fn run(mut self, repaired: usize) -> Result<Summary, TrainError> {
        let config = self.options.config.config();
        let begin = Instant::now();
        self.tell(Event::Started {
            step: self.trainer.step,
            train_pairs: self.train.len(),
            train_identities: dataset::identity_count(self.train),
            validation_pairs: self.validation.len(),
            workers: self.trainer.worker.count(),
            backend: B::name(&self.device),
            parameters: self.graph.parameter_count(),
        })?;
        if repaired > 0 {
            self.tell(Event::Repaired { step: self.trainer.step, lines: repaired })?;
        }
        let mut in_a_row = 0;
        let mut logged = (Losses::default(), 0_u64, 0.0);
        let mut plateau = None;
        let (converged, reason) = loop {
            if let Some(reason) = plateau.take() {
                break (true, reason);
            }
            if self.options.stop.load(Ordering::Relaxed) {
                break (false, "interrupted; go on with --resume".into());
            }
            if self.trainer.step >= config.run.max_steps {
                break (false, format!("max_steps of {} reached", config.run.max_steps));
            }
            let minutes = begin.elapsed().as_secs_f64() / 60.0;
            if let Some(most) = config.run.max_minutes.filter(|&most| minutes >= most) {
                break (false, format!("max_minutes of {most} reached"));
            }
            let start = Instant::now();
            for go in &self.go {
                // One that is gone is missed in the step.
                let _ = go.send(());
            }
            let drawn = self.trainer.step(config, self.draw);
            let step = self.trainer.step;
            match drawn {
                Ok(losses) => {
                    in_a_row = 0;
                    logged = (add(logged.0, losses), logged.1 + 1, logged.2 + start.elapsed().as_secs_f64());
                }
                Err(Rejection::Workers(error)) => return Err(error.into()),
                Err(rejection) => {
                    in_a_row += 1;
                    self.progress.rejected += 1;
                    let reason = rejection.to_string();
                    self.tell(Event::Rejected { step, reason: reason.clone(), in_a_row })?;
                    if in_a_row >= config.run.max_rejected {
                        return Err(TrainError::Diverged { step, count: in_a_row, reason });
                    }
                    continue;
                }
            }
            if step.is_multiple_of(config.run.log_every) {
                let count = logged.1 as f64;
                let losses = scale(logged.0, 1.0 / count);
                let seconds_per_step = logged.2 / count;
                self.tell(Event::Step { step, max_steps: config.run.max_steps, losses, seconds_per_step })?;
                logged = Default::default();
            }
            if step.is_multiple_of(config.run.validate_every) {
                plateau = self.validate()?;
            }
            if step.is_multiple_of(config.run.picture_every) {
                self.picture()?;
            }
            if step.is_multiple_of(config.run.checkpoint_every) {
                self.save()?;
            }
        };
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

    /// The averaged weights as a network without autodiff.
    fn average(&self) -> Result<Generator<B::InnerBackend>, TrainError> {
        let model = self.trainer.average_model(Provenance::default())?;
        Ok(Generator::from_model(&model, &self.device))
    }

    /// Says why the run has converged, if it has. Saves a checkpoint when the weights are the best so far.
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

    fn picture(&self) -> Result<(), TrainError> {
        let generator = self.average()?;
        let seconds: Vec<Vec<u8>> = self
            .validation
            .iter()
            .take(PICTURE_ROWS)
            .map(|pair| second_image(&generator, pair, &self.device))
            .collect();
        let rows: Vec<Vec<&[u8]>> = self
            .validation
            .iter()
            .zip(&seconds)
            .map(|(pair, second)| vec![&pair.first[..], second, &pair.reference])
            .collect();
        let folder = self.options.out.join("pictures");
        std::fs::create_dir_all(&folder).map_err(|error| write_error(&folder, &error))?;
        let path = folder.join(format!("step_{:08}.png", self.trainer.step));
        write_grid(&path, &rows).map_err(|error| write_error(&path, &error))
    }

    fn save(&mut self) -> Result<PathBuf, TrainError> {
        // The log of a step is on the disk when its checkpoint is.
        self.metrics.sync_data().map_err(|error| write_error(&self.options.out.join(METRICS), &error))?;
        let folder = checkpoint::folder(self.options.out);
        let path = checkpoint::save(&folder, &self.trainer, &self.progress, self.options.config)?;
        self.tell(Event::Saved { step: self.trainer.step, path: path.clone() })?;
        Ok(path)
    }

    fn tell(&mut self, event: Event) -> Result<(), TrainError> {
        let path = self.options.out.join(METRICS);
        let mut line = serde_json::to_string(&event).map_err(|error| write_error(&path, &error))?;
        line.push('\n');
        self.metrics.write_all(line.as_bytes()).map_err(|error| write_error(&path, &explained(error)))?;
        (self.watch)(&event);
        Ok(())
    }
}

pub(crate) fn write_error(path: &Path, error: &dyn std::error::Error) -> TrainError {
    TrainError::Write { path: path.into(), what: error.to_string() }
}

fn add(a: Losses, b: Losses) -> Losses {
    Losses {
        l1: a.l1 + b.l1,
        edges: a.edges + b.edges,
        flip: a.flip + b.flip,
        adversarial: a.adversarial + b.adversarial,
        wasserstein: a.wasserstein + b.wasserstein,
        penalty: a.penalty + b.penalty,
        generator_gradient: a.generator_gradient + b.generator_gradient,
        critic_gradient: a.critic_gradient + b.critic_gradient,
        l1_image_gradient: a.l1_image_gradient + b.l1_image_gradient,
        adversarial_image_gradient: a.adversarial_image_gradient + b.adversarial_image_gradient,
    }
}

fn scale(a: Losses, factor: f64) -> Losses {
    Losses {
        l1: a.l1 * factor,
        edges: a.edges * factor,
        flip: a.flip * factor,
        adversarial: a.adversarial * factor,
        wasserstein: a.wasserstein * factor,
        penalty: a.penalty * factor,
        generator_gradient: a.generator_gradient * factor,
        critic_gradient: a.critic_gradient * factor,
        l1_image_gradient: a.l1_image_gradient * factor,
        adversarial_image_gradient: a.adversarial_image_gradient * factor,
    }
}
