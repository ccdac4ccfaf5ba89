//! Makes the networks' inputs of pairs: whole images, or varied crops for training.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use portrait_network::Plane;
use rand::Rng;

use crate::config::{DataConfig, Importance};
use crate::dataset::{FACE_MASK, Pair};
use crate::light_groups::Relit;

/// Pixels that are looked at for one of the face.
const FACE_TRIES: usize = 32;

/// Square images in `f32`, planar. `N` is their number, `S` their side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Number of images.
    pub count: usize,
    /// Width and height in pixels.
    pub side_px: usize,
    /// Input planes in natural units, `[N, C, S, S]`.
    pub planes: Vec<f32>,
    /// Reference images, display-referred sRGB 0–1, `[N, 3, S, S]`.
    pub reference: Vec<f32>,
    /// Weight of L1 at each pixel, `[N, 1, S, S]`.
    pub weight: Vec<f32>,
}

/// A [`Batch`] on a device.
#[derive(Clone, Debug)]
pub struct BatchTensors<B: Backend> {
    /// `[N, C, S, S]`
    pub planes: Tensor<B, 4>,
    /// `[N, 3, S, S]`
    pub reference: Tensor<B, 4>,
    /// `[N, 1, S, S]`
    pub weight: Tensor<B, 4>,
}

/// Where a crop lies and how it is varied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crop {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) side_px: usize,
    pub(crate) mirrored: bool,
    pub(crate) gain: [f32; 3],
}

impl Crop {
    /// Indices of the crop's pixels in an image of this width, row after row as they lie in the crop.
    pub(crate) fn pixels(self, width: usize) -> impl Iterator<Item = usize> {
        let column = move |step: usize| self.x + if self.mirrored { self.side_px - 1 - step } else { step };
        (self.y..self.y + self.side_px)
            .flat_map(move |row| (0..self.side_px).map(move |step| row * width + column(step)))
    }
}

/// L1's weight for each mask value.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTable([f32; 256]);

impl WeightTable {
    /// The config's weights, divided by their mean over `pairs`.
    pub fn new(importance: &Importance, pairs: &[Pair]) -> Self {
        let mut table = importance.table();
        let mut counts = [0_u64; 256];
        pairs.iter().flat_map(|pair| &pair.mask).for_each(|&mask| counts[usize::from(mask)] += 1);
        let total: u64 = counts.iter().sum();
        let sum: f64 = table.iter().zip(counts).map(|(weight, count)| f64::from(*weight) * count as f64).sum();
        if total > 0 && sum > 0.0 {
            let mean = (sum / total as f64) as f32;
            table.iter_mut().for_each(|weight| *weight /= mean);
        }
        Self(table)
    }

    /// L1's weight at a pixel with this mask value.
    pub fn weight(&self, mask: u8) -> f32 {
        self.0[usize::from(mask)]
    }
}

/// Random crops of random pairs.
pub fn random_crops(
    pairs: &[Pair],
    planes: &[Plane],
    weights: &WeightTable,
    config: &DataConfig,
    rng: &mut impl Rng,
) -> Batch {
    let mut batch = Batch { side_px: config.crop_px, ..Batch::default() };
    for _ in 0..config.batch {
        let pair = &pairs[rng.random_range(0..pairs.len())];
        let free = pair.size_px - config.crop_px;
        let (x, y) = match rng.random_bool(config.on_face).then(|| face_pixel(pair, rng)).flatten() {
            Some((x, y)) => {
                (x.saturating_sub(config.crop_px / 2).min(free), y.saturating_sub(config.crop_px / 2).min(free))
            }
            None => (rng.random_range(0..=free), rng.random_range(0..=free)),
        };
        let mirrored = rng.random_bool(0.5) && config.flip;
        let mut jitter = |size: f32| 1.0 + size * rng.random_range(-1.0..=1.0_f32);
        let gain = jitter(config.gain_jitter);
        let gain = [(); 3].map(|()| gain * jitter(config.white_balance_jitter));
        let crop = Crop { x, y, side_px: config.crop_px, mirrored, gain };
        let groups = pair.light_groups.as_ref().filter(|_| rng.random_bool(config.relight));
        let relit = groups.map(|groups| groups.relight(&crop, pair.size_px, rng));
        batch.push(pair, planes, weights, crop, relit);
    }
    batch
}

/// A random pixel of the face; `None` if there are few.
fn face_pixel(pair: &Pair, rng: &mut impl Rng) -> Option<(usize, usize)> {
    let mut tries = (0..FACE_TRIES).map(|_| rng.random_range(0..pair.mask.len()));
    let at = tries.find(|&at| pair.mask[at] >= FACE_MASK)?;
    Some((at % pair.size_px, at / pair.size_px))
}

/// One whole pair, as it is.
pub fn whole(pair: &Pair, planes: &[Plane], weights: &WeightTable) -> Batch {
    let mut batch = Batch { side_px: pair.size_px, ..Batch::default() };
    batch.push(
        pair,
        planes,
        weights,
        Crop { x: 0, y: 0, side_px: pair.size_px, mirrored: false, gain: [1.0; 3] },
        None,
    );
    batch
}

impl Batch {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        [&self.planes, &self.reference, &self.weight].into_iter().flatten().all(|value| value.is_finite())
    }

    /// The batch on a device.
    pub fn tensors<B: Backend>(&self, device: &B::Device) -> BatchTensors<B> {
        let side = self.side_px;
        let tensor = |values: &[f32]| {
            let channels = values.len() / (self.count * side * side).max(1);
            Tensor::from_data(TensorData::new(values.to_vec(), [self.count, channels, side, side]), device)
        };
        BatchTensors { planes: tensor(&self.planes), reference: tensor(&self.reference), weight: tensor(&self.weight) }
    }

    fn push(&mut self, pair: &Pair, planes: &[Plane], weights: &WeightTable, crop: Crop, relit: Option<Relit>) {
        let color = |channel: usize| {
            let gain = crop.gain[channel];
            move |value: u8| (f32::from(value) / 255.0 * gain).min(1.0)
        };
        let signed = |value: u16| f32::from(value) / 65535.0 * 2.0 - 1.0;
        for plane in planes {
            for channel in 0..plane.channels() {
                match plane {
                    Plane::Color => match &relit {
                        Some(relit) if channel == 0 => self.planes.extend(&relit.first),
                        Some(_) => {}
                        None => copy(&mut self.planes, &pair.first, 3, channel, pair.size_px, crop, color(channel)),
                    },
                    Plane::Normal => {
                        // A mirrored face looks the other way.
                        let sign = if crop.mirrored && channel == 0 { -1.0 } else { 1.0 };
                        let axis = |value| sign * signed(value);
                        copy(&mut self.planes, &pair.normal, 3, channel, pair.size_px, crop, axis);
                    }
                    Plane::Depth => copy(&mut self.planes, &pair.depth, 1, 0, pair.size_px, crop, signed),
                }
            }
        }
        match relit {
            Some(relit) => self.reference.extend(relit.reference),
            None => (0..3).for_each(|channel| {
                copy(&mut self.reference, &pair.reference, 3, channel, pair.size_px, crop, color(channel));
            }),
        }
        copy(&mut self.weight, &pair.mask, 1, 0, pair.size_px, crop, |mask| weights.weight(mask));
        self.count += 1;
    }
}

/// Appends one channel of a crop of an image `[H, W, stride]` to `target`.
fn copy<T: Copy>(
    target: &mut Vec<f32>,
    image: &[T],
    stride: usize,
    channel: usize,
    width: usize,
    crop: Crop,
    convert: impl Fn(T) -> f32,
) {
    target.extend(crop.pixels(width).map(|at| convert(image[at * stride + channel])));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::toy;

    const PLANES: [Plane; 3] = [Plane::Color, Plane::Normal, Plane::Depth];

    #[test]
    fn mirroring_flips_pixels_and_the_sign_of_normal_x_only() {
        let pair = toy::pair(3, 16);
        let table = WeightTable::new(&Importance::default(), std::slice::from_ref(&pair));
        let crop = Crop { x: 0, y: 0, side_px: 16, mirrored: false, gain: [1.0; 3] };
        let (mut plain, mut mirrored) = (Batch::default(), Batch::default());
        plain.push(&pair, &PLANES, &table, crop, None);
        mirrored.push(&pair, &PLANES, &table, Crop { mirrored: true, ..crop }, None);
        for channel in 0..7 {
            let sign = if channel == 3 { -1.0 } else { 1.0 };
            for (x, y) in [(0, 0), (3, 7), (9, 12)] {
                let at = |x: usize| channel * 256 + y * 16 + x;
                assert_eq!(plain.planes[at(x)], sign * mirrored.planes[at(15 - x)], "channel {channel} at {x}, {y}");
            }
        }
    }

    #[test]
    fn crops_are_the_same_for_the_same_seed_and_finite() {
        let pairs: Vec<_> = (0..3).map(|seed| toy::pair(seed, 32)).collect();
        let table = WeightTable::new(&Importance::default(), &pairs);
        let config = DataConfig { crop_px: 16, ..DataConfig::default() };
        let draw = || random_crops(&pairs, &PLANES, &table, &config, &mut ChaCha8Rng::seed_from_u64(5));
        let batch = draw();
        assert_eq!(batch, draw());
        assert!(batch.is_finite());
        assert_eq!(batch.planes.len(), 4 * 7 * 16 * 16);
        let mut damaged = batch;
        damaged.reference[7] = f32::NAN;
        assert!(!damaged.is_finite());
    }

    #[test]
    fn crops_on_the_face_show_more_of_it() {
        let pairs: Vec<_> = (0..3).map(|seed| toy::pair(seed, 64)).collect();
        let table = WeightTable::new(&Importance::default(), &pairs);
        let mean_weight = |on_face| {
            let config = DataConfig { crop_px: 16, batch: 200, on_face, ..DataConfig::default() };
            let batch = random_crops(&pairs, &PLANES, &table, &config, &mut ChaCha8Rng::seed_from_u64(5));
            batch.weight.iter().sum::<f32>() / batch.weight.len() as f32
        };
        assert!(mean_weight(1.0) > 1.2 * mean_weight(0.0), "{} and {}", mean_weight(1.0), mean_weight(0.0));
        let mut bare = toy::pair(1, 64);
        bare.mask.fill(0);
        assert_eq!(face_pixel(&bare, &mut ChaCha8Rng::seed_from_u64(5)), None);
    }

    #[test]
    fn weights_have_a_mean_of_one_over_the_training_set() {
        let pairs: Vec<_> = (0..3).map(|seed| toy::pair(seed, 32)).collect();
        let table = WeightTable::new(&Importance::default(), &pairs);
        let all: Vec<f32> = pairs.iter().flat_map(|pair| whole(pair, &PLANES, &table).weight).collect();
        assert!((all.iter().sum::<f32>() / all.len() as f32 - 1.0).abs() < 1e-4);
    }
}
