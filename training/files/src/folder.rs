//! Folders of a data set, and folders for results.

use std::path::{Path, PathBuf};

use crate::name::is_clutter;

/// Returns the folder of a seed's scene and pair in a data folder.
pub fn seed_folder(data: &Path, seed: u64) -> PathBuf {
    data.join(format!("{seed:08}"))
}

/// Tells whether a folder is missing or has no entries but what an operating system left there by itself.
pub fn is_empty(folder: &Path) -> bool {
    let left = |entry: std::fs::DirEntry| entry.file_name().to_str().is_some_and(is_clutter);
    std::fs::read_dir(folder).map_or(!folder.exists(), |mut entries| entries.all(|entry| entry.is_ok_and(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_eight_digits() {
        assert_eq!(seed_folder(Path::new("d"), 42), Path::new("d/00000042"));
    }

    #[test]
    fn missing_folders_are_empty_and_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_empty(folder.path()) && is_empty(&folder.path().join("none")));
        for left in [".DS_Store", "Thumbs.db", "._run"] {
            std::fs::write(folder.path().join(left), "").unwrap();
        }
        assert!(is_empty(folder.path()), "looking at a folder puts nothing of anybody's into it");
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(!is_empty(folder.path()) && !is_empty(&folder.path().join("file")));
    }
}
