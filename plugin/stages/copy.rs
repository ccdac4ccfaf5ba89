//! The copy stage: the region, out of the camera's main texture into one of the plugin's. It has no shader.

use bevy::math::{URect, UVec2};
use bevy::platform::collections::HashMap;
use bevy::render::render_resource::{
    CommandEncoder, Extent3d, Origin3d, TexelCopyTextureInfo, Texture, TextureAspect, TextureDescriptor,
    TextureDimension, TextureFormat, TextureUsages, TextureView, TextureViewDescriptor,
};
use bevy::render::renderer::RenderDevice;

/// A region copy grows to multiples of this many pixels a side. None of them is a power of two: for those llvmpipe would compile the
/// shaders that read it anew.
pub(crate) const COPY_STEP_PX: u32 = 96;

/// One region as it was in the frame. Regions are enhanced one after the other and share the copy of their format.
pub(crate) struct RegionCopy {
    pub texture: Texture,
    pub view: TextureView,
    size_px: UVec2,
}

impl RegionCopy {
    /// Makes room for a region of `size_px` pixels of a target of this format. A copy never shrinks.
    pub fn reserve(
        copies: &mut HashMap<TextureFormat, Self>,
        format: TextureFormat,
        size_px: UVec2,
        device: &RenderDevice,
    ) {
        let held = copies.get(&format).map_or(UVec2::ZERO, |copy| copy.size_px);
        if size_px.cmple(held).all() {
            return;
        }
        let round_up = |side: u32| side.next_multiple_of(COPY_STEP_PX);
        let limit = UVec2::splat(device.limits().max_texture_dimension_2d);
        let size_px = held.max(UVec2::new(round_up(size_px.x), round_up(size_px.y)).min(limit));
        copies.insert(format, Self::new(format, size_px, device));
    }

    fn new(format: TextureFormat, size_px: UVec2, device: &RenderDevice) -> Self {
        let texture = device.create_texture(&TextureDescriptor {
            label: Some("portrait region copy"),
            size: Extent3d { width: size_px.x, height: size_px.y, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: TextureDimension::D2,
            format,
            usage: TextureUsages::COPY_DST | TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        });
        let view = texture.create_view(&TextureViewDescriptor::default());
        Self { texture, view, size_px }
    }

    /// Records the copy of this rectangle of the frame to the copy's upper left corner.
    pub fn record(&self, frame: &Texture, rect_px: URect, encoder: &mut CommandEncoder) {
        let size = rect_px.size();
        let extent = Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
        encoder.copy_texture_to_texture(texture_at(frame, rect_px.min), texture_at(&self.texture, UVec2::ZERO), extent);
    }

    pub fn bytes(&self) -> u64 {
        let texel = u64::from(self.texture.format().block_copy_size(None).unwrap_or_default());
        self.size_px.as_u64vec2().element_product() * texel
    }
}

fn texture_at(texture: &Texture, origin: UVec2) -> TexelCopyTextureInfo<'_> {
    TexelCopyTextureInfo {
        texture,
        mip_level: 0,
        origin: Origin3d { x: origin.x, y: origin.y, z: 0 },
        aspect: TextureAspect::All,
    }
}
