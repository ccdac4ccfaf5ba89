//! A crop of a pair.

/// Place and variation of a crop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Column of the left edge, in pixels of the pair.
    pub x: usize,
    /// Row of the upper edge, in pixels of the pair.
    pub y: usize,
    /// Width and height, in pixels.
    pub side_px: usize,
    /// Swaps left and right.
    pub mirrored: bool,
    /// Factor on each colour channel, in sRGB.
    pub gain: [f32; 3],
}

impl Crop {
    /// Returns the crop that is a whole image, as it is.
    pub fn whole(side_px: usize) -> Self {
        Self { x: 0, y: 0, side_px, mirrored: false, gain: [1.0; 3] }
    }

    /// Returns the indices of the crop's pixels in an image of this width, row after row as they lie in the crop.
    pub fn pixels(self, width: usize) -> impl Iterator<Item = usize> {
        let column = move |step: usize| self.x + if self.mirrored { self.side_px - 1 - step } else { step };
        (self.y..self.y + self.side_px)
            .flat_map(move |row| (0..self.side_px).map(move |step| row * width + column(step)))
    }
}
