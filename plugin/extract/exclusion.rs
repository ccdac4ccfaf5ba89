//! Boxes that must never be painted over, from the main world to the GPU.

use bevy::camera::primitives::Aabb;
use bevy::camera::visibility::InheritedVisibility;
use bevy::ecs::prelude::*;
use bevy::math::{Affine3A, Mat4, Vec3};
use bevy::render::Extract;
use bevy::render::render_resource::{ShaderType, StorageBuffer};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bevy::transform::components::GlobalTransform;

use crate::api::settings::{PortraitExclude, PortraitRealism};

/// A box grows by this share of its size on each side: surfaces lie on its sides.
const PADDING: f32 = 0.02;
/// Smallest extent of a box, as a share of its largest: a flat mesh has none in one direction.
const MIN_EXTENT: f32 = 0.01;

/// A box whose content is left alone (WGSL: `ExcludedBox` in `shaders/stages/cover.wgsl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, ShaderType)]
pub struct ExcludedBox {
    /// Transform from the world to the box, which becomes the cube from -1 to 1.
    pub cube_from_world: Mat4,
    /// 1 where what is seen through the box is left alone as well.
    pub see_through: u32,
}

impl ExcludedBox {
    /// Makes a box of a mesh's bounds. Returns `None` where the mesh's transform has no inverse.
    pub fn new(bounds: &Aabb, world_from_local: &Affine3A, see_through: bool) -> Option<Self> {
        let half = Vec3::from(bounds.half_extents);
        let half = half.max(Vec3::splat(half.max_element() * MIN_EXTENT)) * (1.0 + PADDING);
        let local_from_cube = Affine3A::from_translation(bounds.center.into()) * Affine3A::from_scale(half);
        let cube_from_world = Mat4::from(*world_from_local * local_from_cube).inverse();
        cube_from_world.is_finite().then_some(Self { cube_from_world, see_through: see_through.into() })
    }
}

/// The boxes of this frame, and the same on the GPU.
#[derive(Resource, Default)]
pub(crate) struct Exclusions {
    pub boxes: Vec<ExcludedBox>,
    pub buffer: StorageBuffer<Vec<ExcludedBox>>,
}

impl Exclusions {
    /// Brings the boxes to the GPU. A buffer is made even for none, because the composite stage's layout requires one.
    pub fn write(&mut self, device: &RenderDevice, queue: &RenderQueue) {
        if self.buffer.buffer().is_some() && *self.buffer.get() == self.boxes {
            return;
        }
        self.buffer.set(self.boxes.clone());
        self.buffer.write_buffer(device, queue);
    }
}

/// Extracts the boxes of everything visible that is excluded, as long as a camera's effect is on.
pub(crate) fn extract_exclusions(
    mut exclusions: ResMut<Exclusions>,
    cameras: Extract<Query<&PortraitRealism>>,
    excluded: Extract<Query<(Entity, &PortraitExclude, Option<&InheritedVisibility>)>>,
    parts: Extract<Query<(&GlobalTransform, &Aabb)>>,
    children: Extract<Query<&Children>>,
) {
    exclusions.boxes.clear();
    if !cameras.iter().any(PortraitRealism::is_active) {
        return;
    }
    for (entity, exclude, visibility) in &excluded {
        if visibility.is_some_and(|visibility| !visibility.get()) {
            continue;
        }
        let family = std::iter::once(entity).chain(children.iter_descendants(entity));
        let parts = family.filter_map(|part| parts.get(part).ok());
        let boxes = parts.filter_map(|(part, bounds)| ExcludedBox::new(bounds, &part.affine(), exclude.see_through));
        exclusions.boxes.extend(boxes);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_turned_and_flat_ones_have_a_thickness() {
        let bounds = Aabb::from_min_max(Vec3::new(0.0, 0.0, 0.0), Vec3::new(2.0, 4.0, 0.0));
        let turned = Affine3A::from_rotation_z(std::f32::consts::FRAC_PI_2);
        let cube = ExcludedBox::new(&bounds, &turned, false).unwrap().cube_from_world;
        let inside = |point: Vec3| cube.transform_point3(point).abs().max_element() <= 1.0;
        assert!(inside(Vec3::new(-4.0, 2.0, 0.0)) && inside(Vec3::ZERO) && inside(Vec3::new(-1.0, 1.0, 0.01)));
        assert!(!inside(Vec3::new(-4.2, 1.0, 0.0)) && !inside(Vec3::new(1.0, 3.0, 0.0)) && !inside(Vec3::Z));
    }

    #[test]
    fn boxes_without_an_inverse_are_skipped() {
        let bounds = Aabb::from_min_max(Vec3::ZERO, Vec3::ONE);
        assert_eq!(ExcludedBox::new(&bounds, &Affine3A::from_scale(Vec3::ZERO), false), None);
        assert_eq!(ExcludedBox::new(&bounds, &Affine3A::from_translation(Vec3::NAN), false), None);
    }
}
