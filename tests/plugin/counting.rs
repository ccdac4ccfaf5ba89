//! Counts the objects made on the device, by the numbers that Bevy gives each buffer, texture, view and bind group.

use bevy::render::render_resource::{
    BufferDescriptor, BufferUsages, Extent3d, TextureDescriptor, TextureDimension, TextureFormat, TextureUsages,
    TextureViewDescriptor,
};
use bevy::render::renderer::RenderDevice;

/// Returns the numbers of buffers, textures, views and bind groups made so far. Each call makes one of each.
pub fn objects_made(device: &RenderDevice) -> [u64; 4] {
    let usage = BufferUsages::COPY_DST;
    let buffer = device.create_buffer(&BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false });
    let texture = device.create_texture(&TextureDescriptor {
        label: None,
        size: Extent3d::default(),
        mip_level_count: 1,
        sample_count: 1,
        dimension: TextureDimension::D2,
        format: TextureFormat::Rgba8Unorm,
        usage: TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    });
    let view = texture.create_view(&TextureViewDescriptor::default());
    let bind_group = device.create_bind_group(None, &device.create_bind_group_layout(None, &[]), &[]);
    [
        number(&format!("{:?}", buffer.id())),
        number(&format!("{:?}", texture.id())),
        number(&format!("{:?}", view.id())),
        number(&format!("{:?}", bind_group.id())),
    ]
}

/// Returns the number in an identifier such as `BufferId(7)`.
fn number(id: &str) -> u64 {
    let digits: String = id.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{id} holds no number"))
}
