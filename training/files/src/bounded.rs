//! Bounded reading: no more than a file should hold, and only files in their folder.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use crate::error::FileError;
use crate::{name, text};

/// Maximum size of a manifest, scene or config, in bytes. Real files have a few thousand.
pub const MAX_TEXT_BYTES: u64 = 1 << 20;

/// Opens a regular file for reading: not a folder, and not a device or pipe, which may never end.
///
/// # Errors
/// Fails when the path is no regular file, or cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    // Asked before it is opened: opening a pipe waits for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "expected a file, found a folder, device or pipe"));
    }
    File::open(path)
}

/// Reads the content of a file of at most `max_bytes`.
///
/// # Errors
/// Fails when the file is larger, no regular file, or cannot be read.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let too_large = |found: u64| {
        let what = format!("{found} bytes: expected at most {max_bytes}; it is damaged or another kind of file");
        Err(io::Error::new(ErrorKind::FileTooLarge, what))
    };
    let found = file.metadata()?.len();
    if found > max_bytes {
        return too_large(found);
    }
    // One byte more than allowed shows that it has grown since.
    let mut content = Vec::with_capacity(found as usize);
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > max_bytes { too_large(content.len() as u64) } else { Ok(content) }
}

/// Reads a text in UTF-8 or UTF-16 of at most [`MAX_TEXT_BYTES`], without its byte order mark.
///
/// # Errors
/// Fails as [`read`] does, and when the text is in another encoding.
pub fn read_text(path: &Path) -> io::Result<String> {
    let content = read(path, MAX_TEXT_BYTES)?;
    text::decode(content).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Returns the path of a file that `named_by` names relative to `folder`, in whichever case and Unicode form it lies there:
/// archives and other systems change both.
///
/// # Errors
/// Fails when the name is empty or absolute, climbs out of the folder with `..`, or is a link that leads out of it.
pub fn inside(folder: &Path, name: &str, named_by: &'static str) -> Result<PathBuf, FileError> {
    let path = folder.join(name);
    let outside = || FileError::Outside { folder: folder.into(), name: name.into(), named_by };
    let mut parts = Path::new(name).components().peekable();
    if parts.peek().is_none() || !parts.all(|part| matches!(part, Component::Normal(_))) || name.contains('\0') {
        return Err(outside());
    }
    let spelled = path.parent().zip(path.file_name().and_then(OsStr::to_str));
    let path = spelled.and_then(|(parent, name)| name::find(parent, name).ok()?).unwrap_or(path);
    // What does not exist leads nowhere: whoever opens it says that it is missing.
    if let (Ok(folder), Ok(target)) = (folder.canonicalize(), path.canonicalize())
        && !target.starts_with(folder)
    {
        return Err(outside());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_their_bound_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap(), [7; 100]);
        let error = read(&path, 99).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert!(error.to_string().contains("100 bytes: expected at most 99"), "{error}");
        assert!(read_text(&path).is_ok());
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn folders_and_endless_devices_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path(), "/dev/zero".as_ref()] {
            assert!(read(path, 100).unwrap_err().to_string().contains("expected a file"));
        }
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("seed");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(data.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(data.path().join("secret"), folder.join("link")).unwrap();
        std::fs::write(folder.join("file"), "x").unwrap();
        for name in ["", "..", "../secret", "a/../../secret", "/etc/passwd", "./file", "link", "a\0b"] {
            let error = inside(&folder, name, "done.json").unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")) && error.contains("done.json"), "{error}");
        }
        for name in ["file", "missing", "sub/file"] {
            assert_eq!(inside(&folder, name, "done.json").unwrap(), folder.join(name));
        }
        assert_eq!(inside(&folder, "FILE", "done.json").unwrap(), folder.join("file"));
        let error = inside(&folder, "LINK", "done.json").unwrap_err().to_string();
        assert!(error.contains("LINK"), "{error}");
    }
}
