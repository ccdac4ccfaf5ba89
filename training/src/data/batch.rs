//! Makes the networks' inputs from pairs: whole images, or varied crops for training.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use portrait_files::config::{DataConfig, Importance};
use portrait_network::Plane;
use rand::Rng;

use super::crop::Crop;
use super::pair::{FACE_MASK, Pair};
use super::relight::{Look, Relit};

/// Number of random pixels that are looked at to find a pixel of the face.
const FACE_TRIES: usize = 32;

/// Square images in `f32`, planar: N images of S×S pixels.
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
    /// Input planes in natural units, `[N, C, S, S]`.
    pub planes: Tensor<B, 4>,
    /// Reference images, display-referred sRGB 0–1, `[N, 3, S, S]`.
    pub reference: Tensor<B, 4>,
    /// Weight of L1 at each pixel, `[N, 1, S, S]`.
    pub weight: Tensor<B, 4>,
}

/// The weight of L1 for each mask value.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTable([f32; 256]);

impl WeightTable {
    /// Makes a table of the config's weights, divided by their mean over `pairs`.
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

    /// Returns the weight of L1 at a pixel with this mask value.
    pub fn weight(&self, mask: u8) -> f32 {
        self.0[usize::from(mask)]
    }
}

/// A crop that was drawn and has no pixels yet.
#[derive(Clone, Debug, PartialEq)]
pub struct CropPlan {
    /// Index of the pair.
    pair: usize,
    crop: Crop,
    /// Another light for the pair, if it is relit.
    look: Option<Look>,
}

/// Draws the random crops of a whole batch. That is cheap: no pixel is touched, so that several workers draw the same plans and
/// each makes its own share of them.
pub fn draw_crops(pairs: &[Pair], config: &DataConfig, rng: &mut impl Rng) -> Vec<CropPlan> {
    (0..config.batch).map(|_| draw_crop(pairs, config, rng)).collect()
}

fn draw_crop(pairs: &[Pair], config: &DataConfig, rng: &mut impl Rng) -> CropPlan {
    let index = rng.random_range(0..pairs.len());
    let pair = &pairs[index];
    let free = pair.size_px - config.crop_px;
    let (x, y) = match rng.random_bool(config.on_face).then(|| face_pixel(pair, rng)).flatten() {
        Some((x, y)) => {
            (x.saturating_sub(config.crop_px / 2).min(free), y.saturating_sub(config.crop_px / 2).min(free))
        }
        None => (rng.random_range(0..=free), rng.random_range(0..=free)),
    };
    // Drawn even where it is not used: a config without mirroring sees the same crops otherwise.
    let mirrored = rng.random_bool(0.5) && config.flip;
    let mut jitter = |size: f32| 1.0 + size * rng.random_range(-1.0..=1.0_f32);
    let gain = jitter(config.gain_jitter);
    let gain = [(); 3].map(|()| gain * jitter(config.white_balance_jitter));
    let groups = pair.light_groups.as_ref().filter(|_| rng.random_bool(config.relight));
    let look = groups.map(|groups| groups.draw_look(rng));
    CropPlan { pair: index, crop: Crop { x, y, side_px: config.crop_px, mirrored, gain }, look }
}

/// Makes the planned crops, which are of one size.
pub fn crops(pairs: &[Pair], planes: &[Plane], weights: &WeightTable, plans: &[CropPlan]) -> Batch {
    let side_px = plans.first().map_or(0, |plan| plan.crop.side_px);
    let mut batch = Batch { side_px, ..Batch::default() };
    for CropPlan { pair, crop, look } in plans {
        let pair = &pairs[*pair];
        let relit = pair.light_groups.as_ref().zip(look.as_ref());
        let relit = relit.map(|(groups, look)| groups.relight(look, crop, pair.size_px));
        batch.push(pair, planes, weights, *crop, relit);
    }
    batch
}

/// Draws a random pixel of the face, as column and row; `None` if the face is small.
fn face_pixel(pair: &Pair, rng: &mut impl Rng) -> Option<(usize, usize)> {
    let mut tries = (0..FACE_TRIES).map(|_| rng.random_range(0..pair.mask.len()));
    let at = tries.find(|&at| pair.mask[at] >= FACE_MASK)?;
    Some((at % pair.size_px, at / pair.size_px))
}

/// Makes a batch of one whole pair, as it is.
pub fn whole(pair: &Pair, planes: &[Plane], weights: &WeightTable) -> Batch {
    let mut batch = Batch { side_px: pair.size_px, ..Batch::default() };
    batch.push(pair, planes, weights, Crop::whole(pair.size_px), None);
    batch
}

impl Batch {
    /// Tells whether every number is finite.
    pub fn is_finite(&self) -> bool {
        [&self.planes, &self.reference, &self.weight].into_iter().flatten().all(|value| value.is_finite())
    }

    /// Copies the batch to a device.
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

    use super::super::light_groups::tests::groups;
    use super::super::toy;
    use super::*;

    const PLANES: [Plane; 3] = [Plane::Color, Plane::Normal, Plane::Depth];

    #[test]
    fn mirroring_flips_pixels_and_the_sign_of_normal_x_only() {
        let pair = toy::pair(3, 16);
        let table = WeightTable::new(&Importance::default(), std::slice::from_ref(&pair));
        let crop = Crop::whole(16);
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
        let draw = || draw_crops(&pairs, &config, &mut ChaCha8Rng::seed_from_u64(5));
        let batch = crops(&pairs, &PLANES, &table, &draw());
        assert_eq!(batch, crops(&pairs, &PLANES, &table, &draw()));
        assert!(batch.is_finite());
        assert_eq!(batch.planes.len(), 4 * 7 * 16 * 16);
        let mut damaged = batch;
        damaged.reference[7] = f32::NAN;
        assert!(!damaged.is_finite());
    }

    #[test]
    fn crops_of_192_and_256_pixels_are_cut_all_over_scenes_of_512_and_take_smaller_scenes_whole() {
        let pairs = [toy::pair(0, 512), toy::pair(1, 256)];
        let table = WeightTable::new(&Importance::default(), &pairs);
        for crop_px in [192, 256] {
            let config = DataConfig { crop_px, batch: 40, on_face: 0.0, ..DataConfig::default() };
            let plans = draw_crops(&pairs, &config, &mut ChaCha8Rng::seed_from_u64(5));
            let places = |pair: usize| {
                let plans = plans.iter().filter(move |plan| plan.pair == pair);
                plans.map(|plan| (plan.crop.x, plan.crop.y)).collect::<Vec<_>>()
            };
            let farthest = 512 - crop_px;
            let on_large = places(0);
            assert!(on_large.iter().all(|&(x, y)| x <= farthest && y <= farthest), "{on_large:?}");
            assert!(
                on_large.iter().any(|&(x, _)| x < farthest / 4) && on_large.iter().any(|&(x, _)| x > farthest * 3 / 4)
            );
            assert!(places(1).iter().all(|&(x, y)| x <= 256 - crop_px && y <= 256 - crop_px) && !places(1).is_empty());
            let few = &plans[..4];
            let batch = crops(&pairs, &PLANES, &table, few);
            assert_eq!((batch.count, batch.side_px, batch.reference.len()), (4, crop_px, 4 * 3 * crop_px * crop_px));
            for (index, CropPlan { pair, crop, .. }) in few.iter().enumerate() {
                for (x, y) in [(0, 0), (7, crop_px - 1), (crop_px / 2, 3)] {
                    let column = crop.x + if crop.mirrored { crop_px - 1 - x } else { x };
                    let value = pairs[*pair].reference[((crop.y + y) * pairs[*pair].size_px + column) * 3 + 1];
                    let expected = (f32::from(value) / 255.0 * crop.gain[1]).min(1.0);
                    assert_eq!(batch.reference[((index * 3 + 1) * crop_px + y) * crop_px + x], expected);
                }
            }
        }
    }

    #[test]
    fn shares_of_a_batch_are_its_parts_and_relit_where_their_pairs_have_light_groups() {
        // Light groups of the tests are of 4×4 pixels.
        let lit = Pair { light_groups: Some(groups()), ..toy::pair(1, 4) };
        let pairs = [toy::pair(0, 4), lit];
        let table = WeightTable::new(&Importance::default(), &pairs);
        let config = DataConfig { crop_px: 2, batch: 8, relight: 1.0, ..DataConfig::default() };
        let plans = draw_crops(&pairs, &config, &mut ChaCha8Rng::seed_from_u64(5));
        assert!(plans.iter().all(|plan| plan.look.is_some() == (plan.pair == 1)), "{plans:?}");
        assert!((1..8).contains(&plans.iter().filter(|plan| plan.pair == 1).count()), "{plans:?}");
        let whole = crops(&pairs, &PLANES, &table, &plans);
        let shares = [&plans[..4], &plans[4..]].map(|plans| crops(&pairs, &PLANES, &table, plans));
        assert_eq!(shares.each_ref().map(|share| share.count), [4, 4]);
        let joined = |part: fn(&Batch) -> &Vec<f32>| shares.iter().flat_map(part).copied().collect::<Vec<_>>();
        assert_eq!(joined(|batch| &batch.planes), whole.planes);
        assert_eq!(joined(|batch| &batch.reference), whole.reference);
        assert_eq!(joined(|batch| &batch.weight), whole.weight);
    }

    #[test]
    fn crops_on_the_face_show_more_of_it() {
        let pairs: Vec<_> = (0..3).map(|seed| toy::pair(seed, 64)).collect();
        let table = WeightTable::new(&Importance::default(), &pairs);
        let mean_weight = |on_face| {
            let config = DataConfig { crop_px: 16, batch: 200, on_face, ..DataConfig::default() };
            let plans = draw_crops(&pairs, &config, &mut ChaCha8Rng::seed_from_u64(5));
            let batch = crops(&pairs, &PLANES, &table, &plans);
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
