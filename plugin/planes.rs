//! How a tensor lies in memory: planes of four channels with a border of zeros. Pure arithmetic.

use bevy::math::UVec2;

/// Rows and columns are filled up to multiples of this many pixels, the farthest that a convolution's tile reaches.
const FILL_PX: u32 = 8;
/// Width of the border, the reach of a 3×3 convolution: no kernel has to ask whether a neighbour exists.
const BORDER_PX: u32 = 1;

/// The planes of one tensor of `size_px` pixels (WGSL: `shaders/shared/layout.wgsl`).
///
/// `[planes, 1 + H + fill + 1, 1 + W + fill + 1]`; the border next to the pixels is zero, what
/// lies beyond it is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneLayout {
    /// Width and height in pixels.
    pub size_px: UVec2,
}

impl PlaneLayout {
    /// Texels of a row and rows of a plane, borders included.
    fn extent(self) -> UVec2 {
        UVec2::new(self.size_px.x.next_multiple_of(FILL_PX), self.size_px.y.next_multiple_of(FILL_PX)) + 2 * BORDER_PX
    }

    /// Texels of a plane.
    pub fn plane_texels(self) -> u64 {
        u64::from(self.extent().x) * u64::from(self.extent().y)
    }

    /// Where a pixel lies, in texels.
    pub fn index(self, plane: usize, pixel: UVec2) -> usize {
        let extent = self.extent();
        let in_plane = (pixel.y + BORDER_PX) * extent.x + pixel.x + BORDER_PX;
        plane * (extent.x * extent.y) as usize + in_plane as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_borders_of_a_plane_do_not_meet_the_next() {
        for size_px in [UVec2::ONE, UVec2::new(7, 5), UVec2::new(16, 9)] {
            let layout = PlaneLayout { size_px };
            let next = layout.plane_texels() as usize;
            assert_eq!(layout.index(1, UVec2::ZERO), next + layout.index(0, UVec2::ZERO));
            // The border below and right of the last pixel.
            assert!(layout.index(0, size_px) < next, "{size_px}");
            // Two pixels of half a word each are read at once, so a row has to begin at an even texel.
            assert_eq!((layout.index(0, UVec2::Y) - layout.index(0, UVec2::ZERO)) % 2, 0, "{size_px}");
        }
    }
}
