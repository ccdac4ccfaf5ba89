//! Tells whether one image of a pair is written in another way than the other: channels in another order, or light without sRGB's curve.

use rayon::prelude::*;

use super::doubt::Doubt;
use super::pair::Pair;

/// Minimum mean difference of first and reference image that has to be explained, in levels of 255.
const MIN_DIFFERENCE: f64 = 4.0;
/// Share of the difference that an explanation leaves at most.
const MAX_REST: f64 = 0.5;

/// A way of writing the first image that makes it like the reference.
struct Explanation {
    what: &'static str,
    mend: &'static str,
    /// Makes a pixel of the first image as the reference would have it.
    apply: fn([u8; 3], &Curves) -> [u8; 3],
}

const EXPLANATIONS: [Explanation; 3] = [
    Explanation {
        what: "red and blue look exchanged in one of both images",
        mend: "Textures in BGRA have to be written as RGB",
        apply: |[r, g, b], _| [b, g, r],
    },
    Explanation {
        what: "the reference image looks as if it was in linear light",
        mend: "Save it with sRGB's curve, as the game shows its frames",
        apply: |pixel, curves| pixel.map(|value| curves.to_linear[usize::from(value)]),
    },
    Explanation {
        what: "the first image looks as if it was in linear light",
        mend: "Take it as the game shows it, with sRGB's curve",
        apply: |pixel, curves| pixel.map(|value| curves.to_srgb[usize::from(value)]),
    },
];

/// sRGB's curve taken off and put on 8-bit values (IEC 61966-2-1).
struct Curves {
    to_linear: [u8; 256],
    to_srgb: [u8; 256],
}

impl Curves {
    fn new() -> Self {
        let table = |curve: fn(f64) -> f64| std::array::from_fn(|at| (curve(at as f64 / 255.0) * 255.0).round() as u8);
        Self {
            to_linear: table(
                |value| if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) },
            ),
            to_srgb: table(
                |value| if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 },
            ),
        }
    }
}

/// Returns what may be wrong with the encoding.
pub fn doubts(pairs: &[&Pair]) -> Vec<Doubt<'static>> {
    let curves = Curves::new();
    let each = |explanation: &Explanation| {
        let told = pairs.par_iter().filter_map(|pair| told(pair, explanation, &curves));
        Doubt { what: explanation.what, each: told.collect(), mend: explanation.mend }
    };
    EXPLANATIONS.iter().map(each).collect()
}

fn told(pair: &Pair, explanation: &Explanation, curves: &Curves) -> Option<String> {
    let as_it_is = difference(pair, |pixel| pixel);
    let so = difference(pair, |pixel| (explanation.apply)(pixel, curves));
    (as_it_is >= MIN_DIFFERENCE && so < MAX_REST * as_it_is)
        .then(|| format!("{:08} (mean difference {so:.0} of 255 so, {as_it_is:.0} as it is)", pair.seed))
}

/// Returns the mean difference between a changed first image and the reference, in levels of 255.
fn difference(pair: &Pair, apply: impl Fn([u8; 3]) -> [u8; 3]) -> f64 {
    let pixels = pair.first.as_chunks::<3>().0.iter().zip(pair.reference.as_chunks::<3>().0);
    let of_pixel = |(first, reference): (&[u8; 3], &[u8; 3])| {
        let first = apply(*first);
        (0..3).map(|channel| u64::from(first[channel].abs_diff(reference[channel]))).sum::<u64>()
    };
    pixels.map(of_pixel).sum::<u64>() as f64 / pair.first.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;

    fn told_of(pair: &Pair) -> Vec<&'static str> {
        doubts(&[pair]).into_iter().filter(|doubt| !doubt.each.is_empty()).map(|doubt| doubt.what).collect()
    }

    #[test]
    fn images_that_are_written_another_way_are_told_apart() {
        let curves = Curves::new();
        for seed in 0..8 {
            let toy = toy::pair(seed, 48);
            assert_eq!(told_of(&toy), Vec::<&str>::new());
            // A look that changes little.
            let close: Vec<u8> = toy.reference.iter().map(|value| value.saturating_sub(6)).collect();
            let pair = Pair { first: close.clone(), ..toy };
            assert_eq!(told_of(&pair), Vec::<&str>::new());
            let exchanged = close.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*b, *g, *r]).collect();
            let linear = |image: &[u8]| image.iter().map(|value| curves.to_linear[usize::from(*value)]).collect();
            for (other, word) in [
                (Pair { first: exchanged, ..pair.clone() }, "red and blue"),
                (Pair { reference: linear(&pair.reference), ..pair.clone() }, "the reference image looks as if"),
                (Pair { first: linear(&close), ..pair.clone() }, "the first image looks as if"),
            ] {
                let told = told_of(&other);
                assert!(told.len() == 1 && told[0].contains(word), "{seed}, {word}: {told:?}");
            }
        }
    }
}
