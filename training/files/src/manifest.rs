//! The manifests that say what is finished: `done.json`, which head_studio writes, and `pair.json`, which portrait_dataset writes
//! last; and the fingerprints in them.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::FileError;
use crate::pixels::{Format, Size};
use crate::rendering::Rendering;
use crate::sniff::kind_of;
use crate::{atomic, bounded, pixels};

/// Name of the manifest of a finished scene.
pub const DONE: &str = "done.json";
/// Name of the manifest of a finished pair.
pub const PAIR: &str = "pair.json";
/// Names of the files that head_studio writes for each seed.
pub const SCENE_FILES: [&str; 4] = ["scene.glb", "scene.json", "reference.exr", "mask.png"];
/// Names of the files that portrait_dataset writes for each seed.
pub const PAIR_FILES: [&str; 4] = ["first.png", "reference.png", "normal.png", "depth.png"];
/// Version of `pair.json`. Raise it when the rendering changes, so that old pairs are made again.
pub const PAIR_FORMAT: u32 = 3;
/// Range of a pair's width and height, in pixels.
pub const SIZES_PX: RangeInclusive<u32> = 1..=8192;

/// The size and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Length, in bytes.
    pub bytes: u64,
    /// SHA-256, in lower-case hexadecimal.
    pub sha256: String,
}

impl Fingerprint {
    /// Takes the fingerprint of a content.
    pub fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: hexadecimal(Sha256::new().chain_update(content)) }
    }
}

/// The content of `done.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Version of the manifest, 1.
    pub format: u32,
    /// Every file of the scene.
    pub files: BTreeMap<String, Fingerprint>,
}

/// The content of `pair.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// Version of the manifest, [`PAIR_FORMAT`].
    pub format: u32,
    /// Seed of the scene.
    pub seed: u64,
    /// Number of the identity, for splits that keep a person on one side.
    pub identity: u64,
    /// Width and height of every image, in pixels.
    pub size_px: u32,
    /// Settings with which the pair was drawn and shown.
    pub rendering: Rendering,
    /// Overlap of the two silhouettes, intersection over union, 0–1.
    pub silhouette_iou: f32,
    /// Every image of the pair.
    pub files: BTreeMap<String, Fingerprint>,
    /// Digests of the scene that the pair was made from, as `done.json` gave them.
    pub inputs: BTreeMap<String, String>,
}

/// The part of `pair.json` that training reads. Other entries are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairInfo {
    /// Version of the manifest, [`PAIR_FORMAT`].
    pub format: u32,
    /// Seed of the scene, also the folder's name.
    pub seed: u64,
    /// Number or name of the person.
    pub identity: Value,
    /// Width and height of every image, in pixels, one of [`SIZES_PX`].
    pub size_px: u32,
    /// Images of the pair as portrait_dataset wrote them; empty in pairs of other tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Fingerprint>,
}

impl PairInfo {
    /// Reads and checks the text of the pair of a seed.
    ///
    /// # Errors
    /// Fails with what is wrong, in words.
    pub fn parse(text: &str, seed: u64) -> Result<Self, String> {
        let info: Self = serde_json::from_str(text).map_err(|error| match kind_of(text.as_bytes()) {
            Some(kind) => format!("{kind}: expected JSON as plain text"),
            None => error.to_string(),
        })?;
        if info.person().is_none() {
            return Err(format!("identity {}: expected the person's name, or a whole number", info.identity));
        }
        if info.format != PAIR_FORMAT {
            return Err(format!("format {}: expected {PAIR_FORMAT}", info.format));
        }
        if info.seed != seed || !SIZES_PX.contains(&info.size_px) {
            let found = format!("seed {} and size {}", info.seed, info.size_px);
            return Err(format!("{found}: expected seed {seed} and a size of {SIZES_PX:?} pixels"));
        }
        Ok(info)
    }

    /// Returns the person's name or number; `None` where the entry is neither. Numbers may be written with a point.
    pub fn person(&self) -> Option<String> {
        match &self.identity {
            Value::String(name) => Some(name.trim()).filter(|name| !name.is_empty()).map(str::to_owned),
            Value::Number(number) if number.is_f64() => {
                number.as_f64().filter(|number| number.fract() == 0.0).map(|number| format!("{number:.0}"))
            }
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Tells whether two images of the pair have each other's names, by what portrait_dataset wrote down of them.
    pub fn are_exchanged(&self, [a, b]: [&str; 2], contents: [&[u8]; 2]) -> bool {
        let (Some(of_a), Some(of_b)) = (self.files.get(a), self.files.get(b)) else { return false };
        let is = |content: &[u8], of: &Fingerprint| content.len() as u64 == of.bytes && Fingerprint::of(content) == *of;
        of_a != of_b && is(contents[0], of_b) && is(contents[1], of_a)
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let text = bounded::read_text(path).map_err(FileError::io(path))?;
    serde_json::from_str(&text).map_err(FileError::json(path))
}

/// Checks that each file is as its fingerprint says. Files are digested as they are read, however large.
fn check_files(folder: &Path, manifest: &'static str, files: &BTreeMap<String, Fingerprint>) -> Result<(), FileError> {
    for (name, expected) in files {
        let path = bounded::inside(folder, name, manifest)?;
        let file = match bounded::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(FileError::Missing { path, needed_by: manifest });
            }
            Err(source) => return Err(FileError::Io { path, source }),
        };
        let changed =
            |expected: String, found: String| FileError::Changed { path: path.clone(), manifest, expected, found };
        let bytes = file.metadata().map_err(FileError::io(&path))?.len();
        if bytes != expected.bytes {
            return Err(changed(format!("{} bytes", expected.bytes), format!("{bytes} bytes")));
        }
        let mut digest = Sha256::new();
        std::io::copy(&mut file.take(bytes), &mut digest).map_err(FileError::io(&path))?;
        let found = hexadecimal(digest);
        if found != expected.sha256 {
            return Err(changed(format!("sha256 {}", expected.sha256), found));
        }
    }
    Ok(())
}

fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Done {
    /// Reads the manifest of the scene in `folder`, which has to name all of [`SCENE_FILES`].
    ///
    /// # Errors
    /// Fails when the folder, the manifest or an entry in it is absent, or the manifest does not parse.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        if !folder.is_dir() {
            return Err(FileError::SceneMissing(folder.into()));
        }
        let path = folder.join(DONE);
        if !path.exists() {
            return Err(FileError::SceneUnfinished(folder.into()));
        }
        let done: Self = read_json(&path)?;
        match SCENE_FILES.iter().find(|name| !done.files.contains_key(**name)) {
            Some(name) => Err(FileError::Missing { path: folder.join(name), needed_by: "the file format" }),
            None => Ok(done),
        }
    }

    /// Checks that every file is there and whole.
    ///
    /// # Errors
    /// Fails with the first file that is not.
    pub fn check(&self, folder: &Path) -> Result<(), FileError> {
        check_files(folder, DONE, &self.files)
    }

    fn digests(&self) -> BTreeMap<String, String> {
        self.files.iter().map(|(name, print)| (name.clone(), print.sha256.clone())).collect()
    }
}

impl Pair {
    /// Reads the finished pair in `folder`, if all its files are whole and it was made from the scene that `done` lists.
    pub fn finished(folder: &Path, done: &Done) -> Option<Self> {
        let pair: Self = read_json(&folder.join(PAIR)).ok()?;
        let whole = pair.format == PAIR_FORMAT
            && pair.inputs == done.digests()
            && PAIR_FILES.iter().all(|name| pair.files.contains_key(*name))
            && check_files(folder, PAIR, &pair.files).is_ok();
        whole.then_some(pair)
    }

    /// Finds an image that somebody has changed since the pair was finished: it is whole, and not what portrait_dataset wrote. An
    /// image that a failing disk has damaged is none.
    pub fn retouched(folder: &Path, done: &Done) -> Option<PathBuf> {
        let pair: Self = read_json(&folder.join(PAIR)).ok()?;
        if pair.format != PAIR_FORMAT || pair.inputs != done.digests() {
            return None;
        }
        let size = Size::AtMost([*SIZES_PX.end(); 2]);
        pair.files.iter().filter(|(name, _)| name.ends_with(".png")).find_map(|(name, fingerprint)| {
            let path = bounded::inside(folder, name, PAIR).ok()?;
            let content = bounded::read(&path, size.max_bytes()).ok()?;
            let is_other = Fingerprint::of(&content) != *fingerprint;
            (is_other && pixels::decode(&content, Format::Png, size).is_ok()).then_some(path)
        })
    }

    /// Writes the images `(name, content)` and then the manifest, each whole or not at all.
    ///
    /// # Errors
    /// Fails when a file cannot be written.
    pub fn write(mut self, folder: &Path, images: &[(&'static str, Vec<u8>)], done: &Done) -> Result<Self, FileError> {
        for (name, content) in images {
            let path = folder.join(name);
            atomic::write(&path, content).map_err(FileError::io(path))?;
            self.files.insert((*name).to_owned(), Fingerprint::of(content));
        }
        self.inputs = done.digests();
        let path = folder.join(PAIR);
        let mut text = serde_json::to_vec_pretty(&self).map_err(FileError::json(&path))?;
        text.push(b'\n');
        atomic::write(&path, &text).map_err(FileError::io(path))?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(identity: &str) -> Result<PairInfo, String> {
        PairInfo::parse(&format!(r#"{{"format":3,"seed":7,"identity":{identity},"size_px":16}}"#), 7)
    }

    #[test]
    fn a_person_has_a_name_or_a_whole_number() {
        for (identity, person) in [("\" anna \"", "anna"), ("7", "7"), ("7.0", "7"), ("-3", "-3"), ("1e3", "1000")] {
            assert_eq!(info(identity).unwrap().person().as_deref(), Some(person));
        }
        for identity in ["null", "\"\"", "\" \"", "[]", "{}", "true", "7.5"] {
            let error = info(identity).unwrap_err();
            assert!(error.contains("expected the person's name, or a whole number"), "{error}");
        }
    }

    #[test]
    fn images_are_exchanged_only_if_each_is_the_other() {
        let [a, b]: [&[u8]; 2] = [b"first", b"reference"];
        let files = [("a".to_owned(), Fingerprint::of(a)), ("b".to_owned(), Fingerprint::of(b))];
        let known = PairInfo { files: files.into(), ..info("1").unwrap() };
        assert!(known.are_exchanged(["a", "b"], [b, a]));
        for contents in [[a, b], [b, b], [b, b"other"]] {
            assert!(!known.are_exchanged(["a", "b"], contents));
        }
        assert!(!info("1").unwrap().are_exchanged(["a", "b"], [b, a]), "other tools write no digests");
    }

    #[test]
    fn a_painted_image_is_retouched_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |gray: u8| {
            let mut content = std::io::Cursor::new(Vec::new());
            image::GrayImage::from_pixel(4, 4, image::Luma([gray]))
                .write_to(&mut content, image::ImageFormat::Png)
                .unwrap();
            content.into_inner()
        };
        let done = Done { format: 1, files: [("mask.png".to_owned(), Fingerprint::of(b"mask"))].into() };
        let pair = Pair {
            format: PAIR_FORMAT,
            seed: 7,
            identity: 3,
            size_px: 4,
            rendering: Rendering::default(),
            silhouette_iou: 1.0,
            files: Default::default(),
            inputs: Default::default(),
        };
        pair.write(folder.path(), &[("first.png", picture(1)), ("reference.png", picture(2))], &done).unwrap();
        let reference = folder.path().join("reference.png");
        assert_eq!(Pair::retouched(folder.path(), &done), None);
        std::fs::write(&reference, picture(3)).unwrap();
        assert_eq!(Pair::retouched(folder.path(), &done), Some(reference.clone()));
        let other = Done { files: [("mask.png".to_owned(), Fingerprint::of(b"other"))].into(), ..done.clone() };
        assert_eq!(Pair::retouched(folder.path(), &other), None, "a pair of an older scene is rendered anew");
        std::fs::write(&reference, &picture(3)[..20]).unwrap();
        assert_eq!(Pair::retouched(folder.path(), &done), None);
    }
}
