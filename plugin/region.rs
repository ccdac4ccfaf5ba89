//! Which rectangle of the frame is enhanced: a face's box, seen by a camera.

use bevy::math::{Mat4, URect, UVec2, Vec2, Vec3, Vec4};

/// Most faces that are enhanced for one camera.
pub const MAX_FACES: usize = 8;
/// Most pixels a side that the network ever sees; larger regions are scaled down for it.
pub const MAX_NETWORK_PX: u32 = 512;
/// Added around the face on each side, as a share of its box on screen: the edge fades out over it.
pub const MARGIN: f32 = 0.15;
/// Width of the faded edge, as a share of the region's smaller side.
pub const FEATHER: f32 = 0.1;
/// Edges of a region lie on multiples of this, in pixels, so that the network's grid stands still while a face moves
/// by less.
const SNAP_PX: u32 = 8;

/// The eight corners of an axis-aligned box, as bits: x is 1, y is 2, z is 4.
const EDGES: [(usize, usize); 12] =
    [(0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7)];

/// A rectangle of a camera's target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// In pixels of the target, maximum exclusive. Never empty.
    pub rect_px: URect,
    /// Whether left, top, right and bottom edge fade out: not where the viewport cuts the region.
    pub fading_sides: [bool; 4],
}

impl Region {
    /// Width and height that the network sees, in pixels: those of the region, scaled down to `most_px` a side (see
    /// [`QualityTier::most_px`](crate::QualityTier::most_px)).
    pub fn network_px(&self, most_px: u32) -> UVec2 {
        let size = self.rect_px.size();
        let longest = size.max_element();
        if longest <= most_px {
            return size;
        }
        let scale = most_px as f32 / longest as f32;
        let fit = |side: u32| ((side as f32 * scale).round() as u32).clamp(1, most_px);
        UVec2::new(fit(size.x), fit(size.y))
    }

    /// Width of the faded edge in pixels.
    pub fn feather_px(&self) -> f32 {
        (self.rect_px.size().min_element() as f32 * FEATHER).max(1.0)
    }
}

/// Corners of the box from `min` to `max`.
pub fn box_corners(min: Vec3, max: Vec3) -> [Vec3; 8] {
    std::array::from_fn(|corner| {
        Vec3::new(
            if corner & 1 == 0 { min.x } else { max.x },
            if corner & 2 == 0 { min.y } else { max.y },
            if corner & 4 == 0 { min.z } else { max.z },
        )
    })
}

/// The region of a box (corners as [`box_corners`] orders them, in world space) in a camera's viewport (pixels of the
/// target), or `None` where the camera does not see it.
pub fn face_region(corners: &[Vec3; 8], clip_from_world: Mat4, viewport_px: URect) -> Option<Region> {
    if viewport_px.is_empty() {
        return None;
    }
    let (min, max) = project(corners, clip_from_world)?;
    // NDC, y up → pixels, y down.
    let size = viewport_px.size().as_vec2();
    let to_px = |ndc: Vec2| Vec2::new(ndc.x + 1.0, 1.0 - ndc.y) * 0.5 * size;
    let (low, high) = (to_px(Vec2::new(min.x, max.y)), to_px(Vec2::new(max.x, min.y)));
    if high.x <= 0.0 || high.y <= 0.0 || low.x >= size.x || low.y >= size.y {
        return None;
    }
    // Of what can be seen: a box that reaches behind the camera would have no end.
    let (low, high) = (low.max(Vec2::ZERO), high.min(size));
    let margin = (high - low) * MARGIN;
    let (low, high) = (low - margin, high + margin);
    // Floats saturate when cast; the viewport is what limits them.
    let snap_down = |value: f32| value.max(0.0) as u32 / SNAP_PX * SNAP_PX;
    let snap_up = |value: f32, limit: u32| (value.min(limit as f32).ceil() as u32).next_multiple_of(SNAP_PX);
    let extent = viewport_px.size();
    let start = UVec2::new(snap_down(low.x), snap_down(low.y));
    let end = UVec2::new(snap_up(high.x, extent.x), snap_up(high.y, extent.y)).min(extent);
    let rect = URect { min: start, max: end };
    (!rect.is_empty()).then(|| Region {
        rect_px: URect { min: viewport_px.min + start, max: viewport_px.min + end },
        fading_sides: [start.x > 0, start.y > 0, end.x < extent.x, end.y < extent.y],
    })
}

/// Bounds in normalised device coordinates of the part of the box in front of the camera.
fn project(corners: &[Vec3; 8], clip_from_world: Mat4) -> Option<(Vec2, Vec2)> {
    let clip = corners.map(|corner| clip_from_world * corner.extend(1.0));
    if clip.iter().any(|corner| !corner.is_finite()) {
        return None;
    }
    // The plane that the box is cut at, just in front of the camera; relative, since worlds differ in scale.
    let near = clip.iter().map(|corner| corner.w.abs()).fold(0.0, f32::max) * 1e-3;
    let mut bounds: Option<(Vec2, Vec2)> = None;
    let mut include = |corner: Vec4| {
        let point = Vec2::new(corner.x, corner.y) / corner.w;
        let (min, max) = bounds.unwrap_or((point, point));
        bounds = Some((min.min(point), max.max(point)));
    };
    clip.iter().filter(|corner| corner.w > near).for_each(|&corner| include(corner));
    for (from, to) in EDGES {
        let (from, to) = (clip[from], clip[to]);
        if (from.w > near) != (to.w > near) {
            include(from.lerp(to, (near - from.w) / (to.w - from.w)));
        }
    }
    bounds.filter(|(min, max)| min.is_finite() && max.is_finite())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const VIEWPORT: URect = URect { min: UVec2::ZERO, max: UVec2::new(640, 480) };

    fn camera() -> Mat4 {
        Mat4::perspective_infinite_reverse_rh(1.0, 640.0 / 480.0, 0.1)
    }

    fn face_at(center: Vec3, half: f32) -> [Vec3; 8] {
        box_corners(center - half, center + half)
    }

    #[test]
    fn face_in_the_middle_gets_a_region_in_the_middle() {
        let region = face_region(&face_at(Vec3::new(0.0, 0.0, -5.0), 0.5), camera(), VIEWPORT).unwrap();
        let center = (region.rect_px.min + region.rect_px.max) / 2;
        assert!(center.x.abs_diff(320) <= 8 && center.y.abs_diff(240) <= 8, "{region:?}");
        assert_eq!(region.fading_sides, [true; 4]);
        // Nearest face of the box: half 0.5 at distance 4.5, then the margin on both sides.
        let expected = 0.5 / 4.5 / 0.5_f32.tan() * 480.0 * (1.0 + 2.0 * MARGIN);
        let height = region.rect_px.height() as f32;
        assert!(height >= expected && height <= expected + 2.0 * SNAP_PX as f32 + 1.0, "{height} ≠ {expected}");
    }

    #[test]
    fn face_behind_the_camera_or_beside_the_view_has_no_region() {
        assert_eq!(face_region(&face_at(Vec3::new(0.0, 0.0, 5.0), 0.5), camera(), VIEWPORT), None);
        assert_eq!(face_region(&face_at(Vec3::new(50.0, 0.0, -5.0), 0.5), camera(), VIEWPORT), None);
        assert_eq!(face_region(&face_at(Vec3::new(0.0, -50.0, -5.0), 0.5), camera(), VIEWPORT), None);
    }

    #[test]
    fn face_around_the_camera_covers_the_viewport() {
        let region = face_region(&face_at(Vec3::ZERO, 1.0), camera(), VIEWPORT).unwrap();
        assert_eq!(region.rect_px, VIEWPORT);
        assert_eq!(region.fading_sides, [false; 4]);
    }

    #[test]
    fn face_partly_behind_the_camera_reaches_the_viewports_edge() {
        // To the right of the axis, from far in front to behind.
        let corners = box_corners(Vec3::new(0.2, -0.1, -5.0), Vec3::new(0.5, 0.1, 1.0));
        let region = face_region(&corners, camera(), VIEWPORT).unwrap();
        assert_eq!(region.rect_px.max.x, 640);
        assert!(region.rect_px.min.x >= 280, "{region:?}");
        assert!(!region.fading_sides[2]);
    }

    #[test]
    fn face_cut_by_the_edge_does_not_fade_there() {
        let region = face_region(&face_at(Vec3::new(-3.6, 0.0, -5.0), 0.5), camera(), VIEWPORT).unwrap();
        assert_eq!(region.rect_px.min.x, 0);
        assert_eq!(region.fading_sides, [false, true, true, true]);
    }

    #[test]
    fn region_stays_inside_a_sub_viewport() {
        let viewport = URect::new(101, 57, 101 + 33, 57 + 21);
        let region = face_region(&face_at(Vec3::new(0.0, 0.0, -5.0), 0.5), camera(), viewport).unwrap();
        assert!(viewport.contains(region.rect_px.min) && viewport.contains(region.rect_px.max), "{region:?}");
        let whole = face_region(&face_at(Vec3::ZERO, 1.0), camera(), viewport).unwrap();
        assert_eq!(whole.rect_px, viewport);
    }

    #[test]
    fn one_pixel_viewport_and_empty_viewport() {
        let face = face_at(Vec3::new(0.0, 0.0, -5.0), 0.5);
        let region = face_region(&face, camera(), URect::new(4, 4, 5, 5)).unwrap();
        assert_eq!(region.rect_px, URect::new(4, 4, 5, 5));
        assert_eq!(region.network_px(MAX_NETWORK_PX), UVec2::ONE);
        assert_eq!(face_region(&face, camera(), URect::new(4, 4, 4, 5)), None);
    }

    #[test]
    fn nan_and_infinity_have_no_region() {
        assert_eq!(face_region(&[Vec3::NAN; 8], camera(), VIEWPORT), None);
        assert_eq!(face_region(&face_at(Vec3::splat(f32::INFINITY), 1.0), camera(), VIEWPORT), None);
    }

    #[test]
    fn large_regions_are_scaled_down_with_their_aspect() {
        let region = |width, height| Region { rect_px: URect::new(0, 0, width, height), fading_sides: [true; 4] };
        assert_eq!(region(512, 300).network_px(MAX_NETWORK_PX), UVec2::new(512, 300));
        assert_eq!(region(1024, 600).network_px(MAX_NETWORK_PX), UVec2::new(512, 300));
        assert_eq!(region(4000, 1).network_px(MAX_NETWORK_PX), UVec2::new(512, 1));
        assert_eq!(region(512, 300).network_px(128), UVec2::new(128, 75));
        assert_eq!(region(90, 120).network_px(128), UVec2::new(90, 120));
    }

    #[test]
    fn orthographic_cameras_work() {
        let camera = Mat4::orthographic_rh(-2.0, 2.0, -1.5, 1.5, 100.0, 0.1);
        let region = face_region(&face_at(Vec3::new(0.0, 0.0, -5.0), 0.5), camera, VIEWPORT).unwrap();
        assert!(region.rect_px.width().abs_diff(208) <= 16, "{region:?}");
    }
}
