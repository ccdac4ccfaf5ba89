//! Checkpoints: folders `step_00000250` that hold a whole training state. They are written and synced under another name,
//! then renamed, and renamed back before they are deleted, so a folder with that name is always whole.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::Optimizer;
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, NamedMpkFileRecorder, Recorder, RecorderError};
use burn::tensor::backend::AutodiffBackend;
use portrait_files::atomic::{self, sync_folder};
use portrait_files::bounded;
use portrait_files::config::{Config, ConfigError, ConfigFile};
use portrait_files::weights::{self, WeightsFileError};
use portrait_network::{Dtype, Graph, Model, Provenance, WeightsError};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::convergence::Convergence;
use super::trainer::{ScaleCritic, Trainer};
use super::workers::Worker;
use crate::measure::Validation;

/// Number of checkpoints that are kept besides the best one.
const KEPT: usize = 2;
const STATE: &str = "state.json";
const AVERAGE: &str = "average.safetensors";
const CONFIG: &str = "config.toml";
const GENERATOR: &str = "generator";
const GENERATOR_ADAM: &str = "generator_adam";
/// Critic and optimiser of each scale.
const CRITICS: [[&str; 2]; 2] = [["critic", "critic_adam"], ["half_critic", "half_critic_adam"]];
/// Beginning of the names of folders that are being written or deleted.
const PARTIAL: &str = "partial_";
/// Size of the largest `state.json` that is read, in bytes: more than two numbers for each of a million validations take.
const MAX_STATE_BYTES: u64 = 64 << 20;

/// The state of a run besides its networks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Commit of the code that trains.
    pub commit: String,
    /// SHA-256 of the weights file that the run started from, hexadecimal; `None` for random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_sha256: Option<String>,
    /// SHA-256 of the file of features that L_P compares, hexadecimal; `None` where its weight is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual_sha256: Option<String>,
    /// Validations so far, for the criterion of convergence.
    pub convergence: Convergence,
    /// Figures of the last validation.
    pub validation: Option<Validation>,
    /// Figures of the best validation since the critic counts in full.
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

/// The part of a checkpoint that an export needs.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Averaged weights.
    pub model: Model,
    /// Config of the run.
    pub config: ConfigFile,
    /// Steps done.
    pub step: u64,
    /// State of the run besides its networks.
    pub progress: Progress,
}

/// An error of writing or reading a checkpoint.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file or folder cannot be written or read.
    #[error("checkpoint {path}: {source}")]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The folder holds no checkpoint.
    #[error("{path} holds no checkpoint: expected a run's folder or one of its `checkpoints/step_…`")]
    None {
        /// Path of the folder.
        path: PathBuf,
    },
    /// A network or optimiser cannot be written or read.
    #[error("checkpoint {path}: {source}")]
    Record {
        /// Path of the file.
        path: PathBuf,
        /// Error of the recorder.
        source: RecorderError,
    },
    /// `state.json` is not as it should be.
    #[error("checkpoint {path}: {source}; resume from an older checkpoint by deleting this folder")]
    State {
        /// Path of the file.
        path: PathBuf,
        /// Error of the reader.
        source: serde_json::Error,
    },
    /// The averaged weights are not finite.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The averaged weights cannot be written or read.
    #[error(transparent)]
    WeightsFile(#[from] WeightsFileError),
    /// The config in the checkpoint is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Writes the checkpoint `folder/step_…`, unless this step has one, and deletes older checkpoints: two and the best stay. Only
/// one process may do so at a time.
///
/// # Errors
/// Fails when something cannot be written; older checkpoints are as they were.
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
    // Written under another name first: a folder with its final name is whole.
    let partial = partial(folder, trainer.step);
    if let Err(error) = write_state(&partial, trainer, progress, config) {
        // A full disk has its room back.
        let _ = std::fs::remove_dir_all(&partial);
        return Err(error);
    }
    std::fs::rename(&partial, &whole).map_err(io(&whole))?;
    sync_folder(folder).map_err(io(folder))?;

    // Older checkpoints go only now that the new one is on the disk. Renamed first, a half-deleted one is none.
    let best = progress.best.as_ref().map(|best| best.step);
    let older = steps(folder)?.into_iter().rev().filter(|&step| step < trainer.step && Some(step) != best);
    for step in older.skip(KEPT - 1) {
        let path = folder.join(name(step));
        std::fs::rename(&path, self::partial(folder, step)).map_err(io(&path))?;
    }
    delete_partial(folder)?;
    Ok(whole)
}

/// Writes all files of a checkpoint into a new folder.
fn write_state<B: AutodiffBackend>(
    folder: &Path,
    trainer: &Trainer<B>,
    progress: &Progress,
    config: &ConfigFile,
) -> Result<(), CheckpointError> {
    std::fs::create_dir(folder).map_err(io(folder))?;
    write::<B, _>(folder, GENERATOR, trainer.generator.clone().into_record())?;
    write::<B, _>(folder, GENERATOR_ADAM, trainer.generator_adam.to_record())?;
    for (critic, [network, adam]) in trainer.critics.iter().zip(CRITICS) {
        write::<B, _>(folder, network, critic.network.clone().into_record())?;
        write::<B, _>(folder, adam, critic.adam.to_record())?;
    }
    let average = trainer.average_model(Provenance::default())?;
    weights::save(&average, &folder.join(AVERAGE), Dtype::F32, false)?;
    let path = folder.join(CONFIG);
    atomic::write(&path, config.text().as_bytes()).map_err(io(&path))?;
    let path = folder.join(STATE);
    let state = State { step: trainer.step, rng: trainer.rng.clone(), progress: progress.clone() };
    let text = serde_json::to_string(&state).map_err(|source| CheckpointError::State { path: path.clone(), source })?;
    atomic::write(&path, text.as_bytes()).map_err(io(&path))
}

/// Reads a checkpoint into a trainer that has the same networks, and nothing yet to compare features with.
///
/// # Errors
/// Fails when something cannot be read or does not fit.
pub fn resume<B: AutodiffBackend>(
    checkpoint: &Path,
    config: &Config,
    graph: &Graph,
    device: &B::Device,
) -> Result<(Trainer<B>, Progress), CheckpointError> {
    let initial = Trainer::<B>::initial(config, graph, device);
    let state = read_state(checkpoint)?;
    let critics = initial.critics.into_iter().zip(CRITICS).map(|(critic, [network, adam])| {
        Ok(ScaleCritic {
            network: critic.network.load_record(read::<B, _>(checkpoint, network, device)?),
            adam: critic.adam.load_record(read::<B, _>(checkpoint, adam, device)?),
        })
    });
    let trainer = Trainer {
        generator: initial.generator.load_record(read::<B, _>(checkpoint, GENERATOR, device)?),
        generator_adam: initial.generator_adam.load_record(read::<B, _>(checkpoint, GENERATOR_ADAM, device)?),
        critics: critics.collect::<Result<_, CheckpointError>>()?,
        perceptual: None,
        average: weights::load(&checkpoint.join(AVERAGE))?.convs().to_vec(),
        rng: state.rng,
        step: state.step,
        worker: Worker::alone(),
    };
    Ok((trainer, state.progress))
}

/// Reads the part of a checkpoint that an export needs.
///
/// # Errors
/// Fails when something cannot be read.
pub fn snapshot(checkpoint: &Path) -> Result<Snapshot, CheckpointError> {
    let State { step, progress, .. } = read_state(checkpoint)?;
    Ok(Snapshot {
        model: weights::load(&checkpoint.join(AVERAGE))?,
        config: ConfigFile::load(&checkpoint.join(CONFIG))?,
        step,
        progress,
    })
}

/// Returns the folder of checkpoints in a run's folder.
pub fn folder(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

/// Finds the newest checkpoint in a folder of checkpoints.
///
/// # Errors
/// Fails when the folder cannot be read.
pub fn latest(folder: &Path) -> Result<Option<PathBuf>, CheckpointError> {
    if !folder.exists() {
        return Ok(None);
    }
    Ok(steps(folder)?.last().map(|&step| folder.join(name(step))))
}

/// Returns `path` itself if it is a checkpoint, else the best checkpoint (or else the newest) of the run in `path`.
///
/// # Errors
/// Fails when there is no checkpoint, or it cannot be read.
pub fn find(path: &Path) -> Result<PathBuf, CheckpointError> {
    if path.join(STATE).is_file() {
        return Ok(path.into());
    }
    let folder = folder(path);
    let newest = newest(path)?;
    let best = read_state(&newest)?.progress.best.map(|best| folder.join(name(best.step)));
    Ok(best.filter(|best| best.exists()).unwrap_or(newest))
}

/// Finds the newest checkpoint of the run in `path`.
///
/// # Errors
/// Fails when there is no checkpoint, or it cannot be read.
pub fn newest(path: &Path) -> Result<PathBuf, CheckpointError> {
    latest(&folder(path))?.ok_or_else(|| CheckpointError::None { path: path.into() })
}

fn name(step: u64) -> String {
    format!("step_{step:08}")
}

/// Returns the folder in which the checkpoint of a step is written, and in which it is deleted.
fn partial(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("{PARTIAL}{}", name(step)))
}

/// Deletes the folders that this run, or a run that was killed, has written in part or deleted in part.
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

/// Reads the step from the name of a checkpoint's folder.
fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step_")?.parse().ok()
}

/// Lists the steps that have a checkpoint, in order.
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
    let content = bounded::read(&path, MAX_STATE_BYTES).map_err(io(&path))?;
    serde_json::from_slice(&content).map_err(|source| CheckpointError::State { path, source })
}

type FileRecorder = NamedMpkFileRecorder<FullPrecisionSettings>;

fn write<B: AutodiffBackend, R: burn::record::Record<B>>(
    folder: &Path,
    name: &str,
    record: R,
) -> Result<(), CheckpointError> {
    // The file recorder of `read` adds this ending by itself.
    let path = folder.join(name).with_extension("mpk");
    // Burn's own writer to files hides what goes wrong when it is closed, such as a full disk.
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    match Recorder::<B>::record(&recorder, record, ()) {
        Ok(content) => atomic::write(&path, &content).map_err(io(&path)),
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
