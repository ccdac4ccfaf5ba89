//! A scene as head_studio describes it in `scene.json`, in Bevy's coordinates and linear Rec.709 colours.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::bounded;
use crate::error::FileError;
use crate::pixels::Size;
use crate::rendering::Rendering;

/// Versions of `scene.json` that are read. Version 1 has no `rendering`; versions 1 and 2 have area lights alone.
pub const SCENE_FORMATS: std::ops::RangeInclusive<u32> = 1..=3;
/// Range of the images' width and height, in pixels: from a thumbnail to what a GPU surely has.
const SIZE_LIMITS_PX: std::ops::RangeInclusive<u32> = 8..=8192;
/// Range of the angle at which a spot light's cone ends, in radians: shadow maps end before a right angle.
const CONE_LIMITS_RAD: std::ops::RangeInclusive<f32> = 0.001..=1.5;

/// A scene without its geometry.
#[derive(Clone, Debug, Deserialize)]
pub struct Scene {
    /// Version of the file, one of [`SCENE_FORMATS`].
    pub format: u32,
    /// Seed that made everything.
    pub seed: u64,
    /// Number of the identity, which several seeds share.
    pub identity: u64,
    /// Width and height of the images, in pixels.
    pub size_px: u32,
    /// Camera that sees the face.
    pub camera: SceneCamera,
    /// Lamps of the scene.
    pub lights: Vec<Light>,
    /// Surroundings that light the scene.
    pub environment: Environment,
    /// Background behind the head.
    pub background: Background,
    /// Settings with which the scene is drawn and shown.
    #[serde(default)]
    pub rendering: Rendering,
    /// Box around the face.
    pub face: Face,
    /// ARKit expression units that are not at rest, 0–1 each.
    #[serde(default)]
    pub expression: BTreeMap<String, f32>,
    /// Split that the scene's people and surroundings belong to; empty in scenes that do not say.
    #[serde(default)]
    pub split: String,
    /// Source of the head: `own` for head_studio's heads, `game:<file>` for an imported one. Default `own`.
    #[serde(default = "own")]
    pub source: String,
    /// Kind of light, as head_studio names it; empty in scenes that do not say.
    #[serde(default)]
    pub light_kind: String,
    /// Light of the scene's light groups, where it has them.
    #[serde(default)]
    pub light_groups: Option<LightGroups>,
}

fn own() -> String {
    "own".into()
}

/// Even, white light, traced one source at a time to `group_<name>.exr`, linear Rec.709 RGB over black.
#[derive(Clone, Debug, Deserialize)]
pub struct LightGroups {
    /// Lamps, one group each.
    pub lights: Vec<Light>,
    /// Factor on the radiance of the scene's environment, the last group.
    pub environment_strength: f32,
    /// Irradiance of each group on a surface that faces its source, W/m²; `Environment` is the surroundings.
    pub irradiance: BTreeMap<String, f32>,
}

impl LightGroups {
    /// Name of the surroundings among the groups.
    pub const ENVIRONMENT: &str = "Environment";

    /// Lists the names of all groups, the surroundings last.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lights.iter().map(|light| light.name.as_str()).chain([Self::ENVIRONMENT])
    }
}

/// A pinhole camera.
#[derive(Clone, Debug, Deserialize)]
pub struct SceneCamera {
    /// Position, in metres.
    pub position: [f32; 3],
    /// Rotation as a unit quaternion; the camera looks along its −Z, +Y is up.
    pub rotation_xyzw: [f32; 4],
    /// Full field of view, in radians; the image is square.
    pub fov_y_rad: f32,
    /// Distance of the near plane, in metres.
    pub near_m: f32,
}

/// A lamp. Numbers that its kind does not have are 0.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Light {
    /// Kind of the light. `area` is a disk that shines from one side, as Blender's disk area light does; `point` is a small
    /// ball; `spot` is such a ball that shines in a cone alone; `sun` gives the same irradiance everywhere.
    pub kind: String,
    /// Name for messages.
    pub name: String,
    /// Position of the centre, in metres; a sun has none.
    pub position: [f32; 3],
    /// Direction in which the light shines, a unit vector; a point light has none.
    pub direction: [f32; 3],
    /// Diameter, in metres; a sun has none.
    pub diameter_m: f32,
    /// Radiant flux, in watts, of a spot light that of the ball without its cone; a sun has none.
    pub power_w: f32,
    /// Angle from a spot light's direction up to which it shines in full, in radians.
    pub inner_angle_rad: f32,
    /// Angle from a spot light's direction at which its light ends, in radians. Between both angles the light falls off as glTF's
    /// does, with the square of a share that is linear in the angle's cosine.
    pub outer_angle_rad: f32,
    /// Irradiance on a surface that faces the light, in W/m²; only a sun has it.
    pub irradiance_w_m2: f32,
    /// Colour, whose channels may exceed 1.
    pub color_linear: [f32; 3],
}

/// An equirectangular image of surroundings. `portrait_dataset`'s `environment.rs` says which way it faces.
#[derive(Clone, Debug, Deserialize)]
pub struct Environment {
    /// Name of the EXR file, relative to the data folder.
    pub file: String,
    /// Turn about +Y, in degrees.
    pub rotation_deg: f32,
    /// Factor on the image's radiance; 0 switches the surroundings off.
    pub strength: f32,
    /// True for an even sky: the first image has white ambient light of this radiance instead of the image. Default false.
    #[serde(default)]
    pub ambient: bool,
}

/// The background behind the head.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Background {
    /// Vertical gradient in the image plane.
    Gradient(Gradient),
    /// Surroundings, out of focus.
    Image {
        /// Name of an EXR file of the scene's size, linear RGB, relative to the data folder.
        file: String,
    },
}

/// A vertical gradient in the image plane.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Gradient {
    /// Colour at the lower edge.
    pub bottom_linear: [f32; 3],
    /// Colour at the upper edge.
    pub top_linear: [f32; 3],
}

/// The box around the face.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Face {
    /// Centre, in metres.
    pub center: [f32; 3],
    /// Half of width, height and depth, in metres.
    pub half_extents: [f32; 3],
}

impl Gradient {
    /// Returns the linear colour at `down`: 0 at the upper edge of the image, 1 at the lower, linear beyond both.
    pub fn at(&self, down: f32) -> [f32; 3] {
        std::array::from_fn(|c| self.top_linear[c] + (self.bottom_linear[c] - self.top_linear[c]) * down)
    }
}

impl Scene {
    /// Reads and checks `path`.
    ///
    /// # Errors
    /// Fails when the file is unreadable, is not the JSON expected, or holds a value that cannot be rendered.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = bounded::read_text(path).map_err(FileError::io(path))?;
        Self::parse(&text, path)
    }

    /// Checks a scene that is in memory; `path` is for messages only.
    ///
    /// # Errors
    /// Fails when the text is not the JSON expected, or holds a value that cannot be rendered.
    pub fn parse(text: &str, path: &Path) -> Result<Self, FileError> {
        let scene: Self = serde_json::from_str(text).map_err(FileError::json(path))?;
        scene.check(path)?;
        Ok(scene)
    }

    /// Returns the size that the scene's images have to have.
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
        // A rotation of another length would scale the picture.
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
            let known = ["area", "point", "spot", "sun"].contains(&light.kind.as_str());
            check(known, &field("kind"), light.kind.clone(), "\"area\", \"point\", \"spot\" or \"sun\"")?;
            check(finite(&light.position), &field("position"), format!("{:?}", light.position), "finite numbers")?;
            let length = light.direction.iter().map(|part| part * part).sum::<f32>();
            let found = format!("{:?}", light.direction);
            let fine = light.kind == "point" || (length - 1.0).abs() < 1e-2;
            check(fine, &field("direction"), found, "a unit vector")?;
            let sizes = [light.diameter_m, light.power_w];
            let fine = finite(&sizes) && sizes.iter().all(|value| *value >= 0.0);
            check(fine, &field("diameter_m, power_w"), format!("{sizes:?}"), "0 or more")?;
            let (inner, outer) = (light.inner_angle_rad, light.outer_angle_rad);
            let fine = light.kind != "spot" || (inner >= 0.0 && inner <= outer && CONE_LIMITS_RAD.contains(&outer));
            let expected = "0 or more and 0.001 to 1.5 radians, the smaller one first";
            check(fine, &field("inner_angle_rad, outer_angle_rad"), format!("{:?}", [inner, outer]), expected)?;
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
        // Training divides by each group's irradiance.
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
        // Wider than head_studio draws, for other tools' scenes.
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
