//! A pair in memory: the images of one scene.

use super::light_groups::LightGroups;

/// Mask value from which a pixel belongs to the face.
pub const FACE_MASK: u8 = 160;

/// Images of one scene. All are square, row-major, `size_px` wide, and 8- or 16-bit as in the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Seed of the scene.
    pub seed: u64,
    /// Name or number of the person.
    pub identity: String,
    /// Width and height in pixels.
    pub size_px: usize,
    /// *First rendered image*, `[H, W, 3]`, sRGB.
    pub first: Vec<u8>,
    /// *Reference image*, `[H, W, 3]`, sRGB.
    pub reference: Vec<u8>,
    /// Importance, `[H, W]`: 0 background, 64 hair and cloth, 160 skin, 255 brows, eyes and lips.
    pub mask: Vec<u8>,
    /// View-space normals `[H, W, 3]`; empty unless asked for.
    pub normal: Vec<u16>,
    /// Depth `[H, W]`; empty unless asked for.
    pub depth: Vec<u16>,
    /// Scene in linear light, one light at a time; `None` unless [`attach_light_groups`](super::read::attach_light_groups)
    /// found it.
    pub light_groups: Option<LightGroups>,
}
