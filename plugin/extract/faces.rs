//! Faces, from the main world into the render world.

use bevy::asset::{AssetEvent, Assets};
use bevy::camera::visibility::{InheritedVisibility, RenderLayers};
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::math::{Mat4, Vec3};
use bevy::mesh::Mesh;
use bevy::render::Extract;
use bevy::transform::components::GlobalTransform;

use crate::api::settings::{PortraitFace, PortraitRealism};
use crate::extract::bounds::{FaceParts, MorphReaches};
use crate::region::box_corners;

/// The visible faces of this frame.
#[derive(Resource, Default)]
pub(crate) struct ExtractedFaces(pub Vec<ExtractedFace>);

/// A face's box in world space.
#[derive(Clone, Debug)]
pub(crate) struct ExtractedFace {
    /// The face's entity in the main world.
    pub entity: Entity,
    pub corners: [Vec3; 8],
    pub center: Vec3,
    /// Radius of the sphere around the box's corners.
    pub radius: f32,
    /// Transform from the world to the box, which reaches from (0, 0, 0) in its upper left front corner, seen from the front, to (1, 1, 1).
    pub face_from_world: Mat4,
    /// Render layers that the face is on; `None` stands for all of them.
    pub layers: Option<RenderLayers>,
}

impl ExtractedFace {
    /// Places a box of the entity's own space in the world.
    pub fn new(
        entity: Entity,
        (min, max): (Vec3, Vec3),
        transform: &GlobalTransform,
        layers: Option<&RenderLayers>,
    ) -> Self {
        let corners = box_corners(min, max).map(|corner| transform.transform_point(corner));
        let center = corners.iter().sum::<Vec3>() / 8.0;
        let radius = corners.iter().map(|corner| corner.distance(center)).fold(0.0, f32::max);
        let size = (max - min).max(Vec3::splat(f32::MIN_POSITIVE));
        // The axes of the box run left to right, top to bottom and front to back.
        let unit_from_local = Mat4::from_scale(Vec3::new(1.0, -1.0, -1.0) / size)
            * Mat4::from_translation(Vec3::new(-min.x, -max.y, -max.z));
        let face_from_world = unit_from_local * transform.to_matrix().inverse();
        Self { entity, corners, center, radius, face_from_world, layers: layers.cloned() }
    }
}

/// Returns whether the app has Bevy's `MeshPlugin`: without it nothing can be drawn that has a face.
pub(crate) fn app_has_meshes(meshes: Extract<Option<Res<Assets<Mesh>>>>) -> bool {
    meshes.is_some()
}

/// An entity that is marked as a face.
#[derive(QueryData)]
pub(crate) struct MarkedFace {
    entity: Entity,
    face: &'static PortraitFace,
    transform: &'static GlobalTransform,
    visibility: Option<&'static InheritedVisibility>,
    layers: Option<&'static RenderLayers>,
}

/// Extracts the box of every visible face, as long as a camera's effect is on.
pub(crate) fn extract_faces(
    mut extracted: ResMut<ExtractedFaces>,
    cameras: Extract<Query<&PortraitRealism>>,
    faces: Extract<Query<MarkedFace>>,
    parts: Extract<FaceParts>,
    children: Extract<Query<&Children>>,
    mut reaches: ResMut<MorphReaches>,
    mut changed_meshes: Extract<MessageReader<AssetEvent<Mesh>>>,
) {
    reaches.forget(changed_meshes.read());
    extracted.0.clear();
    if !cameras.iter().any(PortraitRealism::is_active) {
        return;
    }
    for MarkedFaceItem { entity, face, transform, visibility, layers } in &faces {
        if visibility.is_some_and(|visibility| !visibility.get()) {
            continue;
        }
        let bounds = face.bounds.map(|bounds| (Vec3::from(bounds.min()), Vec3::from(bounds.max())));
        // The union is taken in the face's own space, where the box is tighter than along the axes of the world.
        let bounds = bounds.or_else(|| {
            let local_from_world = transform.affine().inverse();
            let family = std::iter::once(entity).chain(children.iter_descendants(entity));
            let corners = family.flat_map(|part| parts.corners(part, &mut reaches));
            let corners = corners.map(|corner| local_from_world.transform_point3(corner));
            corners.fold(None, |union: Option<(Vec3, Vec3)>, corner| {
                let (min, max) = union.unwrap_or((corner, corner));
                Some((min.min(corner), max.max(corner)))
            })
        });
        extracted.0.extend(bounds.map(|bounds| ExtractedFace::new(entity, bounds, transform, layers)));
    }
}
