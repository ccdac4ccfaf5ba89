//! The first rendered image as small as the network sees it, kept for the composite pass: what differs from it in the frame
//! itself is detail that the network did not see.

use bevy::render::render_resource::{Buffer, BufferDescriptor, BufferUsages};
use bevy::render::renderer::RenderDevice;

/// Bytes of a pixel: display-referred sRGB, 8 bits a channel.
const PIXEL_BYTES: u64 = 4;

/// Written with the input planes where a region is scaled down. One for all regions: they are worked on one after the
/// other.
pub(crate) struct Guide {
    pub buffer: Buffer,
}

impl Guide {
    /// Room for regions that are scaled down to `most_px` pixels a side; 0 where none is. A buffer there has to be.
    pub fn reserve(held: &mut Option<Self>, most_px: u32, device: &RenderDevice) {
        let size = (u64::from(most_px) * u64::from(most_px)).max(1) * PIXEL_BYTES;
        if held.as_ref().is_some_and(|guide| guide.bytes() >= size) {
            return;
        }
        let buffer = device.create_buffer(&BufferDescriptor {
            label: Some("portrait guide"),
            size,
            usage: BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        *held = Some(Self { buffer });
    }

    pub fn bytes(&self) -> u64 {
        self.buffer.size()
    }
}
