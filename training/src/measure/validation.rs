//! Quick figures while training, and the *second rendered image* that they and the evaluation measure.

use burn::tensor::backend::Backend;
use portrait_files::config::Importance;
use portrait_network::{Recommended, layers};
use serde::{Deserialize, Serialize};

use super::scores::sharpness_ratio;
use crate::data::{FACE_MASK, Pair, WeightTable, whole};
use crate::networks::{Generator, values};
use crate::picture::quantize;

/// Figures of the averaged weights on validation pairs, means over pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps done.
    pub step: u64,
    /// L1 as in the loss, weighted by importance. Decides on convergence and on the best checkpoint.
    pub weighted_l1: f64,
    /// Mean absolute difference between second image and reference in the face, 0–1.
    pub face_l1: f64,
    /// Mean absolute difference between first image and reference in the face, 0–1: the figure of doing nothing.
    pub first_face_l1: f64,
    /// Gradient energy of the grey image in the face, relative to the reference's: below 1 is softer, above 1 is noisier.
    pub face_sharpness: f64,
}

/// Makes the *second rendered image* of a pair, 8-bit sRGB `[S, S, 3]`, with the base and the detail layer of the residual multiplied by
/// these factors, as the plugin does.
pub fn second_image<B: Backend>(
    generator: &Generator<B>,
    factors: Recommended,
    pair: &Pair,
    device: &B::Device,
) -> Vec<u8> {
    let planes = &generator.graph().spec().inputs;
    let table = WeightTable::new(&Importance::default(), &[]);
    let input = whole(pair, planes, &table).tensors::<B>(device).planes;
    let [_, _, height, width] = input.dims();
    let color = values(input.clone().narrow(1, 0, 3));
    let second = values(generator.forward(input));
    let residual: Vec<f32> = second.iter().zip(&color).map(|(second, color)| second - color).collect();
    let weighed = layers::weigh(&residual, height, width, factors);
    quantize(&color.iter().zip(weighed).map(|(color, residual)| color + residual).collect::<Vec<_>>())
}

/// Measures a generator on validation pairs.
pub fn validate<B: Backend>(
    generator: &Generator<B>,
    pairs: &[Pair],
    weights: &WeightTable,
    step: u64,
    device: &B::Device,
) -> Validation {
    let mut sum = Validation { step, ..Validation::default() };
    for pair in pairs {
        let second = second_image(generator, Recommended::default(), pair, device);
        let inside = |at: usize| pair.mask[at] >= FACE_MASK;
        let face = (0..pair.mask.len()).filter(|&at| inside(at)).count().max(1) as f64;
        let (mut weighted, mut face_sum, mut first_sum) = (0.0, 0.0, 0.0);
        for (at, &mask) in pair.mask.iter().enumerate() {
            let difference = |image: &[u8]| {
                let pixels = image[at * 3..at * 3 + 3].iter().zip(&pair.reference[at * 3..at * 3 + 3]);
                pixels.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / (3.0 * 255.0)
            };
            let second = difference(&second);
            weighted += second * f64::from(weights.weight(mask));
            if inside(at) {
                face_sum += second;
                first_sum += difference(&pair.first);
            }
        }
        let share = 1.0 / pairs.len() as f64;
        let relative = sharpness_ratio(&second, &pair.reference, pair.size_px, &inside);
        sum.weighted_l1 += weighted / pair.mask.len() as f64 * share;
        sum.face_l1 += face_sum / face * share;
        sum.first_face_l1 += first_sum / face * share;
        sum.face_sharpness += relative * share;
    }
    sum
}
