//! The facts of a scene that figures are grouped by.

use std::fmt;
use std::path::Path;

use portrait_files::bounded;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who made the head of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// One of head studio's own people, or a pair that names no source.
    #[default]
    Own,
    /// A head that was made elsewhere and imported.
    GameHeads,
}

/// A group of skin tone, by the melanin that `scene.json` says the skin was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Melanin below 0.12.
    VeryFair,
    /// Melanin of 0.12 up to below 0.25.
    Fair,
    /// Melanin of 0.25 up to below 0.6.
    Medium,
    /// Melanin of 0.6 up to below 1.2.
    Brown,
    /// Melanin of 1.2 and more.
    Dark,
}

/// The entries of `scene.json` beside a pair's geometry. All of it may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Who made the head.
    pub source: Source,
    /// Kind of light, as head studio names it.
    pub light_kind: Option<String>,
    /// Group of skin tone, if the skin was made with a known melanin.
    pub tone: Option<Tone>,
}

impl Source {
    /// All sources, in the order of the report's columns.
    pub const ALL: [Self; 2] = [Self::Own, Self::GameHeads];

    /// Returns the name in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own people",
            Self::GameHeads => "game heads",
        }
    }

    /// Returns the name in JSON and in names of files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::GameHeads => "game_heads",
        }
    }
}

impl Tone {
    /// Returns the group of a skin with this melanin.
    pub fn of(melanin: f64) -> Self {
        match melanin {
            m if m < 0.12 => Self::VeryFair,
            m if m < 0.25 => Self::Fair,
            m if m < 0.6 => Self::Medium,
            m if m < 1.2 => Self::Brown,
            _ => Self::Dark,
        }
    }
}

impl fmt::Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::VeryFair => "very fair",
            Self::Fair => "fair",
            Self::Medium => "medium",
            Self::Brown => "brown",
            Self::Dark => "dark",
        })
    }
}

impl Facts {
    /// Reads `scene.json` in the folder of a pair. A data set of another tool need not have one.
    pub fn read(folder: &Path) -> Self {
        let scene = bounded::read_text(&folder.join("scene.json")).ok();
        scene
            .and_then(|text| serde_json::from_str::<Value>(&text).ok())
            .map(|scene| Self::of(&scene))
            .unwrap_or_default()
    }

    fn of(scene: &Value) -> Self {
        Self {
            source: match scene["source"].as_str() {
                None | Some("own") => Source::Own,
                Some(_) => Source::GameHeads,
            },
            light_kind: scene["light_kind"].as_str().filter(|kind| !kind.is_empty()).map(str::to_string),
            tone: scene["identity_parameters"]["melanin"].as_f64().map(Tone::of),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scenes_name_their_source_light_and_skin_and_may_leave_all_out() {
        let scene =
            json!({ "source": "game:hero.glb", "light_kind": "sun", "identity_parameters": { "melanin": 0.3 } });
        let facts = Facts::of(&scene);
        assert_eq!(
            (facts.source, facts.light_kind, facts.tone),
            (Source::GameHeads, Some("sun".into()), Some(Tone::Medium))
        );
        assert_eq!(Facts::of(&json!({ "source": "own", "light_kind": "" })), Facts::default());
        assert_eq!(Facts::read(Path::new("nowhere")), Facts::default());
    }

    #[test]
    fn keys_are_those_of_the_json() {
        assert_eq!(Source::ALL.map(|source| json!(source)), Source::ALL.map(|source| json!(source.key())));
    }

    #[test]
    fn melanin_falls_into_five_groups() {
        let tones = [0.02, 0.12, 0.3, 0.8, 2.0].map(Tone::of);
        assert_eq!(tones, [Tone::VeryFair, Tone::Fair, Tone::Medium, Tone::Brown, Tone::Dark]);
    }
}
