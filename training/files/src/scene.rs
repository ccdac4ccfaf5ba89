//! `scene.json`: what head_studio says about a scene, in Bevy's coordinates and linear Rec.709 colours.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::bounded;
use crate::error::FileError;
use crate::pixels::Size;
use crate::rendering::Rendering;

/// Versions of `scene.json` that are read. The first has no `rendering`, the second area lights only.
pub const SCENE_FORMATS: std::ops::RangeInclusive<u32> = 1..=3;
/// Edge of the images, pixels: from a thumbnail to what a GPU surely has.
const SIZE_LIMITS_PX: std::ops::RangeInclusive<u32> = 8..=8192;

/// A scene without its geometry.
#[derive(Clone, Debug, Deserialize)]
pub struct Scene {
    /// Version, one of [`SCENE_FORMATS`].
    pub format: u32,
    /// The seed that made everything.
    pub seed: u64,
    /// The identity, shared by several seeds.
    pub identity: u64,
    /// Edge of the square images, pixels.
    pub size_px: u32,
    /// The camera.
    pub camera: SceneCamera,
    /// Lamps.
    pub lights: Vec<Light>,
    /// What surrounds the scene.
    pub environment: Environment,
    /// What is behind it.
    pub background: Background,
    /// How it is drawn and shown.
    #[serde(default)]
    pub rendering: Rendering,
    /// Where the face is.
    pub face: Face,
    /// ARKit expression units that are not at rest, 0–1 each.
    #[serde(default)]
    pub expression: BTreeMap<String, f32>,
    /// Which split its people and surroundings belong to; empty in scenes that do not say.
    #[serde(default)]
    pub split: String,
    /// `own` for head_studio's heads, or what else the head is.
    #[serde(default = "own")]
    pub source: String,
    /// The kind of light, as head_studio calls it; empty in scenes that do not say.
    #[serde(default)]
    pub light_kind: String,
    /// What lit the scene's light groups, where it has them.
    #[serde(default)]
    pub light_groups: Option<LightGroups>,
}

fn own() -> String {
    "own".into()
}

/// Even, white light, traced one source at a time: `group_<name>.exr`, linear Rec.709 RGB over black.
#[derive(Clone, Debug, Deserialize)]
pub struct LightGroups {
    /// One group each.
    pub lights: Vec<Light>,
    /// Factor on the radiance of the scene's environment, the last group.
    pub environment_strength: f32,
    /// What each group sheds on a surface that faces it, W/m²; `Environment` is the surroundings.
    pub irradiance: BTreeMap<String, f32>,
}

impl LightGroups {
    /// The surroundings' name among the groups.
    pub const ENVIRONMENT: &str = "Environment";

    /// Names of all groups, the surroundings last.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lights.iter().map(|light| light.name.as_str()).chain([Self::ENVIRONMENT])
    }
}

/// A pinhole camera.
#[derive(Clone, Debug, Deserialize)]
pub struct SceneCamera {
    /// Metres.
    pub position: [f32; 3],
    /// Unit quaternion; the camera looks along its −Z, +Y is up.
    pub rotation_xyzw: [f32; 4],
    /// Full field of view, radians; the image is square.
    pub fov_y_rad: f32,
    /// Near plane, metres.
    pub near_m: f32,
}

/// A lamp. What its kind does not have is zero.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Light {
    /// `area`: a disk that shines from one side, as Blender's disk area light; `point`: a small ball; `sun`: the same
    /// irradiance everywhere.
    pub kind: String,
    /// For messages.
    pub name: String,
    /// Centre, metres; not a sun's.
    pub position: [f32; 3],
    /// The way it shines, a unit vector; not a point light's.
    pub direction: [f32; 3],
    /// Metres; not a sun's.
    pub diameter_m: f32,
    /// Radiant flux, watts; not a sun's.
    pub power_w: f32,
    /// On a surface that faces it, W/m²; a sun's alone.
    pub irradiance_w_m2: f32,
    /// Colour, may exceed one.
    pub color_linear: [f32; 3],
}

/// An equirectangular image; `environment.rs` says which way it faces.
#[derive(Clone, Debug, Deserialize)]
pub struct Environment {
    /// EXR file, relative to the data folder.
    pub file: String,
    /// Turn about +Y.
    pub rotation_deg: f32,
    /// Factor on the image's radiance; 0 switches it off.
    pub strength: f32,
    /// Whether the first image has ambient light of this radiance, white, instead of the image: an even sky.
    #[serde(default)]
    pub ambient: bool,
}

/// What is behind the head.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Background {
    /// A vertical gradient in the image plane.
    Gradient(Gradient),
    /// The surroundings, out of focus.
    Image {
        /// EXR file of the scene's size, linear RGB, relative to the data folder.
        file: String,
    },
}

/// A vertical gradient in the image plane.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Gradient {
    /// At the lower edge.
    pub bottom_linear: [f32; 3],
    /// At the upper edge.
    pub top_linear: [f32; 3],
}

/// The box around the face.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Face {
    /// Metres.
    pub center: [f32; 3],
    /// Metres.
    pub half_extents: [f32; 3],
}

impl Scene {
    /// Reads and checks `path`.
    ///
    /// # Errors
    /// When the file is unreadable, is not the JSON expected, or holds a value that cannot be rendered.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = bounded::read_text(path).map_err(FileError::io(path))?;
        Self::parse(&text, path)
    }

    /// As [`read`](Self::read), from a text; `path` is for messages only.
    ///
    /// # Errors
    /// When it is not the JSON expected, or holds a value that cannot be rendered.
    pub fn parse(text: &str, path: &Path) -> Result<Self, FileError> {
        let scene: Self = serde_json::from_str(text).map_err(FileError::json(path))?;
        scene.check(path)?;
        Ok(scene)
    }

    /// What its images have to measure.
    pub fn size(&self) -> Size {
        Size::Edge { px: self.size_px, said_by: "scene.json" }
    }

    fn check(&self, path: &Path) -> Result<(), FileError> {
        let check = |fine: bool, field: &str, found: String, expected: &'static str| {
            let error = || FileError::SceneValue { path: path.into(), field: field.into(), found, expected };
            if fine { Ok(()) } else { Err(error()) }
        };
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let camera = &self.camera;
        check(SCENE_FORMATS.contains(&self.format), "format", self.format.to_string(), "1 to 3")?;
        check(SIZE_LIMITS_PX.contains(&self.size_px), "size_px", self.size_px.to_string(), "8 to 8192")?;
        check(finite(&camera.position), "camera.position", format!("{:?}", camera.position), "finite numbers")?;
        let length = camera.rotation_xyzw.iter().map(|part| part * part).sum::<f32>();
        let found = format!("{:?}", camera.rotation_xyzw);
        check((length - 1.0).abs() < 1e-3, "camera.rotation_xyzw", found, "a unit quaternion")?;
        let fov = camera.fov_y_rad;
        check(fov > 0.01 && fov < 3.0, "camera.fov_y_rad", fov.to_string(), "0.01 to 3 radians")?;
        let near = camera.near_m;
        check(near.is_finite() && near > 1e-4, "camera.near_m", near.to_string(), "more than 0.0001 m")?;
        let groups = self.light_groups.iter();
        for light in self.lights.iter().chain(groups.clone().flat_map(|groups| &groups.lights)) {
            let field = |name: &str| format!("lights[{}].{name}", light.name);
            let known = ["area", "point", "sun"].contains(&light.kind.as_str());
            check(known, &field("kind"), light.kind.clone(), "\"area\", \"point\" or \"sun\"")?;
            check(finite(&light.position), &field("position"), format!("{:?}", light.position), "finite numbers")?;
            let length = light.direction.iter().map(|part| part * part).sum::<f32>();
            let found = format!("{:?}", light.direction);
            let fine = light.kind == "point" || (length - 1.0).abs() < 1e-2;
            check(fine, &field("direction"), found, "a unit vector")?;
            let sizes = [light.diameter_m, light.power_w];
            let fine = finite(&sizes) && sizes.iter().all(|value| *value >= 0.0);
            check(fine, &field("diameter_m, power_w"), format!("{sizes:?}"), "0 or more")?;
            let irradiance = light.irradiance_w_m2;
            let fine = irradiance.is_finite() && irradiance >= 0.0;
            check(fine, &field("irradiance_w_m2"), irradiance.to_string(), "0 or more")?;
            let colour = &light.color_linear;
            let fine = finite(colour) && colour.iter().all(|value| *value >= 0.0);
            check(fine, &field("color_linear"), format!("{colour:?}"), "0 or more")?;
        }
        let (strength, turn) = (self.environment.strength, self.environment.rotation_deg);
        check(strength.is_finite() && strength >= 0.0, "environment.strength", strength.to_string(), "0 or more")?;
        check(turn.is_finite(), "environment.rotation_deg", turn.to_string(), "a finite number")?;
        for groups in groups {
            let strength = groups.environment_strength;
            let found = strength.to_string();
            check(strength.is_finite() && strength > 0.0, "light_groups.environment_strength", found, "more than 0")?;
            for name in groups.names() {
                let irradiance = groups.irradiance.get(name).copied().unwrap_or_default();
                let field = format!("light_groups.irradiance.{name}");
                check(irradiance.is_finite() && irradiance > 0.0, &field, irradiance.to_string(), "more than 0")?;
            }
        }
        if let Background::Gradient(Gradient { bottom_linear, top_linear }) = self.background {
            let colors = [bottom_linear, top_linear].concat();
            let fine = finite(&colors) && colors.iter().all(|value| *value >= 0.0);
            check(fine, "background", format!("{colors:?}"), "colours of 0 or more")?;
        }
        let Rendering { exposure_ev, shadow_map_px, .. } = self.rendering;
        check(exposure_ev.abs() <= 4.0, "rendering.exposure_ev", exposure_ev.to_string(), "-4 to 4 stops")?;
        let fine = shadow_map_px.is_power_of_two() && (64..=8192).contains(&shadow_map_px);
        check(fine, "rendering.shadow_map_px", shadow_map_px.to_string(), "a power of two from 64 to 8192")?;
        let half = &self.face.half_extents;
        let fine = finite(half) && half.iter().all(|value| *value > 0.0);
        check(fine, "face.half_extents", format!("{half:?}"), "more than 0 m")?;
        check(finite(&self.face.center), "face.center", format!("{:?}", self.face.center), "finite numbers")
    }
}
