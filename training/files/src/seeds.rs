//! Ranges of seeds, written `0..160` or `0..80, 200..240`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// First seed that is kept for the final evaluation: from here on no seed trains anything.
pub const FIRST_EVALUATION_SEED: u64 = 1_000_000;

/// Seeds in half-open ranges. In text: `0..160`, several separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seeds(Vec<Range<u64>>);

/// An error of reading a list of seeds.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("seeds {text:?}: expected ranges such as `0..160` or `0..80, 200..240`, each with its start below its end")]
pub struct SeedsError {
    /// Text found.
    pub text: String,
}

impl Seeds {
    /// Tells whether `seed` is in one of the ranges.
    pub fn contains(&self, seed: u64) -> bool {
        self.0.iter().any(|range| range.contains(&seed))
    }

    /// Lists every seed, range by range.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|range| range.clone())
    }

    /// Returns the first seed that is kept for evaluation, if there is any.
    pub fn first_evaluation_seed(&self) -> Option<u64> {
        self.0
            .iter()
            .find(|range| range.end > FIRST_EVALUATION_SEED)
            .map(|range| range.start.max(FIRST_EVALUATION_SEED))
    }
}

impl From<Range<u64>> for Seeds {
    fn from(range: Range<u64>) -> Self {
        Self(vec![range])
    }
}

impl FromStr for Seeds {
    type Err = SeedsError;

    fn from_str(text: &str) -> Result<Self, SeedsError> {
        let wrong = || SeedsError { text: text.into() };
        let range = |part: &str| {
            let (start, end) = part.split_once("..").ok_or_else(wrong)?;
            let number = |text: &str| text.trim().replace('_', "").parse::<u64>().map_err(|_| wrong());
            let range = number(start)?..number(end)?;
            if range.is_empty() { Err(wrong()) } else { Ok(range) }
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for Seeds {
    type Error = SeedsError;

    fn try_from(text: String) -> Result<Self, SeedsError> {
        text.parse()
    }
}

impl From<Seeds> for String {
    fn from(seeds: Seeds) -> Self {
        seeds.to_string()
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}..{}", range.start, range.end)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        let seeds: Seeds = " 0..80, 900_000..900_080".parse().unwrap();
        assert!(seeds.contains(79) && !seeds.contains(80) && seeds.contains(900_000));
        assert_eq!(seeds.to_string(), "0..80, 900000..900080");
        assert_eq!(seeds.first_evaluation_seed(), None);
    }

    #[test]
    fn a_range_that_reaches_into_the_evaluation_seeds_is_found() {
        let seeds: Seeds = "5..1000002".parse().unwrap();
        assert_eq!(seeds.first_evaluation_seed(), Some(FIRST_EVALUATION_SEED));
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for text in ["", "7", "9..3", "a..b", "0..5,,"] {
            let error = text.parse::<Seeds>().unwrap_err();
            assert!(error.to_string().contains("0..160"), "{text}: {error}");
        }
    }
}
