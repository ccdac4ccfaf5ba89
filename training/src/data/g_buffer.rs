//! Tells whether normals and depths have the directions that the network expects: tools differ in the sign of each axis, but a surface
//! looks to where it falls away, and a head bulges towards the camera.

use super::doubt::Doubt;
use super::pair::Pair;

/// Value of a normal's axis that is 0.
const ZERO: f32 = 32_767.5;
/// Half of the range of values that mean zero.
const ZERO_TOLERANCE: u16 = 300;
/// Correlation with a head's bulge below which depths point the other way: right ones have -0.14 to 0.78 in 26 pairs of own and game heads,
/// and minus as much when they are inverted.
const INVERTED: f64 = -0.3;
/// Agreement with the depths below which an axis of the normals points the other way: right ones have 0.48 to 1 in those 26 pairs, and minus
/// as much when they are mirrored.
const CONTRADICTED: f64 = -0.25;
/// Correlation with a head's bulge below which an axis of the normals points the other way, where there are no depths. Right ones have as
/// little as -0.39: a face that looks up, or a neck, does not bulge.
const HOLLOW: f64 = -0.5;
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
    let doubt = |what, mend| Doubt { what, each: Vec::new(), mend };
    let mut axes = [
        doubt("normals look mirrored in x (red)", "Export view-space normals with +X to the right: invert red"),
        doubt(
            "normals look mirrored in y (green)",
            "Export view-space normals with +Y up, as OpenGL has them: invert green",
        ),
    ];
    let mut away = doubt(
        "normals look away from the camera (blue)",
        "Export view-space normals with +Z to the camera: invert blue",
    );
    let mut deep = doubt(
        "depths look inverted",
        "Export depths that are larger where the surface is nearer, as training/dataset/README.md says",
    );
    for pair in pairs {
        let agreements = [0, 1].map(|axis| agreement_with_depths(pair, axis));
        let inverted = inverted(pair, agreements);
        deep.each.extend(inverted.map(|bulge| like_a_head(pair, bulge)));
        for (axis, (doubt, agreement)) in axes.iter_mut().zip(agreements).enumerate() {
            // Inverted depths contradict the axes that are right, and are told by themselves.
            let agreement = agreement.map(|found| if inverted.is_some() { -found } else { found });
            doubt.each.extend(mirrored(pair, axis, agreement));
        }
        away.each.extend(faces_away(pair).then(|| format!("{:08}", pair.seed)));
    }
    let [red, green] = axes;
    vec![red, green, away, deep]
}

/// Returns the correlation of inverted depths with a head's; `None` where they seem to be right.
fn inverted(pair: &Pair, agreements: [Option<f64>; 2]) -> Option<f64> {
    let contradicted = agreements.into_iter().flatten().filter(|found| *found < CONTRADICTED).count() == 2;
    // Where both axes contradict the depths, both are mirrored or the depths are inverted: how these bulge decides.
    bulge_of_depths(pair).filter(|bulge| *bulge < if contradicted { 0.0 } else { INVERTED })
}

/// Says how little an axis of the normals, 0 or 1, agrees with the depths, or without depths with a head; `None` where it seems to be
/// right.
fn mirrored(pair: &Pair, axis: usize, agreement: Option<f64>) -> Option<String> {
    match agreement {
        Some(found) => {
            (found < CONTRADICTED).then(|| format!("{:08} (agreement {found:.2} with the depths)", pair.seed))
        }
        None => bulge_of_normals(pair, axis).filter(|found| *found < HOLLOW).map(|found| like_a_head(pair, found)),
    }
}

fn like_a_head(pair: &Pair, correlation: f64) -> String {
    format!("{:08} (correlation {correlation:.2} with a head's)", pair.seed)
}

/// Compares the sign of the normals' axis, 0 or 1, with the depths of the two neighbours along it: a surface looks to the side on which it
/// falls away. Returns the mean over pixels, weighted by the normals: 1 where all agree, -1 where all contradict, and `None` for too few
/// pixels, as without depths.
fn agreement_with_depths(pair: &Pair, axis: usize) -> Option<f64> {
    let side = pair.size_px;
    let drawn = drawn_by_normal(pair);
    let normals = pair.normal.as_chunks::<3>().0;
    let (mut count, mut agreeing, mut all) = (0, 0.0, 0.0);
    for (at, [x, y]) in places(&drawn, side) {
        // Left and right, or above and below. Beyond an edge of the image there is no neighbour.
        let (place, step) = if axis == 0 { (x as usize, 1) } else { (y as usize, side) };
        if place == 0 || place + 1 == side || pair.depth.is_empty() {
            continue;
        }
        let (before, after) = (pair.depth[at - step], pair.depth[at + step]);
        if before == 0 || after == 0 || before == after {
            continue;
        }
        let value = f64::from(f32::from(normals[at][axis]) - ZERO);
        // Larger depths are nearer, and rows count downwards where y points up.
        let looks_ahead = (after < before) == (axis == 0);
        agreeing += if looks_ahead { value } else { -value };
        all += value.abs();
        count += 1;
    }
    (count >= ENOUGH_PIXELS && all > 0.0).then(|| agreeing / all)
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

    fn mirrored(pair: &Pair, axis: usize) -> Pair {
        let mut other = pair.clone();
        other.normal.iter_mut().skip(axis).step_by(3).for_each(|value| *value = 65_535 - *value);
        other
    }

    fn inverted(pair: &Pair) -> Pair {
        let mut other = pair.clone();
        other.depth.iter_mut().filter(|depth| **depth > 0).for_each(|depth| *depth = 65_535 - *depth);
        other
    }

    /// Checks that nothing is told of a pair, and that each axis is told by its name once it points the other way.
    #[track_caller]
    fn assert_axes_are_told_apart(pair: &Pair) {
        assert_eq!(told_of(pair), Vec::<&str>::new());
        for (axis, word) in ["mirrored in x", "mirrored in y", "away from the camera"].into_iter().enumerate() {
            let told = told_of(&mirrored(pair, axis));
            assert!(told.len() == 1 && told[0].contains(word), "{axis}: {told:?}");
        }
    }

    #[test]
    fn axes_that_point_the_other_way_are_told_apart() {
        let pair = toy::pair(3, 48);
        assert_axes_are_told_apart(&pair);
        assert_eq!(told_of(&inverted(&pair)), ["depths look inverted"]);
        assert_eq!(
            told_of(&inverted(&mirrored(&pair, 1))),
            ["normals look mirrored in y (green)", "depths look inverted"]
        );
        assert_axes_are_told_apart(&Pair { depth: Vec::new(), ..pair.clone() });
        let unread = Pair { normal: Vec::new(), depth: Vec::new(), ..pair };
        assert_eq!(told_of(&unread), Vec::<&str>::new());
    }

    #[test]
    fn a_surface_that_is_hollow_from_above_to_below_like_a_neck_is_in_order() {
        // The height is 0.4·(y²/2 − x²), with x and y from −1 to 1: what lies above looks down.
        let side = 48;
        let unsigned = |value: f64| ((value * 0.5 + 0.5) * 65_535.0).round() as u16;
        let (mut normal, mut depth) = (Vec::new(), Vec::new());
        for at in 0..side * side {
            let [x, y] = [at % side, side - 1 - at / side].map(|place| (place as f64 + 0.5) / side as f64 * 2.0 - 1.0);
            let long = [0.8 * x, -0.4 * y, 1.0];
            let length = long.iter().map(|value| value * value).sum::<f64>().sqrt();
            normal.extend(long.map(|value| unsigned(value / length)));
            depth.push(unsigned(0.4 * (y * y / 2.0 - x * x)));
        }
        let pair = Pair { normal, depth, ..toy::pair(3, side) };
        assert!(bulge_of_normals(&pair, 1).unwrap() < -0.9);
        assert_axes_are_told_apart(&pair);
    }
}
