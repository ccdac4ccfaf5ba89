//! The file `tone_mapping.safetensors`: Bevy's tone mappers, measured.
//!
//! Training tone-maps sums of light groups itself. It knows nothing of Bevy: it looks colours up in these tables, which are
//! what Bevy shows for a lattice of linear colours.
//!
//! | tensor | |
//! |---|---|
//! | `<tone mapping>` | `[N, N, N, 3]` u8, sRGB; axes blue, green, red |
//!
//! Along an axis, entry i stands for the linear value x with i = (N − 1) · log2(1 + x·SLOPE) / log2(1 + LARGEST·SLOPE);
//! `slope` and `largest` are in the header's metadata.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use portrait_files::{FileError, atomic};
use safetensors::{Dtype, tensor::TensorView};

use crate::error::DatasetError;
use crate::linear_image::LinearImage;
use crate::rendering::{Rendering, ToneMapping};
use crate::studio::Studio;

/// Name of the file in the data folder.
pub const TONE_TABLES: &str = "tone_mapping.safetensors";
/// Number of entries along an axis.
pub const ENTRIES: u32 = 48;
/// Slope of the logarithm at black: 1 / `SLOPE` is the value at which the table stops being nearly linear.
pub const SLOPE: f32 = 64.0;
/// Largest linear value of the table.
pub const LARGEST: f32 = 64.0;

/// Measures every tone mapper, unless the file is there.
///
/// # Errors
/// Fails when rendering fails or the file cannot be written.
pub fn ensure(studio: &mut Studio, data: &Path) -> Result<(), DatasetError> {
    let path = data.join(TONE_TABLES);
    if path.exists() {
        return Ok(());
    }
    let lattice = lattice();
    let side = ENTRIES as usize;
    let mut tables = BTreeMap::new();
    for tone_mapping in ToneMapping::ALL {
        let rendering = Rendering { tone_mapping, ..Rendering::default() };
        tables.insert(tone_mapping.name(), studio.tone_map(&lattice, &rendering)?);
    }
    let refuse = |error: safetensors::SafeTensorError| DatasetError::Renderer(format!("{}: {error}", path.display()));
    let views: Result<Vec<_>, _> = tables
        .iter()
        .map(|(name, table)| Ok((*name, TensorView::new(Dtype::U8, vec![side, side, side, 3], table)?)))
        .collect();
    let header = HashMap::from([("slope".into(), SLOPE.to_string()), ("largest".into(), LARGEST.to_string())]);
    let content = safetensors::serialize(views.map_err(refuse)?, Some(header)).map_err(refuse)?;
    Ok(atomic::write(&path, &content).map_err(FileError::io(path))?)
}

/// Returns the linear value of entry `index`.
pub fn value_at(index: u32) -> f32 {
    let share = index as f32 / (ENTRIES - 1) as f32;
    (((1.0 + LARGEST * SLOPE).log2() * share).exp2() - 1.0) / SLOPE
}

/// Makes an image of all colours of the table: red along x, then green; blue along y.
fn lattice() -> LinearImage {
    let axis: Vec<f32> = (0..ENTRIES).map(value_at).collect();
    let colors = axis.iter().flat_map(|&b| axis.iter().map(move |&g| (g, b)));
    let pixels = colors.flat_map(|(g, b)| axis.iter().map(move |&r| [r, g, b, 1.0])).collect();
    LinearImage { size: [ENTRIES * ENTRIES, ENTRIES], pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_spans_black_to_its_largest_value() {
        assert_eq!(value_at(0), 0.0);
        assert!((value_at(ENTRIES - 1) / LARGEST - 1.0).abs() < 1e-4);
        let lattice = lattice();
        assert_eq!(lattice.pixels.len(), ENTRIES.pow(3) as usize);
        let at = |r: u32, g: u32, b: u32| lattice.pixels[((b * ENTRIES + g) * ENTRIES + r) as usize];
        assert_eq!(at(3, 5, 7), [value_at(3), value_at(5), value_at(7), 1.0]);
    }
}
