//! The seeds that a command works on.

use std::ops::Range;
use std::str::FromStr;

pub use portrait_files::folder::seed_folder;

use crate::error::DatasetError;

/// End of the seeds, excluded: a seed's folder has eight digits.
pub const SEED_LIMIT: u64 = 100_000_000;

/// A half-open range of seeds, written `A..B`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedRange(pub Range<u64>);

impl FromStr for SeedRange {
    type Err = DatasetError;

    fn from_str(text: &str) -> Result<Self, DatasetError> {
        let refuse = |reason| DatasetError::Seeds { found: text.to_owned(), reason };
        let (first, last) = text.split_once("..").ok_or_else(|| refuse("there is no `..`"))?;
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok()).flatten().ok_or_else(|| refuse("not two whole numbers"))
        };
        let (first, last) = (number(first)?, number(last)?);
        if first >= last {
            return Err(refuse("the range is empty"));
        }
        if last > SEED_LIMIT {
            return Err(refuse("beyond 100000000, and folders have eight digits"));
        }
        Ok(Self(first..last))
    }
}

impl SeedRange {
    /// Lists every `stride`-th seed of the range (0 counts as 1).
    pub fn seeds(&self, stride: usize) -> impl Iterator<Item = u64> + Clone + use<> {
        self.0.clone().step_by(stride.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_excludes_its_end_and_steps() {
        let range: SeedRange = "3..10".parse().unwrap();
        assert_eq!(range.seeds(3).collect::<Vec<_>>(), [3, 6, 9]);
    }

    #[test]
    fn bad_ranges_say_what_was_given_and_expected() {
        for text in ["", "5", "5..", "..5", "5..5", "6..5", "-1..5", "a..b", "1..+3", "0..100000001", "1...3"] {
            let message = text.parse::<SeedRange>().unwrap_err().to_string();
            assert!(message.contains(&format!("`{text}`")) && message.contains("A..B"), "{message}");
        }
    }
}
