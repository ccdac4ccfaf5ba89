//! Where the eyes are: `mask.png` has one value for brows, eyes and lips, and the place of the points tells them apart.
//!
//! Camera and depth say how high in the head each pixel of a feature lies. Lips are below the band in which eyes are looked for. Lids
//! and eyeballs are the larger part of what is left, so that a window of their height, moved to the median of what is in it
//! until it rests, leaves the brows above it.

use super::frame::Frame;
use crate::data::Pair;

/// Mask value from which a pixel belongs to brows, eyes or lips; skin around them has lower ones.
const FEATURE_MASK: u8 = 230;
/// Band of heights in which eyes are looked for, relative to the middle of the face's box, in halves of its height.
const BAND: std::ops::Range<f32> = -0.25..0.55;
/// Half of the height of both lids around an eye, in metres.
const REACH_M: f32 = 0.011;
/// Maximum number of moves of the window.
const MOVES: usize = 16;
/// Minimum number of pixels of eyes for which their sharpness is measured.
const MIN_PIXELS: usize = 64;

/// Finds the pixels `[H, W]` that show eyes with their lids and lashes, and what covers them, such as glasses. `depth` is the pair's
/// `depth.png`, `[H, W]`. `None` where too few do.
pub fn eyes(frame: &Frame, pair: &Pair, depth: &[u16]) -> Option<Vec<bool>> {
    let side = pair.size_px;
    let features = pair.mask.iter().zip(depth).enumerate().filter(|(_, (mask, _))| **mask >= FEATURE_MASK);
    let heights: Vec<(usize, f32)> = features
        .filter_map(|(at, (_, &depth))| {
            let depth_m = frame.depth_m(&frame.camera, depth)?;
            let [_, height, _] = frame.camera.point([at % side, at / side], depth_m, side);
            let relative = (height - frame.face.center[1]) / frame.face.half_extents[1];
            BAND.contains(&relative).then_some((at, height))
        })
        .collect();
    let mut middle = median(heights.iter().map(|(_, height)| *height))?;
    let near = |middle: f32| heights.iter().filter(move |(_, height)| (height - middle).abs() <= REACH_M);
    for _ in 0..MOVES {
        let next = median(near(middle).map(|(_, height)| *height))?;
        if next == middle {
            break;
        }
        middle = next;
    }
    if near(middle).count() < MIN_PIXELS {
        return None;
    }
    let mut found = vec![false; side * side];
    near(middle).for_each(|(at, _)| found[*at] = true);
    Some(found)
}

fn median(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut sorted: Vec<f32> = values.collect();
    sorted.sort_by(f32::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::frame::{Camera, FaceBox};
    use super::*;
    use crate::data::toy;

    const SIDE: usize = 160;
    /// Height of the eyes above the middle of the face's box, in metres.
    const EYES_M: f32 = 0.012;

    /// A frontal view of a flat face, one metre away and 0.26 m tall in the picture, whose camera is rolled.
    fn frame(roll: f32) -> Frame {
        let rotation_xyzw = [0.0, 0.0, (roll / 2.0).sin(), (roll / 2.0).cos()];
        let camera = Camera { position: [0.0, 1.5, 1.0], rotation_xyzw, fov_y_rad: 2.0 * 0.13_f32.atan() };
        let face = FaceBox { center: [0.0, 1.5, 0.0], half_extents: [0.08, 0.115, 0.1] };
        Frame { camera, previous_camera: None, face }
    }

    /// Draws eyes, brows and lips where people have them; returns the mask and where the eyes are.
    fn face(frame: &Frame) -> (Vec<u8>, Vec<bool>) {
        let drawn = (0..SIDE * SIDE).map(|at| {
            let [x, y, _] = frame.camera.point([at % SIDE, at / SIDE], 1.0, SIDE);
            let up = y - 1.5 - EYES_M;
            let eye = ((x.abs() - 0.031) / 0.0155).powi(2) + (up / 0.0096).powi(2) < 1.0;
            let brow = (up - 0.016).abs() < 0.0035 && (0.012..0.055).contains(&x.abs());
            let lips = (x / 0.026).powi(2) + ((up + 0.06) / 0.009).powi(2) < 1.0;
            (if eye || brow || lips { 255 } else { 160 }, eye)
        });
        drawn.unzip()
    }

    fn pair(mask: Vec<u8>) -> Pair {
        Pair { mask, ..toy::pair(0, SIDE) }
    }

    #[test]
    fn eyes_are_found_without_brows_and_lips_however_the_camera_is_rolled() {
        for roll in [0.0, 0.3, -0.5] {
            let frame = frame(roll);
            let (mask, expected) = face(&frame);
            let found = eyes(&frame, &pair(mask), &[32768; SIDE * SIDE]).unwrap();
            let (wanted, wrong) = (
                expected.iter().filter(|eye| **eye).count(),
                expected.iter().zip(&found).filter(|(wanted, found)| wanted != found).count(),
            );
            assert!(wanted > 200 && wrong * 50 < wanted, "roll {roll}: {wrong} wrong of {wanted} pixels of eyes");
        }
    }

    #[test]
    fn a_picture_without_eyes_or_depth_has_none() {
        let frame = frame(0.0);
        let (mask, _) = face(&frame);
        assert_eq!(eyes(&frame, &pair(vec![160; SIDE * SIDE]), &[32768; SIDE * SIDE]), None);
        assert_eq!(eyes(&frame, &pair(mask), &[0; SIDE * SIDE]), None);
    }
}
