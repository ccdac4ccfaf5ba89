//! Boxes around a face's meshes, however skin and morph targets have moved them.

use bevy::asset::{AssetEvent, AssetId, Assets};
use bevy::camera::primitives::Aabb;
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::ecs::system::SystemParam;
use bevy::math::{Affine3A, Vec3};
use bevy::mesh::morph::{MeshMorphWeights, MorphWeights};
use bevy::mesh::skinning::{SkinnedMesh, SkinnedMeshInverseBindposes};
use bevy::mesh::{Mesh, Mesh3d, VertexAttributeValues};
use bevy::platform::collections::HashMap;
use bevy::transform::components::GlobalTransform;

use crate::region::box_corners;

/// Distance by which each morph target of a mesh, alone and in full, moves the lower and the upper corner of the mesh's box.
type Reach = Vec<[Vec3; 2]>;

/// The reaches of meshes with morph targets that are part of a face, each measured once.
#[derive(Resource, Default)]
pub(crate) struct MorphReaches(HashMap<AssetId<Mesh>, Reach>);

impl MorphReaches {
    /// Forgets meshes that have changed.
    pub(crate) fn forget<'a>(&mut self, changes: impl Iterator<Item = &'a AssetEvent<Mesh>>) {
        for change in changes {
            if let AssetEvent::Modified { id } | AssetEvent::Removed { id } = change {
                self.0.remove(id);
            }
        }
    }

    /// Returns how far these weights move the corners of the mesh's box. No vertex leaves the moved box while the weights are
    /// positive and sum up to 1 at most, since each moves along a line between boxes; beyond that, where targets move the same
    /// vertices, the sum is an estimate.
    fn moves(&mut self, id: AssetId<Mesh>, mesh: &Mesh, weights: &[f32]) -> [Vec3; 2] {
        let reach = self.0.entry(id).or_insert_with(|| reach(mesh).unwrap_or_default());
        let moves = reach.iter().zip(weights);
        moves.fold([Vec3::ZERO; 2], |sum, (full, weight)| std::array::from_fn(|at| sum[at] + full[at] * *weight))
    }
}

fn reach(mesh: &Mesh) -> Option<Reach> {
    // A mesh that only the renderer keeps has no positions here.
    let Ok(VertexAttributeValues::Float32x3(positions)) = mesh.try_attribute(Mesh::ATTRIBUTE_POSITION) else {
        return None;
    };
    let around = |points: &mut dyn Iterator<Item = Vec3>| {
        points.fold([Vec3::INFINITY, Vec3::NEG_INFINITY], |[min, max], point| [min.min(point), max.max(point)])
    };
    let at_rest = around(&mut positions.iter().map(|position| Vec3::from(*position)));
    // Targets lie one after the other, each with all vertices.
    let targets = mesh.try_morph_targets().ok()?.chunks_exact(positions.len().max(1));
    let reach = targets.map(|target| {
        let vertices = positions.iter().zip(target);
        let moved = around(&mut vertices.map(|(position, by)| Vec3::from(*position) + by.position));
        std::array::from_fn(|corner| moved[corner] - at_rest[corner])
    });
    Some(reach.collect())
}

/// The meshes of the world, and what moves them.
#[derive(SystemParam)]
pub(crate) struct FaceParts<'w, 's> {
    parts: Query<'w, 's, Part>,
    places: Query<'w, 's, &'static GlobalTransform>,
    weights: Query<'w, 's, &'static MorphWeights>,
    meshes: Res<'w, Assets<Mesh>>,
    bind_poses: Res<'w, Assets<SkinnedMeshInverseBindposes>>,
}

/// An entity that draws something.
#[derive(QueryData)]
pub(crate) struct Part {
    place: &'static GlobalTransform,
    bounds: &'static Aabb,
    mesh: Option<&'static Mesh3d>,
    morph: Option<&'static MeshMorphWeights>,
    skin: Option<&'static SkinnedMesh>,
}

impl FaceParts<'_, '_> {
    /// Returns the corners of boxes around what the entity itself draws, in world space; none where it draws nothing.
    ///
    /// Its [`Aabb`] follows joints (Bevy's `DynamicSkinnedMeshBounds`, which the glTF loader adds) but no morph targets.
    pub(crate) fn corners(&self, entity: Entity, reaches: &mut MorphReaches) -> Vec<Vec3> {
        let Ok(PartItem { place, bounds, mesh, morph, skin }) = self.parts.get(entity) else { return Vec::new() };
        let (min, max) = (Vec3::from(bounds.min()), Vec3::from(bounds.max()));
        let Some((mesh, [lower, upper])) = mesh.zip(morph).and_then(|(mesh, morph)| self.moves(mesh, morph, reaches))
        else {
            return corners(place.affine(), min, max).collect();
        };
        if let Some(joints) = skin.and_then(|skin| self.joints(mesh, skin)) {
            // Morph targets come first, in the mesh's own space; then its joints move it.
            return joints
                .into_iter()
                .flat_map(|(world_from_mesh, [min, max])| corners(world_from_mesh, min + lower, max + upper))
                .collect();
        }
        corners(place.affine(), min + lower, max + upper).collect()
    }

    fn moves(&self, mesh: &Mesh3d, morph: &MeshMorphWeights, reaches: &mut MorphReaches) -> Option<(&Mesh, [Vec3; 2])> {
        let weights = match morph {
            MeshMorphWeights::Value { weights } => weights,
            MeshMorphWeights::Reference(entity) => self.weights.get(*entity).ok()?.weights(),
        };
        let (id, mesh) = (mesh.id(), self.meshes.get(mesh)?);
        Some((mesh, reaches.moves(id, mesh, weights)))
    }

    /// Returns, for each joint that moves vertices, the joint's transform and the vertices' box in the space of the mesh.
    fn joints(&self, mesh: &Mesh, skin: &SkinnedMesh) -> Option<Vec<(Affine3A, [Vec3; 2])>> {
        let bind_poses = self.bind_poses.get(&skin.inverse_bindposes)?;
        let joints = mesh.skinned_mesh_bounds()?.iter().map(|(joint, bounds)| {
            let joint = usize::from(joint.0);
            let place = self.places.get(*skin.joints.get(joint)?).ok()?;
            let world_from_mesh = place.affine() * Affine3A::from_mat4(*bind_poses.get(joint)?);
            Some((world_from_mesh, [bounds.center - bounds.half_size, bounds.center + bounds.half_size]))
        });
        joints.collect()
    }
}

fn corners(world_from_local: Affine3A, min: Vec3, max: Vec3) -> impl Iterator<Item = Vec3> {
    box_corners(min, max).into_iter().map(move |corner| world_from_local.transform_point3(corner))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bevy::asset::RenderAssetUsages;
    use bevy::mesh::PrimitiveTopology;
    use bevy::mesh::morph::MorphAttributes;

    use super::*;

    #[test]
    fn targets_move_only_what_they_push_out_of_the_box() {
        let positions = vec![[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 0.0]];
        let target = |moves: [[f32; 3]; 3]| moves.map(|by| MorphAttributes::new(by.into(), Vec3::ZERO, Vec3::ZERO));
        let targets = [
            // The middle moves, and stays inside.
            target([[0.0; 3], [0.5, 0.5, 0.0], [0.0; 3]]),
            // The last vertex goes up.
            target([[0.0; 3], [0.0; 3], [0.0, 1.0, 0.0]]),
            // Everything goes to the right.
            target([[3.0, 0.0, 0.0]; 3]),
        ];
        let mut mesh = Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
            .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
            .with_morph_targets(targets.concat());
        let id = AssetId::default();
        let mut reaches = MorphReaches::default();
        let mut moves = |weights: &[f32]| reaches.moves(id, &mesh, weights);
        assert_eq!(moves(&[1.0, 0.0, 0.0]), [Vec3::ZERO; 2]);
        assert_eq!(moves(&[1.0, 0.5]), [Vec3::ZERO, Vec3::new(0.0, 0.5, 0.0)]);
        assert_eq!(moves(&[0.0, 1.0, 0.5]), [Vec3::new(1.5, 0.0, 0.0), Vec3::new(1.5, 1.0, 0.0)]);
        assert_eq!(moves(&[]), [Vec3::ZERO; 2]);
        reaches.forget([AssetEvent::Modified { id }].iter());
        _ = mesh.take_gpu_data().unwrap();
        assert_eq!(reaches.moves(id, &mesh, &[1.0]), [Vec3::ZERO; 2], "a mesh that only the renderer has");
    }
}
