//! The choices of whoever starts a run.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use portrait_files::config::ConfigFile;

/// A run to train.
#[derive(Clone, Debug)]
pub struct TrainOptions<'a> {
    /// Config, with its text for the checkpoints.
    pub config: &'a ConfigFile,
    /// Folder of pairs.
    pub data: &'a Path,
    /// Folder for checkpoints, `metrics.jsonl` and pictures.
    pub out: &'a Path,
    /// Place where the run begins.
    pub start: Start<'a>,
    /// File of features, as `cargo xtask perceptual` makes it. Read only where the config's `loss.perceptual.weight` is above 0, and
    /// needed there.
    pub perceptual: Option<&'a Path>,
    /// Ends the run, after a checkpoint, when it becomes true.
    pub stop: &'a AtomicBool,
}

/// The place where a run begins.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Random weights, decided by the config's `run.seed`.
    Random,
    /// Weights of this file, whose layers are those of the config's network.
    From(&'a Path),
    /// The newest checkpoint in the run's folder.
    Resume,
}
