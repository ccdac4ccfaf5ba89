//! Names as people and their systems write them: the same name in another case or another Unicode form, and the files that
//! operating systems and sync tools leave in every folder that they see.

use std::path::{Path, PathBuf};
use std::{fs, io};

use unicode_normalization::UnicodeNormalization;

/// Names, in lower case, of what operating systems and sync tools leave in folders by themselves.
const CLUTTER: [&str; 23] = [
    ".apdisk",
    ".appledouble",
    ".directory",
    ".documentrevisions-v100",
    ".ds_store",
    ".dropbox",
    ".dropbox.cache",
    ".fseventsd",
    ".localized",
    ".spotlight-v100",
    ".stfolder",
    ".temporaryitems",
    ".thumbnails",
    ".trashes",
    "$recycle.bin",
    "__macosx",
    "@eadir",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "lost+found",
    "system volume information",
    "thumbs.db",
];

/// Returns what is the same in every spelling of a name: its compatibility form (NFKC) in lower case, with single spaces.
pub fn folded(name: &str) -> String {
    let lower: String = name.nfkc().collect::<String>().to_lowercase().nfkc().collect();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Tells whether an operating system or a sync tool left the file or folder of this name, such as `.DS_Store` or `Thumbs.db`.
pub fn is_clutter(name: &str) -> bool {
    name.starts_with("._") || CLUTTER.contains(&name.to_lowercase().as_str())
}

/// Finds a file by its name, or else by another spelling of the name: case and Unicode form make no difference, as on the
/// systems of most artists. `None` is a file that does not exist.
///
/// # Errors
/// Fails when the folder cannot be read, or several files have the name in other spellings.
pub fn find(folder: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    let exact = folder.join(name);
    if exact.exists() {
        return Ok(Some(exact));
    }
    let others = other_spellings(folder, name)?;
    match others.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(folder.join(only))),
        _ => Err(io::Error::other(format!("expected one file of that name, found {others:?}; keep one of them"))),
    }
}

/// Lists the entries of a folder that have a name in another spelling, in order.
///
/// # Errors
/// Fails when the folder cannot be read.
pub fn other_spellings(folder: &Path, name: &str) -> io::Result<Vec<String>> {
    let wanted = folded(name);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        found.extend(entry.to_str().filter(|entry| *entry != name && folded(entry) == wanted).map(str::to_owned));
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_every_case_and_unicode_form() {
        // An e with diaeresis as one character and as two, a no-break space, and wide letters.
        for (a, b) in [
            ("Zo\u{eb}", "zoe\u{308}"),
            ("anna  maria", "Anna\u{a0}Maria "),
            ("\u{ff21}nna", "anna"),
            ("\u{c5}sa", "\u{212b}SA"),
        ] {
            assert_eq!(folded(a), folded(b));
        }
        assert_ne!(folded("Zoe"), folded("Zo\u{eb}"));
    }

    #[test]
    fn what_systems_leave_is_known_and_what_people_make_is_not() {
        for name in
            [".DS_Store", "Thumbs.db", "THUMBS.DB", "._first.png", "desktop.ini", "__MACOSX", "@eaDir", "Icon\r"]
        {
            assert!(is_clutter(name), "{name}");
        }
        for name in [".lock", ".locks", "metrics.jsonl", "first.png", "00000007", "thumbs"] {
            assert!(!is_clutter(name), "{name}");
        }
    }

    #[test]
    fn files_are_found_in_another_spelling_unless_there_are_several() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(find(folder.path(), "first.png").unwrap(), None);
        make("._first.png");
        make("First.PNG");
        assert_eq!(find(folder.path(), "first.png").unwrap(), Some(folder.path().join("First.PNG")));
        make("FIRST.png");
        let error = find(folder.path(), "first.png").unwrap_err().to_string();
        assert!(error.contains(r#"["FIRST.png", "First.PNG"]; keep one"#), "{error}");
        make("first.png");
        assert_eq!(find(folder.path(), "first.png").unwrap(), Some(folder.path().join("first.png")));
        make("ru\u{308}be.exr");
        assert_eq!(find(folder.path(), "r\u{fc}be.exr").unwrap(), Some(folder.path().join("ru\u{308}be.exr")));
    }
}
