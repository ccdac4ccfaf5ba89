//! Checkpoints: folders `step_00000250` that hold a whole training state. They are written under another name first
//! and renamed, so a folder with that name is always whole.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::Optimizer;
use burn::record::{FullPrecisionSettings, NamedMpkFileRecorder, Recorder, RecorderError};
use burn::tensor::backend::AutodiffBackend;
use portrait_network::{Dtype, Graph, Model, Provenance, WeightsError};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{Config, ConfigError, ConfigFile};
use crate::convergence::Convergence;
use crate::report::Validation;
use crate::trainer::Trainer;
use crate::workers::Worker;

/// Checkpoints that are kept besides the best one.
pub const KEPT: usize = 2;
const STATE: &str = "state.json";
const AVERAGE: &str = "average.safetensors";
const CONFIG: &str = "config.toml";
const GENERATOR: &str = "generator";
const CRITIC: &str = "critic";
const GENERATOR_ADAM: &str = "generator_adam";
const CRITIC_ADAM: &str = "critic_adam";

/// What a run knows besides its networks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Commit of the code that trains.
    pub commit: String,
    /// Validations so far.
    pub convergence: Convergence,
    /// The last validation.
    pub validation: Option<Validation>,
    /// The best validation since the critic counts in full.
    pub best: Option<Validation>,
    /// Steps rejected so far.
    pub rejected: u64,
}

#[derive(Serialize, Deserialize)]
struct State {
    step: u64,
    rng: ChaCha8Rng,
    progress: Progress,
}

/// A checkpoint as `export` needs it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The averaged weights.
    pub model: Model,
    /// The config of the run.
    pub config: ConfigFile,
    /// Steps done.
    pub step: u64,
    /// Validations and commit.
    pub progress: Progress,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file or folder cannot be written or read.
    #[error("checkpoint {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no checkpoint.
    #[error("{path} holds no checkpoint: expected a run's folder or one of its `checkpoints/step_…`")]
    None {
        /// The folder.
        path: PathBuf,
    },
    /// A network or optimiser cannot be written or read.
    #[error("checkpoint {path}: {source}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What the recorder says.
        source: RecorderError,
    },
    /// `state.json` is not what it should be.
    #[error("checkpoint {path}: {source}; resume from an older checkpoint by deleting this folder")]
    State {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// The averaged weights cannot be written or read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The config in the checkpoint is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Writes the checkpoint `folder/step_…`, unless this step has one, and deletes older ones: [`KEPT`] and the best stay.
///
/// # Errors
/// When something cannot be written.
pub fn save<B: AutodiffBackend>(
    folder: &Path,
    trainer: &Trainer<B>,
    progress: &Progress,
    config: &ConfigFile,
) -> Result<PathBuf, CheckpointError> {
    let whole = folder.join(name(trainer.step));
    if whole.exists() {
        return Ok(whole);
    }
    let partial = folder.join(format!("partial_{}", name(trainer.step)));
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(io(&partial))?;
    }
    std::fs::create_dir_all(&partial).map_err(io(&partial))?;
    write::<B, _>(&partial, GENERATOR, trainer.generator.clone().into_record())?;
    write::<B, _>(&partial, CRITIC, trainer.critic.clone().into_record())?;
    write::<B, _>(&partial, GENERATOR_ADAM, trainer.generator_adam.to_record())?;
    write::<B, _>(&partial, CRITIC_ADAM, trainer.critic_adam.to_record())?;
    trainer.average_model(Provenance::default())?.save(&partial.join(AVERAGE), Dtype::F32, false)?;
    std::fs::write(partial.join(CONFIG), config.text()).map_err(io(&partial))?;
    let path = partial.join(STATE);
    let state = State { step: trainer.step, rng: trainer.rng.clone(), progress: progress.clone() };
    let text = serde_json::to_string(&state).map_err(|source| CheckpointError::State { path: path.clone(), source })?;
    std::fs::write(&path, text).map_err(io(&path))?;
    std::fs::rename(&partial, &whole).map_err(io(&whole))?;

    let best = progress.best.as_ref().map(|best| best.step);
    let older = steps(folder)?.into_iter().rev().filter(|&step| step < trainer.step && Some(step) != best);
    for step in older.skip(KEPT - 1) {
        let path = folder.join(name(step));
        std::fs::remove_dir_all(&path).map_err(io(&path))?;
    }
    Ok(whole)
}

/// Reads a checkpoint into a trainer that has the same networks.
///
/// # Errors
/// When something cannot be read or does not fit.
pub fn resume<B: AutodiffBackend>(
    checkpoint: &Path,
    config: &Config,
    graph: &Graph,
    device: &B::Device,
) -> Result<(Trainer<B>, Progress), CheckpointError> {
    let initial = Trainer::<B>::initial(config, graph, device);
    let state = read_state(checkpoint)?;
    let trainer = Trainer {
        generator: initial.generator.load_record(read::<B, _>(checkpoint, GENERATOR, device)?),
        critic: initial.critic.load_record(read::<B, _>(checkpoint, CRITIC, device)?),
        generator_adam: initial.generator_adam.load_record(read::<B, _>(checkpoint, GENERATOR_ADAM, device)?),
        critic_adam: initial.critic_adam.load_record(read::<B, _>(checkpoint, CRITIC_ADAM, device)?),
        average: Model::load(&checkpoint.join(AVERAGE))?.convs().to_vec(),
        rng: state.rng,
        step: state.step,
        worker: Worker::ALONE,
    };
    Ok((trainer, state.progress))
}

/// Reads what `export` needs.
///
/// # Errors
/// When something cannot be read.
pub fn snapshot(checkpoint: &Path) -> Result<Snapshot, CheckpointError> {
    let State { step, progress, .. } = read_state(checkpoint)?;
    Ok(Snapshot {
        model: Model::load(&checkpoint.join(AVERAGE))?,
        config: ConfigFile::load(&checkpoint.join(CONFIG))?,
        step,
        progress,
    })
}

/// Folder of checkpoints in a run's folder.
pub fn folder(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

/// The newest checkpoint in a folder of checkpoints.
///
/// # Errors
/// When the folder cannot be read.
pub fn latest(folder: &Path) -> Result<Option<PathBuf>, CheckpointError> {
    if !folder.exists() {
        return Ok(None);
    }
    Ok(steps(folder)?.last().map(|&step| folder.join(name(step))))
}

/// `path` itself if it is a checkpoint, else the best checkpoint (or else the newest) of the run in `path`.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn find(path: &Path) -> Result<PathBuf, CheckpointError> {
    if path.join(STATE).is_file() {
        return Ok(path.into());
    }
    let folder = folder(path);
    let newest = newest(path)?;
    let best = read_state(&newest)?.progress.best.map(|best| folder.join(name(best.step)));
    Ok(best.filter(|best| best.exists()).unwrap_or(newest))
}

/// The newest checkpoint of the run in `path`.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn newest(path: &Path) -> Result<PathBuf, CheckpointError> {
    latest(&folder(path))?.ok_or_else(|| CheckpointError::None { path: path.into() })
}

fn name(step: u64) -> String {
    format!("step_{step:08}")
}

/// Steps that have a checkpoint, in order.
fn steps(folder: &Path) -> Result<Vec<u64>, CheckpointError> {
    let mut steps = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?.file_name();
        let step = entry.to_str().and_then(|entry| entry.strip_prefix("step_")).and_then(|step| step.parse().ok());
        steps.extend(step.filter(|&step| folder.join(name(step)).join(STATE).is_file()));
    }
    steps.sort_unstable();
    Ok(steps)
}

fn read_state(checkpoint: &Path) -> Result<State, CheckpointError> {
    let path = checkpoint.join(STATE);
    let text = std::fs::read_to_string(&path).map_err(io(&path))?;
    serde_json::from_str(&text).map_err(|source| CheckpointError::State { path, source })
}

type FileRecorder = NamedMpkFileRecorder<FullPrecisionSettings>;

fn write<B: AutodiffBackend, R: burn::record::Record<B>>(
    folder: &Path,
    name: &str,
    record: R,
) -> Result<(), CheckpointError> {
    let path = folder.join(name);
    let recorder = FileRecorder::default();
    Recorder::<B>::record(&recorder, record, path.clone()).map_err(|source| CheckpointError::Record { path, source })
}

fn read<B: AutodiffBackend, R: burn::record::Record<B>>(
    folder: &Path,
    name: &str,
    device: &B::Device,
) -> Result<R, CheckpointError> {
    let path = folder.join(name);
    let recorder = FileRecorder::default();
    Recorder::<B>::load(&recorder, path.clone(), device).map_err(|source| CheckpointError::Record { path, source })
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> CheckpointError + use<'_> {
    move |source| CheckpointError::Io { path: path.into(), source }
}
