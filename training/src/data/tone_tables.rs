//! Tone mappers as `portrait-dataset` measured them in Bevy: `tone_mapping.safetensors` in the data folder.
//!
//! Each table is `[N, N, N, 3]` u8, sRGB, with axes blue, green, red, and named as in `scene.json`. Along an axis, entry i stands for the linear value x with
//! i = (N − 1) · log2(1 + x·slope) / log2(1 + largest·slope).

use std::collections::BTreeMap;
use std::path::Path;

use portrait_files::bounded;
use safetensors::{Dtype, SafeTensors};

use super::error::DatasetError;

const FILE: &str = "tone_mapping.safetensors";
/// Size of the largest file that is read, in bytes. The file that `portrait-dataset` writes has 1.7 MB.
const MAX_BYTES: u64 = 64 << 20;

/// At least one tone mapper.
#[derive(Clone, Debug, PartialEq)]
pub struct ToneTables {
    /// Entries along an axis.
    entries: usize,
    slope: f32,
    largest: f32,
    names: Vec<String>,
    tables: Vec<Vec<u8>>,
}

impl ToneTables {
    /// Reads the table of a data folder.
    ///
    /// # Errors
    /// Fails when the file is missing or damaged.
    pub fn read(folder: &Path) -> Result<Self, DatasetError> {
        let path = folder.join(FILE);
        let refuse = |what: String| DatasetError::ToneTables { path: path.clone(), what };
        let content = bounded::read(&path, MAX_BYTES).map_err(|error| refuse(error.to_string()))?;
        Self::parse(&content).map_err(refuse)
    }

    fn parse(content: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(content).map_err(|error| error.to_string())?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let number = |name: &str| {
            let text = metadata.get(name).map_or("nothing", String::as_str);
            let number: Option<f32> = text.parse().ok().filter(|value: &f32| value.is_finite() && *value > 0.0);
            number.ok_or_else(|| format!("`{name}` is {text}: expected a number above 0"))
        };
        let (slope, largest) = (number("slope")?, number("largest")?);
        let file = SafeTensors::deserialize(content).map_err(|error| error.to_string())?;
        let mut tensors = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let entries = tensors.first().and_then(|(_, table)| table.shape().first().copied()).unwrap_or(0);
        let shape = [entries, entries, entries, 3];
        if entries < 2 {
            return Err("no tone mapper of two entries or more along an axis".into());
        }
        if let Some((name, table)) = tensors.iter().find(|(_, t)| t.dtype() != Dtype::U8 || t.shape() != shape) {
            return Err(format!("{name} is {:?} {:?}: expected U8 {shape:?}", table.dtype(), table.shape()));
        }
        let tables = tensors.iter().map(|(_, table)| table.data().to_vec()).collect();
        Ok(Self { entries, slope, largest, names: tensors.into_iter().map(|(name, _)| name).collect(), tables })
    }

    /// Makes a table that shows 0–1 as they are, for tests.
    #[cfg(test)]
    pub(crate) fn linear() -> Self {
        let (entries, slope, largest) = (32, 1.0, 1.0);
        let mut tables = Self { entries, slope, largest, names: vec!["none".into()], tables: vec![Vec::new()] };
        let axis: Vec<u8> = (0..entries).map(|at| (tables.value_at(at) * 255.0 + 0.5) as u8).collect();
        let colors = axis.iter().flat_map(|b| axis.iter().flat_map(|g| axis.iter().flat_map(|r| [*r, *g, *b])));
        tables.tables[0] = colors.collect();
        tables
    }

    #[cfg(test)]
    fn value_at(&self, entry: usize) -> f32 {
        let share = entry as f32 / (self.entries - 1) as f32;
        (((1.0 + self.largest * self.slope).log2() * share).exp2() - 1.0) / self.slope
    }

    /// Returns the weight of each tone mapper: its share, or where it has none the share that it would have if all were equal.
    pub fn weights(&self, shares: &BTreeMap<String, f32>) -> Vec<f32> {
        let equal = 1.0 / self.names.len() as f32;
        self.names.iter().map(|name| shares.get(name).copied().unwrap_or(equal)).collect()
    }

    /// Shows a linear colour by the tone mapper of this index: display-referred sRGB 0–1, trilinear between entries.
    pub fn look_up(&self, table: usize, linear: [f32; 3]) -> [f32; 3] {
        let last = (self.entries - 1) as f32;
        let scale = last / (1.0 + self.largest * self.slope).log2();
        let place = linear.map(|value| ((1.0 + value.max(0.0) * self.slope).log2() * scale).min(last - 1e-3));
        let low = place.map(|at| at as usize);
        let part: [f32; 3] = std::array::from_fn(|axis| place[axis] - low[axis] as f32);
        let table = &self.tables[table];
        let mut sum = [0.0; 3];
        for corner in 0..8_usize {
            let up = [corner & 1, corner >> 1 & 1, corner >> 2];
            let share = |axis: usize| if up[axis] == 1 { part[axis] } else { 1.0 - part[axis] };
            let weight = share(0) * share(1) * share(2) / 255.0;
            let at = ((low[2] + up[2]) * self.entries + low[1] + up[1]) * self.entries + low[0] + up[0];
            (0..3).for_each(|channel| sum[channel] += weight * f32::from(table[at * 3 + channel]));
        }
        sum
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_table_shows_what_it_is_given() {
        let tables = ToneTables::linear();
        for color in [[0.0, 0.5, 1.0], [0.123, 0.456, 0.789], [0.01, 0.02, 0.99]] {
            let shown = tables.look_up(0, color);
            assert!(shown.iter().zip(color).all(|(found, wanted)| (found - wanted).abs() < 0.005), "{shown:?}");
        }
        assert!(tables.look_up(0, [-1.0, 9.0, 0.0]).iter().zip([0.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 0.01));
    }

    #[test]
    fn a_tone_mapper_that_has_no_share_is_as_likely_as_if_all_were_equal() {
        let tables = ToneTables { names: vec!["agx".into(), "own".into()], ..ToneTables::linear() };
        assert_eq!(tables.weights(&[("agx".to_string(), 0.2), ("none".to_string(), 0.8)].into()), [0.2, 0.5]);
    }

    #[test]
    fn damaged_tables_are_refused() {
        assert!(!ToneTables::parse(b"").unwrap_err().is_empty());
        let empty: Vec<(&str, safetensors::tensor::TensorView)> = Vec::new();
        let header = [("slope".to_string(), "1".to_string())];
        let content = safetensors::serialize(empty, Some(header.into())).unwrap();
        assert!(ToneTables::parse(&content).unwrap_err().contains("`largest` is nothing"));
    }
}
