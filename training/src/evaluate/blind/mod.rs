//! Blind pairs: first and second image side by side, in an order and on sides that nobody knows, for people or other judges who say
//! which looks more like a photograph, and which they would ship.
//!
//! A set is a folder with `pair_001.png` and so on, `index.html`, which shows them one by one and keeps the answers, and the sealed
//! [`key`]. [`answers`] are scored with it.

mod answers;
mod error;
mod key;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burn::tensor::backend::Backend;
use image::{ImageFormat, Rgb, RgbImage, imageops};
use portrait_files::atomic;
use portrait_files::config::Config;
use portrait_files::folder::is_empty;
use portrait_files::seeds::Seeds;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::evaluation::{Candidate, check_folders, names};
use super::facts::Source;
use super::measured::{load, spread};
use super::report::MAIN_PX;
use crate::data::{DatasetError, Pair, read};
use crate::measure::second_image;
use crate::networks::Generator;

pub use answers::{BlindScores, SourceScore, unseal};
pub use error::BlindError;
use key::{Key, KeyPair, Side};

/// Number of pairs of each source, at most.
const PAIRS: usize = 32;
/// Width of the strip between two images, in pixels.
const GAP_PX: u32 = 16;
/// Colour of the strip, sRGB.
const GAP_COLOR: Rgb<u8> = Rgb([128; 3]);
const PAGE: &str = include_str!("page.html");

/// A set of blind pairs to make.
#[derive(Clone, Debug)]
pub struct BlindOptions<'a> {
    /// Weights file of the second images.
    pub weights: &'a Path,
    /// Folders of pairs. At most 32 of each source are taken, at 256 pixels or else the smallest size.
    pub data: &'a [PathBuf],
    /// New folder for the set.
    pub out: &'a Path,
    /// Config of the training run, for its seeds.
    pub config: &'a Config,
    /// Seeds to take pairs from, instead of the config's validation seeds.
    pub seeds: Option<Seeds>,
    /// Seed of order and sides.
    pub shuffle_seed: u64,
}

/// Writes a set of blind pairs. Returns their number.
///
/// # Errors
/// Fails when the folder has files, weights or pairs cannot be read, a person was trained on, or a file cannot be written.
pub fn blind<B: Backend>(options: &BlindOptions, device: &B::Device) -> Result<usize, BlindError> {
    let BlindOptions { data, config, out, .. } = *options;
    if !is_empty(out) {
        return Err(BlindError::Exists { path: out.into() });
    }
    check_folders(data)?;
    let weights = [options.weights.to_path_buf()];
    let candidate = Candidate::load(&names(&weights)?[0], options.weights)?;
    let seeds = options.seeds.clone().unwrap_or_else(|| config.data.validation_seeds.clone());
    let folders = load(data, &seeds, &candidate.model.graph().spec().inputs)?;
    let train: Vec<Pair> = match load(data, &config.data.train_seeds, &[]) {
        Ok(folders) => folders.into_iter().flat_map(|folder| folder.pairs).collect(),
        // Nothing is fitted here, so that the training pairs need not be at hand.
        Err(DatasetError::Empty { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    for folder in &folders {
        read::check_held_out(config.data.held_out, &train, &folder.pairs)?;
    }

    let all: Vec<(&Path, &Pair, Source)> = folders
        .iter()
        .flat_map(|folder| folder.with_facts().map(move |(pair, facts)| (folder.path, pair, facts.source)))
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(options.shuffle_seed);
    let mut drawn: Vec<(&Path, &Pair, Source, Side)> = Vec::new();
    for source in Source::ALL {
        let of_source: Vec<_> = all.iter().copied().filter(|(.., other)| *other == source).collect();
        let size = of_source.iter().map(|(_, pair, _)| pair.size_px).min_by_key(|&px| (px != MAIN_PX, px));
        let of_size: Vec<_> = of_source.into_iter().filter(|(_, pair, _)| Some(pair.size_px) == size).collect();
        let chosen: Vec<_> = spread(&of_size, PAIRS).copied().collect();
        // As many second images on the left as on the right, so that a judge's liking for a side does not count.
        let mut sides: Vec<Side> = (0..chosen.len()).map(|at| [Side::Left, Side::Right][at % 2]).collect();
        sides.shuffle(&mut rng);
        drawn.extend(chosen.into_iter().zip(sides).map(|((data, pair, source), side)| (data, pair, source, side)));
    }
    drawn.shuffle(&mut rng);

    let generator = Generator::<B>::from_model(&candidate.model, device);
    let mut pictures = Vec::new();
    for (_, pair, _, side) in &drawn {
        let second = second_image(&generator, candidate.model.recommended, pair, device);
        let picture = match side {
            Side::Left => beside(&second, &pair.first, pair.size_px),
            Side::Right => beside(&pair.first, &second, pair.size_px),
        };
        pictures.push(png(&picture).map_err(|error| BlindError::write(out, &error))?);
    }
    let pairs = drawn.iter().map(|(data, pair, source, second)| KeyPair {
        source: *source,
        data: data.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        seed: pair.seed,
        second: *second,
    });
    let (weights, sha256) = (candidate.file, candidate.sha256);
    let key =
        Key { set: set_id(&pictures), weights, sha256, shuffle_seed: options.shuffle_seed, pairs: pairs.collect() };
    write(out, &key, &pictures)?;
    Ok(pictures.len())
}

/// Puts two images `[S, S, 3]`, 8-bit sRGB, side by side with a grey strip between them.
fn beside(left: &[u8], right: &[u8], side_px: usize) -> RgbImage {
    let side = side_px as u32;
    let mut picture = RgbImage::from_pixel(side * 2 + GAP_PX, side, GAP_COLOR);
    for (image, x) in [(left, 0), (right, side + GAP_PX)] {
        if let Some(image) = RgbImage::from_raw(side, side, image.to_vec()) {
            imageops::replace(&mut picture, &image, i64::from(x), 0);
        }
    }
    picture
}

fn png(picture: &RgbImage) -> Result<Vec<u8>, image::ImageError> {
    let mut content = Cursor::new(Vec::new());
    picture.write_to(&mut content, ImageFormat::Png)?;
    Ok(content.into_inner())
}

/// Returns the name of a set, by which its answers are known: 16 hexadecimal digits of the digest of its pictures.
fn set_id(pictures: &[Vec<u8>]) -> String {
    let digest = pictures.iter().fold(Sha256::new(), |digest, picture| digest.chain_update(picture)).finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a set; the key comes last, so that a folder with a key is whole.
fn write(out: &Path, key: &Key, pictures: &[Vec<u8>]) -> Result<(), BlindError> {
    std::fs::create_dir_all(out).map_err(|error| BlindError::write(out, &error))?;
    let write = |name: &str, content: &[u8]| {
        let path = out.join(name);
        atomic::write(&path, content).map_err(|error| BlindError::write(&path, &error))
    };
    for (at, picture) in pictures.iter().enumerate() {
        write(&format!("pair_{:03}.png", at + 1), picture)?;
    }
    let embedded = pictures.iter().map(|png| format!("\"data:image/png;base64,{}\"", STANDARD.encode(png)));
    let page = PAGE.replace("@SET@", &key.set).replace("@PICTURES@", &embedded.collect::<Vec<_>>().join(",\n"));
    write("index.html", page.as_bytes())?;
    let sealed = key.seal().map_err(|what| BlindError::write(&out.join(key::FILE), &what))?;
    write(key::FILE, sealed.as_bytes())
}
