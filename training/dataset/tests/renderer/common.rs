//! A toy scene as head_studio would write it: one grey sphere, lit as the test wishes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const SIZE_PX: u32 = 32;
pub const SEED: u64 = 7;
pub const CAMERA_Z: f32 = 1.0;
pub const FOV_Y: f32 = 0.5;
pub const RADIUS: f32 = 0.1;
pub const VEIL: [f32; 3] = [0.0, 0.4, 0.3];

/// A scene with a sphere at `center`.
pub struct Toy {
    pub center: [f32; 3],
    pub albedo: f32,
    pub lights: Value,
    pub environment: Value,
    pub background: [[f32; 3]; 2],
    /// Material of another such sphere, out of view at [`VEIL`] from the first one, if there is one.
    pub veil: Option<&'static str>,
}

impl Default for Toy {
    fn default() -> Self {
        Self {
            center: [0.0; 3],
            albedo: 0.5,
            lights: json!([]),
            environment: json!({"file": "environments/sky.exr", "rotation_deg": 0.0, "strength": 1.0}),
            background: [[0.1, 0.2, 0.3], [0.4, 0.3, 0.2]],
            veil: None,
        }
    }
}

impl Toy {
    pub fn scene(&self) -> Value {
        json!({
            "format": 1, "seed": SEED, "identity": 3, "size_px": SIZE_PX, "samples": 1,
            "camera": {"position": [0.0, 0.0, CAMERA_Z], "rotation_xyzw": [0.0, 0.0, 0.0, 1.0], "fov_y_rad": FOV_Y,
                       "near_m": 0.05},
            "lights": self.lights, "environment": self.environment,
            "background": {"bottom_linear": self.background[0], "top_linear": self.background[1]},
            "face": {"center": self.center, "half_extents": [RADIUS, RADIUS, RADIUS]}, "expression": {},
        })
    }

    /// Writes the seed's folder, its environment (radiance one everywhere) and `done.json`.
    pub fn write(&self, data: &Path) -> PathBuf {
        let folder = data.join(format!("{SEED:08}"));
        std::fs::create_dir_all(&folder).unwrap();
        write_sky(data, |_| 1.0);
        std::fs::write(folder.join("scene.glb"), sphere_glb(self.center, self.albedo, self.veil)).unwrap();
        std::fs::write(folder.join("scene.json"), self.scene().to_string()).unwrap();
        write_exr(&folder.join("reference.exr"), [SIZE_PX; 2], |x, y| {
            let alpha = f32::from(u8::from(self.covers(x, y)));
            [0.5 * alpha, 0.4 * alpha, 0.3 * alpha, alpha]
        });
        image::GrayImage::new(SIZE_PX, SIZE_PX).save(folder.join("mask.png")).unwrap();
        finish(&folder);
        folder
    }

    /// Tells whether the sphere covers the middle of a pixel.
    pub fn covers(&self, x: u32, y: u32) -> bool {
        let [dx, dy, dz] = ray(x, y);
        let to = [self.center[0], self.center[1], self.center[2] - CAMERA_Z];
        let (along, length) = (to[0] * dx + to[1] * dy + to[2] * dz, (dx * dx + dy * dy + dz * dz).sqrt());
        let distance_squared = to.iter().map(|part| part * part).sum::<f32>() - (along / length).powi(2);
        along > 0.0 && distance_squared < RADIUS * RADIUS
    }
}

/// Returns the direction in which a pixel looks, not normalised.
pub fn ray(x: u32, y: u32) -> [f32; 3] {
    let place = |at: u32| ((at as f32 + 0.5) / SIZE_PX as f32 * 2.0 - 1.0) * (FOV_Y / 2.0).tan();
    [place(x), -place(y), -1.0]
}

/// Writes `done.json` for the files that are there.
pub fn finish(folder: &Path) {
    let names = ["scene.glb", "scene.json", "reference.exr", "mask.png"];
    let files: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| {
            let content = std::fs::read(folder.join(name)).unwrap();
            let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
            ((*name).to_owned(), json!({"bytes": content.len(), "sha256": digest}))
        })
        .collect();
    std::fs::write(folder.join("done.json"), json!({"format": 1, "files": files}).to_string()).unwrap();
}

pub fn write_exr(path: &Path, [width, height]: [u32; 2], colour: impl Fn(u32, u32) -> [f32; 4]) {
    let image = image::Rgba32FImage::from_fn(width, height, |x, y| image::Rgba(colour(x, y)));
    image::DynamicImage::ImageRgba32F(image).save(path).unwrap();
}

/// Writes the equirectangular `environments/sky.exr` of a radiance that depends on `u`, 0 to 1.
pub fn write_sky(data: &Path, radiance: impl Fn(f32) -> f32) {
    std::fs::create_dir_all(data.join("environments")).unwrap();
    write_exr(&data.join("environments/sky.exr"), [64, 32], |x, _| {
        let value = radiance((x as f32 + 0.5) / 64.0);
        [value, value, value, 1.0]
    });
}

/// Makes a binary glTF file of one smooth sphere with a rough grey material, and of another of that material's name at [`VEIL`] from it.
pub fn sphere_glb(center: [f32; 3], albedo: f32, veil: Option<&str>) -> Vec<u8> {
    const SEGMENTS: u32 = 64;
    const RINGS: u32 = 32;
    let (mut positions, mut normals, mut indices) = (Vec::new(), Vec::new(), Vec::new());
    for ring in 0..=RINGS {
        for segment in 0..=SEGMENTS {
            let theta = std::f32::consts::PI * ring as f32 / RINGS as f32;
            let phi = std::f32::consts::TAU * segment as f32 / SEGMENTS as f32;
            let normal = [theta.sin() * phi.sin(), theta.cos(), theta.sin() * phi.cos()];
            normals.push(normal);
            positions.push([0, 1, 2].map(|axis| center[axis] + RADIUS * normal[axis]));
            if ring < RINGS && segment < SEGMENTS {
                let at = ring * (SEGMENTS + 1) + segment;
                let below = at + SEGMENTS + 1;
                indices.extend([at, below, below + 1, at, below + 1, at + 1]);
            }
        }
    }
    let floats =
        |values: &[[f32; 3]]| values.iter().flatten().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let parts = [floats(&positions), floats(&normals), indices.iter().flat_map(|index| index.to_le_bytes()).collect()];
    let binary = parts.concat();
    let (count, low, high) = (positions.len(), center.map(|value| value - RADIUS), center.map(|value| value + RADIUS));
    let view = |part: usize| {
        let offset: usize = parts[..part].iter().map(Vec::len).sum();
        json!({"buffer": 0, "byteOffset": offset, "byteLength": parts[part].len()})
    };
    let names: Vec<&str> = [Some("Head"), veil].into_iter().flatten().collect();
    let each = |make: &dyn Fn(usize, &str) -> Value| {
        names.iter().enumerate().map(|(at, name)| make(at, name)).collect::<Value>()
    };
    let document = json!({
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": each(&|at, _| json!(at))}],
        "nodes": each(&|at, name| json!({"name": name, "mesh": at, "translation": VEIL.map(|part| part * at as f32)})),
        "meshes": each(&|at, _| json!({"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": at}]})),
        "materials": each(&|_, name| json!({"name": name, "pbrMetallicRoughness": {
            "baseColorFactor": [albedo, albedo, albedo, 1.0], "metallicFactor": 0.0, "roughnessFactor": 1.0}})),
        "buffers": [{"byteLength": binary.len()}], "bufferViews": [view(0), view(1), view(2)],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3", "min": low, "max": high},
            {"bufferView": 1, "componentType": 5126, "count": count, "type": "VEC3"},
            {"bufferView": 2, "componentType": 5125, "count": indices.len(), "type": "SCALAR"},
        ],
    });
    let mut text = document.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let length = |value: usize| (value as u32).to_le_bytes();
    let header = [b"glTF".as_slice(), &length(2), &length(28 + text.len() + binary.len())].concat();
    [
        header,
        length(text.len()).to_vec(),
        b"JSON".to_vec(),
        text,
        length(binary.len()).to_vec(),
        b"BIN\0".to_vec(),
        binary,
    ]
    .concat()
}
