//! The rectangle of the frame that is enhanced: a face's box, as a camera sees it.

use bevy::math::{Mat4, URect, UVec2, Vec2, Vec3, Vec4};

/// Width and height that the network sees at most, in pixels; larger regions are scaled down for it.
pub const MAX_NETWORK_PX: u32 = 512;
/// Margin around the face on each side, as a share of its box on screen. The edge of the effect fades out over it.
pub const MARGIN: f32 = 0.15;
/// Width of the faded edge, as a share of the region's smaller side.
pub const FEATHER: f32 = 0.1;
/// Height and width on screen up to which a face is not enhanced, in pixels: there is nothing to see.
pub const MIN_FACE_PX: f32 = 12.0;
/// Height or width on screen from which on a face is enhanced in full, in pixels; in between the effect fades in.
pub const FULL_FACE_PX: f32 = 24.0;
/// Step of a region's edges in pixels of the network, counted from the viewport's corner, so that the network's grid stands still while a
/// face moves. It is the alignment of the networks that ship, which fill their image up to it anyway.
const SNAP_PX: u32 = 16;
/// Faces that overlap are enhanced one by one if a common region would be larger than both together by more than this factor.
const MAX_MERGED_GROWTH: f32 = 1.5;

/// The edges of an axis-aligned box, as pairs of corners whose bits say where they lie: x is 1, y is 2, z is 4.
const EDGES: [(usize, usize); 12] =
    [(0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7)];

/// A rectangle of a camera's target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// The rectangle in pixels of the target, maximum exclusive. It is never empty.
    pub rect_px: URect,
    /// True for left, top, right and bottom where that edge fades out: not where the viewport cuts the region.
    pub fading_sides: [bool; 4],
    /// Width and height of a pixel of the network, in eighths of a pixel of the frame: 8 or more.
    pub scale: u32,
}

impl Region {
    /// Returns the width and height that the network sees, in pixels.
    pub fn network_px(&self) -> UVec2 {
        scaled_down(self.rect_px.size(), self.scale)
    }

    /// Returns whether the network sees fewer pixels than the frame has.
    pub(crate) fn is_scaled(&self) -> bool {
        self.network_px() != self.rect_px.size()
    }

    /// Returns about the width and height that the network would see at another limit a side (see [`ResolutionTier::max_px`](crate::ResolutionTier::max_px)).
    pub fn network_px_within(&self, max_px: u32) -> UVec2 {
        let size = self.rect_px.size();
        scaled_down(size, scales().find(|&scale| scaled_down(size, scale).max_element() <= max_px).unwrap_or(u32::MAX))
    }

    /// Returns the width of the faded edge in pixels.
    pub fn feather_px(&self) -> f32 {
        (self.rect_px.size().min_element() as f32 * FEATHER).max(1.0)
    }
}

fn scaled_down(size_px: UVec2, scale: u32) -> UVec2 {
    let fit = |side: u32| (u64::from(side) * 8).div_ceil(u64::from(scale)) as u32;
    UVec2::new(fit(size_px.x), fit(size_px.y)).max(UVec2::ONE)
}

/// Lists the few scales that are used, in eighths, eight to an octave. A scale that followed the face's size would let the network's grid
/// crawl over the face.
fn scales() -> impl Iterator<Item = u32> {
    (0..20).flat_map(|octave| (8..16).map(move |step| step << octave))
}

/// The place of a face on screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaceBounds {
    /// Upper left and lower right corner, pixels from the viewport's corner, y down, without margin; cut at the near and the far plane, and
    /// nowhere else.
    low: Vec2,
    high: Vec2,
    viewport_px: URect,
}

impl FaceBounds {
    /// Projects a box (corners as [`box_corners`] orders them, in world space) into a camera's viewport (pixels of the target). Returns
    /// `None` where the camera does not see it.
    pub fn new(corners: &[Vec3; 8], clip_from_world: Mat4, viewport_px: URect) -> Option<Self> {
        if viewport_px.is_empty() {
            return None;
        }
        let (min, max) = project(corners, clip_from_world)?;
        // NDC, y up → pixels, y down.
        let size = viewport_px.size().as_vec2();
        let to_px = |ndc: Vec2| Vec2::new(ndc.x + 1.0, 1.0 - ndc.y) * 0.5 * size;
        let (low, high) = (to_px(Vec2::new(min.x, max.y)), to_px(Vec2::new(max.x, min.y)));
        let is_seen = high.x > 0.0 && high.y > 0.0 && low.x < size.x && low.y < size.y;
        is_seen.then_some(Self { low, high, viewport_px })
    }

    /// Returns the part in the viewport.
    fn visible(&self) -> (Vec2, Vec2) {
        // A box that reaches behind the camera would have no end.
        (self.low.max(Vec2::ZERO), self.high.min(self.viewport_px.size().as_vec2()))
    }

    /// Returns the number of its pixels in the viewport.
    pub fn area(&self) -> f32 {
        let (low, high) = self.visible();
        (high - low).element_product()
    }

    /// Returns the share of the effect that a face of this size and place gets, 0 to 1. The effect fades out as the face gets too small for
    /// the network, and as it leaves the screen.
    pub fn fade(&self) -> f32 {
        let (low, high) = self.visible();
        let (size, visible) = (self.high - self.low, high - low);
        let by_size = (size.max_element() - MIN_FACE_PX) / (FULL_FACE_PX - MIN_FACE_PX);
        let whole = size.min(self.viewport_px.size().as_vec2()).min(Vec2::splat(FULL_FACE_PX));
        let by_place = (visible / whole).min_element();
        by_size.min(by_place).clamp(0.0, 1.0)
    }

    /// Returns both in one, if they overlap and one rectangle would not be much larger than what they cover: pixels in two regions would be
    /// enhanced twice.
    pub fn merged(&self, other: &Self) -> Option<Self> {
        let both = |a: &Self, b: &Self| {
            let (low, high) = (a.low.min(b.low), a.high.max(b.high));
            Self { low, high, viewport_px: a.viewport_px }
        };
        let [(low, high), (other_low, other_high)] = [self, other].map(Self::with_margin);
        let overlap = low.cmplt(other_high).all() && other_low.cmplt(high).all();
        let merged = both(self, other);
        (overlap && merged.area() <= MAX_MERGED_GROWTH * (self.area() + other.area())).then_some(merged)
    }

    fn with_margin(&self) -> (Vec2, Vec2) {
        let (low, high) = self.visible();
        let margin = (high - low) * MARGIN;
        (low - margin, high + margin)
    }

    /// Returns the region that the network sees with at most `max_px` pixels a side (see
    /// [`ResolutionTier::max_px`](crate::ResolutionTier::max_px)), or `None` if not a pixel of it is left.
    pub fn region(&self, max_px: u32) -> Option<Region> {
        let (low, high) = self.with_margin();
        let extent = self.viewport_px.size();
        // The largest that the rectangle can get wherever a face of this size lies, so that its scale does not depend on its place.
        let largest = |step: u32| {
            let side =
                |length: f32, limit: u32| ((length / step as f32).ceil() as u32 + 1).saturating_mul(step).min(limit);
            UVec2::new(side(high.x - low.x, extent.x), side(high.y - low.y, extent.y))
        };
        // The network's alignment, in pixels of the frame.
        let step_px = |scale: u32| scale.saturating_mul(SNAP_PX) / 8;
        let scale =
            scales().find(|&scale| scaled_down(largest(step_px(scale)), scale).max_element() <= max_px.max(1))?;
        let step = step_px(scale);
        // Floats saturate when cast; the viewport is what limits them.
        let snap_down = |value: f32| value.max(0.0) as u32 / step * step;
        let snap_up = |value: f32, limit: u32| (value.clamp(0.0, limit as f32).ceil() as u32).next_multiple_of(step);
        let start = UVec2::new(snap_down(low.x), snap_down(low.y));
        let end = UVec2::new(snap_up(high.x, extent.x), snap_up(high.y, extent.y)).min(extent);
        start.cmplt(end).all().then(|| Region {
            rect_px: URect { min: self.viewport_px.min + start, max: self.viewport_px.min + end },
            fading_sides: [start.x > 0, start.y > 0, end.x < extent.x, end.y < extent.y],
            scale,
        })
    }
}

/// Returns the corners of the box from `min` to `max`.
pub fn box_corners(min: Vec3, max: Vec3) -> [Vec3; 8] {
    std::array::from_fn(|corner| {
        Vec3::new(
            if corner & 1 == 0 { min.x } else { max.x },
            if corner & 2 == 0 { min.y } else { max.y },
            if corner & 4 == 0 { min.z } else { max.z },
        )
    })
}

/// Returns the region of a box (corners as [`box_corners`] orders them, in world space) in a camera's viewport (pixels of the target) at the
/// highest resolution, or `None` where the camera does not see it.
pub fn face_region(corners: &[Vec3; 8], clip_from_world: Mat4, viewport_px: URect) -> Option<Region> {
    FaceBounds::new(corners, clip_from_world, viewport_px)?.region(MAX_NETWORK_PX)
}

/// Returns the bounds, in normalised device coordinates, of the part of the box between the near and the far plane.
fn project(corners: &[Vec3; 8], clip_from_world: Mat4) -> Option<(Vec2, Vec2)> {
    let clip = corners.map(|corner| clip_from_world * corner.extend(1.0));
    if clip.iter().any(|corner| !corner.is_finite()) {
        return None;
    }
    // In front of the eye as well, relative to the box, since worlds differ in scale.
    let least = clip.iter().map(|corner| corner.w.abs()).fold(0.0, f32::max) * 1e-3;
    let distances = |corner: Vec4| [corner.w - least, corner.w - corner.z, corner.z];
    let mut bounds: Option<(Vec2, Vec2)> = None;
    for (from, to) in EDGES.map(|(from, to)| (clip[from], clip[to])) {
        // The planes do not cross in front of the eye, so what is left of the edges bounds what is left of the box.
        let (mut start, mut end) = (0.0_f32, 1.0_f32);
        for (from, to) in distances(from).into_iter().zip(distances(to)) {
            match (from >= 0.0, to >= 0.0) {
                (true, true) => {}
                (true, false) => end = end.min(from / (from - to)),
                (false, true) => start = start.max(from / (from - to)),
                (false, false) => end = f32::NEG_INFINITY,
            }
        }
        for corner in [start, end].into_iter().filter(|_| start <= end).map(|at| from.lerp(to, at)) {
            let point = Vec2::new(corner.x, corner.y) / corner.w;
            let (min, max) = bounds.unwrap_or((point, point));
            bounds = Some((min.min(point), max.max(point)));
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
        assert_eq!(region.network_px(), UVec2::ONE);
        assert_eq!(face_region(&face, camera(), URect::new(4, 4, 4, 5)), None);
    }

    #[test]
    fn nan_and_infinity_have_no_region() {
        assert_eq!(face_region(&[Vec3::NAN; 8], camera(), VIEWPORT), None);
        assert_eq!(face_region(&face_at(Vec3::splat(f32::INFINITY), 1.0), camera(), VIEWPORT), None);
    }

    #[test]
    fn large_regions_are_scaled_down_by_few_scales_and_small_ones_not_at_all() {
        let viewport = URect::new(0, 0, 8000, 8000);
        let mut scales = Vec::new();
        for side in 1..3000 {
            let bounds =
                FaceBounds { low: Vec2::splat(1000.0), high: Vec2::splat(1000.0 + side as f32), viewport_px: viewport };
            let region = bounds.region(MAX_NETWORK_PX).unwrap();
            let (size, network) = (region.rect_px.size(), region.network_px());
            assert!(network.max_element() <= MAX_NETWORK_PX, "{region:?}");
            // Pixels of the network are squares of one size, and its grid lies where it lay.
            assert_eq!(size * 8, network * region.scale, "{region:?}");
            assert_eq!(region.rect_px.min % (region.scale * 2), UVec2::ZERO, "{region:?}");
            assert!(size.max_element() > 480 || region.scale == 8, "{region:?}");
            assert!(network.max_element() >= 424 || region.scale == 8, "scaled down too far: {region:?}");
            scales.push(region.scale);
        }
        scales.dedup();
        assert!(scales.len() <= 40 && scales.contains(&32), "{scales:?}");
    }

    #[test]
    fn regions_at_other_limits_are_guessed() {
        let region =
            |width, height| Region { rect_px: URect::new(0, 0, width, height), fading_sides: [true; 4], scale: 8 };
        assert_eq!(region(512, 300).network_px(), UVec2::new(512, 300));
        assert_eq!(region(1024, 600).network_px_within(512), UVec2::new(512, 300));
        assert_eq!(region(4000, 1).network_px_within(512), UVec2::new(500, 1));
        assert_eq!(region(512, 300).network_px_within(128), UVec2::new(128, 75));
        assert_eq!(region(90, 120).network_px_within(128), UVec2::new(90, 120));
    }

    #[test]
    fn still_face_under_a_moving_camera_has_a_grid_that_stands_still() {
        // Whatever the region does, its corner moves by whole steps of the network's grid.
        for shift in 0..200 {
            let left = 300.0 + shift as f32 * 0.37;
            let bounds = FaceBounds {
                low: Vec2::new(left, 200.0),
                high: Vec2::new(left + 700.0, 900.0),
                viewport_px: URect::new(0, 0, 1920, 1080),
            };
            let region = bounds.region(256).unwrap();
            assert_eq!(region.scale, 32, "one scale while the size stays");
            assert_eq!(region.rect_px.min % (region.scale * SNAP_PX / 8), UVec2::ZERO);
        }
    }

    #[test]
    fn small_faces_and_faces_at_the_edge_fade() {
        let bounds =
            |low: f32, high: f32| FaceBounds { low: Vec2::splat(low), high: Vec2::splat(high), viewport_px: VIEWPORT };
        assert_eq!(bounds(100.0, 110.0).fade(), 0.0);
        assert_eq!(bounds(100.0, 118.0).fade(), 0.5);
        assert_eq!(bounds(100.0, 124.0).fade(), 1.0);
        assert_eq!(bounds(-100.0, 6.0).fade(), 0.25, "a sliver of a large face");
        let fades: Vec<f32> = (0..60).map(|step| bounds(-70.0 + step as f32, -40.0 + step as f32).fade()).collect();
        assert!(fades.windows(2).all(|pair| pair[0] <= pair[1] && pair[1] - pair[0] < 0.1), "{fades:?}");
    }

    #[test]
    fn overlapping_faces_merge_and_distant_ones_do_not() {
        let bounds = |x: f32, side: f32| FaceBounds {
            low: Vec2::new(x, 100.0),
            high: Vec2::new(x + side, 100.0 + side),
            viewport_px: VIEWPORT,
        };
        let merged = bounds(100.0, 100.0).merged(&bounds(180.0, 90.0)).unwrap();
        assert_eq!((merged.low, merged.high), (Vec2::new(100.0, 100.0), Vec2::new(270.0, 200.0)));
        assert_eq!(bounds(100.0, 100.0).merged(&bounds(300.0, 100.0)), None);
        // One rectangle around a tall and a wide one would be much larger than both.
        let tall = FaceBounds { low: Vec2::new(30.0, 30.0), high: Vec2::new(60.0, 400.0), viewport_px: VIEWPORT };
        let wide = FaceBounds { low: Vec2::new(32.0, 32.0), high: Vec2::new(400.0, 60.0), viewport_px: VIEWPORT };
        assert_eq!(tall.merged(&wide), None);
    }

    #[test]
    fn orthographic_cameras_work() {
        // Depths are reversed, as Bevy's are.
        let camera = Mat4::orthographic_rh(-2.0, 2.0, -1.5, 1.5, 100.0, 0.1);
        for distance in [-5.0, 0.0, 200.0] {
            let face = face_at(Vec3::new(0.0, 0.0, -distance), 0.09);
            assert_eq!(face_region(&face, camera, VIEWPORT), None, "{distance} in front of the camera");
        }
        let region = face_region(&face_at(Vec3::new(0.0, 0.0, -5.0), 0.5), camera, VIEWPORT).unwrap();
        assert!(region.rect_px.width().abs_diff(208) <= 16, "{region:?}");
    }
}
