//! The folder of a run: the files that say that a run was begun, the lock of whoever writes, and a log that a killed run wrote
//! in part.

use std::fs::{File, OpenOptions};
use std::path::Path;

use portrait_files::atomic::{self, explain_full_disk};
use portrait_files::lock::Lock;

use super::error::TrainError;

/// Name of the log.
pub const METRICS: &str = "metrics.jsonl";
/// Name of the first file of a run's folder, which is locked as long as the run goes on.
const LOCK: &str = ".lock";

/// Tells whether a run was begun in the folder.
pub fn is_begun(out: &Path) -> bool {
    [LOCK, METRICS].iter().any(|name| out.join(name).is_file())
}

/// Makes the folder of a new run and locks it.
///
/// # Errors
/// Fails when another run has begun there meanwhile, or the folder cannot be made.
pub fn begin(out: &Path) -> Result<Lock, TrainError> {
    std::fs::create_dir_all(out).map_err(|error| TrainError::write(out, &explain_full_disk(error)))?;
    let lock = lock_folder(out)?;
    // Another run may have come and gone while this one read its data.
    if out.join(METRICS).exists() { Err(TrainError::Exists { path: out.into() }) } else { Ok(lock) }
}

/// Keeps other runs out of the folder until the lock is dropped.
///
/// # Errors
/// Fails when another run has the lock, or it cannot be taken.
pub fn lock_folder(out: &Path) -> Result<Lock, TrainError> {
    let path = out.join(LOCK);
    let lock = Lock::take(&path).map_err(|error| TrainError::write(&path, &explain_full_disk(error)))?;
    lock.ok_or_else(|| TrainError::Running { path: out.into() })
}

/// Opens `metrics.jsonl` for new lines, without the lines of steps that will be done again and without the lines that were
/// written in part, which are counted.
///
/// # Errors
/// Fails when the log cannot be read or written.
pub fn open_metrics(out: &Path, step: u64) -> Result<(File, usize), TrainError> {
    let path = out.join(METRICS);
    let failed = |error: std::io::Error| TrainError::write(&path, &explain_full_disk(error));
    let mut torn = 0;
    if path.exists() {
        // A kill may have cut a line in the middle of a character.
        let content = std::fs::read(&path).map_err(failed)?;
        let mut kept = String::new();
        for line in String::from_utf8_lossy(&content).lines() {
            match serde_json::from_str::<serde_json::Value>(line) {
                Ok(entry) if entry["step"].as_u64().is_some_and(|at| at <= step) => kept.extend([line, "\n"]),
                Ok(_) => {}
                Err(_) => torn += 1,
            }
        }
        atomic::write(&path, kept.as_bytes()).map_err(failed)?;
    }
    Ok((OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?, torn))
}
