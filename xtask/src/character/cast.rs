//! The characters of a command, and the folder of everything that is made of them.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// Name of the file that says whose folder it is.
const MARKER: &str = "character.json";
/// Maximum number of characters that share a folder: each has seeds of its own.
const MAX_CHARACTERS: usize = 16;
/// First bytes of a binary glTF file.
const GLB_MAGIC: [u8; 4] = *b"glTF";

/// A character, whose seeds follow from its place in the cast.
#[derive(Clone, Debug, PartialEq)]
pub struct Character {
    /// Name of the GLB without its ending.
    pub name: String,
    /// Absolute path of the GLB.
    pub file: PathBuf,
}

/// The characters that share weights, in the order of their names, and their folder.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The characters.
    pub characters: Vec<Character>,
    /// Absolute path of the folder.
    pub out: PathBuf,
}

/// The content of the file that says whose folder it is.
#[derive(Deserialize, Serialize)]
struct Marker {
    characters: Vec<String>,
}

impl Cast {
    /// Looks at the files and at the folder, and makes the folder if need be. Without `out` it is named after the characters and lies
    /// where the user is.
    pub fn open(files: &[PathBuf], out: Option<&Path>) -> Result<Self> {
        let mut characters: Vec<Character> = files.iter().map(|file| Character::new(file)).collect::<Result<_>>()?;
        characters.sort_by(|a, b| a.name.cmp(&b.name));
        ensure!(
            (1..=MAX_CHARACTERS).contains(&characters.len()),
            "{} characters: expected 1 to {MAX_CHARACTERS} that share weights; train the others in another folder",
            characters.len()
        );
        let mut names = BTreeSet::new();
        for Character { name, file } in &characters {
            ensure!(
                names.insert(name.to_lowercase()),
                "{}: another file is called {name} as well, and names tell characters apart; rename one of them",
                file.display()
            );
        }
        let out = std::path::absolute(out.map_or_else(|| names_joined(&characters, "_").into(), Path::to_path_buf))?;
        let cast = Self { characters, out };
        cast.take_folder()?;
        Ok(cast)
    }

    /// Makes the folder, or checks that it is these characters' own.
    fn take_folder(&self) -> Result<()> {
        let (out, marker) = (self.out.display(), self.out.join(MARKER));
        let wanted = names_joined(&self.characters, ", ");
        match std::fs::read_to_string(&marker) {
            Ok(text) => {
                let found: Marker = serde_json::from_str(&text).with_context(|| {
                    format!("{}: expected what `cargo xtask character` wrote; name another --out", marker.display())
                })?;
                let found = found.characters.join(", ");
                ensure!(
                    found == wanted,
                    "{out} belongs to {found}, not to {wanted}: name another --out, or the files of {found}"
                );
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => bail!("{out} cannot be used: {error}; expected a folder: name another --out"),
        }
        // Whoever was killed while it wrote the marker has left a part of it.
        let is_part = |entry: &std::fs::DirEntry| entry.path() == part_of(&marker);
        let mut others = std::fs::read_dir(&self.out).into_iter().flatten().flatten().filter(|entry| !is_part(entry));
        if others.next().is_some() {
            bail!("{out} has files and is no folder that this command made: name a new --out");
        }
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make the folder {out}"))?;
        let characters = self.characters.iter().map(|character| character.name.clone()).collect();
        write_whole(&marker, &(serde_json::to_string(&Marker { characters })? + "\n"))
    }

    /// The TOML with a character's look.
    pub fn settings(&self, character: &Character) -> PathBuf {
        self.out.join(format!("{}.toml", character.name))
    }

    /// Name of the weights without its ending: the character's, or the folder's where several share them.
    pub fn weights_name(&self) -> String {
        match &self.characters[..] {
            [only] => only.name.clone(),
            _ => self.out.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// The weights file.
    pub fn weights(&self) -> PathBuf {
        self.out.join(format!("{}.safetensors", self.weights_name()))
    }
}

impl Character {
    /// Checks that there is a binary glTF file.
    fn new(file: &Path) -> Result<Self> {
        let shown = file.display();
        ensure!(file.is_file(), "{shown}: no such file; expected the GLB of a character");
        let mut start = [0; GLB_MAGIC.len()];
        let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
        ensure!(
            read.is_ok() && start == GLB_MAGIC,
            "{shown}: does not begin as a binary glTF file (.glb) does; most 3D programs export one"
        );
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, file: std::path::absolute(file)? })
    }
}

/// Writes a small file so that whoever opens it finds the old one or the new one, whole.
pub fn write_whole(path: &Path, text: &str) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let part = part_of(path);
    std::fs::write(&part, text).with_context(cannot)?;
    std::fs::rename(&part, path).with_context(cannot)
}

/// The name under which a file is written before it is whole.
fn part_of(path: &Path) -> PathBuf {
    path.with_extension("part")
}

fn names_joined(characters: &[Character], between: &str) -> String {
    characters.iter().map(|character| character.name.as_str()).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;

    /// Writes files that begin as a GLB does.
    pub fn files(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
        let write = |name: &&str| {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, b"glTF and more").unwrap();
            path
        };
        names.iter().map(write).collect()
    }

    fn refusal(files: &[PathBuf], out: &Path) -> String {
        format!("{:#}", Cast::open(files, Some(out)).unwrap_err())
    }

    #[test]
    fn a_folder_is_made_for_characters_and_opened_again_in_any_order_of_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let (heads, out) = (files(folder.path(), &["villain.glb", "hero.glb"]), folder.path().join("cast"));
        let first = Cast::open(&heads, Some(&out)).unwrap();
        let names: Vec<&str> = first.characters.iter().map(|character| &character.name[..]).collect();
        assert_eq!(names, ["hero", "villain"], "seeds do not depend on the order of the files");
        let reversed: Vec<PathBuf> = heads.iter().rev().cloned().collect();
        assert_eq!(Cast::open(&reversed, Some(&out)).unwrap().characters, first.characters);
        assert_eq!(first.weights(), out.join("cast.safetensors"));
        let alone = Cast::open(&heads[1..], Some(&folder.path().join("hero"))).unwrap();
        assert_eq!(alone.weights(), folder.path().join("hero/hero.safetensors"));
        assert_eq!(alone.settings(&alone.characters[0]), folder.path().join("hero/hero.toml"));
        std::fs::remove_file(out.join(MARKER)).unwrap();
        std::fs::write(out.join("character.part"), "{").unwrap();
        assert_eq!(Cast::open(&heads, Some(&out)).unwrap().characters, first.characters, "killed while it was begun");
    }

    #[test]
    fn a_folder_of_other_characters_or_of_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (heads, out) = (files(folder.path(), &["hero.glb", "villain.glb"]), folder.path().join("out"));
        Cast::open(&heads[..1], Some(&out)).unwrap();
        let error = refusal(&heads[1..], &out);
        assert!(error.contains("belongs to hero, not to villain") && error.contains("another --out"), "{error}");
        let error = refusal(&heads, &out);
        assert!(error.contains("belongs to hero, not to hero, villain"), "{error}");
        std::fs::write(out.join(MARKER), "{").unwrap();
        assert!(refusal(&heads[..1], &out).contains("character.json: expected what `cargo xtask character` wrote"));
        let error = refusal(&heads[..1], folder.path());
        assert!(error.contains("has files and is no folder that this command made"), "{error}");
        assert!(!folder.path().join(MARKER).exists(), "nothing is written into a folder of something else");
        assert!(refusal(&heads[..1], &heads[1]).contains("expected a folder"), "{}", refusal(&heads[..1], &heads[1]));
    }

    #[test]
    fn files_that_are_missing_or_no_glb_or_of_one_name_are_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let heads = files(folder.path(), &["a/hero.glb", "b/Hero.glb"]);
        assert!(refusal(&[folder.path().join("none.glb")], &out).contains("none.glb: no such file; expected the GLB"));
        let text = folder.path().join("text.glb");
        std::fs::write(&text, "# a text").unwrap();
        assert!(refusal(&[text], &out).contains("text.glb: does not begin as a binary glTF file"));
        let empty = folder.path().join("empty.glb");
        std::fs::write(&empty, "").unwrap();
        assert!(refusal(&[empty], &out).contains("empty.glb: does not begin"));
        let error = refusal(&heads, &out);
        assert!(error.contains("another file is called") && error.contains("rename one"), "{error}");
        let many: Vec<String> = (0..17).map(|number| format!("{number}.glb")).collect();
        let many = files(folder.path(), &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(refusal(&many, &out).contains("17 characters: expected 1 to 16"));
        assert!(!out.exists());
    }
}
