//! What is behind the head, the same linear image on both sides.

use std::path::Path;

use crate::bounded;
use crate::error::FileError;
use crate::linear_image::LinearImage;
use crate::scene::{Background, Gradient, Scene};

/// A scene's background, at hand.
#[derive(Clone, Debug, PartialEq)]
pub enum Backdrop {
    /// From the lower to the upper edge.
    Gradient(Gradient),
    /// Pixel for pixel, opaque.
    Image(LinearImage),
}

impl Backdrop {
    /// The background of a scene whose files are relative to `data`, at the scene's exposure.
    ///
    /// # Errors
    /// When its image is missing, broken, or of another size than the scene's.
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

    /// Colour behind the middle of a pixel of an image of `size`.
    pub fn at(&self, [x, y]: [u32; 2], size: [u32; 2]) -> [f32; 3] {
        match self {
            Self::Gradient(gradient) => gradient.at((y as f32 + 0.5) / size[1] as f32),
            Self::Image(image) => {
                let [r, g, b, _] = image.pixels[(y * image.size[0] + x) as usize];
                [r, g, b]
            }
        }
    }
}

impl Gradient {
    /// Colour at `down`: 0 at the upper edge of the image, 1 at the lower. Linear beyond both.
    pub fn at(&self, down: f32) -> [f32; 3] {
        std::array::from_fn(|c| self.top_linear[c] + (self.bottom_linear[c] - self.top_linear[c]) * down)
    }
}
