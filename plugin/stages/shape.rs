//! The shape stage: between the network and the composite stage it gives the residual's base and detail layer their factors, and steadies
//! the residual by the last frame's. It runs only where the settings or the weights ask for either.

use bevy::asset::AssetId;
use bevy::ecs::entity::Entity;
use bevy::math::UVec2;
use bevy::platform::collections::HashMap;
use bevy::render::render_resource::binding_types::{
    storage_buffer_read_only_sized, storage_buffer_sized, uniform_buffer,
};
use bevy::render::render_resource::{
    BindGroup, BindGroupLayoutDescriptor, Buffer, BufferDescriptor, BufferUsages, DynamicBindGroupLayoutEntries,
    ShaderStages,
};
use bevy::render::renderer::RenderDevice;
use bevy::shader::ShaderDefVal;

use crate::api::model::PortraitModel;
use crate::inference::variant::ActivationFormat;
use crate::region::Region;
use crate::shader_defs::{WORKGROUP_SIDE, activation_def, multisampled_def, texel_texture, workgroup_side};
use crate::stages::base_layer::MAX_POINTS;
use crate::stages::bind_groups::{Binder, Binding};
use crate::stages::region_uniform::RegionUniform;
use crate::stages::resources::{ShapingBuffers, StageResources};

/// Key that the kernel is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShapeKey {
    /// How the residual is stored.
    pub activations: ActivationFormat,
    /// True if the camera's motion vectors are multisampled.
    pub multisampled: bool,
}

/// Declares what the kernel binds.
pub(crate) fn layout(key: ShapeKey) -> BindGroupLayoutDescriptor {
    let entries = DynamicBindGroupLayoutEntries::sequential(
        ShaderStages::COMPUTE,
        (
            uniform_buffer::<RegionUniform>(true),
            storage_buffer_read_only_sized(false, None),
            storage_buffer_read_only_sized(false, None),
            storage_buffer_sized(false, None),
            storage_buffer_read_only_sized(false, None),
            texel_texture(key.multisampled),
            texel_texture(false),
        ),
    );
    BindGroupLayoutDescriptor::new("portrait shape", &entries)
}

/// Defines the kernel's variant.
pub fn shader_defs(key: ShapeKey) -> Vec<ShaderDefVal> {
    let mut defs = vec![workgroup_side()];
    defs.extend(activation_def(key.activations));
    defs.extend(multisampled_def(key.multisampled));
    defs
}

/// Binds a region's residuals, its base layer, and what its camera saw.
pub(crate) fn bind(
    key: ShapeKey,
    resources: &StageResources,
    shaping: &ShapingBuffers,
    binder: &mut Binder,
) -> BindGroup {
    let bindings = [
        (0, resources.region()),
        (1, Binding::Buffer(resources.residual)),
        (2, Binding::Buffer(shaping.last_residual)),
        (3, Binding::Buffer(shaping.shaped_residual)),
        (4, Binding::Buffer(shaping.base_layer)),
        (5, Binding::Texture(resources.motion_vectors)),
        (6, Binding::Texture(resources.region_copy)),
    ];
    binder.bind("portrait shape", &layout(key), &bindings)
}

/// Returns the workgroups for a residual of `network_px` pixels.
pub(crate) fn workgroups(network_px: UVec2) -> [u32; 3] {
    let groups = network_px.map(|side| side.div_ceil(WORKGROUP_SIDE));
    [groups.x, groups.y, 1]
}

/// A region that changes its size by more than this factor from one frame to the next shows something else.
const MAX_ZOOM: f32 = 1.5;

/// Names a history: the camera's entity in the render world, the face's in the main world, and the model that made the residual.
pub(crate) type HistoryKey = (Entity, Entity, AssetId<PortraitModel>);

/// Where the residual lies that a history keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HistoryRegion {
    pub region: Region,
    pub padded_px: UVec2,
}

/// The last shaped residual of a face in a camera.
struct History {
    buffer: Buffer,
    format: ActivationFormat,
    region: Option<HistoryRegion>,
    frame: u64,
}

impl History {
    /// Returns where the last residual lies, if it is the frame before's and the face has not jumped since.
    fn usable(&self, region: &Region, frame: u64) -> Option<HistoryRegion> {
        self.region.filter(|last| self.frame + 1 == frame && is_continued(&last.region, region))
    }
}

/// Returns whether a region may show the same face as another did a frame before.
fn is_continued(before: &Region, now: &Region) -> bool {
    let zoom = now.rect_px.size().as_vec2().max_element() / before.rect_px.size().as_vec2().max_element();
    !before.rect_px.intersect(now.rect_px).is_empty() && zoom <= MAX_ZOOM && zoom >= MAX_ZOOM.recip()
}

/// Memory of the shape and base-layer stages. There is none until a region is shaped.
#[derive(Default)]
pub(crate) struct ShapingMemory {
    shaped_residual: Option<Buffer>,
    base_layer: Option<Buffer>,
    histories: HashMap<HistoryKey, History>,
    frame: u64,
}

impl ShapingMemory {
    /// Begins a frame, and drops the histories of faces that have not been seen for longer than a frame.
    pub fn begin_frame(&mut self) {
        self.frame += 1;
        let frame = self.frame;
        self.histories.retain(|_, history| history.frame + 2 > frame);
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self { frame: self.frame, ..Self::default() };
    }

    /// Makes room for a shaped residual of `bytes`, and returns its buffer and that of the base layer's points.
    pub fn reserve(&mut self, bytes: u64, device: &RenderDevice) -> [Buffer; 2] {
        let shaped = match self.shaped_residual.take().filter(|buffer| buffer.size() >= bytes) {
            Some(held) => held,
            None => buffer("portrait shaped residual", bytes, device),
        };
        let base = self.base_layer.take().unwrap_or_else(|| buffer("portrait base layer", MAX_POINTS * 16, device));
        self.shaped_residual = Some(shaped.clone());
        self.base_layer = Some(base.clone());
        [shaped, base]
    }

    /// Returns a face's history with room for a residual of `bytes`, and where in it the last frame's lies if that may be used. After
    /// this frame it holds `now`.
    pub fn history(
        &mut self,
        key: HistoryKey,
        now: HistoryRegion,
        format: ActivationFormat,
        bytes: u64,
        reset: bool,
        device: &RenderDevice,
    ) -> (Buffer, Option<HistoryRegion>) {
        let frame = self.frame;
        let held = self.histories.remove(&key);
        let mut history =
            held.filter(|held| held.buffer.size() >= bytes && held.format == format).unwrap_or_else(|| History {
                buffer: buffer("portrait history", bytes, device),
                format,
                region: None,
                frame,
            });
        let usable = history.usable(&now.region, frame).filter(|_| !reset);
        (history.region, history.frame) = (Some(now), frame);
        let buffer = history.buffer.clone();
        self.histories.insert(key, history);
        (buffer, usable)
    }

    /// Returns the GPU memory held, in bytes.
    pub fn bytes(&self) -> u64 {
        let histories = self.histories.values().map(|history| &history.buffer);
        self.shaped_residual.iter().chain(&self.base_layer).chain(histories).map(|buffer| buffer.size()).sum()
    }
}

fn buffer(label: &str, size: u64, device: &RenderDevice) -> Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    device.create_buffer(&BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
}

#[cfg(test)]
mod tests {
    use bevy::math::URect;

    use super::*;

    fn region(x: u32, side: u32) -> Region {
        Region { rect_px: URect::new(x, 0, x + side, side), fading_sides: [true; 4], scale: 8 }
    }

    #[test]
    fn cuts_and_zooms_begin_anew() {
        assert!(is_continued(&region(0, 100), &region(16, 104)));
        assert!(!is_continued(&region(0, 100), &region(104, 100)), "beside it");
        assert!(!is_continued(&region(0, 100), &region(0, 160)), "nearer");
        assert!(!is_continued(&region(0, 160), &region(0, 100)), "farther");
    }
}
