//! The base-layer stage: the residual's average at the points of a coarse grid. The shape stage takes it as the residual's base layer,
//! and what is left as its detail layer: structures wider than a step of the grid belong to the former, narrower ones to the latter. The
//! stage runs only where the two have different factors.

use bevy::math::UVec2;
use bevy::render::render_resource::binding_types::{
    storage_buffer_read_only_sized, storage_buffer_sized, uniform_buffer,
};
use bevy::render::render_resource::{
    BindGroup, BindGroupLayoutDescriptor, DynamicBindGroupLayoutEntries, ShaderStages,
};
use bevy::shader::ShaderDefVal;
use portrait_network::layers::{self, BASE_STEPS};

use crate::inference::variant::ActivationFormat;
use crate::shader_defs::activation_def;
use crate::stages::bind_groups::{Binder, Binding};
use crate::stages::region_uniform::RegionUniform;
use crate::stages::resources::{ShapingBuffers, StageResources};

/// Largest number of points of a grid.
pub(crate) const MAX_POINTS: u64 = (BASE_STEPS as u64 + 2) * (BASE_STEPS as u64 + 2);

/// Returns the distance between points on a residual of `network_px` pixels, in its pixels.
pub(crate) fn base_step(network_px: UVec2) -> u32 {
    layers::base_step(network_px.max_element())
}

/// Returns how many points lie across and down, with one beyond the last pixel.
pub(crate) fn base_points(network_px: UVec2) -> UVec2 {
    (network_px.max(UVec2::ONE) - 1) / base_step(network_px) + 2
}

/// Key that the kernel is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BaseLayerKey {
    /// How the residual is stored.
    pub activations: ActivationFormat,
}

/// Declares what the kernel binds.
pub(crate) fn layout() -> BindGroupLayoutDescriptor {
    let entries = DynamicBindGroupLayoutEntries::sequential(
        ShaderStages::COMPUTE,
        (
            uniform_buffer::<RegionUniform>(true),
            storage_buffer_read_only_sized(false, None),
            storage_buffer_sized(false, None),
        ),
    );
    BindGroupLayoutDescriptor::new("portrait base layer", &entries)
}

/// Defines the kernel's variant.
pub fn shader_defs(key: BaseLayerKey) -> Vec<ShaderDefVal> {
    activation_def(key.activations).into_iter().collect()
}

/// Binds a network's residual and the points.
pub(crate) fn bind(resources: &StageResources, shaping: &ShapingBuffers, binder: &mut Binder) -> BindGroup {
    let bindings =
        [(0, resources.region()), (1, Binding::Buffer(resources.residual)), (2, Binding::Buffer(shaping.base_layer))];
    binder.bind("portrait base layer", &layout(), &bindings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_the_base_layer_reach_past_the_last_pixel() {
        for side in 1..=512 {
            let size = UVec2::new(side, side.div_ceil(3));
            let (step, points) = (base_step(size), base_points(size));
            assert!((points - 1).cmpge((size - 1) / step + 1).all(), "{size} {step} {points}");
            assert!(u64::from(points.element_product()) <= MAX_POINTS, "{size}: {points}");
        }
    }
}
