//! The folder of a run: which files say that a run was begun, who may write, and a log that a killed run wrote in part.

use std::fs::{File, OpenOptions};
use std::path::Path;

use portrait_network::files::{Lock, explained, write_whole};

use crate::train::{TrainError, write_error};

/// The log.
pub(crate) const METRICS: &str = "metrics.jsonl";
/// The first file of a run's folder; locked as long as the run goes on.
const LOCK: &str = ".lock";

/// Whether a run was begun in the folder.
pub(crate) fn is_begun(out: &Path) -> bool {
    [LOCK, METRICS].iter().any(|name| out.join(name).is_file())
}

/// Makes the folder of a new run and locks it.
pub(crate) fn begin(out: &Path) -> Result<Lock, TrainError> {
    std::fs::create_dir_all(out).map_err(|error| write_error(out, &explained(error)))?;
    let lock = lock_folder(out)?;
    // Another one may have come and gone while this one read its data.
    if out.join(METRICS).exists() { Err(TrainError::Exists { path: out.into() }) } else { Ok(lock) }
}

/// Keeps other runs out of the folder until the lock is dropped.
pub(crate) fn lock_folder(out: &Path) -> Result<Lock, TrainError> {
    let path = out.join(LOCK);
    let lock = Lock::take(&path).map_err(|error| write_error(&path, &explained(error)))?;
    lock.ok_or_else(|| TrainError::Running { path: out.into() })
}

/// Opens `metrics.jsonl` for new lines, without the lines of steps that will be done again and without those that were
/// written in part, which are counted.
pub(crate) fn open_metrics(out: &Path, step: u64) -> Result<(File, usize), TrainError> {
    let path = out.join(METRICS);
    let failed = |error: std::io::Error| write_error(&path, &explained(error));
    let mut torn = 0;
    if path.exists() {
        let content = std::fs::read(&path).map_err(failed)?;
        let mut kept = String::new();
        for line in String::from_utf8_lossy(&content).lines() {
            match serde_json::from_str::<serde_json::Value>(line) {
                Ok(entry) if entry["step"].as_u64().is_some_and(|at| at <= step) => kept.extend([line, "\n"]),
                Ok(_) => {}
                Err(_) => torn += 1,
            }
        }
        write_whole(&path, kept.as_bytes()).map_err(failed)?;
    }
    Ok((OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?, torn))
}
