//! A contact sheet: many pairs in one picture, the first image left of its reference, so that one sees at a glance what a data
//! set is like.

use std::path::Path;

use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};
use portrait_files::FileError;
use portrait_files::pixels::{self, Format, Size};

use crate::error::DatasetError;
use crate::seeds::seed_folder;

/// Maximum number of pairs on a sheet.
pub const MAX_PAIRS: usize = 24;
/// Number of pairs side by side.
const COLUMNS: usize = 4;
/// Width and height of each image, in pixels.
const CELL_PX: u32 = 200;
/// Width of the gap between pairs, in pixels.
const GAP_PX: u32 = 6;
/// Maximum width and height of a pair's images, in pixels.
const MAX_IMAGE_PX: [u32; 2] = [8192; 2];

/// Draws the finished pairs of `seeds`, at most [`MAX_PAIRS`] of them, spread evenly over the list, row by row.
///
/// # Errors
/// Fails when an image is missing or does not decode.
pub fn contact_sheet(data: &Path, seeds: &[u64]) -> Result<RgbImage, DatasetError> {
    let count = seeds.len().min(MAX_PAIRS);
    let columns = count.clamp(1, COLUMNS) as u32;
    let rows = count.div_ceil(COLUMNS).max(1) as u32;
    let [wide, high] = [2 * CELL_PX + GAP_PX, CELL_PX + GAP_PX];
    let mut sheet = RgbImage::from_pixel(columns * wide - GAP_PX, rows * high - GAP_PX, Rgb([255; 3]));
    for place in 0..count {
        let seed = seeds[place * seeds.len() / count];
        let [x, y] = [(place % COLUMNS) as u32 * wide, (place / COLUMNS) as u32 * high];
        for (side, name) in ["first.png", "reference.png"].into_iter().enumerate() {
            let path = seed_folder(data, seed).join(name);
            if !path.exists() {
                return Err(FileError::Missing { path, needed_by: "a contact sheet" }.into());
            }
            let image = pixels::read(&path, Format::Png, Size::AtMost(MAX_IMAGE_PX))?.into_rgb8();
            let small = resize(&image, CELL_PX, CELL_PX, FilterType::CatmullRom);
            replace(&mut sheet, &small, (x + side as u32 * CELL_PX).into(), y.into());
        }
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stand_in_rows_and_a_long_list_is_thinned_out() {
        let data = tempfile::tempdir().unwrap();
        let seeds: Vec<u64> = (0..48).collect();
        for seed in &seeds {
            let folder = seed_folder(data.path(), *seed);
            std::fs::create_dir_all(&folder).unwrap();
            for (name, blue) in [("first.png", 0), ("reference.png", 255)] {
                RgbImage::from_pixel(4, 4, Rgb([*seed as u8, 9, blue])).save(folder.join(name)).unwrap();
            }
        }
        let sheet = contact_sheet(data.path(), &seeds).unwrap();
        assert_eq!(sheet.dimensions(), (4 * 406 - 6, 6 * 206 - 6));
        // Every second pair: the fifth on the sheet, first of the second row, is seed 8.
        assert_eq!(sheet.get_pixel(100, 306), &Rgb([8, 9, 0]));
        assert_eq!(sheet.get_pixel(300, 306), &Rgb([8, 9, 255]));
        assert_eq!(sheet.get_pixel(403, 306), &Rgb([255; 3]));
        assert_eq!(contact_sheet(data.path(), &seeds[..2]).unwrap().dimensions(), (806, 200));
        let message = contact_sheet(data.path(), &[99]).unwrap_err().to_string();
        assert!(message.contains("first.png") && message.contains("contact sheet"), "{message}");
    }
}
