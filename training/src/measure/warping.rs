//! The warping error: how still a moving face holds, when each frame's image is moved onto the next by the motion of its points.
//!
//! In a clip the geometry is rigid, so that depth and two cameras give the motion exactly. The warping error of a method is
//! the mean absolute difference between a frame and the frame before, moved to where its points are now (Lai et al. 2018),
//! over those pixels of the face that both frames see.

use serde::Serialize;

use super::frame::Frame;
use crate::data::{FACE_MASK, Pair};

/// Maximum difference between the depths of one point in two frames, in metres.
const DEPTH_TOLERANCE_M: f32 = 0.004;

/// The warping error of a method on all clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Temporal {
    /// Number of frames with a frame before them.
    pub frames: usize,
    /// Mean warping error of the first images, 0–1 in sRGB.
    pub first: f64,
    /// Mean warping error of the second images, 0–1 in sRGB.
    pub second: f64,
    /// Ratio `second` / `first`. Above 1, the method adds flicker.
    pub ratio: f64,
}

/// Measures the mean warping error of `image` `[S, S, 3]`, 8-bit, against `before`, the image of the frame before: 0–1, or
/// `None` where no pixel can be compared. `pair` and `pair_before` have depth.
pub fn warping_error(frame: &Frame, pair: &Pair, image: &[u8], pair_before: &Pair, before: &[u8]) -> Option<f64> {
    let (previous, side) = (frame.previous_camera?, pair.size_px);
    let (mut sum, mut count) = (0.0, 0_u32);
    for at in (0..side * side).filter(|&at| pair.mask[at] >= FACE_MASK) {
        let Some(depth_m) = frame.depth_m(&frame.camera, pair.depth[at]) else { continue };
        // The point that the pixel shows, and where the frame before saw it.
        let point = frame.camera.point([at % side, at / side], depth_m, side);
        let ([x, y], depth_before_m) = previous.project(point, side);
        let last = (side - 1) as f32;
        if !(0.0..last).contains(&x) || !(0.0..last).contains(&y) {
            continue;
        }
        let (column, row) = (x as usize, y as usize);
        // Bilinear between four pixels, all of which have to show the same part of the face.
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, down)| (row + down) * side + column + right);
        let hidden = |&corner: &usize| {
            let seen = frame.depth_m(&previous, pair_before.depth[corner]);
            pair_before.mask[corner] < FACE_MASK || seen.is_none_or(|m| (m - depth_before_m).abs() > DEPTH_TOLERANCE_M)
        };
        if corners.iter().any(hidden) {
            continue;
        }
        let (u, v) = (f64::from(x.fract()), f64::from(y.fract()));
        let shares = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
        for channel in 0..3 {
            let value = |corner: usize| f64::from(before[corner * 3 + channel]);
            let moved: f64 = corners.iter().zip(shares).map(|(&corner, share)| value(corner) * share).sum();
            sum += (f64::from(image[at * 3 + channel]) - moved).abs() / (3.0 * 255.0);
        }
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

impl Temporal {
    /// Sums up the warping errors (first, second) of every frame that follows another; `None` without any error.
    pub fn new(errors: &[(f64, f64)]) -> Option<Self> {
        let frames = errors.len();
        let mean = |pick: fn(&(f64, f64)) -> f64| errors.iter().map(pick).sum::<f64>() / frames.max(1) as f64;
        let (first, second) = (mean(|errors| errors.0), mean(|errors| errors.1));
        (first > 0.0).then(|| Self { frames, first, second, ratio: second / first })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::frame::{Camera, FaceBox};
    use super::*;

    const SIDE: usize = 32;
    const HALF_ANGLE: f32 = 0.25;

    /// Makes a frame of a plane one metre away, seen by a camera that has moved by `pixels` of its image to the right.
    fn frame(pixels: f32) -> Frame {
        let moved = |pixels: f32| Camera {
            position: [pixels * 2.0 * HALF_ANGLE.tan() / SIDE as f32, 0.0, 1.0],
            rotation_xyzw: [0.0, 0.0, 0.0, 1.0],
            fov_y_rad: 2.0 * HALF_ANGLE,
        };
        let face = FaceBox { center: [0.0; 3], half_extents: [0.1; 3] };
        Frame { camera: moved(pixels), previous_camera: Some(moved(0.0)), face }
    }

    fn pair(depth: u16) -> Pair {
        let pixels = SIDE * SIDE;
        Pair {
            seed: 0,
            identity: "0".into(),
            size_px: SIDE,
            first: Vec::new(),
            reference: Vec::new(),
            mask: vec![FACE_MASK; pixels],
            normal: Vec::new(),
            depth: vec![depth; pixels],
            light_groups: None,
        }
    }

    /// Makes a ramp along x that is moved to the left by `pixels`.
    fn ramp(pixels: usize) -> Vec<u8> {
        (0..SIDE * SIDE).flat_map(|at| [((at % SIDE + pixels) * 5) as u8; 3]).collect()
    }

    #[test]
    fn an_image_that_moves_with_its_points_has_no_error() {
        let pair = pair(32768);
        let error = |pixels: f32, image: &[u8]| warping_error(&frame(pixels), &pair, image, &pair, &ramp(0)).unwrap();
        assert!(error(3.0, &ramp(3)) < 1e-3, "{}", error(3.0, &ramp(3)));
        assert!((error(3.0, &ramp(0)) - 15.0 / 255.0).abs() < 1e-3, "an image that stays behind was not noticed");
        assert!((error(2.5, &ramp(3)) - 2.5 / 255.0).abs() < 1e-3, "half a pixel");
    }

    #[test]
    fn what_the_frame_before_did_not_see_is_left_out() {
        assert_eq!(warping_error(&frame(3.0), &pair(32768), &ramp(3), &pair(40000), &ramp(0)), None);
        let still = Frame { previous_camera: None, ..frame(0.0) };
        assert_eq!(warping_error(&still, &pair(32768), &ramp(0), &pair(32768), &ramp(0)), None);
    }

    #[test]
    fn twice_the_error_is_a_ratio_of_two() {
        let temporal = Temporal::new(&[(0.01, 0.03), (0.02, 0.03)]).unwrap();
        assert!((temporal.ratio - 2.0).abs() < 1e-12 && temporal.frames == 2);
        assert_eq!(Temporal::new(&[]), None);
    }
}
