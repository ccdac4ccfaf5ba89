//! Linear images on the CPU: reading OpenEXR, and putting the reference in front of the background.

use std::path::Path;

use crate::background::Backdrop;
use crate::error::FileError;
use crate::pixels::{self, Format, Size};

/// Linear Rec.709, `[H, W] RGBA f32`, row 0 on top.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearImage {
    /// Width and height, pixels.
    pub size: [u32; 2],
    /// Row after row.
    pub pixels: Vec<[f32; 4]>,
}

/// Relative luminance of linear Rec.709 (ITU-R BT.709).
pub fn luminance(rgb: [f32; 3]) -> f32 {
    0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]
}

impl LinearImage {
    /// Reads an OpenEXR file; without an alpha channel, alpha is one.
    ///
    /// # Errors
    /// When the file is unreadable, not OpenEXR, of another size, or holds values that are not finite.
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

    /// Every colour times `gain`.
    pub fn brighter(&self, gain: f32) -> Self {
        let scaled = self.pixels.iter().map(|[r, g, b, a]| [r * gain, g * gain, b * gain, *a]);
        Self { size: self.size, pixels: scaled.collect() }
    }

    /// Puts this premultiplied image in front of a background; alpha becomes one.
    pub fn over(&self, backdrop: &Backdrop) -> Self {
        let at = |(index, pixel): (usize, &[f32; 4])| {
            let index = index as u32;
            let behind = backdrop.at([index % self.size[0], index / self.size[0]], self.size);
            let [r, g, b] = std::array::from_fn(|c| pixel[c] + (1.0 - pixel[3].clamp(0.0, 1.0)) * behind[c]);
            [r, g, b, 1.0]
        };
        Self { size: self.size, pixels: self.pixels.iter().enumerate().map(at).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Gradient;

    #[test]
    fn premultiplied_pixels_cover_the_gradient_by_their_alpha() {
        let backdrop = Backdrop::Gradient(Gradient { bottom_linear: [0.0; 3], top_linear: [1.0, 0.5, 0.0] });
        let image = LinearImage { size: [1, 2], pixels: vec![[0.2, 0.2, 0.2, 0.5], [0.3, 0.3, 0.3, 1.0]] };
        let composite = image.over(&backdrop);
        let behind = LinearImage { size: [1, 2], pixels: vec![[1.0, 0.75, 0.25, 1.0], [9.0; 4]] };
        let [r, g, b, _] = image.over(&Backdrop::Image(behind)).pixels[0];
        assert_eq!([r, g, b], [0.7, 0.575, 0.325]);
        let expected = [[0.2 + 0.5 * 0.75, 0.2 + 0.5 * 0.375, 0.2, 1.0], [0.3, 0.3, 0.3, 1.0]];
        for (found, wanted) in composite.pixels.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - wanted).abs() < 1e-6, "{composite:?}");
        }
    }
}
