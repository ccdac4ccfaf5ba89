//! `light_groups.safetensors`: a scene in linear light, one light at a time, where `portrait-dataset` left one.
//!
//! Light adds up. The file has the head under one light at a time, as Bevy and as Cycles make it; a weighted sum of the groups
//! over a background, exposed and tone-mapped, is the pair under another light ([`super::relight`]). So each step sees other
//! lamps, colours, surroundings, exposures and tone mappers than the last, for the price of one path-traced image.

use std::collections::BTreeMap;
use std::sync::Arc;

use half::f16;
use safetensors::{Dtype, SafeTensors};

use super::looks::Looks;
use super::tone_tables::ToneTables;

/// Name of the file in a pair's folder.
pub const FILE: &str = "light_groups.safetensors";
const FORMAT: &str = "1";

/// A scene, one light at a time. Images are row-major, `size_px` wide.
#[derive(Clone, Debug, PartialEq)]
pub struct LightGroups {
    /// Groups in the order of their names, at least one.
    pub(super) groups: Vec<Group>,
    /// Share of the background that shows in each pixel, 0–1, `[H, W]`: first image, reference image.
    pub(super) uncovered: [Vec<f16>; 2],
    /// Surroundings, out of focus, `[H, W, 3]`, linear.
    pub(super) background: Option<Vec<f16>>,
    /// Tone mappers of the data folder.
    pub(super) tone_tables: Arc<ToneTables>,
    /// Ranges from which another light is drawn.
    pub(super) looks: Arc<Looks>,
}

/// The part of a scene's light that one source sheds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// Name of the source: `key`, `fill`, `rim` or `environment`.
    pub name: String,
    /// Irradiance on the face, W/m².
    pub irradiance: f32,
    /// First image and reference image, `[H, W, 3]`, linear radiance over black.
    pub images: [Vec<f16>; 2],
}

/// Returns the size of the largest file of a pair of this size: 16 groups of two images, two masks and a background, all of
/// half floats.
pub fn max_bytes(size_px: usize) -> u64 {
    let header = 1 << 20;
    (size_px * size_px) as u64 * ((16 * 2 + 1) * 3 + 2) * 2 + header
}

impl LightGroups {
    /// Reads the content of a file, which has to be of images of `size_px`.
    ///
    /// # Errors
    /// Fails with the value that was expected and the one that was found.
    pub fn parse(
        content: &[u8],
        size_px: usize,
        tone_tables: Arc<ToneTables>,
        looks: Arc<Looks>,
    ) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(content).map_err(|error| error.to_string())?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let format = metadata.get("format").map_or("none", String::as_str);
        if format != FORMAT {
            return Err(format!("format {format}: expected {FORMAT}"));
        }
        let irradiance = metadata.get("irradiance").map_or("", String::as_str);
        let irradiance: BTreeMap<String, f32> =
            serde_json::from_str(irradiance).map_err(|error| format!("irradiance: {error}"))?;
        let file = SafeTensors::deserialize(content).map_err(|error| error.to_string())?;
        let read = |name: &str, shape: &[usize]| -> Result<Vec<f16>, String> {
            let view = file.tensor(name).map_err(|error| error.to_string())?;
            if view.dtype() != Dtype::F16 || view.shape() != shape {
                let found = (view.dtype(), view.shape());
                return Err(format!("tensor {name} is {found:?}: expected F16 {shape:?}"));
            }
            let values = view.data().as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes));
            let values: Vec<f16> = values.collect();
            match values.iter().position(|value| !value.is_finite()) {
                Some(at) => Err(format!("tensor {name}: value {at} is not finite")),
                None => Ok(values),
            }
        };
        // Every group that has an irradiance has both images; a relit crop divides by the irradiance.
        let color = [size_px, size_px, 3];
        let mut groups = Vec::new();
        for (name, irradiance) in irradiance {
            if !(irradiance.is_finite() && irradiance > 0.0) {
                return Err(format!("irradiance of {name} is {irradiance}: expected more than 0"));
            }
            let images = [read(&format!("first.{name}"), &color)?, read(&format!("reference.{name}"), &color)?];
            groups.push(Group { name, irradiance, images });
        }
        if groups.is_empty() {
            return Err("no light group: expected at least one".into());
        }
        let uncovered = [read("first.uncovered", &color[..2])?, read("reference.uncovered", &color[..2])?];
        let background = match file.names().contains(&"background") {
            true => Some(read("background", &color)?),
            false => None,
        };
        Ok(Self { groups, uncovered, background, tone_tables, looks })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    const SIDE: usize = 4;

    fn file(skip: &str, format: &str) -> Vec<u8> {
        let halves = |value: f32, count: usize| f16::from_f32(value).to_le_bytes().repeat(count);
        let (color, gray) = (vec![SIDE, SIDE, 3], vec![SIDE, SIDE]);
        let tensors: Vec<(&str, Vec<usize>, Vec<u8>)> = vec![
            ("first.key", color.clone(), halves(0.25, 48)),
            ("reference.key", color.clone(), halves(0.5, 48)),
            ("first.environment", color.clone(), halves(0.125, 48)),
            ("reference.environment", color, halves(0.0, 48)),
            ("first.uncovered", gray.clone(), halves(0.0, 16)),
            ("reference.uncovered", gray, halves(1.0, 16)),
        ];
        let views = tensors.iter().filter(|(name, ..)| *name != skip);
        let views = views.map(|(name, shape, data)| (*name, TensorView::new(Dtype::F16, shape.clone(), data).unwrap()));
        let irradiance = r#"{"key":1.0,"environment":1.0}"#;
        let header = [("format".into(), format.into()), ("irradiance".into(), irradiance.into())];
        safetensors::serialize(views, Some(header.into())).unwrap()
    }

    /// Groups `environment` and `key` of a scene of 4×4 pixels, shown as they are.
    pub fn groups() -> LightGroups {
        read(&file("", FORMAT), SIDE).unwrap()
    }

    fn read(content: &[u8], size_px: usize) -> Result<LightGroups, String> {
        LightGroups::parse(content, size_px, Arc::new(ToneTables::linear()), Arc::new(Looks::read()?))
    }

    #[test]
    fn damaged_files_are_refused_by_name() {
        let parse = |content: &[u8]| read(content, SIDE).unwrap_err();
        assert!(parse(&file("reference.key", FORMAT)).contains("reference.key"));
        assert!(parse(&file("", "7")).contains("format 7: expected 1"));
        assert!(!parse(b"nothing of the kind").is_empty());
        let other = read(&file("", FORMAT), 8).unwrap_err();
        assert!(other.contains("expected F16 [8, 8, 3]"), "{other}");
    }

    #[test]
    fn hostile_files_are_refused_by_name() {
        let parse = |content: &[u8]| read(content, SIDE).unwrap_err();
        for value in [f16::NAN, f16::INFINITY] {
            let mut content = file("", FORMAT);
            let end = content.len();
            content[end - 2..].copy_from_slice(&value.to_le_bytes());
            assert!(parse(&content).contains("value 15 is not finite"), "{}", parse(&content));
        }
        let mut claim = file("", FORMAT);
        claim[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse(&claim).to_lowercase().contains("header"), "{}", parse(&claim));
        // The second tensor begins where the first does.
        let text = String::from_utf8_lossy(&file("", FORMAT)).into_owned();
        let offsets = text.find("[96,").unwrap();
        let mut overlapping = file("", FORMAT);
        overlapping[offsets + 1..offsets + 3].copy_from_slice(b" 0");
        assert!(parse(&overlapping).contains("ffset"), "{}", parse(&overlapping));
    }
}
