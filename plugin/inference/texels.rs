//! Buffers that kernels for software rasterisers read as the texels of a texture: blocks of 16 bytes, row after row. Llvmpipe gathers
//! texels, but serialises buffer access per lane.

use bevy::render::render_resource::{
    Buffer, CommandEncoder, Extent3d, TexelCopyBufferInfo, TexelCopyBufferLayout, Texture, TextureDescriptor,
    TextureDimension, TextureFormat, TextureUsages,
};

/// Number of blocks of 16 bytes in a row.
pub const TEXTURE_WIDTH: u32 = 1024;
/// Number of bytes in a row.
pub const ROW_BYTES: u32 = TEXTURE_WIDTH * 16;

/// Returns the number of rows that hold that many bytes.
pub fn texture_rows(bytes: u64) -> u32 {
    bytes.div_ceil(u64::from(ROW_BYTES)) as u32
}

/// Returns the height of a texture for so many rows. It is never a power of two, for which llvmpipe would compile shaders anew.
pub fn texture_height(rows: u32) -> u32 {
    (rows | 1).max(3)
}

/// Describes a texture of that height. Its texels are words of the buffer, whatever those mean.
pub(crate) fn texture_descriptor(label: &'static str, height: u32) -> TextureDescriptor<'static> {
    TextureDescriptor {
        label: Some(label),
        size: extent(height),
        mip_level_count: 1,
        sample_count: 1,
        dimension: TextureDimension::D2,
        format: TextureFormat::Rgba32Uint,
        usage: TextureUsages::COPY_DST | TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    }
}

/// Copies the first rows of a buffer into a texture.
pub(crate) fn copy_rows(buffer: &Buffer, rows: u32, texture: &Texture, encoder: &mut CommandEncoder) {
    let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(ROW_BYTES), rows_per_image: None };
    encoder.copy_buffer_to_texture(TexelCopyBufferInfo { buffer, layout }, texture.as_image_copy(), extent(rows));
}

fn extent(height: u32) -> Extent3d {
    Extent3d { width: TEXTURE_WIDTH, height, depth_or_array_layers: 1 }
}
