//! Reads the pairs that `portrait-dataset` renders, or any tool writes, one folder for each seed:
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

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portrait_files::bounded;
use portrait_files::config::HeldOut;
use portrait_files::folder::seed_folder;
use portrait_files::manifest::PairInfo;
use portrait_files::name::{self, folded};
use portrait_files::pair_image::{self, Content};
use portrait_files::pixels::{DecodeError, Size};
use portrait_files::seeds::Seeds;
use portrait_network::Plane;

use super::error::DatasetError;
use super::light_groups::{self, LightGroups};
use super::listing::{self, Listing};
use super::looks::Looks;
use super::pair::Pair;
use super::tone_tables::ToneTables;

/// Reads every pair of `folder` whose seed is in `seeds`, in the order of the seeds, with the images that `planes` need.
///
/// # Errors
/// Fails when there is no such pair, or a pair is unfinished, damaged, of another size than its `pair.json` says, or has an
/// image that the network would take for something else.
pub fn load(folder: &Path, seeds: &Seeds, planes: &[Plane]) -> Result<Vec<Pair>, DatasetError> {
    let listing = Listing::read(folder).map_err(|source| DatasetError::Folder { path: folder.into(), source })?;
    let wanted: Vec<u64> = listing.seeds.iter().copied().filter(|&seed| seeds.contains(seed)).collect();
    if wanted.is_empty() {
        let not_read = match listing.strays.as_slice() {
            [] => String::new(),
            _ => format!("; not read: {}", listing.strays_in_words()),
        };
        return Err(DatasetError::Empty {
            path: folder.into(),
            seeds: seeds.clone(),
            others: listing.seeds.len(),
            hint: not_read + &listing::elsewhere(folder),
        });
    }
    wanted.into_iter().map(|seed| load_pair(folder, seed, planes)).collect()
}

/// Finds a file of the pair in a folder, in whichever case its name is written. `None` is one that does not exist.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>, DatasetError> {
    let found = name::find(folder, name).map_err(|source| DatasetError::File { path: folder.join(name), source })?;
    Ok(found.filter(|path| path.is_file()))
}

/// Reads one pair, with the images that `planes` need.
///
/// # Errors
/// Fails when the pair is unfinished, damaged, of another size than its `pair.json` says, or has an image that the network
/// would take for something else.
pub fn load_pair(folder: &Path, seed: u64, planes: &[Plane]) -> Result<Pair, DatasetError> {
    let folder = seed_folder(folder, seed);
    let present = |name: &str| {
        let half =
            || DatasetError::HalfPair { path: folder.join(name), seed, instead: listing::instead_of(&folder, name) };
        find(&folder, name)?.ok_or_else(half)
    };
    let info_path = present("pair.json")?;
    let wrong = |what: String| DatasetError::Info { path: info_path.clone(), what };
    let text = bounded::read_text(&info_path).map_err(|error| wrong(error.to_string()))?;
    let info = PairInfo::parse(&text, seed).map_err(wrong)?;
    let size = Size::Edge { px: info.size_px, said_by: "pair.json" };
    let read = |name: &str| {
        let path = present(name)?;
        let content = bounded::read(&path, size.max_bytes());
        content.map(|content| (path.clone(), content)).map_err(|source| DatasetError::File { path, source })
    };
    let decode = |(path, file): (PathBuf, Vec<u8>), content| {
        pair_image::decode(&file, content, size).map_err(|error| match error {
            DecodeError::Size { found: [width, height] } => {
                DatasetError::Size { path, expected: info.size_px, found: (width, height) }
            }
            source @ DecodeError::Content { .. } => DatasetError::Unsuited { path, source },
            source => DatasetError::Image { path, source },
        })
    };
    let names = ["first.png", "reference.png"];
    let [first, reference] = [read(names[0])?, read(names[1])?];
    if info.are_exchanged(names, [&first.1, &reference.1]) {
        return Err(DatasetError::Exchanged { path: folder });
    }
    Ok(Pair {
        seed,
        // `parse` refuses a pair of nobody.
        identity: info.person().unwrap_or_default(),
        size_px: info.size_px as usize,
        first: decode(first, Content::Shown)?.into_rgb8().into_raw(),
        reference: decode(reference, Content::Shown)?.into_rgb8().into_raw(),
        mask: decode(read("mask.png")?, Content::Mask)?.into_luma8().into_raw(),
        normal: if planes.contains(&Plane::Normal) {
            decode(read("normal.png")?, Content::Normal)?.into_rgb16().into_raw()
        } else {
            Vec::new()
        },
        depth: if planes.contains(&Plane::Depth) {
            decode(read("depth.png")?, Content::Depth)?.into_luma16().into_raw()
        } else {
            Vec::new()
        },
        light_groups: None,
    })
}

/// Reads the light groups of those pairs that have them, and the tone mappers that show them: those named, or all.
///
/// # Errors
/// Fails when a file is damaged, or the data folder has light groups and no tone mappers, or a name is none of a tone mapper.
pub fn attach_light_groups(folder: &Path, pairs: &mut [Pair], tone_mappings: &[String]) -> Result<(), DatasetError> {
    let mut shared = None;
    for pair in pairs {
        let Some(path) = find(&seed_folder(folder, pair.seed), light_groups::FILE)? else { continue };
        // A data folder without light groups needs no table of tone mappers.
        let (tables, looks) = match &shared {
            Some(shared) => shared,
            None => {
                let looks = Looks::read().map_err(|what| DatasetError::Looks { what })?;
                let looks = looks.shown_by(tone_mappings).map_err(|what| DatasetError::ToneMapping { what })?;
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

/// Checks that training and measured pairs do not share what is held out.
///
/// # Errors
/// Fails with the first identity, or the first view of one, that is in both.
pub fn check_held_out(held_out: HeldOut, train: &[Pair], measured: &[Pair]) -> Result<(), DatasetError> {
    match held_out {
        HeldOut::People => check_identities(train, measured),
        HeldOut::Views => {
            let view = |pair: &Pair| (folded(&pair.identity), pair.seed);
            let known: BTreeSet<(String, u64)> = train.iter().map(view).collect();
            match measured.iter().find(|pair| known.contains(&view(pair))) {
                Some(pair) => Err(DatasetError::SharedView { identity: pair.identity.clone(), seed: pair.seed }),
                None => Ok(()),
            }
        }
    }
}

/// Checks that no face is both trained and measured on. One name in another case or Unicode form is one person.
///
/// # Errors
/// Fails with the first identity that is in both.
pub fn check_identities(train: &[Pair], measured: &[Pair]) -> Result<(), DatasetError> {
    let known: BTreeMap<String, &Pair> = train.iter().rev().map(|pair| (folded(&pair.identity), pair)).collect();
    for pair in measured {
        if let Some(same) = known.get(&folded(&pair.identity)) {
            let mut identity = pair.identity.clone();
            if same.identity != identity {
                identity += &format!(" (or {}, the same but for case or Unicode form)", same.identity);
            }
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
    pairs.iter().map(|pair| folded(&pair.identity)).collect::<BTreeSet<_>>().len()
}
