//! Which scenes are made of each character: seeds decide view, lens, light, surroundings and expression, and to which split a scene
//! belongs.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::cast::{Cast, Character};
use crate::head_studio::{Heads, Request};

/// Number of seeds that each character has of each kind.
pub const SEEDS_EACH: u64 = 1_000;
/// First seeds of the first character by purpose, of scenes of the usual size and of twice that. They lie in head studio's splits, so
/// that what is measured stands in light and surroundings that training never sees.
const TRAINING: [u64; 2] = [700_000, 800_000];
const VALIDATION: u64 = 980_000;
const TEST: [u64; 2] = [1_980_000, 2_980_000];
/// Samples for each pixel where nothing is lit anew, over those of light groups.
const PLAIN_SAMPLES: f64 = 1.5;
/// Number, size and samples of the references to look at.
const LOOK: (u64, u32, u32) = (6, 192, 8);
/// Samples of references that only say where the head is.
const OUTLINE_SAMPLES: u32 = 4;

/// How many scenes are made of each character, and how large.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Training scenes of the usual size, 1 to [`SEEDS_EACH`].
    pub scenes: u64,
    /// Training scenes of twice that size, up to [`SEEDS_EACH`].
    pub large_scenes: u64,
    /// The usual width and height, in pixels.
    pub size_px: u32,
    /// Samples for each pixel of training references.
    pub samples: u32,
}

/// The purposes that scenes serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Learning.
    Training,
    /// Watching the training.
    Validation,
    /// Figures.
    Test,
}

/// Scenes of one size for one purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// The purpose that the scenes serve.
    pub purpose: Purpose,
    /// Seeds of the scenes.
    pub seeds: Range<u64>,
    /// Width and height, in pixels.
    pub size_px: u32,
}

impl Amounts {
    /// The scenes of the character at this place of its cast.
    pub fn sets(&self, place: usize) -> Vec<Set> {
        let (usual, large) = (self.size_px, 2 * self.size_px);
        let tenth = (self.scenes / 10).max(1);
        let sets = [
            (Purpose::Training, TRAINING[0], self.scenes, usual),
            (Purpose::Training, TRAINING[1], self.large_scenes, large),
            (Purpose::Validation, VALIDATION, tenth, usual),
            (Purpose::Test, TEST[0], 2 * tenth, usual),
            (Purpose::Test, TEST[1], self.large_scenes / 4, large),
        ];
        let set = |(purpose, first, count, size_px): (Purpose, u64, u64, u32)| {
            let first = first + SEEDS_EACH * place as u64;
            Set { purpose, seeds: first..first + count, size_px }
        };
        sets.into_iter().filter(|(.., count, _)| *count > 0).map(set).collect()
    }

    /// The seeds of all characters for a purpose, as ranges.
    pub fn seeds(&self, cast: &Cast, purpose: Purpose) -> Vec<Range<u64>> {
        let sets = (0..cast.characters.len()).flat_map(|place| self.sets(place));
        sets.filter(|set| set.purpose == purpose).map(|set| set.seeds).collect()
    }

    /// Asks for the pairs of a set.
    pub fn pairs(&self, cast: &Cast, character: &Character, set: &Set, out: &Path, assets: &[PathBuf]) -> Request {
        let light_groups = set.purpose == Purpose::Training;
        let samples = f64::from(self.samples) * if light_groups { 1.0 } else { PLAIN_SAMPLES };
        Request { samples: samples.ceil() as u32, light_groups, ..of(cast, character, set, out, assets) }
    }

    /// Asks for the scenes of a set whose references come from elsewhere.
    pub fn outlines(cast: &Cast, character: &Character, set: &Set, out: &Path, assets: &[PathBuf]) -> Request {
        Request { samples: OUTLINE_SAMPLES, ..of(cast, character, set, out, assets) }
    }

    /// Asks for the references of a character to look at.
    pub fn look(cast: &Cast, place: usize, out: &Path, assets: &[PathBuf]) -> Request {
        let (count, size_px, samples) = LOOK;
        let first = TRAINING[0] + SEEDS_EACH * place as u64;
        let set = Set { purpose: Purpose::Training, seeds: first..first + count, size_px };
        Request { samples, ..of(cast, &cast.characters[place], &set, out, assets) }
    }
}

/// Asks for the seeds of a set, of a character with its look.
fn of(cast: &Cast, character: &Character, set: &Set, out: &Path, assets: &[PathBuf]) -> Request {
    Request {
        heads: Heads::File { file: character.file.clone(), settings: Some(cast.settings(character)) },
        size: set.size_px,
        assets: assets.to_vec(),
        ..Request::new(&text(std::slice::from_ref(&set.seeds)), out)
    }
}

/// Ranges as configs and command lines have them.
pub fn text(ranges: &[Range<u64>]) -> String {
    ranges.iter().map(|range| format!("{}..{}", range.start, range.end)).collect::<Vec<_>>().join(", ")
}

impl Purpose {
    /// The purpose in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::cast::tests::files;
    use super::*;

    const AMOUNTS: Amounts = Amounts { scenes: 120, large_scenes: 24, size_px: 256, samples: 16 };

    #[test]
    fn no_seed_is_used_twice_and_each_lies_in_its_split() {
        let most = Amounts { scenes: SEEDS_EACH, large_scenes: SEEDS_EACH, ..AMOUNTS };
        let mut all: Vec<(Range<u64>, Purpose)> = Vec::new();
        for set in (0..16).flat_map(|place| most.sets(place)) {
            let split = match set.seeds.start {
                0..900_000 => Purpose::Training,
                900_000..1_000_000 => Purpose::Validation,
                _ => Purpose::Test,
            };
            assert!(set.purpose == split && set.seeds.end <= 100_000_000, "{set:?}");
            assert!(split != Purpose::Validation || set.seeds.end <= 1_000_000, "{set:?}");
            let apart = |other: &Range<u64>| other.end <= set.seeds.start || set.seeds.end <= other.start;
            assert!(all.iter().all(|(other, _)| apart(other)), "{set:?}");
            all.push((set.seeds, set.purpose));
        }
        assert_eq!(all.len(), 16 * 5);
    }

    #[test]
    fn a_tenth_is_validated_and_a_fifth_is_measured_and_no_set_is_empty() {
        let counts = |amounts: Amounts| {
            let sets = amounts.sets(1).into_iter();
            sets.map(|set| (set.purpose, set.seeds.end - set.seeds.start, set.size_px)).collect::<Vec<_>>()
        };
        let (training, validation, test) = (Purpose::Training, Purpose::Validation, Purpose::Test);
        assert_eq!(
            counts(AMOUNTS),
            [(training, 120, 256), (training, 24, 512), (validation, 12, 256), (test, 24, 256), (test, 6, 512)]
        );
        let few = Amounts { scenes: 2, large_scenes: 0, size_px: 64, samples: 2 };
        assert_eq!(counts(few), [(training, 2, 64), (validation, 1, 64), (test, 2, 64)]);
    }

    #[test]
    fn training_scenes_have_light_groups_and_measured_ones_more_samples() {
        let folder = tempfile::tempdir().unwrap();
        let cast = Cast::open(&files(folder.path(), &["hero.glb"]), Some(&folder.path().join("out"))).unwrap();
        let hero = &cast.characters[0];
        let of = |set: &Set| AMOUNTS.pairs(&cast, hero, set, &cast.out.join("data"), &[]);
        let requests: Vec<Request> = AMOUNTS.sets(0).iter().map(of).collect();
        let found: Vec<_> = requests.iter().map(|one| (&one.seeds[..], one.samples, one.light_groups)).collect();
        assert_eq!(
            found[1..4],
            [("800000..800024", 16, true), ("980000..980012", 24, false), ("1980000..1980024", 24, false)]
        );
        let settings = Some(cast.out.join("hero.toml"));
        assert_eq!(requests[0].heads, Heads::File { file: cast.characters[0].file.clone(), settings });
        assert_eq!(AMOUNTS.seeds(&cast, Purpose::Training), [700_000..700_120, 800_000..800_024]);
        assert_eq!(text(&[0..2, 5..9]), "0..2, 5..9");
    }
}
