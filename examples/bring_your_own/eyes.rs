//! The box of a head about its eyes, by the proportions of people, and where it looks.

use std::ops::RangeInclusive;

use bevy::math::Vec3;

/// Radius of an eyeball over the distance of the eyes, within which two shapes are a pair of eyes: 0.19 in people, more in comics. It is
/// `EYEBALL` of head_studio's `imported/placement.py`.
const EYEBALL: RangeInclusive<f32> = 0.1..=0.45;
/// Minimum share of the distance between the eyes by which they lie apart along x: a head that faces +z or -z and is turned or tilted by at
/// most 26°.
const LEVEL: f32 = 0.9;
/// Reach of a head from the middle between the centres of its eyes, in distances between these, which are 63 mm apart in adults (Dodgson
/// 2004, "Variation and extrema of human interpupillary distance"): to the right ear, the chin and the back of the head.
///
/// The chin is where head_studio has it: `HEAD_HEIGHT` × (1 − `EYE_LINE`), 3.7 × 0.54, of `imported/placement.py`. The other figures cover,
/// with hair, most of the 28 heads in head_studio's `imported/game_heads.toml`, as measured on them: top 1.8 to 2.3, chin 1.8 to 2.0, ears
/// 1.4 to 1.6 aside, tip of the nose 0.7 to 0.9 ahead, back of the head 2.6 to 3.6 behind.
const LOW: Vec3 = Vec3::new(-1.55, -2.0, -3.2);
/// Likewise to the left ear, the top of the hair and the tip of the nose.
const HIGH: Vec3 = Vec3::new(1.55, 2.3, 0.85);
/// Distance above and below the eyes, in distances between these, within which a head reaches much further back than ahead.
const LEVEL_HEIGHT: f32 = 1.0;
/// Minimum distance of the eyes from the middle of the head along z, in distances between the eyes, that says where a head looks: about 1
/// in people.
const MIN_AHEAD: f32 = 0.2;

/// The minimum and the maximum corner of a box in the world.
pub type Corners = [Vec3; 2];

/// Two eyes of an upright head that faces +z or -z.
#[derive(Clone, Copy)]
pub struct Eyes {
    /// The middle between the centres of the eyes.
    middle: Vec3,
    /// Distance between the centres.
    apart: f32,
}

impl Eyes {
    /// Returns the eyes that have these points. `None` where the points do not lie as two eyes do.
    pub fn at(points: &[Vec3]) -> Option<Self> {
        let [min, max] = hull(points.iter().copied())?;
        let middle = (min.x + max.x) / 2.0;
        let (right, left): (Vec<Vec3>, Vec<Vec3>) = points.iter().partition(|point| point.x < middle);
        let sides = [hull(right)?, hull(left)?];
        let [right, left] = sides.map(|[min, max]| (min + max) / 2.0);
        let radius = sides.map(|[min, max]| (max - min).max_element() / 2.0).into_iter().fold(0.0, f32::max);
        let apart = left.distance(right);
        let are_eyes = EYEBALL.contains(&(radius / apart)) && left.x - right.x >= LEVEL * apart;
        are_eyes.then_some(Self { middle: (left + right) / 2.0, apart })
    }

    /// Returns whether the head of these eyes looks along -z, in a model with these vertices: eyes lie in front of the middle of what is as
    /// high as they are. `None` where they lie in the middle.
    pub fn look_back(&self, vertices: impl IntoIterator<Item = Vec3>) -> Option<bool> {
        let reach = Vec3::new(HIGH.x, LEVEL_HEIGHT, -LOW.z) * self.apart;
        let is_level = |vertex: &Vec3| (*vertex - self.middle).abs().cmple(reach).all();
        let [min, max] = hull(vertices.into_iter().filter(is_level))?;
        let ahead = self.middle.z - (min.z + max.z) / 2.0;
        (ahead.abs() >= MIN_AHEAD * self.apart).then_some(ahead < 0.0)
    }

    /// Returns the box of the head, in a model with this box.
    pub fn head(&self, looks_back: bool, [low, high]: Corners) -> Corners {
        let (mut min, mut max) = (LOW, HIGH);
        if looks_back {
            (min.z, max.z) = (-HIGH.z, -LOW.z);
        }
        // What of the model ends earlier, as the crown of a bald head does, ends the box.
        [(self.middle + min * self.apart).max(low), (self.middle + max * self.apart).min(high)]
    }
}

/// Returns the box around points, if there are any.
pub fn hull(points: impl IntoIterator<Item = Vec3>) -> Option<Corners> {
    let around = |around: Option<Corners>, point: Vec3| {
        let [min, max] = around.unwrap_or([point; 2]);
        Some([min.min(point), max.max(point)])
    };
    points.into_iter().fold(None, around)
}
