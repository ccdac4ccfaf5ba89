//! Boxes that must never be painted over, from the main world to the GPU.

use bevy::camera::primitives::Aabb;
use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::prelude::*;
use bevy::math::{Affine3A, Mat4, Vec3};
use bevy::render::Extract;
use bevy::render::render_resource::{Buffer, ShaderType, StorageBuffer};
use bevy::render::renderer::{RenderDevice, RenderQueue};

use crate::api::settings::PortraitExclude;
use crate::extract::boundless::Boundless;
use crate::extract::measure::MeasuredMeshes;
use crate::extract::parts::{JointUsers, Part, Parts};
use crate::extract::scene::MainScene;
use crate::extract::sight::Sight;

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
    /// Makes a box of bounds and their transform to the world. Returns `None` where the transform has no inverse.
    pub fn new(bounds: &Aabb, world_from_local: &Affine3A, see_through: bool) -> Option<Self> {
        let half = Vec3::from(bounds.half_extents);
        let half = half.max(Vec3::splat(half.max_element() * MIN_EXTENT)) * (1.0 + PADDING);
        let local_from_cube = Affine3A::from_translation(bounds.center.into()) * Affine3A::from_scale(half);
        let cube_from_world = Mat4::from(*world_from_local * local_from_cube).inverse();
        cube_from_world.is_finite().then_some(Self { cube_from_world, see_through: see_through.into() })
    }
}

/// The boxes of this frame for each camera, and the same on the GPU. Cameras are entities of the main world.
#[derive(Resource, Default)]
pub(crate) struct Exclusions(EntityHashMap<ViewExclusions>);

/// The boxes that a camera draws something of.
#[derive(Default)]
struct ViewExclusions {
    boxes: Vec<ExcludedBox>,
    buffer: StorageBuffer<Vec<ExcludedBox>>,
}

impl Exclusions {
    /// Returns the number of boxes that a camera draws something of.
    pub fn count(&self, camera: Entity) -> u32 {
        self.0.get(&camera).map_or(0, |view| view.boxes.len() as u32)
    }

    /// Brings a camera's boxes to the GPU. A buffer is made even for none, because the composite stage's layout requires one.
    pub fn write(&mut self, camera: Entity, device: &RenderDevice, queue: &RenderQueue) {
        let ViewExclusions { boxes, buffer } = self.0.entry(camera).or_default();
        if buffer.buffer().is_some() && *buffer.get() == *boxes {
            return;
        }
        buffer.set(boxes.clone());
        buffer.write_buffer(device, queue);
    }

    /// Returns a camera's boxes on the GPU.
    pub fn buffer(&self, camera: Entity) -> Option<&Buffer> {
        self.0.get(&camera)?.buffer.buffer()
    }
}

/// Extracts the boxes of everything excluded that a camera draws, as long as a camera's effect is on.
pub(crate) fn extract_exclusions(
    mut exclusions: ResMut<Exclusions>,
    excluded: Extract<Query<(Entity, &PortraitExclude)>>,
    scene: Extract<MainScene>,
    users: Res<JointUsers>,
    mut measured: ResMut<MeasuredMeshes>,
    mut boundless: Local<Boundless>,
) {
    let MainScene { parts, sights, reasons } = &*scene;
    let viewers = sights.viewers();
    exclusions.0.retain(|camera, view| {
        view.boxes.clear();
        viewers.iter().any(|viewer| viewer.entity == *camera)
    });
    boundless.retain(|entity| excluded.contains(entity));
    if viewers.is_empty() {
        return;
    }
    for (entity, exclude) in &excluded {
        let marked = parts.of(entity, &users, &mut measured);
        if exclude.bounds.is_none() && marked.parts.iter().all(|part| part.boxes.is_empty()) {
            let what = ["PortraitExclude", "it protects nothing"];
            boundless.warn(entity, &marked, what, parts, &users, reasons);
            continue;
        }
        let by_hand = exclude
            .bounds
            .and_then(|bounds| Some(ExcludedBox::new(&bounds, &parts.place(entity)?, exclude.see_through)));
        let boxes: Vec<_> = marked.parts.iter().map(|part| (part.entity, box_of(part, parts, exclude))).collect();
        for viewer in &viewers {
            let is_drawn = |part: Entity| sights.of(viewer, part) == Sight::Drawn;
            let view = &mut exclusions.0.entry(viewer.entity).or_default().boxes;
            if exclude.bounds.is_none() {
                view.extend(boxes.iter().filter(|(part, _)| is_drawn(*part)).filter_map(|(_, excluded)| *excluded));
            } else if boxes.iter().any(|(part, _)| is_drawn(*part))
                || boxes.is_empty() && sights.of(viewer, entity) != Sight::Hidden
            {
                view.extend(by_hand.flatten());
            }
        }
    }
}

/// Returns one box around a part, turned as the part is.
fn box_of(part: &Part, parts: &Parts, exclude: &PortraitExclude) -> Option<ExcludedBox> {
    let (world_from_box, [min, max]) = match part.boxes.as_slice() {
        [alone] => *alone,
        _ => {
            let world_from_part = part.carried.or_else(|| parts.place(part.entity))?;
            (world_from_part, part.within(world_from_part.inverse())?)
        }
    };
    ExcludedBox::new(&Aabb::from_min_max(min, max), &world_from_box, exclude.see_through)
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
