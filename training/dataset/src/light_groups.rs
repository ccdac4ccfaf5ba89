//! The file `light_groups.safetensors`: a scene in linear light, one light at a time, for both images of the pair.
//!
//! Light adds up: a weighted sum of the groups over a background, exposed and tone-mapped, is the pair under other light,
//! exactly. Training draws such sums, so a scene that was path traced once is seen under as many lights as there are steps.
//!
//! | tensor | |
//! |---|---|
//! | `first.<name>`, `reference.<name>` | `[H, W, 3]` f16, linear Rec.709 radiance over black |
//! | `first.uncovered`, `reference.uncovered` | `[H, W]` f16, share of the background that shows, 0–1 |
//! | `background` | `[H, W, 3]` f16, the surroundings out of focus; only where the scene has them |
//!
//! The header's metadata has `format` and `irradiance`, JSON: W/m² that each group sheds on the face, by name.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use half::f16;
use portrait_files::{FileError, bounded};
use safetensors::{Dtype, View};

use crate::background::Backdrop;
use crate::error::DatasetError;
use crate::linear_image::LinearImage;
use crate::scene::{LightGroups, Scene};
use crate::studio::FirstGroups;

/// Name of the file in a seed's folder.
pub const LIGHT_GROUPS: &str = "light_groups.safetensors";
/// Version of the file.
pub const FORMAT: u32 = 1;

/// A tensor of half floats.
struct Halves {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Halves {
    /// Takes the first `channels` of every pixel.
    fn of(image: &LinearImage, channels: usize) -> Self {
        let [width, height] = image.size.map(|side| side as usize);
        let values = image.pixels.iter().flat_map(|pixel| &pixel[..channels]);
        let bytes = values.flat_map(|value| f16::from_f32(value.clamp(0.0, 65504.0)).to_le_bytes()).collect();
        let shape = if channels == 1 { vec![height, width] } else { vec![height, width, channels] };
        Self { shape, bytes }
    }
}

impl View for Halves {
    fn dtype(&self) -> Dtype {
        Dtype::F16
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Encodes the file: Bevy's groups beside the groups that head_studio left in `folder`. `reference` is the whole reference
/// image, for its alpha; `backdrop` is the scene's, without exposure.
///
/// # Errors
/// Fails when a group's file is missing, broken or of another size.
pub fn encode(
    folder: &Path,
    scene: &Scene,
    groups: &LightGroups,
    first: &FirstGroups,
    reference: &LinearImage,
    backdrop: &Backdrop,
) -> Result<Vec<u8>, DatasetError> {
    let mut tensors = BTreeMap::new();
    for (name, first) in groups.names().zip(&first.groups) {
        let name = name.to_lowercase();
        let path = bounded::inside(folder, &format!("group_{name}.exr"), "scene.json")?;
        if !path.exists() {
            return Err(FileError::Missing { path, needed_by: "scene.json" }.into());
        }
        let reference = LinearImage::read_exr(&path, scene.size())?;
        tensors.insert(format!("first.{name}"), Halves::of(first, 3));
        tensors.insert(format!("reference.{name}"), Halves::of(&reference, 3));
    }
    let uncovered = reference.pixels.iter().map(|pixel| [1.0 - pixel[3]; 4]).collect();
    let uncovered = LinearImage { size: reference.size, pixels: uncovered };
    tensors.insert("first.uncovered".into(), Halves::of(&first.uncovered, 1));
    tensors.insert("reference.uncovered".into(), Halves::of(&uncovered, 1));
    if let Backdrop::Image(image) = backdrop {
        let evenly_lit = image.brighter(groups.environment_strength / scene.environment.strength.max(1e-6));
        tensors.insert("background".into(), Halves::of(&evenly_lit, 3));
    }
    let irradiance: BTreeMap<String, f32> =
        groups.names().map(|name| (name.to_lowercase(), groups.irradiance[name])).collect();
    let irradiance = serde_json::to_string(&irradiance).map_err(FileError::json(folder))?;
    let header = HashMap::from([("format".into(), FORMAT.to_string()), ("irradiance".into(), irradiance)]);
    safetensors::serialize(tensors, Some(header))
        .map_err(|error| DatasetError::Renderer(format!("{}: {LIGHT_GROUPS}: {error}", folder.display())))
}
