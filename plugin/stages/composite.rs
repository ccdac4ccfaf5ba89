//! The composite stage: it draws the region back into the camera's main texture, with the residual added where nothing protects the
//! frame: outside masks, excluded boxes, overlays and whatever is in front of the face.

use bevy::math::URect;
use bevy::render::render_resource::binding_types::{
    sampler, storage_buffer_read_only_sized, texture_2d, uniform_buffer,
};
use bevy::render::render_resource::{
    BindGroup, BindGroupLayoutDescriptor, CommandEncoder, DynamicBindGroupLayoutEntries, LoadOp, Operations,
    RenderPassColorAttachment, RenderPassDescriptor, RenderPipeline, SamplerBindingType, ShaderStages, StoreOp,
    TextureFormat, TextureSampleType, TextureView,
};
use bevy::shader::ShaderDefVal;

use crate::inference::variant::ActivationFormat;
use crate::shader_defs::{activation_def, depth_texture, multisampled_def, texel_texture};
use crate::stages::bind_groups::{Binder, Binding};
use crate::stages::region_uniform::RegionUniform;
use crate::stages::resources::StageResources;

/// Key that the pass is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CompositeKey {
    /// Format of the camera's main texture.
    pub target: TextureFormat,
    /// How the residual is stored.
    pub activations: ActivationFormat,
    /// True if the camera's depths are multisampled.
    pub multisampled: bool,
}

/// Declares what the pass binds.
pub(crate) fn layout(key: CompositeKey) -> BindGroupLayoutDescriptor {
    let entries = DynamicBindGroupLayoutEntries::sequential(
        ShaderStages::FRAGMENT,
        (
            uniform_buffer::<RegionUniform>(true).visibility(ShaderStages::VERTEX_FRAGMENT),
            texel_texture(false),
            storage_buffer_read_only_sized(false, None),
            storage_buffer_read_only_sized(false, None),
            depth_texture(key.multisampled),
            texture_2d(TextureSampleType::Float { filterable: true }),
            sampler(SamplerBindingType::Filtering),
            storage_buffer_read_only_sized(false, None),
            depth_texture(key.multisampled),
            storage_buffer_read_only_sized(false, None),
        ),
    );
    BindGroupLayoutDescriptor::new("portrait composite", &entries)
}

/// Defines the pass's variant.
pub fn shader_defs(key: CompositeKey) -> Vec<ShaderDefVal> {
    activation_def(key.activations).into_iter().chain(multisampled_def(key.multisampled)).collect()
}

/// Binds what the pass reads of a region.
pub(crate) fn bind(key: CompositeKey, resources: &StageResources, binder: &mut Binder) -> BindGroup {
    let bindings = [
        (0, resources.region()),
        (1, Binding::Texture(resources.region_copy)),
        (2, Binding::Buffer(resources.composited_residual())),
        (3, Binding::Buffer(resources.guide)),
        (4, Binding::Texture(resources.depths)),
        (5, Binding::Texture(resources.mask)),
        (6, Binding::Sampler(resources.mask_sampler)),
        (7, Binding::Buffer(resources.excluded_boxes)),
        (8, Binding::Texture(resources.final_depths)),
        (9, Binding::Buffer(resources.opaque_depths)),
    ];
    binder.bind("portrait composite", &layout(key), &bindings)
}

/// Records the pass over this rectangle of the target; everything else in the target stays as it is.
pub(crate) fn record(
    pipeline: &RenderPipeline,
    bind_group: &BindGroup,
    uniform_offset: u32,
    target: &TextureView,
    rect_px: URect,
    encoder: &mut CommandEncoder,
) {
    let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
        label: Some("portrait composite"),
        color_attachments: &[Some(RenderPassColorAttachment {
            view: target,
            depth_slice: None,
            resolve_target: None,
            ops: Operations { load: LoadOp::Load, store: StoreOp::Store },
        })],
        ..Default::default()
    });
    let size = rect_px.size();
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, bind_group, &[uniform_offset]);
    pass.set_scissor_rect(rect_px.min.x, rect_px.min.y, size.x, size.y);
    pass.draw(0..3, 0..1);
}
