//! Checkpoints: folders `step_00000250` that hold a whole training state. They are written and synced under another name,
//! then renamed, and renamed back before they are deleted, so a folder with that name is always whole.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::Optimizer;
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, NamedMpkFileRecorder, Recorder, RecorderError};
use burn::tensor::backend::AutodiffBackend;
use portrait_network::files::{sync_folder, write_whole};
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
/// Begins the names of folders that are being written or deleted.
const PARTIAL: &str = "partial_";

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
/// Only one process may do so at a time.
///
/// # Errors
/// When something cannot be written; older checkpoints are as they were.
pub fn save<B: AutodiffBackend>(
    folder: &Path,
    trainer: &Trainer<B>,
    progress: &Progress,
    config: &ConfigFile,
) -> Result<PathBuf, CheckpointError> {
    let whole = folder.join(name(trainer.step));
    if whole.join(STATE).is_file() {
        return Ok(whole);
    }
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    delete_partial(folder)?;
    let partial = partial(folder, trainer.step);
    if let Err(error) = write_state(&partial, trainer, progress, config) {
        // A full disk has its room back.
        let _ = std::fs::remove_dir_all(&partial);
        return Err(error);
    }
    std::fs::rename(&partial, &whole).map_err(io(&whole))?;
    sync_folder(folder).map_err(io(folder))?;

    let best = progress.best.as_ref().map(|best| best.step);
    let older = steps(folder)?.into_iter().rev().filter(|&step| step < trainer.step && Some(step) != best);
    for step in older.skip(KEPT - 1) {
        let path = folder.join(name(step));
        std::fs::rename(&path, self::partial(folder, step)).map_err(io(&path))?;
    }
    delete_partial(folder)?;
    Ok(whole)
}

/// Writes all files of a checkpoint.
fn write_state<B: AutodiffBackend>(
    folder: &Path,
    trainer: &Trainer<B>,
    progress: &Progress,
    config: &ConfigFile,
) -> Result<(), CheckpointError> {
    std::fs::create_dir(folder).map_err(io(folder))?;
    write::<B, _>(folder, GENERATOR, trainer.generator.clone().into_record())?;
    write::<B, _>(folder, CRITIC, trainer.critic.clone().into_record())?;
    write::<B, _>(folder, GENERATOR_ADAM, trainer.generator_adam.to_record())?;
    write::<B, _>(folder, CRITIC_ADAM, trainer.critic_adam.to_record())?;
    trainer.average_model(Provenance::default())?.save(&folder.join(AVERAGE), Dtype::F32, false)?;
    let path = folder.join(CONFIG);
    write_whole(&path, config.text().as_bytes()).map_err(io(&path))?;
    let path = folder.join(STATE);
    let state = State { step: trainer.step, rng: trainer.rng.clone(), progress: progress.clone() };
    let text = serde_json::to_string(&state).map_err(|source| CheckpointError::State { path: path.clone(), source })?;
    write_whole(&path, text.as_bytes()).map_err(io(&path))
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

/// Where the checkpoint of a step is written, and where it is deleted.
fn partial(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("{PARTIAL}{}", name(step)))
}

/// Deletes what this run, or one that was killed, has written in part or deleted in part.
fn delete_partial(folder: &Path) -> Result<(), CheckpointError> {
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?;
        let step = entry.file_name().to_str().and_then(|entry| step_of(entry.strip_prefix(PARTIAL)?));
        if step.is_some() {
            let path = entry.path();
            std::fs::remove_dir_all(&path).map_err(io(&path))?;
        }
    }
    Ok(())
}

/// The step that a checkpoint's folder is named by.
fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step_")?.parse().ok()
}

/// Steps that have a checkpoint, in order.
fn steps(folder: &Path) -> Result<Vec<u64>, CheckpointError> {
    let mut steps = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?.file_name();
        let step = entry.to_str().and_then(step_of);
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
    // Where `FileRecorder` reads it.
    let path = folder.join(name).with_extension("mpk");
    // Burn's own writer to files hides what goes wrong when it is closed, such as a full disk.
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    match Recorder::<B>::record(&recorder, record, ()) {
        Ok(content) => write_whole(&path, &content).map_err(io(&path)),
        Err(source) => Err(CheckpointError::Record { path, source }),
    }
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
