//! A pair with everything that was made of its first image.

use crate::data::Pair;

/// Pairs to look at side by side, evenly spread over the measured ones.
pub const BLIND_PAIRS: usize = 12;

/// A pair with everything that was made of its first image.
pub struct Measured<'a> {
    pub pair: &'a Pair,
    /// First image, graded with the look-up table, 8-bit sRGB `[S, S, 3]`.
    pub graded: Vec<u8>,
    /// Second image of each model in the order of the weights files, 8-bit sRGB `[S, S, 3]`.
    pub seconds: Vec<Vec<u8>>,
}

/// Picks `count` items, or all, evenly spread.
pub fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    (0..count).map(move |index| &all[index * all.len() / count])
}
