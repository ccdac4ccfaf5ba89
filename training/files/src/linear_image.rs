//! Linear images on the CPU, read from OpenEXR.

use std::path::Path;

use crate::error::FileError;
use crate::pixels::{self, Format, Size};

/// An image in linear Rec.709, `[H, W] RGBA f32`, row 0 on top.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearImage {
    /// Width and height, pixels.
    pub size: [u32; 2],
    /// Pixels, row after row.
    pub pixels: Vec<[f32; 4]>,
}

/// Returns the relative luminance of a colour in linear Rec.709 (ITU-R BT.709).
pub fn luminance(rgb: [f32; 3]) -> f32 {
    0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]
}

impl LinearImage {
    /// Reads an OpenEXR file. Without an alpha channel, alpha is 1.
    ///
    /// # Errors
    /// Fails when the file is unreadable, not OpenEXR, of another size, or holds values that are not finite.
    pub fn read_exr(path: &Path, size: Size) -> Result<Self, FileError> {
        let decoded = pixels::read(path, Format::OpenExr, size)?.into_rgba32f();
        let size = [decoded.width(), decoded.height()];
        let pixels: Vec<[f32; 4]> = decoded.pixels().map(|pixel| pixel.0).collect();
        match pixels.iter().position(|pixel| pixel.iter().any(|value| !value.is_finite())) {
            Some(at) => {
                let (x, y) = (at as u32 % size[0], at as u32 / size[0]);
                let reason = format!("the pixel at x {x}, y {y} is not finite");
                Err(FileError::Image { path: path.into(), format: "OpenEXR", reason })
            }
            None => Ok(Self { size, pixels }),
        }
    }

    /// Multiplies every colour by `gain`.
    pub fn brighter(&self, gain: f32) -> Self {
        let scaled = self.pixels.iter().map(|[r, g, b, a]| [r * gain, g * gain, b * gain, *a]);
        Self { size: self.size, pixels: scaled.collect() }
    }
}
