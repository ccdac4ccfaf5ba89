//! Tells whether a camera could see a box, were it solid: whether a side that faces the camera lies in the view volume. Pure.

use bevy::math::{Mat4, Vec3, Vec4, Vec4Swizzles};

/// The sides of a box, as indices of its corners in order around the side. Bits say where a corner lies: x is 1, y is 2, z is 4.
const SIDES: [[usize; 4]; 6] = [[0, 2, 6, 4], [1, 3, 7, 5], [0, 1, 5, 4], [2, 3, 7, 6], [0, 1, 3, 2], [4, 5, 7, 6]];
/// A box fades in until its farthest visible side is beyond the near plane by this share of the box's shortest edge.
const NEAR_FADE: f32 = 0.2;

/// The volume that a camera sees.
pub(crate) struct ViewVolume {
    clip_from_world: Mat4,
    /// The camera's place in homogeneous coordinates of the world; of an orthographic camera the direction in which it lies.
    eye: Vec4,
    /// Length by which a step of 1 in the world, straight away from the near plane, changes the distance from it in clip space.
    near_scale: f32,
}

impl ViewVolume {
    /// Makes the volume of a projection whose depths are reversed, as Bevy's are.
    pub fn new(clip_from_world: Mat4) -> Self {
        let eye = clip_from_world.inverse() * Vec4::Z;
        let near = clip_from_world.row(3) - clip_from_world.row(2);
        Self { clip_from_world, eye, near_scale: near.xyz().length() }
    }

    /// Returns how much of a box (corners as [`box_corners`](crate::region::box_corners) orders them, in world space) is to be seen, were it
    /// solid: 0 where no side that faces the camera lies in the volume, as it is for a camera inside the box; 1 where such a side reaches well
    /// beyond the near plane. In between it fades.
    pub fn shows(&self, corners: &[Vec3; 8]) -> f32 {
        let clip = corners.map(|corner| self.clip_from_world * corner.extend(1.0));
        if clip.iter().any(|corner| !corner.is_finite()) {
            return 0.0;
        }
        let shortest =
            [1, 2, 4].map(|end: usize| corners[0].distance(corners[end])).into_iter().fold(f32::MAX, f32::min);
        let facing = (0..6).filter(|&side| self.faces(corners, side));
        let farthest = facing.map(|side| farthest_in_view(SIDES[side].map(|corner| clip[corner]))).fold(0.0, f32::max);
        // Both are lengths in the world.
        (farthest / self.near_scale / (NEAR_FADE * shortest).max(f32::MIN_POSITIVE)).min(1.0)
    }

    /// Returns whether a side is turned to the camera. Both sides are of a box that is flat.
    fn faces(&self, corners: &[Vec3; 8], side: usize) -> bool {
        let [a, b, _, d] = SIDES[side].map(|corner| corners[corner]);
        let opposite = corners[SIDES[side ^ 1][0]];
        let normal = (b - a).cross(d - a);
        let inward = normal.dot(opposite - a);
        let to_eye = normal.dot(self.eye.xyz() - a * self.eye.w);
        inward == 0.0 || to_eye * inward < 0.0
    }
}

/// Returns the largest distance from the near plane, in clip space, of the part of a side that lies in the view volume; 0 where none does.
/// The side is cut at one plane after the other (Sutherland and Hodgman 1974).
fn farthest_in_view(side: [Vec4; 4]) -> f32 {
    let mut polygon = side.to_vec();
    for plane in [Vec4::X, Vec4::NEG_X, Vec4::Y, Vec4::NEG_Y, Vec4::NEG_Z]
        .map(|axis| axis + Vec4::W)
        .into_iter()
        .chain([Vec4::Z])
    {
        let distances: Vec<f32> = polygon.iter().map(|corner| plane.dot(*corner)).collect();
        let mut cut = Vec::with_capacity(polygon.len() + 1);
        for (at, &corner) in polygon.iter().enumerate() {
            let next = (at + 1) % polygon.len();
            let (from, to) = (distances[at], distances[next]);
            if from >= 0.0 {
                cut.push(corner);
            }
            if (from >= 0.0) != (to >= 0.0) {
                cut.push(corner.lerp(polygon[next], from / (from - to)));
            }
        }
        polygon = cut;
    }
    polygon.iter().map(|corner| corner.w - corner.z).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use bevy::math::{Affine3A, Quat};

    use super::*;
    use crate::region::box_corners;

    /// Returns what a camera at the origin, which looks along -Z, shows of boxes of these centres and half extents.
    fn shown(projection: Mat4, boxes: &[(Vec3, f32)]) -> Vec<f32> {
        let volume = ViewVolume::new(projection);
        boxes.iter().map(|(center, half)| volume.shows(&box_corners(*center - *half, *center + *half))).collect()
    }

    fn projections() -> [(&'static str, Mat4); 3] {
        [
            ("perspective", Mat4::perspective_infinite_reverse_rh(1.0, 1.5, 0.1)),
            ("perspective with an end", Mat4::perspective_rh(1.0, 1.5, 60.0, 0.1)),
            ("orthographic", Mat4::orthographic_rh(-3.0, 3.0, -2.0, 2.0, 60.0, 0.1)),
        ]
    }

    #[test]
    fn what_lies_beyond_any_side_is_not_shown_and_what_reaches_in_is() {
        for (name, projection) in projections() {
            let beyond = [Vec3::X, -Vec3::X, Vec3::Y, -Vec3::Y].map(|side| (side * 50.0 - Vec3::Z * 5.0, 1.0));
            let behind = [(Vec3::Z * 3.0, 1.0), (Vec3::Z * 0.5, 0.55)];
            assert_eq!(shown(projection, &beyond), [0.0; 4], "{name}");
            assert_eq!(shown(projection, &behind), [0.0; 2], "{name}: behind, or nearer than the near plane");
            let half_in = [(Vec3::new(4.0, 0.0, -5.0), 2.0), (Vec3::new(0.0, -3.0, -5.0), 2.0)];
            assert_eq!(shown(projection, &half_in), [1.0; 2], "{name}");
            // Wider than the view, in front of it.
            assert_eq!(shown(projection, &[(Vec3::Z * -70.0, 45.0)]), [1.0], "{name}");
        }
        let far = (Vec3::Z * -80.0, 5.0);
        let all = projections().map(|(_, projection)| shown(projection, &[far])[0]);
        assert_eq!(all, [1.0, 0.0, 0.0], "beyond the far plane, where there is one");
    }

    #[test]
    fn rectangles_that_touch_the_view_at_a_corner_do_not_make_a_box_that_does() {
        // A beam across the corner of the view: its rectangle on screen covers the corner, the beam itself passes by.
        let (name, projection) = projections()[2];
        let turned = Affine3A::from_rotation_translation(Quat::from_rotation_z(-0.785), Vec3::new(3.3, 2.3, -5.0));
        let beam = |half: Vec3| box_corners(-half, half).map(|corner| turned.transform_point3(corner));
        let volume = ViewVolume::new(projection);
        assert_eq!(volume.shows(&beam(Vec3::new(4.0, 0.3, 0.3))), 0.0, "{name}");
        assert_eq!(volume.shows(&beam(Vec3::new(4.0, 0.8, 0.3))), 1.0, "{name}");
    }

    #[test]
    fn a_camera_inside_sees_no_side_and_one_that_enters_fades() {
        for (name, projection) in projections() {
            assert_eq!(shown(projection, &[(Vec3::ZERO, 1.0), (Vec3::Z * -0.9, 1.0)]), [0.0; 2], "{name}");
            // Mirrored boxes have the same sides.
            let corners = box_corners(Vec3::splat(-1.0), Vec3::splat(1.0)).map(|it| it * Vec3::new(-1.0, 1.0, 1.0));
            assert_eq!(ViewVolume::new(projection).shows(&corners), 0.0, "{name}");
            let ahead = corners.map(|corner| corner - Vec3::Z * 4.0);
            assert_eq!(ViewVolume::new(projection).shows(&ahead), 1.0, "{name}");
            // The front comes nearer until it is at the near plane, 0.1 away.
            let fades: Vec<f32> =
                (0..85).map(|step| shown(projection, &[(Vec3::Z * (0.01 * step as f32 - 1.7), 1.0)])[0]).collect();
            assert!(fades[0] == 1.0 && fades[84] == 0.0, "{name}: {fades:?}");
            assert!(fades.windows(2).all(|pair| pair[1] <= pair[0] && pair[0] - pair[1] < 0.07), "{name}: {fades:?}");
        }
    }

    #[test]
    fn flat_boxes_are_shown_from_both_sides() {
        let volume = ViewVolume::new(projections()[0].1);
        let card = |z: f32| box_corners(Vec3::new(-1.0, -1.0, z), Vec3::new(1.0, 1.0, z));
        assert_eq!(volume.shows(&card(-4.0)), 1.0);
        assert_eq!(volume.shows(&card(4.0)), 0.0);
    }
}
