//! A 3-D look-up table fitted to the training pairs: the best that a colour grade alone can do, which the network has to beat.

use crate::data::{Pair, WeightTable};

/// Number of nodes along each axis.
pub const NODES: usize = 17;
/// Weight of the smoothness term, relative to the mean weight of the data at a node.
const SMOOTHNESS: f64 = 0.05;
/// Weight of the pull to the identity where there are neither data nor neighbours, relative to the mean weight of the data at
/// a node.
const IDENTITY: f64 = 1e-4;
/// Distance between two pixels that are fitted, in pixels.
const PIXEL_STEP: usize = 3;
/// Maximum number of steps of the conjugate gradients.
const ITERATIONS: usize = 200;
/// Number of nodes.
const COUNT: usize = NODES * NODES * NODES;
/// Number of neighbours of a node, the node itself included.
const AROUND: usize = 27;

/// Maps sRGB to sRGB by trilinear interpolation between [`NODES`]³ colours.
#[derive(Clone, Debug, PartialEq)]
pub struct Lut {
    /// Offset of each node from its own colour, by channel.
    offsets: [Vec<f64>; 3],
}

/// The normal equations: a symmetric matrix in which each node has up to [`AROUND`] neighbours.
struct Normal {
    matrix: Vec<[f64; AROUND]>,
    right: [Vec<f64>; 3],
}

impl Lut {
    /// Fits a table to the pairs by least squares, each pixel weighted as in L1, with a smoothness term between neighbours.
    pub fn fit(pairs: &[Pair], weights: &WeightTable) -> Self {
        let mut normal =
            Normal { matrix: vec![[0.0; AROUND]; COUNT], right: std::array::from_fn(|_| vec![0.0; COUNT]) };
        let mut total = 0.0;
        for pair in pairs {
            for at in (0..pair.mask.len()).step_by(PIXEL_STEP) {
                let color = |image: &[u8]| [0, 1, 2].map(|channel| f64::from(image[at * 3 + channel]) / 255.0);
                let (from, to) = (color(&pair.first), color(&pair.reference));
                let weight = f64::from(weights.weight(pair.mask[at]));
                total += weight;
                let corners = corners(from);
                for (node, share) in corners {
                    for (other, other_share) in corners {
                        normal.matrix[node][slot(node, other)] += weight * share * other_share;
                    }
                    for channel in 0..3 {
                        normal.right[channel][node] += weight * share * (to[channel] - from[channel]);
                    }
                }
            }
        }
        normal.regularize(total / COUNT as f64);
        Self { offsets: std::array::from_fn(|channel| normal.solve(&normal.right[channel])) }
    }

    /// Applies the table to an image `[.., 3]`, 8-bit sRGB.
    pub fn apply(&self, image: &[u8]) -> Vec<u8> {
        let mut result = Vec::with_capacity(image.len());
        for pixel in image.as_chunks::<3>().0 {
            let color = pixel.map(|value| f64::from(value) / 255.0);
            let corners = corners(color);
            for (value, offsets) in color.into_iter().zip(&self.offsets) {
                let offset: f64 = corners.iter().map(|(node, share)| offsets[*node] * share).sum();
                result.push(((value + offset).clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
        result
    }
}

/// Returns the eight nodes around a colour, and the share of each.
fn corners(color: [f64; 3]) -> [(usize, f64); 8] {
    let scaled = color.map(|value| value.clamp(0.0, 1.0) * (NODES - 1) as f64);
    let base = scaled.map(|value| (value as usize).min(NODES - 2));
    std::array::from_fn(|corner| {
        let (mut node, mut share) = (0, 1.0);
        for axis in 0..3 {
            let upper = corner >> axis & 1;
            let part = scaled[axis] - base[axis] as f64;
            node = node * NODES + base[axis] + upper;
            share *= if upper == 1 { part } else { 1.0 - part };
        }
        (node, share)
    })
}

/// Returns the position of `other` among the neighbours of `node`.
fn slot(node: usize, other: usize) -> usize {
    position(node).iter().zip(position(other)).fold(0, |slot, (node, other)| slot * 3 + other + 1 - node)
}

fn position(node: usize) -> [usize; 3] {
    [node / (NODES * NODES), node / NODES % NODES, node % NODES]
}

/// Returns the neighbour of `node` at `slot`, if it is in the cube.
fn neighbor(node: usize, slot: usize) -> Option<usize> {
    let steps = [slot / 9, slot / 3 % 3, slot % 3];
    position(node).into_iter().zip(steps).try_fold(0, |index, (at, step)| {
        (at + step).checked_sub(1).filter(|&at| at < NODES).map(|at| index * NODES + at)
    })
}

impl Normal {
    /// Adds the smoothness term (squared difference of direct neighbours) and the pull to the identity.
    fn regularize(&mut self, mean: f64) {
        for node in 0..COUNT {
            self.matrix[node][AROUND / 2] += IDENTITY * mean + f64::MIN_POSITIVE;
            for slot in [4, 10, 12, 14, 16, 22] {
                if neighbor(node, slot).is_some() {
                    self.matrix[node][slot] -= SMOOTHNESS * mean;
                    self.matrix[node][AROUND / 2] += SMOOTHNESS * mean;
                }
            }
        }
    }

    fn multiply(&self, x: &[f64]) -> Vec<f64> {
        let row = |(node, row): (usize, &[f64; AROUND])| {
            let terms = (0..AROUND).filter(|&slot| row[slot] != 0.0);
            terms.filter_map(|slot| neighbor(node, slot).map(|other| row[slot] * x[other])).sum()
        };
        self.matrix.iter().enumerate().map(row).collect()
    }

    /// Solves the equations of one channel with conjugate gradients.
    fn solve(&self, right: &[f64]) -> Vec<f64> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut x = vec![0.0; COUNT];
        let mut residual = right.to_vec();
        let mut direction = residual.clone();
        let mut error = dot(&residual, &residual);
        let enough = error * 1e-16;
        for _ in 0..ITERATIONS {
            if error <= enough {
                break;
            }
            let product = self.multiply(&direction);
            let step = error / dot(&direction, &product);
            for at in 0..COUNT {
                x[at] += step * direction[at];
                residual[at] -= step * product[at];
            }
            let next = dot(&residual, &residual);
            for (direction, residual) in direction.iter_mut().zip(&residual) {
                *direction = residual + next / error * *direction;
            }
            error = next;
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use portrait_files::config::Importance;

    use super::*;
    use crate::data::toy;

    #[test]
    fn a_colour_grade_is_found_again() {
        let grade = |value: u8| ((f64::from(value) / 255.0).powf(0.8) * 230.0).round() as u8;
        let pairs: Vec<Pair> = (0..6)
            .map(|seed| {
                let pair = toy::pair(seed, 32);
                Pair { reference: pair.first.iter().map(|&value| grade(value)).collect(), ..pair }
            })
            .collect();
        let lut = Lut::fit(&pairs, &WeightTable::new(&Importance::default(), &pairs));
        let graded = lut.apply(&pairs[3].first);
        let worst = graded.iter().zip(&pairs[3].reference).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(3), "{worst:?}");
    }

    #[test]
    fn equal_pairs_give_the_identity() {
        let pair = toy::pair(0, 16);
        let pairs = [Pair { reference: pair.first.clone(), ..pair }];
        let lut = Lut::fit(&pairs, &WeightTable::new(&Importance::default(), &pairs));
        let image: Vec<u8> = (0..=255).flat_map(|value| [value, 255 - value, value / 2]).collect();
        assert_eq!(lut.apply(&image), image);
    }

    #[test]
    fn neighbours_and_slots_are_inverse() {
        for node in [0, 5, 300, COUNT - 1] {
            for at in 0..AROUND {
                if let Some(other) = neighbor(node, at) {
                    assert_eq!(slot(node, other), at);
                }
            }
        }
    }
}
