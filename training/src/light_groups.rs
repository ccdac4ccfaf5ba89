//! Scenes that are lit anew for every crop: `light_groups.safetensors`, where `portrait-dataset` left one.
//!
//! Light adds up. The file has the head under one light at a time, linear, as Bevy and as Cycles make it; a weighted sum of
//! the groups over a background, exposed and tone-mapped, is the pair under another light. So each step sees other lamps,
//! colours, surroundings, exposures and tone mappers than the last, for the price of one path-traced image.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use half::f16;
use portrait_files::bounded;
use rand::Rng;
use safetensors::{Dtype, SafeTensors};

use crate::batch::Crop;
use crate::dataset::{DatasetError, Pair, pair_folder};
use crate::tone_tables::ToneTables;

/// In a pair's folder.
const FILE: &str = "light_groups.safetensors";
const FORMAT: &str = "1";
/// The group of the surroundings, and the lamp that models the face.
const ENVIRONMENT: &str = "environment";
const KEY: &str = "key";
/// The lamp from behind, which adds nothing to the face's exposure.
const RIM: &str = "rim";

/// A scene, one light at a time. Images are row-major, `size_px` wide.
#[derive(Clone, Debug, PartialEq)]
pub struct LightGroups {
    groups: Vec<Group>,
    /// Share of the background that shows in each pixel: first image, reference.
    uncovered: [Vec<f16>; 2],
    /// The surroundings, out of focus, `[H, W, 3]`.
    background: Option<Vec<f16>>,
    tone_tables: Arc<ToneTables>,
}

#[derive(Clone, Debug, PartialEq)]
struct Group {
    name: String,
    /// On the face, W/m².
    irradiance: f32,
    /// First image and reference, `[H, W, 3]`, linear radiance over black.
    images: [Vec<f16>; 2],
}

/// Both images of a crop, display-referred sRGB 0–1, `[3, S, S]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Relit {
    /// *First rendered image*.
    pub first: Vec<f32>,
    /// *Reference image*.
    pub reference: Vec<f32>,
}

/// One way to light and show a scene.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    /// A factor on each colour of each group.
    weights: Vec<[f32; 3]>,
    /// Linear, at the upper and the lower edge of the image; nothing where the surroundings are seen.
    gradient: Option<[[f32; 3]; 2]>,
    exposure: f32,
    tone_mapping: usize,
}

/// Reads the light groups of those pairs that have them.
///
/// # Errors
/// When a file is damaged, or the data folder has groups and no tone mappers.
pub fn attach(folder: &Path, pairs: &mut [Pair]) -> Result<(), DatasetError> {
    let mut tables = None;
    for pair in pairs {
        let path = pair_folder(folder, pair.seed).join(FILE);
        if !path.is_file() {
            continue;
        }
        let tables = match &tables {
            Some(tables) => Arc::clone(tables),
            None => Arc::clone(tables.insert(Arc::new(ToneTables::read(folder)?))),
        };
        let content = bounded::read(&path, most_bytes(pair.size_px))
            .map_err(|error| DatasetError::LightGroups { path: path.clone(), what: error.to_string() })?;
        let groups = LightGroups::parse(&content, pair.size_px, tables);
        pair.light_groups = Some(groups.map_err(|what| DatasetError::LightGroups { path, what })?);
    }
    Ok(())
}

/// Largest file of a pair of this size: 16 groups of two images, two masks and a background, all of half floats.
fn most_bytes(size_px: usize) -> u64 {
    let header = 1 << 20;
    (size_px * size_px) as u64 * ((16 * 2 + 1) * 3 + 2) * 2 + header
}

impl LightGroups {
    fn parse(content: &[u8], size_px: usize, tone_tables: Arc<ToneTables>) -> Result<Self, String> {
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
        Ok(Self { groups, uncovered, background, tone_tables })
    }

    /// The crop under a light of its own.
    pub(crate) fn relight(&self, crop: &Crop, width: usize, rng: &mut impl Rng) -> Relit {
        let look = self.draw(rng);
        let [first, reference] = [0, 1].map(|side| self.show(&look, crop, width, side));
        Relit { first, reference }
    }

    /// What head_studio varies from seed to seed, drawn for a scene whose lamps stand where they stand.
    fn draw(&self, rng: &mut impl Rng) -> Look {
        let on_face = self.groups.iter().filter(|group| group.name != RIM).map(|group| group.irradiance);
        let wanted = on_face.sum::<f32>() * rng.random_range(0.85..1.15);
        let surroundings = if rng.random_bool(0.15) { 1.0 } else { rng.random_range(0.05..0.6) };
        let fill = rng.random_range(0.04..0.3);
        let rim = match rng.random_range(0..10) {
            0 => rng.random_range(1.0..2.5),
            1..5 => rng.random_range(0.2..1.1),
            _ => 0.0,
        };
        let lamps = wanted * (1.0 - surroundings);
        let weights = self.groups.iter().map(|group| {
            let (irradiance, color) = match group.name.as_str() {
                ENVIRONMENT => (wanted * surroundings, tint(0.3, false, rng)),
                KEY => (lamps * (1.0 - fill), tint(1.0, false, rng)),
                RIM => (lamps * (1.0 - fill) * rim, tint(1.0, true, rng)),
                _ => (lamps * fill, tint(1.0, true, rng)),
            };
            color.map(|value| value * irradiance / group.irradiance)
        });
        let weights = weights.collect();
        let mut gray = || {
            let level = rng.random_range(0.01..0.6);
            [(); 3].map(|()| level * rng.random_range(0.6..1.2_f32))
        };
        let gradient = [gray(), gray()];
        let seen = self.background.is_some() && rng.random_bool(0.5);
        Look {
            weights,
            gradient: (!seen).then_some(gradient),
            exposure: (rng.random_range(-0.65..0.65) + rng.random_range(-0.35..0.35_f32)).exp2(),
            tone_mapping: rng.random_range(0..self.tone_tables.len()),
        }
    }

    /// One image of a crop, `[3, S, S]`; `side` is 0 for the first image and 1 for the reference.
    fn show(&self, look: &Look, crop: &Crop, width: usize, side: usize) -> Vec<f32> {
        let surroundings = self.groups.iter().position(|group| group.name == ENVIRONMENT);
        let behind_weight = surroundings.map_or([1.0; 3], |at| look.weights[at]);
        let plane = crop.side_px * crop.side_px;
        let mut image = vec![0.0; 3 * plane];
        for (to, at) in crop.pixels(width).enumerate() {
            let uncovered = self.uncovered[side][at].to_f32();
            let down = (at / width) as f32 / width as f32;
            let linear: [f32; 3] = std::array::from_fn(|channel| {
                let value = |values: &[f16]| values[at * 3 + channel].to_f32();
                let behind = match (&look.gradient, &self.background) {
                    (None, Some(image)) => value(image) * behind_weight[channel],
                    (Some([top, bottom]), _) => top[channel] + (bottom[channel] - top[channel]) * down,
                    (None, None) => 0.0,
                };
                let lit = self.groups.iter().zip(&look.weights);
                let head: f32 = lit.map(|(group, weight)| value(&group.images[side]) * weight[channel]).sum();
                (head + uncovered * behind) * look.exposure
            });
            let shown = self.tone_tables.look_up(look.tone_mapping, linear);
            (0..3).for_each(|channel| image[channel * plane + to] = shown[channel]);
        }
        image
    }
}

/// A colour of luminance one between 3,000 K and 8,000 K, `spread` of the way from white; now and then of any hue if `neon`.
fn tint(spread: f32, neon: bool, rng: &mut impl Rng) -> [f32; 3] {
    // Red and blue over green of a black body, to first order in its logarithm.
    let warmth = spread * rng.random_range(-0.25..1.0_f32);
    let mut color = [(0.75 * warmth).exp(), 1.0, (-0.9 * warmth).exp()];
    if neon && rng.random_bool(0.1) {
        color = color.map(|value| value * rng.random_range(0.05..1.0_f32).powi(2));
    }
    let luminance = 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2];
    color.map(|value| value / luminance)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
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

    fn groups() -> LightGroups {
        LightGroups::parse(&file("", FORMAT), SIDE, Arc::new(ToneTables::linear())).unwrap()
    }

    fn look(weights: [f32; 2]) -> Look {
        // In the order of the names: environment, key.
        let weights = weights.map(|weight| [weight, 2.0 * weight, 0.0]).to_vec();
        Look { weights, gradient: Some([[0.5; 3]; 2]), exposure: 0.5, tone_mapping: 0 }
    }

    #[test]
    fn groups_add_up_over_the_background_in_linear_light() {
        let crop = Crop { x: 1, y: 1, side_px: 2, mirrored: false, gain: [1.0; 3] };
        let shown = |weights: [f32; 2], side: usize| groups().show(&look(weights), &crop, SIDE, side);
        let expect = |found: Vec<f32>, wanted: [f32; 3]| {
            let wanted = wanted.iter().flat_map(|value| [*value; 4]);
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.01), "{found:?}");
        };
        expect(shown([1.0, 1.0], 0), [0.1875, 0.375, 0.0]);
        expect(shown([0.0, 1.0], 0), [0.125, 0.25, 0.0]);
        expect(shown([1.0, 1.0], 1), [0.5, 0.75, 0.25]);
    }

    #[test]
    fn draws_differ_and_keep_the_exposure_of_the_face() {
        let groups = groups();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let looks: Vec<Look> = (0..500).map(|_| groups.draw(&mut rng)).collect();
        assert!(looks.windows(2).all(|pair| pair[0] != pair[1]));
        let luminance = |w: &[f32; 3]| 0.2126 * w[0] + 0.7152 * w[1] + 0.0722 * w[2];
        let total = |look: &Look| look.weights.iter().map(luminance).sum::<f32>();
        // What a fill light takes from the key is missing here, since this scene has none.
        assert!(looks.iter().map(total).all(|total| (1.2..2.4).contains(&total)));
        assert!(looks.iter().flat_map(|look| &look.weights).flatten().all(|value| value.is_finite() && *value >= 0.0));
    }

    #[test]
    fn damaged_files_are_refused_by_name() {
        let parse = |content: &[u8]| LightGroups::parse(content, SIDE, Arc::new(ToneTables::linear())).unwrap_err();
        assert!(parse(&file("reference.key", FORMAT)).contains("reference.key"));
        assert!(parse(&file("", "7")).contains("format 7: expected 1"));
        assert!(!parse(b"nothing of the kind").is_empty());
        let other = LightGroups::parse(&file("", FORMAT), 8, Arc::new(ToneTables::linear())).unwrap_err();
        assert!(other.contains("expected F16 [8, 8, 3]"), "{other}");
    }

    #[test]
    fn hostile_files_are_refused_by_name() {
        let parse = |content: &[u8]| LightGroups::parse(content, SIDE, Arc::new(ToneTables::linear())).unwrap_err();
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
