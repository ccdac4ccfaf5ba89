//! The parts of what is marked: entities that draw something, and boxes around what they draw, however skin and morph targets have moved it.

use std::any::TypeId;
use std::iter::once;

use bevy::asset::{AssetEvent, Assets};
use bevy::camera::primitives::Aabb;
use bevy::camera::visibility::VisibilityClass;
use bevy::ecs::entity::{EntityHashMap, EntityIndexSet};
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::ecs::system::SystemParam;
use bevy::light::cluster::ClusterVisibilityClass;
use bevy::math::{Affine3A, Mat3, Quat, Vec3};
use bevy::mesh::morph::{MeshMorphWeights, MorphWeights};
use bevy::mesh::skinning::{SkinnedMesh, SkinnedMeshInverseBindposes};
use bevy::mesh::{Mesh, Mesh3d};
use bevy::render::Extract;
use bevy::transform::components::{GlobalTransform, Transform};

use crate::extract::measure::{Corners, MeasuredMeshes, Vertices};
use crate::extract::scene_roots::SceneRoots;
use crate::region::box_corners;

/// The skinned meshes that each joint may move.
#[derive(Resource, Default)]
pub(crate) struct JointUsers(EntityHashMap<Vec<Entity>>);

impl JointUsers {
    pub fn of(&self, joint: Entity) -> &[Entity] {
        self.0.get(&joint).map_or(&[], Vec::as_slice)
    }
}

/// Keeps up with skins and meshes that have changed. Runs before parts are looked for.
pub(crate) fn keep_up_with_meshes(
    mut users: ResMut<JointUsers>,
    mut measured: ResMut<MeasuredMeshes>,
    skins: Extract<Query<(Entity, &SkinnedMesh)>>,
    changed_skins: Extract<Query<(), Changed<SkinnedMesh>>>,
    mut removed_skins: Extract<RemovedComponents<SkinnedMesh>>,
    mut changed_meshes: Extract<MessageReader<AssetEvent<Mesh>>>,
) {
    measured.forget(changed_meshes.read());
    let any_removed = removed_skins.read().count() > 0;
    if !any_removed && changed_skins.is_empty() {
        return;
    }
    users.0.clear();
    for (entity, skin) in &skins {
        for joint in &skin.joints {
            users.0.entry(*joint).or_default().push(entity);
        }
    }
}

/// An entity that draws something of what is marked.
pub(crate) struct Part {
    pub entity: Entity,
    /// Boxes around what it draws, each with its transform to the world; none where nobody knows.
    pub boxes: Vec<(Affine3A, Corners)>,
    /// The mesh's space to the world, as the marked joint carries the mesh; `None` where no joint is marked.
    pub carried: Option<Affine3A>,
}

impl Part {
    /// Returns the box around the part, in the space that this transform leads to.
    pub fn within(&self, space_from_world: Affine3A) -> Option<Corners> {
        let corners = self.boxes.iter().flat_map(|(world_from_box, [min, max])| {
            let space_from_box = space_from_world * *world_from_box;
            box_corners(*min, *max).map(|corner| space_from_box.transform_point3(corner))
        });
        let around = corners.fold(None, |around: Option<Corners>, corner| {
            let [min, max] = around.unwrap_or([corner; 2]);
            Some([min.min(corner), max.max(corner)])
        });
        around.filter(|[min, max]| min.is_finite() && max.is_finite())
    }
}

/// A marked entity, with the entities that belong to it.
pub(crate) struct Marked {
    /// The entity and its descendants.
    pub family: EntityIndexSet,
    pub parts: Vec<Part>,
}

/// The entities of the world that draw, and what moves them.
#[derive(SystemParam)]
pub(crate) struct Parts<'w, 's> {
    children: Query<'w, 's, &'static Children>,
    parents: Query<'w, 's, &'static ChildOf>,
    scenes: SceneRoots<'w, 's>,
    drawing: Query<'w, 's, Drawing>,
    places: Query<'w, 's, &'static GlobalTransform>,
    weights: Query<'w, 's, &'static MorphWeights>,
    meshes: Res<'w, Assets<Mesh>>,
    bind_poses: Res<'w, Assets<SkinnedMeshInverseBindposes>>,
}

/// An entity that may draw something.
#[derive(QueryData)]
pub(crate) struct Drawing {
    place: &'static GlobalTransform,
    local: Option<&'static Transform>,
    bounds: Option<&'static Aabb>,
    class: Option<&'static VisibilityClass>,
    mesh: Option<&'static Mesh3d>,
    morph: Option<&'static MeshMorphWeights>,
    skin: Option<&'static SkinnedMesh>,
}

impl DrawingItem<'_, '_> {
    /// Returns whether it draws something. Lights, their probes and decals have bounds, but none of their own surface.
    fn draws(&self) -> bool {
        let mut classes = self.class.into_iter().flat_map(|class| class.iter()).peekable();
        let is_surface = |class: &TypeId| *class != TypeId::of::<ClusterVisibilityClass>();
        match classes.peek() {
            Some(_) => classes.any(is_surface),
            None => self.mesh.is_some() || self.bounds.is_some(),
        }
    }
}

impl Parts<'_, '_> {
    /// Finds what the entity and its descendants draw, and the vertices that they move as the joints of a skin. Of a mesh whose skin has
    /// some of them as joints, their vertices alone are a part.
    pub fn of(&self, marked: Entity, users: &JointUsers, measured: &mut MeasuredMeshes) -> Marked {
        let family: EntityIndexSet = once(marked).chain(self.children.iter_descendants(marked)).collect();
        let drawing = family.iter().filter(|entity| self.drawing.get(**entity).is_ok_and(|it| it.draws()));
        let mut drawing: EntityIndexSet = drawing.copied().collect();
        drawing.extend(family.iter().flat_map(|joint| users.of(*joint)));
        let parts = drawing.iter().filter_map(|entity| self.part(*entity, marked, &family, measured)).collect();
        Marked { family, parts }
    }

    fn part(
        &self,
        entity: Entity,
        marked: Entity,
        family: &EntityIndexSet,
        measured: &mut MeasuredMeshes,
    ) -> Option<Part> {
        let drawing = self.drawing.get(entity).ok()?;
        let mut part = Part { entity, boxes: Vec::new(), carried: None };
        let weights = drawing.morph.map_or(&[][..], |morph| self.weights(morph));
        let mesh = drawing.mesh.and_then(|mesh| Some((mesh.id(), self.meshes.get(mesh)?)));
        if let (Some((id, mesh)), Some(skin)) = (mesh, drawing.skin) {
            let bind_poses = self.bind_poses.get(&skin.inverse_bindposes);
            let world_from_mesh = |joint: usize| {
                let place = self.places.get(*skin.joints.get(joint)?).ok()?;
                Some(place.affine() * Affine3A::from_mat4(*bind_poses?.get(joint)?))
            };
            let mut boxes = |joints: Vec<usize>| -> Vec<(Affine3A, Corners)> {
                let boxes = measured.boxes(id, mesh, &Vertices::MovedBy(joints)).iter();
                boxes.filter_map(|it| Some((world_from_mesh(it.joint?)?, it.moved(weights)))).collect()
            };
            let joints = skin.joints.iter().enumerate();
            let own = joints.filter(|(_, joint)| family.contains(*joint)).map(|(index, _)| index).collect();
            part.boxes = boxes(own);
            if !part.boxes.is_empty() {
                part.carried = skin.joints.iter().position(|joint| *joint == marked).and_then(world_from_mesh);
            } else if family.contains(&entity) {
                part.boxes = boxes((0..skin.joints.len()).collect());
            }
        }
        if !family.contains(&entity) {
            return (!part.boxes.is_empty()).then_some(part);
        }
        if let (true, Some(bounds)) = (part.boxes.is_empty(), drawing.bounds) {
            let moves = mesh
                .filter(|_| !weights.is_empty())
                .and_then(|(id, mesh)| Some(measured.boxes(id, mesh, &Vertices::All).first()?.moves(weights)));
            let [lower, upper] = moves.unwrap_or_default();
            let corners = [Vec3::from(bounds.min()) + lower, Vec3::from(bounds.max()) + upper];
            part.boxes = vec![(drawing.place.affine(), corners)];
        }
        Some(part)
    }

    fn weights<'a>(&'a self, morph: &'a MeshMorphWeights) -> &'a [f32] {
        match morph {
            MeshMorphWeights::Value { weights } => weights,
            MeshMorphWeights::Reference(entity) => self.weights.get(*entity).map_or(&[], MorphWeights::weights),
        }
    }

    /// Returns the place of an entity, of which not all have one.
    pub fn place(&self, entity: Entity) -> Option<Affine3A> {
        self.places.get(entity).ok().map(GlobalTransform::affine)
    }

    /// Returns the rotation from a face's space to the axes of the file that it is from, in quarter turns: the file looks along its +Z, with
    /// +Y up. Asked for in the pose in which the file was written.
    ///
    /// Bevy's glTF loader may turn scenes and meshes about, and exporters turn roots because the tool has Z up. An entity that stands upright
    /// in the file, wherever it looks, and one that is from no file, has its own axes.
    pub fn file_from_face(&self, face: Entity, marked: &Marked, world_from_face: Affine3A, is_joint: bool) -> Mat3 {
        let is_turned = |entity: Entity| {
            let local = self.drawing.get(entity).ok().and_then(|it| it.local);
            local.is_some_and(is_turned_about)
        };
        let is_scene =
            |entity: &Entity| self.parents.get(*entity).is_ok_and(|parent| self.scenes.has_scene(parent.parent()));
        let is_mesh = self.drawing.get(face).is_ok_and(|it| it.mesh.is_some());
        let from_turned = |is_turned| if is_turned { TURNED } else { Mat3::IDENTITY };
        let node_from_face = from_turned(is_mesh && is_turned(face));
        let scene = once(face).chain(self.parents.iter_ancestors(face)).find(is_scene);
        let Some(world_from_scene) = scene.and_then(|scene| self.place(scene)) else {
            let mut turned_below = marked.family.iter().filter(|entity| **entity != face && is_turned(**entity));
            return node_from_face * from_turned(turned_below.any(is_scene));
        };
        let file_from_face = in_quarter_turns((world_from_scene.inverse() * world_from_face).matrix3.into());
        let is_upright = file_from_face * node_from_face * Vec3::Y == Vec3::Y;
        if is_upright && !is_joint { node_from_face } else { file_from_face }
    }

    /// Returns whether everything is there that these entities draw, or move as joints: meshes that have been loaded, and scenes that have
    /// been spawned.
    pub fn are_there(&self, family: &EntityIndexSet, users: &JointUsers) -> bool {
        let is_empty_scene = |entity| !self.children.contains(entity) && self.scenes.has_scene(entity);
        !family.iter().any(|entity| is_empty_scene(*entity)) && self.have_meshes(family, users)
    }

    /// Returns whether the meshes are there that these entities draw, or move as joints.
    fn have_meshes(&self, family: &EntityIndexSet, users: &JointUsers) -> bool {
        let mut drawing = family.iter().chain(family.iter().flat_map(|joint| users.of(*joint)));
        drawing.all(|entity| {
            let mesh = self.drawing.get(*entity).ok().and_then(|it| it.mesh);
            mesh.is_none_or(|mesh| self.meshes.contains(mesh))
        })
    }
}

/// Half a turn about the vertical axis, which is its own inverse.
const TURNED: Mat3 = Mat3::from_diagonal(Vec3::new(-1.0, 1.0, -1.0));

/// Returns the rotation of whole quarter turns next to a transform's, and none where no such rotation is near.
fn in_quarter_turns(transform: Mat3) -> Mat3 {
    let axis = |column: Vec3| {
        let size = column.abs();
        let at = [size.x, size.y, size.z].iter().position(|it| *it == size.max_element()).unwrap_or(0);
        Vec3::AXES[at] * column[at].signum()
    };
    let turns = Mat3::from_cols(axis(transform.x_axis), axis(transform.y_axis), axis(transform.z_axis));
    if turns.determinant() == 1.0 { turns } else { Mat3::IDENTITY }
}

/// Returns whether a transform is the one by which Bevy's glTF loader turns scenes and meshes about (`GltfConvertCoordinates`). Nobody
/// else makes it as exactly.
fn is_turned_about(local: &Transform) -> bool {
    *local == Transform::from_rotation(Quat::from_xyzw(0.0, 1.0, 0.0, 0.0))
}
