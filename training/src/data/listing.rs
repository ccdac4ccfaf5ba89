//! Lists the pairs of a data folder, and what looks like a pair there and is none.

use std::collections::BTreeSet;
use std::path::Path;

use portrait_files::manifest::{PAIR, PAIR_FILES};
use portrait_files::name::{folded, is_clutter, other_spellings};

use super::doubt::shorten;

/// Number of digits of a seed's folder.
const DIGITS: usize = 8;

/// The entries of a data folder.
#[derive(Debug, Default, PartialEq)]
pub struct Listing {
    /// Seeds that have a folder.
    pub seeds: BTreeSet<u64>,
    /// Entries that may have been meant as pairs, in order, with the reason why they are not read.
    pub strays: Vec<String>,
}

impl Listing {
    /// Lists a data folder.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        let mut listing = Self::default();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name.starts_with('.') || is_clutter(&name) {
                continue;
            }
            match seed_of(&name) {
                Some(seed) if path.is_dir() => {
                    listing.seeds.insert(seed);
                }
                // Links are followed.
                Some(_) if !path.exists() => listing.strays.push(format!("{name:?}, a link that leads nowhere")),
                Some(_) => listing.strays.push(format!("{name:?}, a file")),
                None if path.is_dir() && (looks_like_seed(&name) || holds_pair(&path)) => {
                    listing.strays.push(format!("{name:?}"));
                }
                None if path.file_stem().and_then(|stem| seed_of(stem.to_str()?)).is_some() => {
                    listing.strays.push(format!("{name:?}, a file"));
                }
                None => {}
            }
        }
        listing.strays.sort_unstable();
        Ok(listing)
    }

    /// Returns the strays in words, at most some of them; empty where there is none.
    pub fn strays_in_words(&self) -> String {
        shorten(&self.strays)
    }
}

/// Reads a seed from the name of its folder: eight ASCII digits, and nothing else.
fn seed_of(name: &str) -> Option<u64> {
    let is_seed = name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    is_seed.then(|| name.parse().ok()).flatten()
}

/// Tells whether a name begins as a number does, or has the eight digits of a seed in it: `7`, `+0000007`, `0000007 (copy)`,
/// `Copy of 00000007`.
fn looks_like_seed(name: &str) -> bool {
    let name = folded(name);
    let number = name.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit());
    number || name.split(|other: char| !other.is_ascii_digit()).any(|digits| digits.len() == DIGITS)
}

/// Tells whether a folder has a file of a pair.
fn holds_pair(folder: &Path) -> bool {
    let [first, reference, ..] = PAIR_FILES;
    [PAIR, first, reference].iter().any(|name| has_file(folder, name))
}

fn has_file(folder: &Path, name: &str) -> bool {
    folder.join(name).is_file() || other_spellings(folder, name).is_ok_and(|found| !found.is_empty())
}

/// Says where pairs may be that were looked for in a folder without any: empty where they are nowhere near.
pub fn elsewhere(folder: &Path) -> String {
    if holds_pair(folder) {
        return "; it is a pair's own folder: name the folder that holds it".into();
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return String::new() };
    let mut below = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir() && Listing::read(path).is_ok_and(|listing| !listing.seeds.is_empty()));
    below.next().map_or(String::new(), |path| format!("; there are some in {}: name that folder", path.display()))
}

/// Lists the files of a pair's folder that may be a missing one under another name or in another format, such as `first.jpg`,
/// `first.png.txt`, `first (1).png` or `.first.png.icloud`: in words, empty where there is none.
pub fn instead_of(folder: &Path, missing: &str) -> String {
    let stem = missing.split('.').next().unwrap_or(missing);
    let alike = |name: &str| !is_clutter(name) && folded(name).trim_start_matches('.').starts_with(stem);
    let Ok(entries) = std::fs::read_dir(folder) else { return String::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| alike(name)).map(|name| format!("{name:?}")).collect();
    names.sort_unstable();
    if names.is_empty() { String::new() } else { format!(" (there is {})", shorten(&names)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder(entries: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for entry in entries {
            let path = folder.path().join(entry);
            match entry.strip_suffix('/') {
                Some(_) => std::fs::create_dir_all(path).unwrap(),
                None => std::fs::write(path, "").unwrap(),
            }
        }
        folder
    }

    #[test]
    fn only_folders_of_eight_digits_are_seeds_and_what_looks_like_one_is_told() {
        let digits = "\u{ff10}\u{ff10}\u{ff10}\u{ff10}\u{ff10}\u{ff10}\u{ff10}\u{ff17}/";
        let strays = [
            "+0000008/",
            "0001 (copy)/",
            "00000007 (2)/",
            "00000007~/",
            "12abc/",
            "7/",
            "000000007/",
            "Copy of 00000007/",
            "seed_00000007/",
            digits,
        ];
        let quiet =
            [".DS_Store", "Thumbs.db", "desktop.ini", "._00000007", ".00000007/", ".locks/", "@eaDir/", "__MACOSX/"];
        let ours = ["00000007/", "environments/", "tone_mapping.safetensors", "game_heads/"];
        let data = folder(&[&strays[..], &quiet, &ours].concat());
        let listing = Listing::read(data.path()).unwrap();
        assert_eq!(listing.seeds, [7].into());
        for stray in strays {
            let name = stray.trim_end_matches('/');
            assert!(listing.strays.contains(&format!("{name:?}")), "{name} is not in {:?}", listing.strays);
        }
        assert_eq!(listing.strays.len(), strays.len());
        assert!(listing.strays_in_words().ends_with("; and 4 more"));
    }

    #[test]
    fn files_links_and_archives_with_the_name_of_a_seed_are_no_pairs() {
        let data = folder(&["00000001", "00000002.zip", "00000003.png", "notes.txt", "anna/"]);
        std::fs::write(data.path().join("anna/Pair.json"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", data.path().join("00000004")).unwrap();
        std::fs::create_dir(data.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", data.path().join("00000005")).unwrap();
        let listing = Listing::read(data.path()).unwrap();
        assert_eq!(listing.seeds, [5].into(), "a link to a folder is one");
        let told = [
            "\"00000001\", a file",
            "\"00000002.zip\", a file",
            "\"00000003.png\", a file",
            "\"00000004\", a link that leads nowhere",
            "\"anna\"",
        ];
        assert_eq!(listing.strays, told);
    }

    #[test]
    fn a_missing_file_is_looked_for_under_other_names() {
        let pair = folder(&["First.jpg", "first (1).png", ".first.png.icloud", "._first.png", "reference.png"]);
        let found = instead_of(pair.path(), "first.png");
        assert_eq!(found, r#" (there is ".first.png.icloud"; "First.jpg"; "first (1).png")"#);
        assert_eq!(instead_of(pair.path(), "mask.png"), "");
    }
}
