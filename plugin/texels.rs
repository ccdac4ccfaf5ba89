//! Buffers whose contents are read as the texels of a texture: blocks of 16 bytes, row after row.

use bevy::render::render_resource::{
    Buffer, CommandEncoder, Extent3d, TexelCopyBufferInfo, TexelCopyBufferLayout, Texture, TextureDescriptor,
    TextureDimension, TextureFormat, TextureUsages,
};

/// Blocks of 16 bytes in a row.
pub const TEXTURE_WIDTH: u32 = 1024;
/// Bytes in a row.
pub const ROW_BYTES: u32 = TEXTURE_WIDTH * 16;

/// Rows that hold that many bytes.
pub fn texture_rows(bytes: u64) -> u32 {
    bytes.div_ceil(u64::from(ROW_BYTES)) as u32
}

/// Rows of the texture for so many rows. Never a power of two: drivers on the CPU compile shaders anew for those.
pub fn texture_height(rows: u32) -> u32 {
    (rows | 1).max(3)
}

/// What a texture of that height looks like. Its texels are words of the buffer, whatever those mean.
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

/// Copies the first rows of a buffer.
pub(crate) fn copy_rows(buffer: &Buffer, rows: u32, texture: &Texture, encoder: &mut CommandEncoder) {
    let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(ROW_BYTES), rows_per_image: None };
    encoder.copy_buffer_to_texture(TexelCopyBufferInfo { buffer, layout }, texture.as_image_copy(), extent(rows));
}

fn extent(height: u32) -> Extent3d {
    Extent3d { width: TEXTURE_WIDTH, height, depth_or_array_layers: 1 }
}
