//! Files that are whole or not there, and folders that one process writes to: whatever kills a process, and when.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

const PARTIAL: &str = ".part";
/// Hexadecimal digits that keep two writers of a file apart.
const DIGITS: usize = 16;

/// Writes a file, in place of the one that is there. Whoever opens `path`, even after a crash, finds the old content or the
/// new one, whole: the new one is written and synced as `.<name>.<16 digits>.part` beside it, and then renamed.
/// What killed writers of the same file left is deleted.
///
/// # Errors
/// When something cannot be written. The old file is still there then, and the message of a full disk says what to do.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    delete_abandoned(path);
    let partial = partial_path(path);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&partial)?;
        // Says that the writer lives. Where a file system has no locks, what was abandoned just stays.
        let _ = file.lock();
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        sync_folder(folder_of(path))
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&partial);
        explained(error)
    })
}

/// Makes what was renamed or made in a folder last beyond a power cut.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        // Some network file systems sync no folders.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// The error, with what to do if there is no room.
pub fn explained(error: io::Error) -> io::Error {
    match error.kind() {
        kind @ (ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => io::Error::new(
            kind,
            format!(
                "{error}: the disk is full, or a quota or file size limit (`ulimit -f`) is too small; make room and run \
                 the same command again: what was finished is whole and is kept"
            ),
        ),
        _ => error,
    }
}

/// An exclusive lock on a file. The system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock, or says `None` where another process has it. The file is made if it is missing, and stays.
    ///
    /// # Errors
    /// When the file cannot be made or its file system has no locks.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock as soon as no other process has it.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn wait(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, were it not for a child that is being started and has the file open until it runs.
        let _ = self.0.unlock();
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{:0DIGITS$x}{PARTIAL}", RandomState::new().hash_one(0)));
    path.with_file_name(name)
}

/// Whether a file of this name is what [`partial_path`] makes for `path`.
fn is_partial_of(path: &Path, name: &str) -> bool {
    let digits = path
        .file_name()
        .and_then(|whole| whole.to_str())
        .and_then(|whole| name.strip_prefix('.')?.strip_prefix(whole)?.strip_prefix('.')?.strip_suffix(PARTIAL));
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn delete_abandoned(path: &Path) {
    let Ok(entries) = std::fs::read_dir(folder_of(path)) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_str().is_some_and(|name| is_partial_of(path, name)) {
            continue;
        }
        let file = OpenOptions::new().write(true).open(entry.path());
        if file.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_rubbish() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        // A folder that is not empty cannot be replaced by a file.
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("mine"), b"old").unwrap();
        write_whole(&path, b"new").unwrap_err();
        assert_eq!(names(folder.path()), ["a.bin"]);
        assert_eq!(names(&path), ["mine"]);
    }

    #[test]
    fn what_killed_writers_left_is_deleted_and_nothing_of_a_living_one_or_a_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let (abandoned, written) = (partial_path(&path), partial_path(&path));
        std::fs::write(abandoned, b"half").unwrap();
        let writer = File::create(&written).unwrap();
        writer.lock().unwrap();
        let mine = [".a.bin.part", ".a.bin.0123.part", ".a.bin.0123456789abcdeg.part", ".b.bin.0123456789abcdef.part"];
        mine.iter().for_each(|name| std::fs::write(folder.path().join(name), b"mine").unwrap());
        write_whole(&path, b"new").unwrap();
        let mut left: Vec<String> = mine.iter().map(|name| name.to_string()).collect();
        left.extend(["a.bin".into(), written.file_name().unwrap().to_str().unwrap().into()]);
        left.sort();
        assert_eq!(names(folder.path()), left);
    }

    #[test]
    fn a_full_disk_is_explained() {
        let full = explained(io::Error::from_raw_os_error(28));
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert!(full.to_string().contains("disk is full") && full.to_string().contains("make room"), "{full}");
        assert_eq!(explained(io::Error::from(ErrorKind::NotFound)).to_string(), "entity not found");
    }

    #[test]
    fn a_lock_is_held_once_and_free_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::take(&path).unwrap();
        assert!(held.is_some() && Lock::take(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::take(&path).unwrap().is_some());
        drop(Lock::wait(&path).unwrap());
    }
}
