//! Claims of seeds: of two processes with the same seeds the second refuses, and processes with seeds of their own share a data
//! folder.

use std::path::Path;

use portrait_files::FileError;
use portrait_files::atomic::explain_full_disk;
use portrait_files::lock::Lock;

use crate::error::DatasetError;
use crate::seeds::SeedRange;

/// Name of the folder of claims in the data folder: a file for each range of seeds that is or was worked on, locked as long as its
/// process lives.
const LOCKS: &str = ".locks";
/// Name of the file that is locked while claims are compared.
const GUARD: &str = "portrait-dataset.guard";
const PREFIX: &str = "portrait-dataset ";

/// The right to make some seeds, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Claim {
    _lock: Lock,
}

impl Claim {
    /// Claims every `stride`-th seed of a range.
    ///
    /// # Errors
    /// Fails when another process has one of the seeds, or the data folder cannot be written or has no file locks.
    pub fn take(data: &Path, range: &SeedRange, stride: u32) -> Result<Self, DatasetError> {
        let folder = data.join(LOCKS);
        let failed = |error| FileError::Io { path: folder.clone(), source: explain_full_disk(error) };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let _guard = Lock::wait(&folder.join(GUARD)).map_err(failed)?;
        let refuse = |range: &SeedRange, stride| DatasetError::Claimed {
            folder: data.into(),
            range: format!("{}..{}", range.0.start, range.0.end),
            stride,
        };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some((other, other_stride)) = entry.file_name().to_str().and_then(parse) else { continue };
            let free = || Lock::take(&entry.path()).map(|lock| lock.is_some());
            if overlap((range, stride), (&other, other_stride)) && !free().map_err(failed)? {
                return Err(refuse(&other, other_stride));
            }
        }
        let name = format!("{PREFIX}{}..{} by {stride}", range.0.start, range.0.end);
        match Lock::take(&folder.join(name)).map_err(failed)? {
            Some(lock) => Ok(Self { _lock: lock }),
            None => Err(refuse(range, stride)),
        }
    }
}

/// Reads range and stride from the name of a claim's file.
fn parse(name: &str) -> Option<(SeedRange, u32)> {
    let (range, stride) = name.strip_prefix(PREFIX)?.split_once(" by ")?;
    Some((range.parse().ok()?, stride.parse().ok().filter(|&stride| stride > 0)?))
}

fn overlap((mine, stride): (&SeedRange, u32), (theirs, their_stride): (&SeedRange, u32)) -> bool {
    let is_mine = |seed: u64| mine.0.contains(&seed) && (seed - mine.0.start).is_multiple_of(stride.into());
    theirs.seeds(their_stride as usize).any(is_mine)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_claimed_once_and_other_seeds_beside_them() {
        let data = tempfile::tempdir().unwrap();
        let take = |range: &str, stride| Claim::take(data.path(), &range.parse().unwrap(), stride);
        let first = take("0..20", 4).unwrap();
        let others = [take("20..40", 1).unwrap(), take("1..20", 4).unwrap()];
        for (range, stride) in [("0..20", 4), ("16..17", 1), ("0..20", 8)] {
            let message = take(range, stride).unwrap_err().to_string();
            assert!(
                message.contains("seeds 0..20 with --stride 4") && message.contains("seeds of its own"),
                "{message}"
            );
            assert!(message.contains(data.path().to_str().unwrap()), "{message}");
        }
        drop(first);
        drop(take("16..17", 1).unwrap());
        take("0..20", 1).unwrap_err();
        drop(others);
        take("0..20", 1).unwrap();
    }
}
