//! Pairs of other people among those that weights are tuned on, so that the weights forget less of what they knew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// First seed that no training split has.
const TRAINING_END: u64 = 900_000;
/// Seeds that characters may have.
const CHARACTERS: std::ops::Range<u64> = 700_000..TRAINING_END;
/// Name of the file that shows light groups, beside the pairs.
const TONE_TABLES: &str = "tone_mapping.safetensors";

/// A folder of pairs of other people, and their share of the training pairs.
#[derive(Clone, Debug)]
pub struct General {
    folder: PathBuf,
    share: f64,
    /// Seeds of finished training pairs, in order.
    seeds: Vec<u64>,
}

impl General {
    /// Looks for training pairs in a folder.
    pub fn open(folder: &Path, share: f64) -> Result<Self> {
        ensure!((0.0..=0.9).contains(&share), "--general-share {share}: expected 0 to 0.9");
        let entries = fs::read_dir(folder)
            .with_context(|| format!("--general {}: expected a folder of pairs", folder.display()))?;
        let seed_of = |entry: fs::DirEntry| {
            let is_seed = |name: &String| name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_digit());
            let name = entry.file_name().into_string().ok().filter(is_seed)?;
            let seed = name.parse::<u64>().ok().filter(|seed| *seed < TRAINING_END && !CHARACTERS.contains(seed))?;
            entry.path().join("pair.json").is_file().then_some(seed)
        };
        let mut seeds: Vec<u64> = entries.flatten().filter_map(seed_of).collect();
        seeds.sort_unstable();
        ensure!(
            !seeds.is_empty(),
            "--general {}: holds no finished pair with a seed below {}, so nothing to train on: name a data folder that `cargo xtask \
             dataset` made",
            folder.display(),
            CHARACTERS.start
        );
        Ok(Self { folder: std::path::absolute(folder)?, share, seeds })
    }

    /// The seeds that are taken beside this many of the characters' own, evenly spread: as many as the share wants and as there are.
    pub fn seeds(&self, own: u64) -> Vec<u64> {
        let wanted = (own as f64 * self.share / (1.0 - self.share)).round() as usize;
        let (count, all) = (wanted.min(self.seeds.len()), self.seeds.len());
        (0..count).map(|at| self.seeds[at * all / count]).collect()
    }

    /// Puts links to the pairs into a data folder: nothing is copied, and nothing in `--general` is changed.
    pub fn link_into(&self, data: &Path, own: u64) -> Result<()> {
        for seed in self.seeds(own) {
            let name = format!("{seed:08}");
            link(&self.folder.join(&name), &data.join(&name))?;
        }
        let (tables, own_tables) = (self.folder.join(TONE_TABLES), data.join(TONE_TABLES));
        if tables.is_file() && !own_tables.exists() {
            let cannot = || format!("cannot copy {} to {}", tables.display(), own_tables.display());
            fs::copy(&tables, &own_tables).with_context(cannot)?;
        }
        Ok(())
    }
}

/// Makes a link to a folder, unless it is there. A folder of another pair is an error.
fn link(target: &Path, path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        let same = fs::read_link(path).is_ok_and(|found| found == target);
        ensure!(
            same,
            "{} is there and is no link to {}: delete it if it is a link to pairs of another --general",
            path.display(),
            target.display()
        );
        return Ok(());
    }
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, path);
    #[cfg(windows)]
    let made = std::os::windows::fs::symlink_dir(target, path);
    made.with_context(|| format!("cannot link {} to {}", path.display(), target.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder_with(pairs: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in pairs {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("pair.json"), name).unwrap();
        }
        folder
    }

    #[test]
    fn the_share_is_taken_evenly_and_only_of_what_may_be_trained_on() {
        let names: Vec<String> = (0..12).map(|seed| format!("{seed:08}")).collect();
        let kept = ["00700000", "00900000", "01000000", "7"];
        let all: Vec<&str> = names.iter().map(String::as_str).chain(kept).collect();
        let folder = folder_with(&all);
        fs::create_dir(folder.path().join("00000099")).unwrap();
        let seeds = |share: f64, own| General::open(folder.path(), share).unwrap().seeds(own);
        assert_eq!(seeds(0.25, 12), [0, 3, 6, 9], "4 of 16 are a quarter");
        assert_eq!(seeds(0.9, 12).len(), 12, "there are no more");
        assert!(seeds(0.0, 12).is_empty());
    }

    #[test]
    fn pairs_are_linked_once_and_a_folder_in_their_place_is_left_alone() {
        let (folder, data) = (folder_with(&["00000003"]), tempfile::tempdir().unwrap());
        fs::write(folder.path().join(TONE_TABLES), "tables").unwrap();
        let general = General::open(folder.path(), 0.5).unwrap();
        for _ in 0..2 {
            general.link_into(data.path(), 1).unwrap();
            assert_eq!(fs::read_to_string(data.path().join("00000003/pair.json")).unwrap(), "00000003");
        }
        assert_eq!(fs::read_to_string(data.path().join(TONE_TABLES)).unwrap(), "tables");
        let other = tempfile::tempdir().unwrap();
        fs::create_dir(other.path().join("00000003")).unwrap();
        let error = general.link_into(other.path(), 1).unwrap_err().to_string();
        assert!(error.contains("00000003 is there and is no link to"), "{error}");
    }

    #[test]
    fn a_folder_without_pairs_and_a_share_of_everything_are_refused() {
        let empty = tempfile::tempdir().unwrap();
        let refusal = |folder: &Path, share: f64| format!("{:#}", General::open(folder, share).unwrap_err());
        assert!(refusal(empty.path(), 0.25).contains("holds no finished pair with a seed below 700000"));
        assert!(refusal(&empty.path().join("none"), 0.25).contains("expected a folder of pairs"));
        for share in [1.0, -0.1, f64::NAN] {
            assert!(refusal(empty.path(), share).contains("expected 0 to 0.9"));
        }
    }
}
