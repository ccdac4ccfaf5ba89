//! Reads the pairs that `portrait-dataset` renders, one folder for each seed:
//!
//! | file | content |
//! |---|---|
//! | `first.png` | *first rendered image*, 8-bit sRGB |
//! | `reference.png` | *reference image*, 8-bit sRGB, same tone mapping |
//! | `mask.png` | 8-bit grey importance: 0 background, 64 hair and cloth, 160 skin, 255 brows, eyes and lips |
//! | `normal.png` | 16-bit RGB, view-space normal · 0.5 + 0.5; mid-grey where nothing was drawn |
//! | `depth.png` | 16-bit grey, depth (see [`portrait_network::Plane::Depth`]) · 0.5 + 0.5 |
//! | `light_groups.safetensors` | only of some pairs: see [`crate::light_groups`] |
//! | `pair.json` | [`PairInfo`], written last: a folder without it is half a pair |

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use image::DynamicImage;
use portrait_files::bounded;
use portrait_files::pixels::{self, DecodeError, Format, Size};
use portrait_network::Plane;
use thiserror::Error;

pub use portrait_files::manifest::{PAIR_FORMAT, PairInfo};

use crate::light_groups::LightGroups;
use crate::seeds::Seeds;

/// Mask value from which a pixel belongs to the face.
pub const FACE_MASK: u8 = 160;

/// Images of one scene. All are square, row-major, `size_px` wide, and 8- or 16-bit as in the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Seed of the scene.
    pub seed: u64,
    /// Whose face it is.
    pub identity: String,
    /// Width and height in pixels.
    pub size_px: usize,
    /// *First rendered image*, `[H, W, 3]`.
    pub first: Vec<u8>,
    /// *Reference image*, `[H, W, 3]`.
    pub reference: Vec<u8>,
    /// Importance, `[H, W]`.
    pub mask: Vec<u8>,
    /// View-space normals `[H, W, 3]`; empty unless asked for.
    pub normal: Vec<u16>,
    /// Depth `[H, W]`; empty unless asked for.
    pub depth: Vec<u16>,
    /// The scene, one light at a time; only where [`crate::light_groups::attach`] found it.
    pub light_groups: Option<LightGroups>,
}

/// Why pairs cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The folder is missing or not readable.
    #[error("dataset {path}: {source}; render one with `portrait-dataset render`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No pair has a seed in the ranges.
    #[error(
        "dataset {path} has no pair with a seed in {seeds} ({others} with other seeds): expected folders named by \
         eight-digit seeds; render them with `portrait-dataset render`"
    )]
    Empty {
        /// The folder.
        path: PathBuf,
        /// The ranges asked for.
        seeds: Seeds,
        /// Pairs with other seeds.
        others: usize,
    },
    /// A pair that was not finished.
    #[error(
        "half a pair: {path} is missing; render seed {seed} again with `portrait-dataset render`, or delete its folder"
    )]
    HalfPair {
        /// The missing file.
        path: PathBuf,
        /// The pair.
        seed: u64,
    },
    /// `pair.json` is not what it should be.
    #[error("{path}: {what}; render the pair again with `portrait-dataset render`")]
    Info {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        what: String,
    },
    /// An image that cannot be read.
    #[error("{path}: {source}; render the pair again with `portrait-dataset render`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// An image that cannot be decoded.
    #[error("{path} cannot be decoded: {source}; render the pair again with `portrait-dataset render`")]
    Image {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        source: DecodeError,
    },
    /// An image of another size.
    #[error(
        "{path} is {found:?} pixels: expected {expected}×{expected}, as `pair.json` says; render the pair again with \
         `portrait-dataset render`"
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Side in `pair.json`.
        expected: u32,
        /// Width and height of the image.
        found: (u32, u32),
    },
    /// Light groups that cannot be used.
    #[error("{path}: {what}; render the pair again with `portrait-dataset render`, or set `data.relight` to 0")]
    LightGroups {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        what: String,
    },
    /// Tone mappers that cannot be used.
    #[error("{path}: {what}; delete it and render a new pair with light groups with `portrait-dataset render`")]
    ToneTables {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        what: String,
    },
    /// Pairs smaller than the crops.
    #[error("pair {seed} is {found} pixels wide: expected at least the crop of {expected}; lower `data.crop_px`")]
    SmallerThanCrop {
        /// The pair.
        seed: u64,
        /// `data.crop_px`.
        expected: usize,
        /// The pair's side.
        found: usize,
    },
    /// A face that is both learnt and measured on.
    #[error(
        "identity {identity} is in the training pairs (seed {train}) and in the measured pairs (seed {measured}): a \
         figure measured on a face that was learnt means nothing; change the seed ranges"
    )]
    SharedIdentity {
        /// Whose face it is.
        identity: String,
        /// A training seed.
        train: u64,
        /// A validation or evaluation seed.
        measured: u64,
    },
}

/// Reads every pair of `folder` whose seed is in `seeds`, in the order of the seeds, with the images that `planes` need.
///
/// # Errors
/// When there is none, or one is unfinished, damaged or of another size than it says.
pub fn load(folder: &Path, seeds: &Seeds, planes: &[Plane]) -> Result<Vec<Pair>, DatasetError> {
    let io = |source| DatasetError::Folder { path: folder.into(), source };
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let seed = name.to_str().filter(|name| name.len() == 8).and_then(|name| name.parse::<u64>().ok());
        found.extend(seed);
    }
    let wanted: Vec<u64> = found.iter().copied().filter(|&seed| seeds.contains(seed)).collect();
    if wanted.is_empty() {
        return Err(DatasetError::Empty { path: folder.into(), seeds: seeds.clone(), others: found.len() });
    }
    wanted.into_iter().map(|seed| load_pair(folder, seed, planes)).collect()
}

/// Folder of one pair.
pub fn pair_folder(folder: &Path, seed: u64) -> PathBuf {
    folder.join(format!("{seed:08}"))
}

/// Reads one pair.
///
/// # Errors
/// When it is unfinished, damaged or of another size than it says.
pub fn load_pair(folder: &Path, seed: u64, planes: &[Plane]) -> Result<Pair, DatasetError> {
    let folder = pair_folder(folder, seed);
    let present = |name: &str| {
        let path = folder.join(name);
        if path.is_file() { Ok(path) } else { Err(DatasetError::HalfPair { path, seed }) }
    };
    let info_path = present("pair.json")?;
    let wrong = |what: String| DatasetError::Info { path: info_path.clone(), what };
    let text = bounded::read_text(&info_path).map_err(|error| wrong(error.to_string()))?;
    let info = PairInfo::parse(&text, seed).map_err(wrong)?;
    let size = Size::Edge { px: info.size_px, said_by: "pair.json" };
    let read = |name: &str| -> Result<DynamicImage, DatasetError> {
        let path = present(name)?;
        let content = bounded::read(&path, size.most_bytes())
            .map_err(|source| DatasetError::File { path: path.clone(), source })?;
        pixels::decode(&content, Format::Png, size).map_err(|error| match error {
            DecodeError::Size { found: [width, height] } => {
                DatasetError::Size { path, expected: info.size_px, found: (width, height) }
            }
            source => DatasetError::Image { path, source },
        })
    };
    Ok(Pair {
        seed,
        identity: info.identity.as_str().map_or_else(|| info.identity.to_string(), str::to_string),
        size_px: info.size_px as usize,
        first: read("first.png")?.into_rgb8().into_raw(),
        reference: read("reference.png")?.into_rgb8().into_raw(),
        mask: read("mask.png")?.into_luma8().into_raw(),
        normal: if planes.contains(&Plane::Normal) { read("normal.png")?.into_rgb16().into_raw() } else { Vec::new() },
        depth: if planes.contains(&Plane::Depth) { read("depth.png")?.into_luma16().into_raw() } else { Vec::new() },
        light_groups: None,
    })
}

/// Checks that no face is both learnt and measured on.
///
/// # Errors
/// The first identity that is in both.
pub fn check_identities(train: &[Pair], measured: &[Pair]) -> Result<(), DatasetError> {
    for pair in measured {
        if let Some(same) = train.iter().find(|other| other.identity == pair.identity) {
            let identity = pair.identity.clone();
            return Err(DatasetError::SharedIdentity { identity, train: same.seed, measured: pair.seed });
        }
    }
    Ok(())
}

/// Checks that crops of `crop_px` fit into every pair.
///
/// # Errors
/// The first pair that is smaller.
pub fn check_crop(pairs: &[Pair], crop_px: usize) -> Result<(), DatasetError> {
    match pairs.iter().find(|pair| pair.size_px < crop_px) {
        Some(pair) => Err(DatasetError::SmallerThanCrop { seed: pair.seed, expected: crop_px, found: pair.size_px }),
        None => Ok(()),
    }
}

/// How many different faces are in `pairs`.
pub fn identity_count(pairs: &[Pair]) -> usize {
    pairs.iter().map(|pair| &pair.identity).collect::<BTreeSet<_>>().len()
}
