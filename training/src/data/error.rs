//! Errors of reading a data set.

use std::path::PathBuf;

use portrait_files::pixels::DecodeError;
use portrait_files::seeds::Seeds;
use thiserror::Error;

/// An error of reading pairs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The folder is missing or not readable.
    #[error("dataset {path}: {source}; render one with `portrait-dataset render`")]
    Folder {
        /// Path of the folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// No pair has a seed in the ranges.
    #[error(
        "dataset {path} has no pair with a seed in {seeds} ({others} with other seeds){hint}: expected folders named by \
         eight-digit seeds; render them with `portrait-dataset render`, or name your folders so"
    )]
    Empty {
        /// Path of the data set's folder.
        path: PathBuf,
        /// Ranges asked for.
        seeds: Seeds,
        /// Number of pairs with other seeds.
        others: usize,
        /// Entries that look like pairs, and places where pairs are; empty where there are none.
        hint: String,
    },
    /// A pair was not finished.
    #[error(
        "half a pair: {path} is missing{instead}; add it under that name, render seed {seed} again with `portrait-dataset \
         render`, or take its folder out of the data set"
    )]
    HalfPair {
        /// Path of the missing file.
        path: PathBuf,
        /// Seed of the pair.
        seed: u64,
        /// Files that may be meant, in words; empty where there is none.
        instead: String,
    },
    /// `pair.json` is not as it should be.
    #[error(
        "{path}: {what}; write it as docs/train_a_look.md says, or render the pair again with `portrait-dataset render`"
    )]
    Info {
        /// Path of `pair.json`.
        path: PathBuf,
        /// Value expected and value found.
        what: String,
    },
    /// An image cannot be read.
    #[error("{path}: {source}; render the pair again with `portrait-dataset render`")]
    File {
        /// Path of the image.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// An image cannot be decoded.
    #[error(
        "{path} cannot be decoded: {source}; save it again as PNG, or render the pair again with `portrait-dataset render`"
    )]
    Image {
        /// Path of the image.
        path: PathBuf,
        /// Error of the decoder.
        source: DecodeError,
    },
    /// An image holds what the network would take for something else.
    #[error("{path}: {source}")]
    Unsuited {
        /// Path of the image.
        path: PathBuf,
        /// Property found, property expected, and the way out.
        source: DecodeError,
    },
    /// First and reference image have each other's names.
    #[error(
        "{path}: first.png and reference.png are exchanged, as the digests in pair.json show: expected the game's frame as \
         first.png; rename both"
    )]
    Exchanged {
        /// Path of the pair's folder.
        path: PathBuf,
    },
    /// An image has another size than its pair.
    #[error(
        "{path} is {found:?} pixels: expected {expected}×{expected}, as `pair.json` says; render the pair again with \
         `portrait-dataset render`"
    )]
    Size {
        /// Path of the image.
        path: PathBuf,
        /// Side that `pair.json` names, in pixels.
        expected: u32,
        /// Width and height of the image, in pixels.
        found: (u32, u32),
    },
    /// Light groups cannot be used.
    #[error("{path}: {what}; render the pair again with `portrait-dataset render`, or set `data.relight` to 0")]
    LightGroups {
        /// Path of the file.
        path: PathBuf,
        /// Value expected and value found.
        what: String,
    },
    /// The table of tone mappers cannot be used.
    #[error("{path}: {what}; delete it and render a new pair with light groups with `portrait-dataset render`")]
    ToneTables {
        /// Path of the table.
        path: PathBuf,
        /// Value expected and value found.
        what: String,
    },
    /// The ranges that light is drawn from are not as they should be.
    #[error("training/dataset/head_studio/looks.toml: {what}; mend the file and build this program again")]
    Looks {
        /// Error of the reader.
        what: String,
    },
    /// The config names a tone mapper that there is not.
    #[error("config: `data.tone_mappings`: {what}")]
    ToneMapping {
        /// Value expected and value found.
        what: String,
    },
    /// A pair is smaller than the crops.
    #[error("pair {seed} is {found} pixels wide: expected at least the crop of {expected}; lower `data.crop_px`")]
    SmallerThanCrop {
        /// Seed of the pair.
        seed: u64,
        /// Value of `data.crop_px`.
        expected: usize,
        /// Side of the pair's images, in pixels.
        found: usize,
    },
    /// A face is both trained and measured on.
    #[error(
        "identity {identity} is in the training pairs (seed {train}) and in the measured pairs (seed {measured}): a \
         figure measured on a face that was learnt means nothing; change the seed ranges"
    )]
    SharedIdentity {
        /// Name of the identity.
        identity: String,
        /// Training seed with that identity.
        train: u64,
        /// Validation or test seed with that identity.
        measured: u64,
    },
    /// A view of a person is both trained and measured on.
    #[error(
        "seed {seed} of identity {identity} is in the training pairs and in the measured pairs: a figure measured on a \
         view that was learnt means nothing; change the seed ranges"
    )]
    SharedView {
        /// Name of the identity.
        identity: String,
        /// Seed that is in both.
        seed: u64,
    },
}
