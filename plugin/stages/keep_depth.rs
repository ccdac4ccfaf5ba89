//! The keep-depth stage: it keeps the depths of the opaque scene before Bevy draws what is transparent, so that the composite stage
//! finds the overlays drawn since by the difference.

use bevy::render::render_resource::binding_types::{storage_buffer_sized, uniform_buffer};
use bevy::render::render_resource::{
    BindGroup, BindGroupLayoutDescriptor, Buffer, BufferDescriptor, BufferUsages, DynamicBindGroupLayoutEntries,
    ShaderStages,
};
use bevy::render::renderer::RenderDevice;
use bevy::shader::ShaderDefVal;

use crate::shader_defs::{depth_texture, multisampled_def, workgroup_side};
use crate::stages::bind_groups::{Binder, Binding};
use crate::stages::region_uniform::RegionUniform;
use crate::stages::resources::StageResources;

/// Key that the kernel is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeepDepthKey {
    /// True if the camera's depth buffer is multisampled.
    pub multisampled: bool,
}

/// Declares what the kernel binds.
pub(crate) fn layout(key: KeepDepthKey) -> BindGroupLayoutDescriptor {
    let entries = DynamicBindGroupLayoutEntries::sequential(
        ShaderStages::COMPUTE,
        (uniform_buffer::<RegionUniform>(true), depth_texture(key.multisampled), storage_buffer_sized(false, None)),
    );
    BindGroupLayoutDescriptor::new("portrait keep depth", &entries)
}

/// Defines the kernel's variant.
pub fn shader_defs(key: KeepDepthKey) -> Vec<ShaderDefVal> {
    std::iter::once(workgroup_side()).chain(multisampled_def(key.multisampled)).collect()
}

/// Binds a view's depths, for all of its regions.
pub(crate) fn bind(key: KeepDepthKey, resources: &StageResources, binder: &mut Binder) -> BindGroup {
    let bindings = [
        (0, resources.region()),
        (1, Binding::Texture(resources.final_depths)),
        (2, Binding::Buffer(resources.opaque_depths)),
    ];
    binder.bind("portrait keep depth", &layout(key), &bindings)
}

/// The depths of a view's regions, one region after the other, `f32` row by row. Views are drawn in turn and share the buffer.
pub(crate) struct OpaqueDepths {
    pub buffer: Buffer,
}

impl OpaqueDepths {
    /// Returns whether this device can bind the depths of so many pixels.
    pub fn can_hold(pixels: u64, device: &RenderDevice) -> bool {
        pixels * size_of::<f32>() as u64 <= device.limits().max_storage_buffer_binding_size
    }

    /// Makes room for the depths of so many pixels. A minimal buffer is made even for none, because the composite stage's layout
    /// requires one.
    pub fn reserve(held: &mut Option<Self>, pixels: u64, device: &RenderDevice) {
        let size = pixels.max(1) * size_of::<f32>() as u64;
        if held.as_ref().is_some_and(|depths| depths.bytes() >= size) {
            return;
        }
        let buffer = device.create_buffer(&BufferDescriptor {
            label: Some("portrait opaque depths"),
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
