//! Grids of pictures for people to look at.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{FilterType, resize};
use image::{EncodableLayout, ImageBuffer, ImageError, ImageFormat, PixelWithColorType, Rgb, RgbImage};
use portrait_files::atomic;

/// Makes an 8-bit image `[H, W, 3]` of a planar one `[3, H, W]`, display-referred sRGB, clamped and rounded.
pub fn quantize(planar: &[f32]) -> Vec<u8> {
    let pixels = planar.len() / 3;
    (0..pixels * 3).map(|at| (planar[at % 3 * pixels + at / 3].clamp(0.0, 1.0) * 255.0).round() as u8).collect()
}

/// Puts square 8-bit images `[S, S, 3]` of one size in a row, each of their pixels `zoom` pixels wide.
pub fn side_by_side(images: &[&[u8]], zoom: u32) -> RgbImage {
    let picture = grid(&[images.to_vec()]);
    if zoom == 1 {
        return picture;
    }
    resize(&picture, picture.width() * zoom, picture.height() * zoom, FilterType::Nearest)
}

/// Writes rows of square 8-bit images `[S, S, 3]` as one PNG. Images may differ in size.
///
/// # Errors
/// Fails when the file cannot be written.
pub fn write_grid(path: &Path, rows: &[Vec<&[u8]>]) -> Result<(), ImageError> {
    write_png(path, &grid(rows))
}

/// Writes a PNG, whole or not at all.
///
/// # Errors
/// Fails when the file cannot be written.
pub fn write_png<P>(path: &Path, image: &ImageBuffer<P, Vec<P::Subpixel>>) -> Result<(), ImageError>
where
    P: PixelWithColorType,
    [P::Subpixel]: EncodableLayout,
{
    let mut content = Cursor::new(Vec::new());
    image.write_to(&mut content, ImageFormat::Png)?;
    Ok(atomic::write(path, content.get_ref())?)
}

fn grid(rows: &[Vec<&[u8]>]) -> RgbImage {
    let side_of = |image: &[u8]| ((image.len() / 3) as f64).sqrt().round() as u32;
    let side = rows.iter().flatten().map(|image| side_of(image)).max().unwrap_or(1);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1) as u32;
    let mut grid = RgbImage::new(side * columns, side * (rows.len().max(1) as u32));
    for (row, images) in rows.iter().enumerate() {
        for (column, image) in images.iter().enumerate() {
            let width = side_of(image);
            for (at, pixel) in image.as_chunks::<3>().0.iter().enumerate() {
                let (x, y) = (at as u32 % width, at as u32 / width);
                grid.put_pixel(column as u32 * side + x, row as u32 * side + y, Rgb(*pixel));
            }
        }
    }
    grid
}
