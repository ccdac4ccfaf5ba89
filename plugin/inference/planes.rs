//! The layout of a tensor in memory: planes of four channels with a border of zeros. Pure arithmetic.

use bevy::math::UVec2;
use portrait_network::pack::vec4_planes;

use crate::inference::variant::ActivationFormat;

/// Rows and columns are filled up to multiples of this many pixels, which a convolution's tile reaches at most.
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
    /// Returns the texels of a row and the rows of a plane, borders included.
    fn extent(self) -> UVec2 {
        UVec2::new(self.size_px.x.next_multiple_of(FILL_PX), self.size_px.y.next_multiple_of(FILL_PX)) + 2 * BORDER_PX
    }

    /// Returns the number of texels of a plane.
    pub fn plane_texels(self) -> u64 {
        u64::from(self.extent().x) * u64::from(self.extent().y)
    }

    /// Returns the index of a pixel's texel.
    pub fn index(self, plane: usize, pixel: UVec2) -> usize {
        let extent = self.extent();
        let in_plane = (pixel.y + BORDER_PX) * extent.x + pixel.x + BORDER_PX;
        plane * (extent.x * extent.y) as usize + in_plane as usize
    }
}

/// The shape of a tensor: [`PlaneLayout`] of `H / downscale`, `W / downscale` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Planes of four channels.
    pub planes: u32,
    /// One pixel of it covers `downscale`² pixels of the network's input.
    pub downscale: u32,
}

impl Grid {
    pub(crate) fn new(channels: usize, downscale: usize) -> Self {
        Self { planes: vec4_planes(channels) as u32, downscale: downscale as u32 }
    }

    /// Returns its size in pixels when the network's padded input has `padded_px` pixels.
    pub(crate) fn size_px(&self, padded_px: UVec2) -> UVec2 {
        padded_px / self.downscale
    }

    /// Returns its size in bytes when the network's padded input has `padded_px` pixels.
    pub fn bytes(&self, padded_px: UVec2, format: ActivationFormat) -> u64 {
        let layout = PlaneLayout { size_px: self.size_px(padded_px) };
        u64::from(self.planes) * layout.plane_texels() * format.texel_bytes()
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
