//! The geometry of a picture: its camera, and the place of the point that a pixel shows.

use std::path::Path;

use portrait_files::bounded;
use serde::Deserialize;

/// A pinhole camera that looks along its −Z, for a square image: `camera` in `scene.json`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Camera {
    pub(super) position: [f32; 3],
    pub(super) rotation_xyzw: [f32; 4],
    pub(super) fov_y_rad: f32,
}

/// The box around the face, in metres: `face` in `scene.json`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct FaceBox {
    pub(super) center: [f32; 3],
    pub(super) half_extents: [f32; 3],
}

/// The geometry of a picture, from `scene.json`; the head stands upright, +Y is up.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Frame {
    pub(super) camera: Camera,
    pub(super) previous_camera: Option<Camera>,
    pub(super) face: FaceBox,
}

impl Frame {
    /// Reads `scene.json`; `None` where the file does not describe a frame.
    pub fn read(scene: &Path) -> Option<Self> {
        serde_json::from_str(&bounded::read_text(scene).ok()?).ok()
    }

    /// Returns the depth along the view axis, in metres, of a value of `depth.png`; `None` where nothing was drawn in its range.
    pub(super) fn depth_m(&self, camera: &Camera, value: u16) -> Option<f32> {
        let forward = rotate(camera.rotation_xyzw, [0.0, 0.0, -1.0]);
        let middle_m = dot(subtract(self.face.center, camera.position), forward);
        let unit_m = dot(self.face.half_extents, self.face.half_extents).sqrt();
        (value > 0 && value < u16::MAX).then(|| middle_m - (f32::from(value) / 65535.0 * 2.0 - 1.0) * unit_m)
    }
}

impl Camera {
    /// Projects a point to an image of `side` pixels: its place, in pixels from the middle of the first one, and its depth, in
    /// metres.
    pub(super) fn project(&self, point: [f32; 3], side: usize) -> ([f32; 2], f32) {
        let [x, y, z] = rotate(conjugate(self.rotation_xyzw), subtract(point, self.position));
        let scale = side as f32 / (2.0 * -z * (self.fov_y_rad / 2.0).tan());
        let middle = (side as f32 - 1.0) / 2.0;
        ([middle + x * scale, middle - y * scale], -z)
    }

    /// Returns the point that a pixel shows at a depth.
    pub(super) fn point(&self, [x, y]: [usize; 2], depth_m: f32, side: usize) -> [f32; 3] {
        let scale = 2.0 * depth_m * (self.fov_y_rad / 2.0).tan() / side as f32;
        let middle = (side as f32 - 1.0) / 2.0;
        let seen = rotate(self.rotation_xyzw, [(x as f32 - middle) * scale, (middle - y as f32) * scale, -depth_m]);
        [0, 1, 2].map(|axis| seen[axis] + self.position[axis])
    }
}

fn subtract(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn conjugate([x, y, z, w]: [f32; 4]) -> [f32; 4] {
    [-x, -y, -z, w]
}

/// Rotates v by a unit quaternion (q, w): v + 2w (q × v) + 2 q × (q × v).
fn rotate([x, y, z, w]: [f32; 4], v: [f32; 3]) -> [f32; 3] {
    let once = cross([x, y, z], v);
    let twice = cross([x, y, z], once);
    [0, 1, 2].map(|axis| v[axis] + 2.0 * (w * once[axis] + twice[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 32;

    #[test]
    fn a_point_comes_back_from_a_turned_camera() {
        let (sin, cos) = 0.3_f32.sin_cos();
        let camera = Camera { position: [0.2, -0.1, 0.7], rotation_xyzw: [0.0, sin, 0.0, cos], fov_y_rad: 0.5 };
        let ([x, y], depth_m) = camera.project(camera.point([5, 20], 0.8, SIDE), SIDE);
        assert!((x - 5.0).abs() < 1e-3 && (y - 20.0).abs() < 1e-3 && (depth_m - 0.8).abs() < 1e-5, "{x} {y} {depth_m}");
    }
}
