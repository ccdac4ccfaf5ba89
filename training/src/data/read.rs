//! Reads the pairs that `portrait-dataset` renders, one folder for each seed:
//!
//! | file | content |
//! |---|---|
//! | `first.png` | *first rendered image*, 8-bit sRGB |
//! | `reference.png` | *reference image*, 8-bit sRGB, same tone mapping |
//! | `mask.png` | 8-bit grey importance: 0 background, 64 hair and cloth, 160 skin, 255 brows, eyes and lips |
//! | `normal.png` | 16-bit RGB, view-space normal · 0.5 + 0.5; mid-grey where nothing was drawn |
//! | `depth.png` | 16-bit grey, depth (see [`portrait_network::Plane::Depth`]) · 0.5 + 0.5 |
//! | `light_groups.safetensors` | only for some pairs: see `light_groups.rs` |
//! | `pair.json` | [`PairInfo`], written last: a folder without it is half a pair |

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use image::DynamicImage;
use portrait_files::bounded;
use portrait_files::folder::seed_folder;
use portrait_files::manifest::PairInfo;
use portrait_files::pixels::{self, DecodeError, Format, Size};
use portrait_files::seeds::Seeds;
use portrait_network::Plane;

use super::error::DatasetError;
use super::light_groups::{self, LightGroups};
use super::looks::Looks;
use super::pair::Pair;
use super::tone_tables::ToneTables;

/// Reads every pair of `folder` whose seed is in `seeds`, in the order of the seeds, with the images that `planes` need.
///
/// # Errors
/// Fails when there is no such pair, or a pair is unfinished, damaged or of another size than its `pair.json` says.
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

/// Reads one pair, with the images that `planes` need.
///
/// # Errors
/// Fails when the pair is unfinished, damaged or of another size than its `pair.json` says.
pub fn load_pair(folder: &Path, seed: u64, planes: &[Plane]) -> Result<Pair, DatasetError> {
    let folder = seed_folder(folder, seed);
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
        let content = bounded::read(&path, size.max_bytes())
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

/// Reads the light groups of those pairs that have them, and the tone mappers that show them.
///
/// # Errors
/// Fails when a file is damaged, or the data folder has light groups and no tone mappers.
pub fn attach_light_groups(folder: &Path, pairs: &mut [Pair]) -> Result<(), DatasetError> {
    let mut shared = None;
    for pair in pairs {
        let path = seed_folder(folder, pair.seed).join(light_groups::FILE);
        if !path.is_file() {
            continue;
        }
        // A data folder without light groups needs no table of tone mappers.
        let (tables, looks) = match &shared {
            Some(shared) => shared,
            None => {
                let looks = Looks::read().map_err(|what| DatasetError::Looks { what })?;
                shared.insert((Arc::new(ToneTables::read(folder)?), Arc::new(looks)))
            }
        };
        let content = bounded::read(&path, light_groups::max_bytes(pair.size_px))
            .map_err(|error| DatasetError::LightGroups { path: path.clone(), what: error.to_string() })?;
        let groups = LightGroups::parse(&content, pair.size_px, Arc::clone(tables), Arc::clone(looks));
        pair.light_groups = Some(groups.map_err(|what| DatasetError::LightGroups { path, what })?);
    }
    Ok(())
}

/// Checks that no face is both trained and measured on.
///
/// # Errors
/// Fails with the first identity that is in both.
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
/// Fails with the first pair that is smaller.
pub fn check_crop(pairs: &[Pair], crop_px: usize) -> Result<(), DatasetError> {
    match pairs.iter().find(|pair| pair.size_px < crop_px) {
        Some(pair) => Err(DatasetError::SmallerThanCrop { seed: pair.seed, expected: crop_px, found: pair.size_px }),
        None => Ok(()),
    }
}

/// Counts the different people in `pairs`.
pub fn identity_count(pairs: &[Pair]) -> usize {
    pairs.iter().map(|pair| &pair.identity).collect::<BTreeSet<_>>().len()
}
