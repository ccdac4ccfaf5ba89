//! Tells whether two images show the same thing in the same place, by correlation of their details, mirrored, turned and shifted.
//!
//! Details are what a band-pass of box filters leaves: light and tone differ between first and reference image, edges do not.
//! The search goes from coarse to fine over a pyramid, so that an image of 256 pixels takes some ten milliseconds of one core.

/// Width and height of the coarsest images, in pixels: from this to twice as much.
const COARSE_PX: usize = 32;
/// Maximum shift that is looked for, as a share of the width.
const MAX_SHIFT: f32 = 0.125;
/// Reach of the search at each finer level, in its pixels.
const REFINE_PX: isize = 2;
/// Number of rows that are compared at most; of larger images every second, third, ... row is.
const MAX_ROWS: usize = 256;
/// Radii of the band-pass's boxes, in pixels.
const BAND_PX: [usize; 2] = [1, 5];
/// Number of lanes in which sums run, so that the compiler can use SIMD.
const LANES: usize = 8;

/// One channel of a square image.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    side: usize,
    values: Vec<f32>,
}

/// A way in which a tool may have mirrored or turned an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// As it is.
    None,
    /// Left is right.
    Mirrored,
    /// Top is bottom, as OpenGL reads images back.
    UpsideDown,
    /// By 180°.
    Half,
    /// Rows are columns.
    Transposed,
    /// By 90° clockwise.
    Right,
    /// By 90° counterclockwise.
    Left,
    /// Rows are columns, and by 180°.
    AntiTransposed,
}

/// The place in which two images agree best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// Way in which the second image is turned against the first.
    pub turn: Turn,
    /// Place of the second image's content, right of and below that of the first, in pixels; found for [`Turn::None`] alone.
    pub shift_px: [f32; 2],
    /// Correlation of the details in the best place, −1 to 1.
    pub there: f32,
    /// Correlation of the details as the images are, −1 to 1.
    pub in_place: f32,
}

impl Turn {
    const ALL: [Self; 8] = [
        Self::None,
        Self::Mirrored,
        Self::UpsideDown,
        Self::Half,
        Self::Transposed,
        Self::Right,
        Self::Left,
        Self::AntiTransposed,
    ];

    /// Returns words for a message.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::None => "as it is",
            Self::Mirrored => "mirrored, left to right",
            Self::UpsideDown => "flipped upside down",
            Self::Half => "turned by 180°",
            Self::Transposed => "transposed",
            Self::Right => "turned by 90° clockwise",
            Self::Left => "turned by 90° counterclockwise",
            Self::AntiTransposed => "transposed and turned by 180°",
        }
    }

    /// Returns the turn that undoes this one.
    fn back(self) -> Self {
        match self {
            Self::Right => Self::Left,
            Self::Left => Self::Right,
            other => other,
        }
    }

    /// Returns the place in an image of `side` pixels from which a pixel of the turned image comes.
    fn source(self, [x, y]: [usize; 2], side: usize) -> [usize; 2] {
        let (right, bottom) = (side - 1 - x, side - 1 - y);
        match self {
            Self::None => [x, y],
            Self::Mirrored => [right, y],
            Self::UpsideDown => [x, bottom],
            Self::Half => [right, bottom],
            Self::Transposed => [y, x],
            Self::Right => [y, right],
            Self::Left => [bottom, x],
            Self::AntiTransposed => [bottom, right],
        }
    }
}

impl Channel {
    /// Makes the luma of an 8-bit image `[S, S, 3]` (weights of ITU-R BT.709).
    pub fn luma(image: &[u8], side: usize) -> Self {
        let luma = |[r, g, b]: [u8; 3]| 0.2126 * f32::from(r) + 0.7152 * f32::from(g) + 0.0722 * f32::from(b);
        Self::new(image.as_chunks::<3>().0.iter().map(|pixel| luma(*pixel)), side)
    }

    /// Makes an image of any values, such as a mask.
    pub fn new(values: impl Iterator<Item = f32>, side: usize) -> Self {
        Self { side, values: values.collect() }
    }

    /// Tells whether every pixel has a value: an image that was not read has none.
    pub fn is_whole(&self) -> bool {
        self.values.len() == self.side * self.side
    }

    /// Leaves the edges, whichever side of them is brighter: the length of the gradient.
    pub fn edges(&self) -> Self {
        let at = |x: usize, y: usize| self.values[y.min(self.side - 1) * self.side + x.min(self.side - 1)];
        let edge = |x: usize, y: usize| (at(x + 1, y) - at(x, y)).hypot(at(x, y + 1) - at(x, y));
        Self::new((0..self.values.len()).map(|pixel| edge(pixel % self.side, pixel / self.side)), self.side)
    }

    /// Makes an image of half the size, of means of four pixels. An odd row or column is left out.
    fn halved(&self) -> Self {
        let side = self.side / 2;
        let at = |x: usize, y: usize| self.values[y * self.side + x];
        let mean = |x: usize, y: usize| (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0;
        let values = (0..side * side).map(|pixel| mean(pixel % side * 2, pixel / side * 2)).collect();
        Self { side, values }
    }

    /// Leaves the details: finer than the larger box of the band-pass, coarser than the smaller.
    fn details(&self) -> Self {
        let [fine, broad] = BAND_PX.map(|radius| self.blurred(radius));
        let values = fine.iter().zip(&broad).map(|(fine, broad)| fine - broad).collect();
        Self { side: self.side, values }
    }

    /// Blurs with a box of this radius; at the edges the box is smaller.
    fn blurred(&self, radius: usize) -> Vec<f32> {
        let side = self.side;
        // Along rows, then along columns: means over a box are differences of running sums.
        let along = |values: &[f32], step: usize, line: usize| {
            let mut blurred = vec![0.0; values.len()];
            let mut sums = vec![0.0_f64; side + 1];
            for start in (0..side).map(|index| index * line) {
                for at in 0..side {
                    sums[at + 1] = sums[at] + f64::from(values[start + at * step]);
                }
                for at in 0..side {
                    let (low, high) = (at.saturating_sub(radius), (at + radius + 1).min(side));
                    blurred[start + at * step] = ((sums[high] - sums[low]) / (high - low) as f64) as f32;
                }
            }
            blurred
        };
        along(&along(&self.values, 1, side), side, 1)
    }

    fn turned(&self, turn: Turn) -> Self {
        let from = |at: usize| {
            let [x, y] = turn.source([at % self.side, at / self.side], self.side);
            self.values[y * self.side + x]
        };
        Self { side: self.side, values: (0..self.values.len()).map(from).collect() }
    }

    /// Returns the correlation with an image whose content lies `[dx, dy]` pixels right of and below this one's.
    fn correlation(&self, other: &Self, [dx, dy]: [isize; 2]) -> f32 {
        let side = self.side as isize;
        let columns = (side - dx.abs()).max(0) as usize;
        let (own_x, other_x) = ((-dx).max(0) as usize, dx.max(0) as usize);
        let row = |image: &Self, x: usize, y: isize| {
            let start = y as usize * image.side + x;
            start..start + columns
        };
        let (mut products, mut own_squares, mut other_squares) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
        for y in ((-dy).max(0)..(side - dy).min(side)).step_by(self.side.div_ceil(MAX_ROWS)) {
            let own = &self.values[row(self, own_x, y)];
            let others = &other.values[row(other, other_x, y + dy)];
            // What does not fill the lanes is left out: less than LANES columns at the right edge.
            for (a, b) in own.as_chunks::<LANES>().0.iter().zip(others.as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    products[lane] += a[lane] * b[lane];
                    own_squares[lane] += a[lane] * a[lane];
                    other_squares[lane] += b[lane] * b[lane];
                }
            }
        }
        let [product, own, other] = [products, own_squares, other_squares].map(|lanes| lanes.iter().sum::<f32>());
        // Without details there is nothing to compare.
        if own * other > 0.0 { product / (own * other).sqrt() } else { 0.0 }
    }
}

/// Finds the place in which two images of one size agree best.
pub fn align(first: &Channel, second: &Channel) -> Alignment {
    let levels = pyramid(first, second);
    let (coarse, mut shift) = coarse(&levels[0], MAX_SHIFT);
    if coarse.turn != Turn::None {
        return coarse;
    }
    let mut there = coarse.there;
    for [first, second] in &levels[1..] {
        (shift, there) = best(first, second, shift.map(|at| 2 * at), REFINE_PX);
    }
    let [first, second] = &levels[levels.len() - 1];
    let around = |axis: usize| {
        let beside = |step: isize| {
            let mut place = shift;
            place[axis] += step;
            first.correlation(second, place)
        };
        shift[axis] as f32 + peak(beside(-1), there, beside(1))
    };
    Alignment { turn: Turn::None, shift_px: [around(0), around(1)], there, in_place: first.correlation(second, [0, 0]) }
}

/// Finds how the second image is turned against the first, where it cannot be shifted.
pub fn find_turn(first: &Channel, second: &Channel) -> Alignment {
    coarse(&pyramid(first, second)[0], 0.0).0
}

/// Returns the details of two images, each level of half the size, coarsest first.
fn pyramid(first: &Channel, second: &Channel) -> Vec<[Channel; 2]> {
    let mut levels = vec![[first.clone(), second.clone()]];
    while let Some([first, second]) = levels.last().filter(|level| level[0].side >= 2 * COARSE_PX) {
        let halved = [first.halved(), second.halved()];
        levels.push(halved);
    }
    levels.iter().rev().map(|level| level.each_ref().map(Channel::details)).collect()
}

/// Returns how the second of two small images is turned, and the shift, in their pixels, in which they agree best.
fn coarse([first, second]: &[Channel; 2], max_shift: f32) -> (Alignment, [isize; 2]) {
    let reach = (first.side as f32 * max_shift) as isize;
    let of_turn = |turn| {
        let (shift, there) = best(first, &second.turned(turn), [0, 0], reach);
        (turn, shift, there)
    };
    let plain = of_turn(Turn::None);
    let turned = Turn::ALL[1..].iter().map(|turn| of_turn(*turn));
    let (turn, shift, there) = turned.fold(plain, |best, next| if next.2 > best.2 { next } else { best });
    (Alignment { turn: turn.back(), shift_px: [0.0; 2], there, in_place: plain.2 }, shift)
}

/// Returns the place of the highest correlation within `reach` of a place, and that correlation. Of equal places it is the middle.
fn best(first: &Channel, second: &Channel, middle: [isize; 2], reach: isize) -> ([isize; 2], f32) {
    let [x, y] = middle;
    let places = (y - reach..=y + reach).flat_map(|y| (x - reach..=x + reach).map(move |x| [x, y]));
    let try_at = |place| (place, first.correlation(second, place));
    places.map(try_at).fold(try_at(middle), |best, next| if next.1 > best.1 { next } else { best })
}

/// Returns the place of a parabola's peak, −0.5 to 0.5, from its values at −1, 0 and 1, of which the middle one is the highest.
fn peak(before: f32, middle: f32, after: f32) -> f32 {
    let bend = before - 2.0 * middle + after;
    if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::toy;
    use super::*;

    /// First image, second image and reference of a person who was not trained on: Bevy's, the network's, and Cycles'.
    fn real() -> [Channel; 2] {
        let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/readme/side_by_side.png");
        let picture = image::open(picture).unwrap().into_rgb8();
        let side = picture.height();
        let part = |at: u32| {
            let part = image::imageops::crop_imm(&picture, at * side, 0, side, side).to_image();
            Channel::luma(part.as_raw(), side as usize)
        };
        [part(0), part(2)]
    }

    fn toys(seed: u64, side: usize) -> [Channel; 2] {
        let pair = toy::pair(seed, side);
        [&pair.first, &pair.reference].map(|image| Channel::luma(image, side))
    }

    /// Moves an image right and down; what comes in at the edges is the edge.
    fn moved(image: &Channel, [right, down]: [isize; 2]) -> Channel {
        let side = image.side as isize;
        let from = |at: usize| {
            let (x, y) = (at as isize % side - right, at as isize / side - down);
            image.values[(y.clamp(0, side - 1) * side + x.clamp(0, side - 1)) as usize]
        };
        Channel { side: image.side, values: (0..image.values.len()).map(from).collect() }
    }

    #[test]
    fn pairs_that_are_aligned_are_found_in_place() {
        for [first, reference] in [real(), toys(1, 64), toys(2, 64), toys(3, 48), toys(4, 24)] {
            let found = align(&first, &reference);
            assert_eq!(found.turn, Turn::None, "{found:?}");
            assert!(found.shift_px.iter().all(|shift| shift.abs() < 0.5) && found.in_place > 0.4, "{found:?}");
        }
    }

    #[test]
    fn shifts_are_found_to_the_pixel() {
        for ([first, reference], shift) in [
            (real(), [3, -2]),
            (real(), [-1, 0]),
            (real(), [0, 25]),
            (toys(1, 64), [2, 1]),
            (toys(2, 64), [-5, 4]),
            (toys(3, 48), [0, 2]),
        ] {
            let found = align(&first, &moved(&reference, shift));
            assert_eq!(found.turn, Turn::None, "{found:?}");
            let wanted = shift.map(|at| at as f32);
            assert!(
                found.shift_px.iter().zip(wanted).all(|(at, wanted)| (at - wanted).abs() < 0.75),
                "{shift:?}: {found:?}"
            );
            assert!(found.there > found.in_place + 0.03, "{found:?}");
        }
    }

    #[test]
    fn every_way_to_turn_an_image_is_found() {
        for [first, reference] in [real(), toys(1, 64), toys(2, 64)] {
            for turn in Turn::ALL {
                let found = align(&first, &reference.turned(turn));
                assert_eq!(found.turn, turn, "{found:?}");
            }
        }
    }

    #[test]
    fn images_without_details_are_in_place() {
        let flat = Channel { side: 40, values: vec![7.0; 1600] };
        let found = align(&flat, &flat);
        assert_eq!((found.turn, found.in_place), (Turn::None, 0.0));
        assert_eq!(found.shift_px, [0.0; 2]);
    }
}
