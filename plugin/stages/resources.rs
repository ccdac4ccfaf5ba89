//! Everything that a stage may bind for a region. A stage takes from it what its layout lists.

use bevy::render::render_resource::{Buffer, Sampler, ShaderType, TextureView};

use crate::stages::bind_groups::Binding;
use crate::stages::region_uniform::RegionUniform;

/// Buffers and textures of one region of a view. Where a camera has no such texture, a placeholder of the same kind is bound, and the
/// region's uniform says that nothing is to be read from it.
#[derive(Clone, Copy)]
pub(crate) struct StageResources<'a> {
    /// One [`RegionUniform`] for each region of the frame.
    pub region_uniforms: &'a Buffer,
    /// The region as it was in the camera's main texture, linear colour.
    pub region_copy: &'a TextureView,
    /// The network's input planes.
    pub input_planes: &'a Buffer,
    /// The network's residual, one plane.
    pub residual: &'a Buffer,
    /// Buffers for shaping, for a region whose residual is shaped.
    pub shaping: Option<ShapingBuffers<'a>>,
    /// The region's colours as the network saw them, where the region is scaled down.
    pub guide: &'a Buffer,
    /// Normals of the prepass, if the camera has them.
    pub normals: Option<&'a TextureView>,
    /// Depths of the prepass.
    pub depths: &'a TextureView,
    /// Motion vectors of the prepass.
    pub motion_vectors: &'a TextureView,
    /// The user's mask.
    pub mask: &'a TextureView,
    /// How the mask is sampled.
    pub mask_sampler: &'a Sampler,
    /// Boxes whose content is never painted over.
    pub excluded_boxes: &'a Buffer,
    /// The view's depth buffer after everything has been drawn.
    pub final_depths: &'a TextureView,
    /// The depths of the opaque scene, which the keep-depth stage wrote.
    pub opaque_depths: &'a Buffer,
}

/// Buffers of the two stages that shape a residual.
#[derive(Clone, Copy)]
pub(crate) struct ShapingBuffers<'a> {
    /// The residual of the last frame; this frame's where none is kept.
    pub last_residual: &'a Buffer,
    /// The base layer at the points of a coarse grid.
    pub base_layer: &'a Buffer,
    /// The shaped residual.
    pub shaped_residual: &'a Buffer,
}

impl<'a> StageResources<'a> {
    /// Binds one region's uniform, whose offset comes with the dispatch.
    pub fn region(&self) -> Binding<'a> {
        Binding::Uniform(self.region_uniforms, RegionUniform::min_size())
    }

    /// Returns the residual that is composited: the shaped one, if there is one.
    pub fn composited_residual(&self) -> &'a Buffer {
        self.shaping.map_or(self.residual, |shaping| shaping.shaped_residual)
    }
}
