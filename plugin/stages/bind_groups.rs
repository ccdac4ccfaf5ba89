//! Bind groups, made once for what they bind and kept for as long as frames ask for them.

use std::num::NonZeroU64;

use bevy::platform::collections::HashMap;
use bevy::render::render_resource::{
    BindGroup, BindGroupEntry, BindGroupLayoutDescriptor, BindingResource, Buffer, BufferBinding, BufferId,
    PipelineCache, Sampler, SamplerId, TextureView, TextureViewId,
};
use bevy::render::renderer::RenderDevice;

/// A resource that a stage binds.
#[derive(Clone, Copy)]
pub(crate) enum Binding<'a> {
    /// A whole buffer.
    Buffer(&'a Buffer),
    /// An element of this size of a uniform buffer; its offset comes with the dispatch.
    Uniform(&'a Buffer, NonZeroU64),
    /// A texture, multisampled or not.
    Texture(&'a TextureView),
    /// A sampler.
    Sampler(&'a Sampler),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum BindingId {
    Buffer(BufferId),
    Texture(TextureViewId),
    Sampler(SamplerId),
}

impl<'a> Binding<'a> {
    fn id(self) -> BindingId {
        match self {
            Self::Buffer(buffer) | Self::Uniform(buffer, _) => BindingId::Buffer(buffer.id()),
            Self::Texture(view) => BindingId::Texture(view.id()),
            Self::Sampler(sampler) => BindingId::Sampler(sampler.id()),
        }
    }

    fn resource(self) -> BindingResource<'a> {
        match self {
            Self::Buffer(buffer) => buffer.as_entire_binding(),
            Self::Uniform(buffer, size) => {
                BindingResource::Buffer(BufferBinding { buffer, offset: 0, size: Some(size) })
            }
            Self::Texture(view) => BindingResource::TextureView(view),
            Self::Sampler(sampler) => BindingResource::Sampler(sampler),
        }
    }
}

/// Bind groups by stage and by the ids of what they bind. Those that no frame asks for are dropped at the frame's end.
#[derive(Default)]
pub(crate) struct BindGroupCache(HashMap<BindGroupKey, CachedBindGroup>);

#[derive(PartialEq, Eq, Hash)]
struct BindGroupKey {
    stage: &'static str,
    bindings: Vec<(u32, BindingId)>,
}

struct CachedBindGroup {
    bind_group: BindGroup,
    is_used: bool,
}

impl BindGroupCache {
    /// Drops the bind groups that have not been asked for since the last call.
    pub fn drop_unused(&mut self) {
        self.0.retain(|_, cached| std::mem::take(&mut cached.is_used));
    }
}

/// Makes the bind groups of the stages, or finds them in the cache.
pub(crate) struct Binder<'a> {
    pub device: &'a RenderDevice,
    pub pipeline_cache: &'a PipelineCache,
    pub bind_groups: &'a mut BindGroupCache,
}

impl Binder<'_> {
    /// Binds these resources at these numbers. The stage's name is the bind group's label.
    pub fn bind(
        &mut self,
        stage: &'static str,
        layout: &BindGroupLayoutDescriptor,
        bindings: &[(u32, Binding)],
    ) -> BindGroup {
        let key = BindGroupKey {
            stage,
            bindings: bindings.iter().map(|&(number, binding)| (number, binding.id())).collect(),
        };
        let cached = self.bind_groups.0.entry(key).or_insert_with(|| {
            let entries: Vec<_> = bindings
                .iter()
                .map(|&(binding, resource)| BindGroupEntry { binding, resource: resource.resource() })
                .collect();
            let layout = self.pipeline_cache.get_bind_group_layout(layout);
            CachedBindGroup { bind_group: self.device.create_bind_group(stage, &layout, &entries), is_used: true }
        });
        cached.is_used = true;
        cached.bind_group.clone()
    }
}
