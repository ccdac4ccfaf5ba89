//! Pairs of one or more data folders, and everything that was made of their first images.

use std::path::{Path, PathBuf};

use portrait_files::folder::seed_folder;
use portrait_files::seeds::Seeds;
use portrait_network::Plane;

use super::facts::Facts;
use crate::data::{DatasetError, Pair, read};

/// The pairs of one data folder.
pub struct DataFolder<'a> {
    pub path: &'a Path,
    pub pairs: Vec<Pair>,
}

/// A pair with everything that was made of its first image.
pub struct Measured<'a> {
    pub pair: &'a Pair,
    /// Data folder of the pair.
    pub data: &'a Path,
    pub facts: Facts,
    /// First image, graded with the look-up table, 8-bit sRGB `[S, S, 3]`.
    pub graded: Vec<u8>,
    /// First image, with the fitted tone curve and sharpened, 8-bit sRGB `[S, S, 3]`.
    pub sharpened: Vec<u8>,
    /// Second image of each model in the order of the weights files, 8-bit sRGB `[S, S, 3]`.
    pub seconds: Vec<Vec<u8>>,
}

/// Reads the pairs of all data folders whose seed is in `seeds`. A folder may have none.
///
/// # Errors
/// Fails when no folder has such a pair, or a pair cannot be read.
pub fn load<'a>(data: &'a [PathBuf], seeds: &Seeds, planes: &[Plane]) -> Result<Vec<DataFolder<'a>>, DatasetError> {
    let (mut found, mut empty) = (Vec::new(), None);
    for path in data {
        match read::load(path, seeds, planes) {
            Ok(pairs) => found.push(DataFolder { path, pairs }),
            Err(error @ DatasetError::Empty { .. }) => empty = empty.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match empty {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

impl DataFolder<'_> {
    /// Lists the pairs, each with what its scene says.
    pub fn with_facts(&self) -> impl Iterator<Item = (&Pair, Facts)> {
        self.pairs.iter().map(move |pair| (pair, Facts::read(&seed_folder(self.path, pair.seed))))
    }
}

/// Picks `count` items, or all, evenly spread.
pub fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    (0..count).map(move |index| &all[index * all.len() / count])
}
