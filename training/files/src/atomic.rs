//! Atomic writing: a file has its old content or its new one, whole, whatever kills its writer and when.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

const PARTIAL: &str = ".part";
/// Number of hexadecimal digits that keep two writers of a file apart.
const DIGITS: usize = 16;

/// Writes a file in place of the one that is there. Whoever opens `path`, even after a crash, finds the old content or the
/// new one, whole: the new one is written and synced as `.<name>.<16 hexadecimal digits>.part` in the same folder, and then
/// renamed. Partial files that killed writers of the same file left are deleted.
///
/// # Errors
/// Fails when something cannot be written. The old file is still there then, and the message of a full disk says what to do.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    delete_abandoned(path);
    let partial = partial_path(path);
    let write_partial = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&partial)?;
        // The lock says that the writer lives. Where a file system has no locks, an abandoned partial file just stays.
        let _ = file.lock();
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        sync_folder(folder_of(path))
    };
    write_partial().map_err(|error| {
        // The partial file may not exist; the error that counts is the first one.
        let _ = std::fs::remove_file(&partial);
        explain_full_disk(error)
    })
}

/// Writes a file as [`write()`] does, but replaces an existing one only where `overwrite` is true.
///
/// # Errors
/// Fails as [`write()`] does, and with [`ErrorKind::AlreadyExists`] where the file exists and may not be replaced.
pub fn write_unless_exists(path: &Path, content: &[u8], overwrite: bool) -> io::Result<()> {
    if !overwrite && path.exists() {
        let what = "the file exists: choose another name, or ask for it to be overwritten with --overwrite";
        return Err(io::Error::new(ErrorKind::AlreadyExists, what));
    }
    write(path, content)
}

/// Makes renamed and new entries of a folder last beyond a power cut.
///
/// # Errors
/// Fails when the folder cannot be opened or synced.
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

/// Adds to the error of a full disk, quota or file size limit what to do about it, and returns every other error as it is.
pub fn explain_full_disk(error: io::Error) -> io::Error {
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

/// Tells whether a file name is one that [`partial_path`] makes for `path`.
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
        // A living writer holds the lock of its partial file.
        let file = OpenOptions::new().write(true).open(entry.path());
        if file.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
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
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn an_existing_file_is_replaced_only_where_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_unless_exists(&path, b"old", false).unwrap();
        let error = write_unless_exists(&path, b"new", false).unwrap_err();
        assert!(error.kind() == ErrorKind::AlreadyExists && error.to_string().contains("--overwrite"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_unless_exists(&path, b"new", true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_rubbish() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        // A folder that is not empty cannot be replaced by a file.
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("mine"), b"old").unwrap();
        write(&path, b"new").unwrap_err();
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
        write(&path, b"new").unwrap();
        let mut left: Vec<String> = mine.iter().map(|name| name.to_string()).collect();
        left.extend(["a.bin".into(), written.file_name().unwrap().to_str().unwrap().into()]);
        left.sort();
        assert_eq!(names(folder.path()), left);
    }

    #[test]
    fn a_full_disk_is_explain_full_disk() {
        let full = explain_full_disk(io::Error::from_raw_os_error(28));
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert!(full.to_string().contains("disk is full") && full.to_string().contains("make room"), "{full}");
        assert_eq!(explain_full_disk(io::Error::from(ErrorKind::NotFound)).to_string(), "entity not found");
    }
}
