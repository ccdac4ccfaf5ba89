//! The background behind the head: the same linear image in first and reference image.

use std::path::Path;

use crate::bounded;
use crate::error::FileError;
use crate::linear_image::LinearImage;
use crate::scene::{Background, Gradient, Scene};

/// The background of a scene, read into memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Backdrop {
    /// Gradient from the lower to the upper edge.
    Gradient(Gradient),
    /// Opaque image of the scene's size.
    Image(LinearImage),
}

impl Backdrop {
    /// Reads the background of a scene whose files are relative to `data`, at the scene's exposure.
    ///
    /// # Errors
    /// Fails when the background's image is missing, broken, or of another size than the scene's.
    pub fn read(data: &Path, scene: &Scene) -> Result<Self, FileError> {
        let gain = scene.rendering.gain();
        let bright = |color: [f32; 3]| color.map(|value| value * gain);
        match &scene.background {
            Background::Gradient(Gradient { bottom_linear, top_linear }) => {
                Ok(Self::Gradient(Gradient { bottom_linear: bright(*bottom_linear), top_linear: bright(*top_linear) }))
            }
            Background::Image { file } => {
                let path = bounded::inside(data, file, "scene.json")?;
                if !path.exists() {
                    return Err(FileError::Missing { path, needed_by: "scene.json" });
                }
                let image = LinearImage::read_exr(&path, scene.size())?;
                Ok(Self::Image(image.brighter(gain)))
            }
        }
    }

    /// Returns the colour behind the middle of a pixel of an image of `size`.
    pub fn at(&self, [x, y]: [u32; 2], size: [u32; 2]) -> [f32; 3] {
        match self {
            Self::Gradient(gradient) => gradient.at((y as f32 + 0.5) / size[1] as f32),
            Self::Image(image) => {
                let [r, g, b, _] = image.pixels[(y * image.size[0] + x) as usize];
                [r, g, b]
            }
        }
    }

    /// Puts a premultiplied image in front of the background; alpha becomes one.
    pub fn behind(&self, image: &LinearImage) -> LinearImage {
        let at = |(index, pixel): (usize, &[f32; 4])| {
            let index = index as u32;
            let behind = self.at([index % image.size[0], index / image.size[0]], image.size);
            let [r, g, b] = std::array::from_fn(|c| pixel[c] + (1.0 - pixel[3].clamp(0.0, 1.0)) * behind[c]);
            [r, g, b, 1.0]
        };
        LinearImage { size: image.size, pixels: image.pixels.iter().enumerate().map(at).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn premultiplied_pixels_cover_the_gradient_by_their_alpha() {
        let backdrop = Backdrop::Gradient(Gradient { bottom_linear: [0.0; 3], top_linear: [1.0, 0.5, 0.0] });
        let image = LinearImage { size: [1, 2], pixels: vec![[0.2, 0.2, 0.2, 0.5], [0.3, 0.3, 0.3, 1.0]] };
        let composite = backdrop.behind(&image);
        let behind = LinearImage { size: [1, 2], pixels: vec![[1.0, 0.75, 0.25, 1.0], [9.0; 4]] };
        let [r, g, b, _] = Backdrop::Image(behind).behind(&image).pixels[0];
        assert_eq!([r, g, b], [0.7, 0.575, 0.325]);
        let expected = [[0.2 + 0.5 * 0.75, 0.2 + 0.5 * 0.375, 0.2, 1.0], [0.3, 0.3, 0.3, 1.0]];
        for (found, wanted) in composite.pixels.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - wanted).abs() < 1e-6, "{composite:?}");
        }
    }
}
