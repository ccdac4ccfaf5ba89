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
    /// Goes on from the newest checkpoint in `out`.
    pub resume: bool,
    /// Ends the run, after a checkpoint, when it becomes true.
    pub stop: &'a AtomicBool,
}
