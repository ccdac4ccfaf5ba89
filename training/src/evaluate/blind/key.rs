//! The key of a set: which image is on which side. It is sealed against being read by accident, not against being read.
//!
//! `key.sealed` has three lines: what it is, the SHA-256 of its content, and the content, JSON whose bytes are combined with a fixed
//! stream of random ones by exclusive or, in Base64.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portrait_files::bounded;
use portrait_files::manifest::Fingerprint;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::error::BlindError;
use crate::evaluate::facts::Source;

/// Name of the sealed key in a set's folder.
pub const FILE: &str = "key.sealed";
/// Seed of the stream that makes the content unreadable at a glance.
const STREAM_SEED: u64 = 0x626c_696e_6421;

/// A side of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Left,
    Right,
}

/// The key of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Name of the set.
    pub set: String,
    /// Name of the weights file that made the second images.
    pub weights: String,
    /// SHA-256 of the weights file, hexadecimal.
    pub sha256: String,
    /// Seed of order and sides.
    pub shuffle_seed: u64,
    /// Pairs in the order in which they are shown.
    pub pairs: Vec<KeyPair>,
}

/// The secret of a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// Who made the head.
    pub source: Source,
    /// Name of the data folder, without the folders that it is in.
    pub data: String,
    /// Seed of the pair.
    pub seed: u64,
    /// Side of the second image.
    pub second: Side,
}

impl Key {
    /// Seals the key.
    ///
    /// # Errors
    /// Fails with the error of the encoder.
    pub fn seal(&self) -> Result<String, serde_json::Error> {
        let content = serde_json::to_vec(self)?;
        let digest = Fingerprint::of(&content).sha256;
        Ok(format!(
            "Sealed key of the blind pairs {}. Do not open it before the answers are in: portrait-train evaluate --unseal\n\
             {digest}\n{}\n",
            self.set,
            STANDARD.encode(combine(content))
        ))
    }

    /// Reads the sealed key of a set's folder.
    ///
    /// # Errors
    /// Fails when there is none, or it is damaged.
    pub fn read(folder: &Path) -> Result<Self, BlindError> {
        let path = folder.join(FILE);
        let wrong = |what: String| BlindError::Key { path: path.clone(), what };
        let text = bounded::read_text(&path).map_err(|error| wrong(error.to_string()))?;
        Self::open(&text).map_err(wrong)
    }

    fn open(text: &str) -> Result<Self, String> {
        let lines: Vec<&str> = text.lines().collect();
        let [_, digest, sealed] = lines[..] else { return Err(format!("{} lines: expected 3", lines.len())) };
        let content = combine(STANDARD.decode(sealed).map_err(|error| format!("line 3: {error}"))?);
        let found = Fingerprint::of(&content).sha256;
        if found != digest {
            return Err(format!("damaged: its content has the SHA-256 {found}, expected {digest}"));
        }
        serde_json::from_slice(&content).map_err(|error| error.to_string())
    }
}

/// Combines bytes with the stream; doing it twice gives them back.
fn combine(mut content: Vec<u8>) -> Vec<u8> {
    let mut stream = vec![0; content.len()];
    ChaCha8Rng::seed_from_u64(STREAM_SEED).fill_bytes(&mut stream);
    content.iter_mut().zip(stream).for_each(|(byte, random)| *byte ^= random);
    content
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key() -> Key {
        let pair = |seed, second| KeyPair { source: Source::GameHeads, data: "heads".into(), seed, second };
        let pairs = vec![pair(7, Side::Left), pair(8, Side::Right)];
        Key { set: "0123".into(), weights: "quality.safetensors".into(), sha256: "ab".into(), shuffle_seed: 3, pairs }
    }

    #[test]
    fn a_sealed_key_opens_and_says_nothing_before() {
        let sealed = key().seal().unwrap();
        assert_eq!(Key::open(&sealed).unwrap(), key());
        let decoded = STANDARD.decode(sealed.lines().nth(2).unwrap()).unwrap();
        for word in ["left", "right", "second", "game_heads"] {
            let hidden = |bytes: &[u8]| !bytes.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(hidden(sealed.as_bytes()) && hidden(&decoded), "{word} can be read");
        }
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let sealed = key().seal().unwrap();
        let lines: Vec<&str> = sealed.lines().collect();
        let other = STANDARD.encode(combine(b"{}".to_vec()));
        for (text, part) in [
            (String::new(), "0 lines: expected 3"),
            (sealed.replace(lines[2], "§"), "line 3"),
            (sealed.replace(lines[2], &lines[2][..lines[2].len() - 8]), "damaged"),
            (sealed.replace(lines[2], &other), "damaged"),
            (format!("{}\n{}\n{other}", lines[0], Fingerprint::of(b"{}").sha256), "missing field"),
        ] {
            let what = Key::open(&text).unwrap_err();
            assert!(what.contains(part), "{part:?} is not in: {what}");
        }
    }
}
