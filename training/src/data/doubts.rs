//! Looks for what is probably wrong with pairs that can be read: each is a sentence with the pairs, the numbers, and what to do.
//!
//! Nothing here keeps a run from starting, since a look may be strange on purpose.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use portrait_files::folder::seed_folder;
use portrait_files::manifest::{PAIR, PAIR_FILES};
use portrait_files::name::other_spellings;
use rayon::prelude::*;

use super::alignment::{Alignment, Channel, Turn, align, find_turn};
use super::doubt::Doubt;
use super::encoding;
use super::exchange::{Difference, exchanged};
use super::g_buffer::{self, drawn_by_depth, drawn_by_normal};
use super::listing::Listing;
use super::pair::{FACE_MASK, Pair};

/// Minimum correlation of details in the best place for which a place means something.
const MIN_CORRELATION: f32 = 0.4;
/// Minimum gain in correlation of a place over the one where the images lie.
const MIN_GAIN: f32 = 0.03;
/// Share of the uncorrelated rest that a turn has to leave at most.
const MAX_REST: f32 = 0.6;
/// Minimum shift of one pair, and minimum median shift of all pairs, in pixels.
const MIN_SHIFT_PX: f32 = 0.75;
const MIN_COMMON_SHIFT_PX: f32 = 0.35;
/// Minimum number of pairs of which something is said in common.
const MIN_PAIRS: usize = 5;
/// Number of colours of a palette.
const PALETTE: usize = 256;
/// Minimum number of pixels for which few colours mean anything.
const ENOUGH_PIXELS: usize = 64 * 64;

/// The figures of one pair.
struct Measured<'a> {
    pair: &'a Pair,
    alignment: Alignment,
    difference: Difference,
    /// How images that go with the first one are turned against it.
    planes: Vec<(&'static str, Alignment)>,
    /// Digest of the first image.
    picture: u64,
    /// Names of the images that have no more colours than a palette.
    few_colors: Vec<&'static str>,
}

impl<'a> Measured<'a> {
    fn of(pair: &'a Pair) -> Self {
        let [first, reference] = [&pair.first, &pair.reference].map(|image| Channel::luma(image, pair.size_px));
        let mut picture = DefaultHasher::new();
        pair.first.hash(&mut picture);
        let named = [("first.png", &pair.first), ("reference.png", &pair.reference)];
        Self {
            pair,
            alignment: align(&first, &reference),
            difference: Difference::of(&pair.first, &pair.reference, pair.size_px),
            planes: planes(pair, &first),
            picture: picture.finish(),
            few_colors: named.into_iter().filter(|(_, image)| has_few_colors(image)).map(|(name, _)| name).collect(),
        }
    }

    fn is_shifted(&self) -> bool {
        let Alignment { turn, shift_px, there, in_place } = self.alignment;
        let far = shift_px.iter().any(|shift| shift.abs() >= MIN_SHIFT_PX);
        turn == Turn::None && far && there >= MIN_CORRELATION && there - in_place >= MIN_GAIN
    }

    /// Tells whether it is the first image that is turned, since more than the reference is turned against it.
    fn is_first_turned(&self) -> bool {
        let same = |found: Alignment| is_turned(found) && found.turn == self.alignment.turn;
        same(self.alignment) && self.planes.iter().any(|(_, found)| same(*found))
    }

    fn name(&self) -> String {
        format!("{:08}", self.pair.seed)
    }
}

/// Tells whether an image is turned without doubt.
fn is_turned(Alignment { turn, there, in_place, .. }: Alignment) -> bool {
    let rest = 1.0 - there < MAX_REST * (1.0 - in_place);
    turn != Turn::None && there >= MIN_CORRELATION && there - in_place >= MIN_GAIN && rest
}

/// Compares the edges of mask, normals and depths with those of the first image.
fn planes(pair: &Pair, first: &Channel) -> Vec<(&'static str, Alignment)> {
    let side = pair.size_px;
    let first = first.edges();
    let drawn = |each: Vec<bool>| Channel::new(each.into_iter().map(|drawn| f32::from(u8::from(drawn))), side);
    let planes = [
        ("mask.png", Channel::new(pair.mask.iter().map(|&value| value.into()), side)),
        ("normal.png", drawn(drawn_by_normal(pair))),
        ("depth.png", drawn(drawn_by_depth(pair))),
    ];
    // The network may read no normals or no depths.
    let read = planes.into_iter().filter(|(_, plane)| plane.is_whole());
    read.map(|(name, plane)| (name, find_turn(&first, &plane.edges()))).collect()
}

/// Returns what is probably wrong with pairs of a data folder, in words; empty where nothing is.
pub fn doubts(folder: &Path, pairs: &[&Pair]) -> Vec<String> {
    let measured: Vec<Measured> = pairs.par_iter().map(|pair| Measured::of(pair)).collect();
    let mut found = Vec::new();
    found.extend(strays(folder));
    found.extend(spellings(folder, pairs));
    found.extend(same_pictures(&measured));
    found.extend(turned(&measured));
    found.extend(turned_planes(&measured));
    let others = g_buffer::doubts(pairs).into_iter().chain(encoding::doubts(pairs));
    found.extend(others.filter_map(|doubt| doubt.in_words()));
    found.extend(shifted(&measured));
    found.extend(unlike(&measured));
    found.extend(one_of_all_shifted(&measured));
    found.extend(swapped(&measured));
    found.extend(palettes(&measured));
    found.extend(faceless(pairs));
    found
}

fn told(what: &str, each: Vec<String>, mend: &str) -> Option<String> {
    Doubt { what, each, mend }.in_words()
}

fn strays(folder: &Path) -> Option<String> {
    let listing = Listing::read(folder).ok()?;
    (!listing.strays.is_empty()).then(|| {
        format!(
            "{} has what looks like a pair and was not read, {} in all: {}. A pair is a folder named by its seed with eight \
             digits; rename it, or move it elsewhere",
            folder.display(),
            listing.strays.len(),
            listing.strays_in_words()
        )
    })
}

fn spellings(folder: &Path, pairs: &[&Pair]) -> Option<String> {
    let mut each = Vec::new();
    for pair in pairs {
        let folder = seed_folder(folder, pair.seed);
        for name in [&[PAIR, "mask.png"][..], &PAIR_FILES].concat() {
            if let Ok(others) = other_spellings(&folder, name)
                && !others.is_empty()
                && folder.join(name).exists()
            {
                each.push(format!("{:08} has {others:?} beside {name}", pair.seed));
            }
        }
    }
    told("names of files differ by case alone", each, "Those in lower case were read; keep one of each")
}

fn same_pictures(measured: &[Measured]) -> Vec<String> {
    let both = measured.iter().filter(|each| each.pair.first == each.pair.reference).map(Measured::name).collect();
    let mut by_picture: BTreeMap<u64, Vec<&Measured>> = BTreeMap::new();
    measured.iter().for_each(|each| by_picture.entry(each.picture).or_default().push(each));
    let copies = by_picture.values().filter(|same| same.len() > 1 && same[0].pair.first == same[1].pair.first);
    let copies = copies.map(|same| same.iter().map(|each| each.name()).collect::<Vec<_>>().join(" = "));
    let identical = told(
        "first and reference image are the same picture",
        both,
        "There is nothing to learn from them; export both images",
    );
    let twice = told(
        "the first image is another pair's as well",
        copies.collect(),
        "A copy counts twice, and one in both training and validation makes figures mean nothing; take the copies out",
    );
    [identical, twice].into_iter().flatten().collect()
}

fn turned(measured: &[Measured]) -> Option<String> {
    // What most pairs have in common is no accident, however symmetrical their faces are.
    let common = |turn: Turn| measured.iter().filter(|each| each.alignment.turn == turn).count() * 2 > measured.len();
    let of_all = |each: &Measured| measured.len() >= MIN_PAIRS && common(each.alignment.turn);
    let doubtful = |each: &&Measured| each.alignment.turn != Turn::None && (is_turned(each.alignment) || of_all(each));
    let each = measured.iter().filter(doubtful).map(|each| {
        let Alignment { turn, there, in_place, .. } = each.alignment;
        let culprit = if each.is_first_turned() { ", as its mask is, so first.png is the one" } else { "" };
        let words = turn.in_words();
        format!("{} is {words} (correlation {there:.2} so, {in_place:.2} as it is){culprit}", each.name())
    });
    told(
        "the reference image looks flipped against the first",
        each.collect(),
        "The network moves no pixels; export both images the same way up and round",
    )
}

fn turned_planes(measured: &[Measured]) -> Option<String> {
    let planes = measured
        .iter()
        .filter(|each| !each.is_first_turned())
        .flat_map(|each| each.planes.iter().map(move |(name, found)| (each, name, *found)));
    let each = planes.filter(|(.., found)| is_turned(*found)).map(|(each, name, found)| {
        let Alignment { turn, there, in_place, .. } = found;
        format!("{}/{name} is {} (correlation {there:.2} so, {in_place:.2} as it is)", each.name(), turn.in_words())
    });
    told("an image looks flipped against the first", each.collect(), "Export it the same way up and round as first.png")
}

fn shifted(measured: &[Measured]) -> Option<String> {
    let each = measured.iter().filter(|each| each.is_shifted()).map(|each| {
        let Alignment { shift_px, there, in_place, .. } = each.alignment;
        format!("{} by {} (correlation {there:.2} there, {in_place:.2} in place)", each.name(), in_pixels(shift_px))
    });
    told(
        "the reference image looks shifted against the first",
        each.collect(),
        "The network moves no pixels and learns a blur from them; export both images with one camera and one crop",
    )
}

fn unlike(measured: &[Measured]) -> Option<String> {
    // Images without any details correlate with nothing, and may be meant.
    let strange = |each: &&Measured| each.alignment.there < MIN_CORRELATION && each.alignment.there != 0.0;
    let each = measured.iter().filter(strange);
    let each = each.map(|each| format!("{} (correlation {:.2} at best)", each.name(), each.alignment.there));
    told(
        "first and reference image hardly show the same details",
        each.collect(),
        "Look whether they belong to each other and have one camera, one lens and one crop",
    )
}

/// Returns a shift in words.
fn in_pixels([right, down]: [f32; 2]) -> String {
    let word = |value: f32, plus, minus| format!("{:.1} px {}", value.abs(), if value < 0.0 { minus } else { plus });
    format!("{} and {}", word(right, "right", "left"), word(down, "down", "up"))
}

/// Tells of a shift that is too small to be seen in one pair and that all have in common, such as half a pixel.
fn one_of_all_shifted(measured: &[Measured]) -> Option<String> {
    let clear = |each: &&Measured| each.alignment.turn == Turn::None && each.alignment.there >= MIN_CORRELATION;
    let shifts: Vec<[f32; 2]> = measured.iter().filter(clear).map(|each| each.alignment.shift_px).collect();
    let median = [0, 1].map(|axis| {
        let mut sorted: Vec<f32> = shifts.iter().map(|shift| shift[axis]).collect();
        sorted.sort_by(f32::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    });
    let told_already = measured.iter().filter(|each| each.is_shifted()).count() * 2 > shifts.len();
    let is_far = median.iter().any(|shift| shift.abs() >= MIN_COMMON_SHIFT_PX);
    (shifts.len() >= MIN_PAIRS && is_far && !told_already).then(|| {
        format!(
            "all {} pairs have the reference image shifted by {} in the middle. The network moves no pixels and learns a blur \
             from them; export both images with one camera and one crop",
            shifts.len(),
            in_pixels(median)
        )
    })
}

fn swapped(measured: &[Measured]) -> Option<String> {
    let differences: Vec<Difference> = measured.iter().map(|each| each.difference).collect();
    let (wrong, typical) = exchanged(&differences);
    let figures = |of: &Difference| {
        let levels = of.brighter_levels();
        let word = if levels < 0.0 { "darker" } else { "brighter" };
        format!(
            "{:.2} times as sharp as the reference and {:.0} levels of 255 {word}",
            of.sharpness_ratio(),
            levels.abs()
        )
    };
    let each = wrong.iter().map(|&at| format!("{} is {}", measured[at].name(), figures(&differences[at])));
    let mend = format!(
        "The first images of the others are {} in the middle; first.png is the game's frame and reference.png what it should \
         look like",
        figures(&typical)
    );
    told("first and reference image look exchanged", each.collect(), &mend)
}

/// Tells whether an image has no more colours than a palette, and is not grey.
fn has_few_colors(image: &[u8]) -> bool {
    let pixels = image.as_chunks::<3>().0;
    if pixels.len() < ENOUGH_PIXELS || pixels.iter().all(|[r, g, b]| r == g && g == b) {
        return false;
    }
    let mut colors = HashSet::new();
    pixels.iter().all(|pixel| {
        colors.insert(pixel);
        colors.len() <= PALETTE
    })
}

fn palettes(measured: &[Measured]) -> Option<String> {
    let few = measured.iter().filter(|each| !each.few_colors.is_empty());
    let each = few.map(|each| format!("{} in {}", each.name(), each.few_colors.join(" and "))).collect();
    told(
        "an image has at most 256 colours",
        each,
        "If that is a palette's work and not the look itself, export it in RGB with 8 bits a channel",
    )
}

fn faceless(pairs: &[&Pair]) -> Option<String> {
    let most = |pair: &Pair| pair.mask.iter().copied().max().unwrap_or_default();
    let each = pairs.iter().filter(|pair| most(pair) < FACE_MASK);
    let each = each.map(|pair| format!("{:08}, whose highest value is {}", pair.seed, most(pair))).collect();
    told(
        "the mask has no face",
        each,
        "Skin is 160, brows, eyes and lips are 255; without them nothing counts as a face, in training or in figures",
    )
}
