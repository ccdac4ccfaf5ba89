//! Tells whether normals and depths have the directions that the network expects: tools differ in the sign of each axis, and a head
//! bulges towards the camera.

use super::doubt::Doubt;
use super::pair::Pair;

/// Value of a normal's axis that is 0.
const ZERO: f32 = 32_767.5;
/// Half of the range of values that mean zero.
const ZERO_TOLERANCE: u16 = 300;
/// Correlation below which an axis points the other way: a head has about 0.7, and minus as much when it is turned.
const OPPOSITE: f64 = -0.3;
/// Minimum number of pixels that are drawn.
const ENOUGH_PIXELS: usize = 64;

/// Tells for each pixel whether its normal was drawn: nothing is mid-grey. Empty where normals were not read.
pub fn drawn_by_normal(pair: &Pair) -> Vec<bool> {
    let is_zero = |value: &u16| value.abs_diff(ZERO as u16) <= ZERO_TOLERANCE;
    pair.normal.as_chunks::<3>().0.iter().map(|normal| !normal.iter().all(is_zero)).collect()
}

/// Tells for each pixel whether its depth was drawn: nothing is 0. Empty where depths were not read.
pub fn drawn_by_depth(pair: &Pair) -> Vec<bool> {
    pair.depth.iter().map(|depth| *depth > 0).collect()
}

/// Returns what may be wrong with normals and depths.
pub fn doubts(pairs: &[&Pair]) -> Vec<Doubt<'static>> {
    let axes = [
        ("normals look mirrored in x (red)", "Export view-space normals with +X to the right: invert red"),
        (
            "normals look mirrored in y (green)",
            "Export view-space normals with +Y up, as OpenGL has them: invert green",
        ),
    ];
    let mut found = Vec::new();
    for (axis, (what, mend)) in axes.into_iter().enumerate() {
        let each = pairs.iter().filter_map(|pair| told(pair, bulge_of_normals(pair, axis)));
        found.push(Doubt { what, each: each.collect(), mend });
    }
    let away = pairs.iter().filter(|pair| faces_away(pair)).map(|pair| format!("{:08}", pair.seed));
    let mend = "Export view-space normals with +Z to the camera: invert blue";
    found.push(Doubt { what: "normals look away from the camera (blue)", each: away.collect(), mend });
    let deep = pairs.iter().filter_map(|pair| told(pair, bulge_of_depths(pair)));
    let mend = "Export depths that are larger where the surface is nearer, as training/dataset/README.md says";
    found.push(Doubt { what: "depths look inverted", each: deep.collect(), mend });
    found
}

fn told(pair: &Pair, correlation: Option<f64>) -> Option<String> {
    let opposite = correlation.filter(|found| *found < OPPOSITE)?;
    Some(format!("{:08} (correlation {opposite:.2} with a head's)", pair.seed))
}

/// Correlates an axis of the normals, 0 or 1, with the place in the image: what is right looks right, what is above looks up.
fn bulge_of_normals(pair: &Pair, axis: usize) -> Option<f64> {
    let drawn = drawn_by_normal(pair);
    let normals = pair.normal.as_chunks::<3>().0;
    correlation(places(&drawn, pair.size_px).map(|(at, [x, y])| {
        let place = if axis == 0 { x } else { -y };
        (place, f64::from(f32::from(normals[at][axis]) - ZERO))
    }))
}

/// Correlates depths with nearness to the middle of what is drawn.
fn bulge_of_depths(pair: &Pair) -> Option<f64> {
    let drawn = drawn_by_depth(pair);
    let count = drawn.iter().filter(|drawn| **drawn).count().max(1) as f64;
    let sums = places(&drawn, pair.size_px).fold([0.0; 2], |[sx, sy], (_, [x, y])| [sx + x, sy + y]);
    let middle = sums.map(|sum| sum / count);
    correlation(
        places(&drawn, pair.size_px)
            .map(|(at, [x, y])| (-((x - middle[0]).powi(2) + (y - middle[1]).powi(2)), f64::from(pair.depth[at]))),
    )
}

fn faces_away(pair: &Pair) -> bool {
    let drawn = drawn_by_normal(pair);
    let normals = pair.normal.as_chunks::<3>().0;
    let away = places(&drawn, pair.size_px).filter(|(at, _)| f32::from(normals[*at][2]) < ZERO).count();
    let count = drawn.iter().filter(|drawn| **drawn).count();
    count >= ENOUGH_PIXELS && away * 2 > count
}

/// Lists the pixels that are drawn, with their places.
fn places(drawn: &[bool], side: usize) -> impl Iterator<Item = (usize, [f64; 2])> {
    let place = move |at: usize| (at, [(at % side) as f64, (at / side) as f64]);
    drawn.iter().enumerate().filter(|(_, drawn)| **drawn).map(move |(at, _)| place(at))
}

/// Returns Pearson's correlation, or `None` for too few values or equal ones.
fn correlation(values: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (mut count, mut sums) = (0_u32, [0.0; 5]);
    for (a, b) in values {
        count += 1;
        for (sum, value) in sums.iter_mut().zip([a, b, a * b, a * a, b * b]) {
            *sum += value;
        }
    }
    let [a, b, ab, aa, bb] = sums.map(|sum| sum / f64::from(count));
    let spread = ((aa - a * a) * (bb - b * b)).sqrt();
    (count as usize >= ENOUGH_PIXELS && spread > 0.0).then(|| (ab - a * b) / spread)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::toy;
    use super::*;

    fn told_of(pair: &Pair) -> Vec<&'static str> {
        doubts(&[pair]).into_iter().filter(|doubt| !doubt.each.is_empty()).map(|doubt| doubt.what).collect()
    }

    #[test]
    fn axes_that_point_the_other_way_are_told_apart() {
        let pair = toy::pair(3, 48);
        assert_eq!(told_of(&pair), Vec::<&str>::new());
        for (axis, word) in ["mirrored in x", "mirrored in y", "away from the camera"].into_iter().enumerate() {
            let mut other = pair.clone();
            other.normal.iter_mut().skip(axis).step_by(3).for_each(|value| *value = 65_535 - *value);
            let told = told_of(&other);
            assert!(told.len() == 1 && told[0].contains(word), "{axis}: {told:?}");
        }
        let mut other = pair.clone();
        other.depth.iter_mut().filter(|depth| **depth > 0).for_each(|depth| *depth = 65_535 - *depth);
        assert_eq!(told_of(&other), ["depths look inverted"]);
        let unread = Pair { normal: Vec::new(), depth: Vec::new(), ..pair };
        assert_eq!(told_of(&unread), Vec::<&str>::new());
    }
}
