//! Starts a training run: checks the folder, reads the data, and makes a replica of the trainer for each worker.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use burn::tensor::backend::AutodiffBackend;
use portrait_files::config::Config;
use portrait_files::folder::is_empty;
use portrait_network::Graph;
use rand_chacha::ChaCha8Rng;

use super::checkpoint::{self, Progress};
use super::error::TrainError;
use super::folder::{begin, is_begun, lock_folder, open_metrics};
use super::ingredients::Ingredients;
use super::main_loop::{Draw, Run};
use super::options::{Start, TrainOptions};
use super::report::{Event, Summary};
use super::trainer::{Rejection, Trainer};
use super::workers::Worker;
use crate::commit::commit;
use crate::data::{Pair, WeightTable, crops, doubts, draw_crops, read};
use crate::networks::MobileNet;

/// Trains until the parameters converge, `max_steps` or `max_minutes` are over, or `stop` is set. `watch` sees every
/// event that `metrics.jsonl` holds. Workers take `devices` in turn; without any, they take the backend's default device.
///
/// # Errors
/// Fails when config, data or folder are not as they should be, or the run diverges.
pub fn train<B: AutodiffBackend>(
    options: &TrainOptions,
    devices: &[B::Device],
    watch: &mut dyn FnMut(&Event),
) -> Result<Summary, TrainError> {
    let config = options.config.config();
    config.validate()?;
    let graph = config.graph()?;

    // A run's folder is locked before its checkpoints are looked at. A new one is made only when nothing else can be refused.
    let begun = is_begun(options.out);
    let lock = if begun { Some(lock_folder(options.out)?) } else { None };
    let checkpoint = checkpoint_to_resume(options, begun)?;
    let ingredients = Ingredients::read(options, &graph)?;

    let planes = &graph.spec().inputs;
    let mut train = read::load(options.data, &config.data.train_seeds, planes)?;
    if config.data.relight > 0.0 {
        read::attach_light_groups(options.data, &mut train, &config.data.tone_mappings)?;
    }
    let mut validation = read::load(options.data, &config.data.validation_seeds, planes)?;
    read::check_held_out(config.data.held_out, &train, &validation)?;
    read::check_crop(&train, config.data.crop_px)?;
    validation.truncate(config.run.validation_pairs);
    let doubts = doubts::doubts(options.data, &train.iter().chain(&validation).collect::<Vec<&Pair>>());

    let weights = WeightTable::new(&config.loss.importance, &train);
    // Every worker draws the same crops from the same random numbers, and makes the pixels of its own share.
    let draw = |rng: &mut ChaCha8Rng, worker: &Worker| {
        let plans = draw_crops(&train, &config.data, rng);
        crops(&train, planes, &weights, &plans[worker.range(plans.len())])
    };

    let (mut replicas, progress) = replicas::<B>(config, &graph, checkpoint.as_deref(), &ingredients, devices)?;
    let trainer = replicas.remove(0);
    let device = trainer.device();
    let _lock = lock.map_or_else(|| begin(options.out), Ok)?;
    let (metrics, repaired) = open_metrics(options.out, trainer.step)?;

    std::thread::scope(|scope| {
        let (draw, train, weights, graph) = (&draw as &Draw, &train[..], &weights, &graph);
        let (mut go, mut others) = (Vec::new(), Vec::new());
        for trainer in replicas {
            let (tell, told) = channel();
            go.push(tell);
            others.push(scope.spawn(move || follow(trainer, config, draw, &told)));
        }
        let run =
            Run { options, trainer, progress, graph, train, validation, weights, draw, go, device, metrics, watch };
        // The run drops the first worker when it ends, however it ends, so that no other worker waits for it.
        let outcome = run.run(repaired, doubts);
        // A worker that panicked has said why, and the first one has missed it.
        others.into_iter().for_each(|other| drop(other.join()));
        outcome
    })
}

/// Finds the checkpoint to go on from, if there is one, and refuses a folder that does not fit `--resume`.
fn checkpoint_to_resume(options: &TrainOptions, begun: bool) -> Result<Option<PathBuf>, TrainError> {
    let newest = checkpoint::latest(&checkpoint::folder(options.out))?;
    match (options.start, newest) {
        (Start::Random | Start::From(_), _) if !is_empty(options.out) => {
            Err(TrainError::Exists { path: options.out.into() })
        }
        (Start::Resume, None) if !begun => Err(TrainError::NothingToResume { path: options.out.into() }),
        (Start::Resume, Some(checkpoint)) => {
            let before = checkpoint::snapshot(&checkpoint)?.config;
            if options.config.config().continues(before.config()) {
                Ok(Some(checkpoint))
            } else {
                Err(TrainError::OtherConfig { path: checkpoint })
            }
        }
        // A run that was killed before its first checkpoint begins again.
        (_, None) | (Start::Random | Start::From(_), _) => Ok(None),
    }
}

/// Makes a replica of the trainer for each worker, on its device, from a checkpoint, from weights, or from the config's seed.
fn replicas<B: AutodiffBackend>(
    config: &Config,
    graph: &Graph,
    checkpoint: Option<&Path>,
    ingredients: &Ingredients,
    devices: &[B::Device],
) -> Result<(Vec<Trainer<B>>, Progress), TrainError> {
    let Ingredients { init, perceptual } = ingredients;
    let mut progress = Progress {
        commit: commit(),
        init_sha256: init.as_ref().map(|(_, sha256)| sha256.clone()),
        perceptual_sha256: perceptual.as_ref().map(|features| features.sha256.clone()),
        ..Progress::default()
    };
    let mut replicas = Vec::new();
    for worker in Worker::team(config.run.workers) {
        let device = devices.iter().cycle().nth(worker.index()).cloned().unwrap_or_default();
        let mut trainer = match checkpoint {
            Some(checkpoint) => {
                let (trainer, saved) = checkpoint::resume(checkpoint, config, graph, &device)?;
                ingredients.check_resumed(&saved, checkpoint)?;
                progress = saved;
                trainer
            }
            None => Trainer::<B>::initial(config, graph, &device),
        };
        if let Some((model, _)) = init {
            trainer.start_from(model);
        }
        trainer.perceptual = perceptual.as_ref().map(|weights| MobileNet::new(weights, &device));
        trainer.worker = worker;
        replicas.push(trainer);
    }
    Ok((replicas, progress))
}

/// Trains as a worker other than the first: a step whenever the first worker says so.
fn follow<B: AutodiffBackend>(mut trainer: Trainer<B>, config: &Config, draw: &Draw, told: &Receiver<()>) {
    while told.recv().is_ok() {
        // A step that is rejected here is rejected, and told, by the first worker as well.
        if let Err(Rejection::Workers(_)) = trainer.step(config, draw) {
            return;
        }
    }
}
