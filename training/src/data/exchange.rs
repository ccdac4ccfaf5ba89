//! Which pairs have first and reference image in each other's place, judged by the other pairs: where a look differs from the game in
//! one direction, an exchanged pair differs in the opposite one.

/// Number of figures that are compared.
const FIGURES: usize = 5;
/// Minimum number of pairs of which most are in order.
const MIN_PAIRS: usize = 5;
/// Deviation of each figure that pairs of one look have in any case.
const MIN_DEVIATION: [f64; FIGURES] = [0.15, 0.02, 0.05, 0.02, 0.02];
/// Logarithm of how much more likely it has to be that a pair is exchanged than that it is not.
const MIN_EVIDENCE: f64 = 12.0;
/// Maximum mean square deviation of an exchanged pair's figures from the opposite of the others'.
const MAX_MISFIT: f64 = 9.0;
/// Deviations in the median absolute deviation of normally distributed figures.
const DEVIATIONS_PER_MAD: f64 = 1.4826;

/// How a pair's first image differs from its reference. The exchanged pair has the opposite of each figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference([f64; FIGURES]);

impl Difference {
    /// Compares two 8-bit images `[S, S, 3]`.
    pub fn of(first: &[u8], reference: &[u8], side: usize) -> Self {
        let [first, reference] = [first, reference].map(|image| Figures::of(image, side));
        let log_ratio = |a: f64, b: f64| ((a + 1e-6) / (b + 1e-6)).ln();
        Self([
            log_ratio(first.gradient_energy, reference.gradient_energy),
            first.mean - reference.mean,
            0.5 * log_ratio(first.variance, reference.variance),
            first.warmth - reference.warmth,
            first.tint - reference.tint,
        ])
    }

    /// Returns the gradient energy of the first image over that of the reference.
    pub fn sharpness_ratio(&self) -> f64 {
        self.0[0].exp()
    }

    /// Returns by how much the first image is brighter, in levels of 255.
    pub fn brighter_levels(&self) -> f64 {
        self.0[1] * 255.0
    }
}

/// The figures of an image, on values of 0 to 1.
struct Figures {
    gradient_energy: f64,
    mean: f64,
    variance: f64,
    /// Mean of red less blue.
    warmth: f64,
    /// Mean of green less the mean of red and blue.
    tint: f64,
}

impl Figures {
    fn of(image: &[u8], side: usize) -> Self {
        let pixels = image.as_chunks::<3>().0;
        let count = pixels.len().max(1) as f64;
        let mut sums = [0.0; 3];
        pixels.iter().for_each(|pixel| (0..3).for_each(|channel| sums[channel] += f64::from(pixel[channel])));
        let [r, g, b] = sums.map(|sum| sum / count / 255.0);
        let luma: Vec<f32> =
            pixels.iter().map(|[r, g, b]| (f32::from(*r) + 2.0 * f32::from(*g) + f32::from(*b)) / 1020.0).collect();
        let mean = luma.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value * value)).sum::<f64>();
        let rows = || luma.chunks_exact(side.max(1));
        let across = squares(&mut rows().flat_map(|row| row.windows(2).map(|two| two[1] - two[0])));
        let down = squares(&mut rows().zip(rows().skip(1)).flat_map(|(a, b)| a.iter().zip(b).map(|(a, b)| b - a)));
        Self {
            gradient_energy: (across + down) / count,
            mean,
            variance: squares(&mut luma.iter().map(|value| value - mean as f32)) / count,
            warmth: r - b,
            tint: g - (r + b) / 2.0,
        }
    }
}

/// Returns the indices of the pairs that are most likely exchanged, and the typical difference of the others.
pub fn exchanged(differences: &[Difference]) -> (Vec<usize>, Difference) {
    let typical: [f64; FIGURES] =
        std::array::from_fn(|figure| median(differences.iter().map(|each| each.0[figure]).collect()));
    if differences.len() < MIN_PAIRS {
        return (Vec::new(), Difference(typical));
    }
    let deviation: [f64; FIGURES] = std::array::from_fn(|figure| {
        let away = differences.iter().map(|each| (each.0[figure] - typical[figure]).abs()).collect();
        (median(away) * DEVIATIONS_PER_MAD).max(MIN_DEVIATION[figure])
    });
    // Squared distance, in deviations, from the typical difference or from its opposite.
    let distance = |each: &Difference, sign: f64| {
        (0..FIGURES).map(|figure| ((each.0[figure] - sign * typical[figure]) / deviation[figure]).powi(2)).sum::<f64>()
    };
    let is_exchanged = |each: &Difference| {
        let opposite = distance(each, -1.0);
        (distance(each, 1.0) - opposite) / 2.0 > MIN_EVIDENCE && opposite < MAX_MISFIT * FIGURES as f64
    };
    let found = (0..differences.len()).filter(|at| is_exchanged(&differences[*at])).collect();
    (found, Difference(typical))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;

    fn difference(seed: u64, exchanged: bool) -> Difference {
        let pair = toy::pair(seed, 48);
        let [a, b] = if exchanged { [&pair.reference, &pair.first] } else { [&pair.first, &pair.reference] };
        Difference::of(a, b, 48)
    }

    #[test]
    fn the_few_that_differ_the_other_way_round_are_exchanged() {
        for wrong in [vec![], vec![3], vec![0, 5, 11]] {
            let differences: Vec<Difference> =
                (0..16).map(|seed| difference(seed, wrong.contains(&(seed as usize)))).collect();
            let (found, typical) = exchanged(&differences);
            assert_eq!(found, wrong);
            assert!(typical.sharpness_ratio() < 0.8, "toys' first images are blurred: {typical:?}");
        }
    }

    #[test]
    fn looks_without_a_direction_are_never_called_exchanged() {
        // Now sharper, now softer; now brighter, now darker.
        let differences: Vec<Difference> = (0..40)
            .map(|at| {
                let swing = |period: f64| (f64::from(at) * period).sin();
                Difference([0.5 * swing(1.0), 0.1 * swing(2.3), 0.2 * swing(3.1), 0.05 * swing(0.7), 0.05 * swing(5.9)])
            })
            .collect();
        assert_eq!(exchanged(&differences).0, Vec::<usize>::new());
        assert_eq!(exchanged(&differences[..4]).0, Vec::<usize>::new(), "four pairs say nothing");
    }

    #[test]
    fn an_exchanged_pair_has_the_opposite_figures() {
        let (a, b) = (difference(7, false), difference(7, true));
        assert!(a.0.iter().zip(b.0).all(|(a, b)| (a + b).abs() < 1e-9), "{a:?} {b:?}");
        assert!((a.brighter_levels() + b.brighter_levels()).abs() < 1e-6);
    }
}
