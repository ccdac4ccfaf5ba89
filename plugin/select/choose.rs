//! Chooses the faces of a view that are enhanced, and how much of the effect each gets.

use std::cmp::Reverse;

use bevy::asset::AssetId;

use crate::api::model::PortraitModel;
use crate::extract::faces::ExtractedFace;
use crate::region::FaceBounds;

/// A face has faded in once its area is larger by this share than that of the largest face that is left out.
const BUDGET_FADE: f32 = 0.3;

/// A face in a camera's view, or several that overlap and are enhanced as one.
#[derive(Clone, Debug)]
pub(crate) struct VisibleFace<'a> {
    pub bounds: FaceBounds,
    /// The largest of them.
    pub face: &'a ExtractedFace,
    /// The weights of all of them.
    pub model: AssetId<PortraitModel>,
    /// Distance along the view up to which a surface is in front of all of them.
    pub front_distance: f32,
    /// Share of the effect that they get, 0 to 1.
    pub fade: f32,
}

/// Merges faces of the same weights that overlap, and keeps the `max_faces` largest, the largest first. No change of a face's size or place
/// makes the effect jump: it fades to nothing before a face is left out.
pub(crate) fn choose(visible: Vec<VisibleFace>, max_faces: usize) -> Vec<VisibleFace> {
    let mut chosen = merge(visible);
    chosen.sort_by_key(|face| Reverse(face.bounds.area() as u64));
    if let Some(left_out) = chosen.get(max_faces).map(|face| face.bounds.area()) {
        chosen.truncate(max_faces);
        for face in &mut chosen {
            let larger = face.bounds.area() / left_out.max(f32::MIN_POSITIVE) - 1.0;
            face.fade *= (larger / BUDGET_FADE).clamp(0.0, 1.0);
        }
    }
    chosen.retain(|face| face.fade > 0.0);
    chosen
}

/// Merges faces that can be enhanced in one region, until no two are left that can. One region has one network: were faces of different
/// weights merged, one of them would change its look as they meet.
fn merge(visible: Vec<VisibleFace>) -> Vec<VisibleFace> {
    // Each with the area of the largest face merged into it: that one's box is the whole's.
    let mut apart: Vec<(VisibleFace, f32)> = Vec::new();
    for mut face in visible {
        let mut area = face.bounds.area();
        let overlapping = |apart: &[(VisibleFace, f32)], face: &VisibleFace| {
            let mut others = apart.iter().enumerate().filter(|(_, (other, _))| other.model == face.model);
            others.find_map(|(at, (other, _))| Some((at, face.bounds.merged(&other.bounds)?)))
        };
        while let Some((at, bounds)) = overlapping(&apart, &face) {
            let (other, other_area) = apart.swap_remove(at);
            let (fade, front_distance) = (face.fade.max(other.fade), face.front_distance.min(other.front_distance));
            let larger = if other_area > area { other.face } else { face.face };
            face = VisibleFace { bounds, face: larger, front_distance, fade, ..face };
            area = area.max(other_area);
        }
        apart.push((face, area));
    }
    apart.into_iter().map(|(face, _)| face).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use bevy::ecs::entity::Entity;
    use bevy::math::{Mat4, URect, Vec3};

    use super::*;
    use crate::region::box_corners;

    /// Cubes in front of a camera that sees 20 units in width at any distance.
    fn visible<'a>(face: &'a ExtractedFace, places: &[(f32, f32)]) -> Vec<VisibleFace<'a>> {
        let camera = Mat4::orthographic_rh(-10.0, 10.0, -10.0, 10.0, 100.0, 0.1);
        let bounds = places.iter().map(|&(x, half)| {
            let center = Vec3::new(x, 0.0, -5.0);
            FaceBounds::new(&box_corners(center - half, center + half), camera, URect::new(0, 0, 1000, 1000)).unwrap()
        });
        let visible = |bounds: FaceBounds| {
            let model = PortraitModel::QUALITY.id();
            VisibleFace { fade: bounds.fade(), bounds, face, model, front_distance: 4.0 }
        };
        bounds.map(visible).collect()
    }

    fn face() -> ExtractedFace {
        let bounds = [Vec3::splat(-0.5), Vec3::splat(0.5)];
        ExtractedFace::new(Entity::PLACEHOLDER, bounds, Default::default(), Vec::new())
    }

    #[test]
    fn largest_come_first_and_overlapping_ones_are_one() {
        let face = face();
        let chosen = choose(visible(&face, &[(-8.0, 0.5), (0.0, 1.0), (1.5, 0.8), (6.0, 1.5)]), 8);
        let areas: Vec<f32> = chosen.iter().map(|face| face.bounds.area()).collect();
        assert_eq!(areas.len(), 3, "{areas:?}");
        assert!(areas.windows(2).all(|pair| pair[0] >= pair[1]), "{areas:?}");
    }

    #[test]
    fn overlapping_faces_of_different_weights_stay_apart() {
        let face = face();
        let mut pair = visible(&face, &[(0.0, 1.0), (1.2, 0.9), (0.2, 0.4)]);
        pair[1].model = PortraitModel::FAST.id();
        let chosen = choose(pair, 8);
        let models: Vec<_> = chosen.iter().map(|face| face.model).collect();
        assert_eq!(models, [PortraitModel::QUALITY.id(), PortraitModel::FAST.id()]);
    }

    #[test]
    fn faces_fade_out_before_another_takes_their_place() {
        let face = face();
        // The second grows past the first; one place.
        let fades: Vec<f32> = (0..200)
            .map(|step| {
                let half = 0.5 + step as f32 * 0.005;
                let chosen = choose(visible(&face, &[(-5.0, 1.0), (5.0, half)]), 1);
                chosen.first().map_or(0.0, |face| face.fade)
            })
            .collect();
        assert_eq!((fades[0], fades[199]), (1.0, 1.0));
        assert!(fades.contains(&0.0) || fades.iter().any(|fade| *fade < 0.03), "{fades:?}");
        assert!(fades.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.06), "{fades:?}");
    }

    #[test]
    fn everything_is_enhanced_within_the_budget_and_nothing_without_one() {
        let face = face();
        let places = [(-8.0, 0.5), (-4.0, 0.5), (0.0, 0.5), (4.0, 0.5)];
        let chosen = choose(visible(&face, &places), 4);
        assert!(chosen.len() == 4 && chosen.iter().all(|face| face.fade == 1.0));
        assert!(choose(visible(&face, &places), 0).is_empty());
    }
}
