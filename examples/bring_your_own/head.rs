//! Where the head of a model is: at a bone of that name, about the eyes, or above the neck.

use bevy::ecs::entity::EntityHashSet;
use bevy::ecs::system::SystemParam;
use bevy::gltf::{GltfMaterialName, GltfMeshName};
use bevy::math::Vec3Swizzles;
use bevy::mesh::VertexAttributeValues;
use bevy::mesh::skinning::{SkinnedMesh, SkinnedMeshInverseBindposes};
use bevy::prelude::*;

use crate::eyes::{Corners, Eyes, hull};
use crate::names::{is_head, name_an_eye};

/// The joints that move a vertex, each with its weight.
type Influences = [(Entity, f32); 4];

/// Heights at which a model's outline is measured.
const SLICES: usize = 96;
/// Ratio of the shoulders' width to the head's from which on they are shoulders.
const SHOULDERS: f32 = 1.4;
/// Ratio of a slice's width to the head's below which the head has ended in a neck.
const NECK: f32 = 0.9;
/// Ratio of a slice's width to the neck's narrowest from which on the neck begins: some necks are as narrow from top to bottom.
const NARROW: f32 = 1.01;
/// The chin lies below the place where the neck begins by one part in this many of that place's distance from the head's widest. On the
/// heads in head_studio's `imported/game_heads.toml` this is at most 2.5 cm above the chin and 3 cm below it.
const CHIN: usize = 5;
/// Minimum depth of a head, as a share of the model's: horns and tufts are thinner.
const MIN_DEPTH: f32 = 0.3;
/// Minimum height of head and neck, as a share of the head's width.
const MIN_HEIGHT: f32 = 0.6;
/// Ratio of height to depth from which on a model is a whole body that stands upright, with the head as its uppermost part.
const BODY: f32 = 3.0;
/// Height of a person, in heads.
const HEADS: f32 = 7.5;
/// A vertex is a bone's if the bone and those below it hold at least this share of its weights, as for the plugin.
const BONES_SHARE: f32 = 0.49;

/// The meshes below an entity, as they are posed.
#[derive(SystemParam)]
pub struct Shapes<'w, 's> {
    children: Query<'w, 's, &'static Children>,
    parents: Query<'w, 's, &'static ChildOf>,
    names: Query<'w, 's, &'static Name>,
    labels: Query<'w, 's, (Option<&'static GltfMaterialName>, Option<&'static GltfMeshName>)>,
    places: Query<'w, 's, &'static GlobalTransform>,
    drawn: Query<'w, 's, (Entity, &'static Mesh3d, Option<&'static SkinnedMesh>)>,
    meshes: Res<'w, Assets<Mesh>>,
    bind_poses: Res<'w, Assets<SkinnedMeshInverseBindposes>>,
}

/// A mesh in the world.
struct Shape {
    vertices: Vec<Vec3>,
    triangles: Vec<[usize; 3]>,
    /// The joints that move each vertex, with their weights; none for a mesh without a skin.
    influences: Vec<[(Entity, f32); 4]>,
}

impl Shapes<'_, '_> {
    /// Returns the box around the meshes of an entity and its descendants, and the vertices that these move as bones.
    pub fn around(&self, entity: Entity) -> Option<Corners> {
        let family = self.family(entity);
        let shapes = self.drawn.iter().filter_map(|(owner, mesh, skin)| Some((owner, self.shape(owner, mesh, skin)?)));
        let vertices = shapes.flat_map(|(owner, shape)| {
            let is_whole = family.contains(&owner) && !shape.is_moved_by(&family);
            let own = |at: &usize| is_whole || shape.share(*at, &family) >= BONES_SHARE;
            (0..shape.vertices.len()).filter(own).map(|at| shape.vertices[at]).collect::<Vec<_>>()
        });
        hull(vertices)
    }

    /// Returns the outermost bone that is called a head and moves vertices, with its name and its box.
    pub fn head_bone(&self, root: Entity) -> Option<(Entity, String, Corners)> {
        let joints: EntityHashSet =
            self.drawn.iter().filter_map(|(_, _, skin)| skin).flat_map(|skin| skin.joints.iter().copied()).collect();
        // Breadth first: the first is the outermost.
        self.children.iter_descendants(root).find_map(|entity| {
            let name = self.names.get(entity).ok().filter(|name| joints.contains(&entity) && is_head(name))?;
            Some((entity, name.to_string(), self.around(entity)?))
        })
    }

    /// Returns the model's eyes, with the names of what was taken for them. `None` where nothing is called an eye, or what is does not lie as
    /// two eyes do.
    pub fn eyes(&self, root: Entity) -> Option<(String, Eyes)> {
        let family = self.family(root);
        let (mut names, mut points) = (Vec::<&str>::new(), Vec::<Vec3>::new());
        for (owner, mesh, skin) in self.drawn.iter().filter(|(owner, ..)| family.contains(owner)) {
            if !self.is_eye(owner) {
                continue;
            }
            let Some(shape) = self.shape(owner, mesh, skin) else { continue };
            // Parts may share their vertices, each with triangles of its own.
            points.extend(shape.triangles.iter().flatten().map(|at| shape.vertices[*at]));
            names.extend(self.names.get(owner).ok().map(Name::as_str));
        }
        let eyes = Eyes::at(&points)?;
        // The primitives of a mesh may share a name.
        names.sort_unstable();
        names.dedup();
        Some((names.join(", "), eyes))
    }

    /// Returns whether the head of these eyes looks along -z; `None` where the model does not tell.
    pub fn look_back(&self, root: Entity, eyes: &Eyes) -> Option<bool> {
        eyes.look_back(self.shapes(root).into_iter().flat_map(|shape| shape.vertices))
    }

    /// Returns whether a mesh is an eye, by the names of its material, of itself, and of its nodes from the innermost.
    fn is_eye(&self, owner: Entity) -> bool {
        let Ok((material, mesh)) = self.labels.get(owner) else { return false };
        let own = [material.map(|name| name.0.as_str()), mesh.map(|name| name.0.as_str())];
        let nodes = self.parents.iter_ancestors(owner).filter_map(|node| self.names.get(node).ok());
        name_an_eye(own.into_iter().flatten().chain(nodes.map(Name::as_str)))
    }

    /// Returns the box of what is above the neck, of a model that has shoulders; else of the head of a body that stands upright; else of
    /// the whole model. Says which of them it is.
    pub fn head_by_shape(&self, root: Entity) -> Option<(&'static str, Corners)> {
        let shapes = self.shapes(root);
        let [min, max] = hull(shapes.iter().flat_map(|shape| shape.vertices.iter().copied()))?;
        let edges = shapes.iter().flat_map(Shape::edges);
        if let Some(head) = above_the_neck(edges, [min, max]) {
            return Some(("what is above the neck", head));
        }
        let size = max - min;
        if size.y < BODY * size.z {
            return Some(("the whole model", [min, max]));
        }
        let head = size.y / HEADS;
        let (middle, half) = ((min.x + max.x) / 2.0, head * 0.4);
        let low = Vec3::new(middle - half, max.y - head, min.z);
        Some(("the uppermost part of an upright body", [low, Vec3::new(middle + half, max.y, max.z)]))
    }

    fn family(&self, entity: Entity) -> EntityHashSet {
        std::iter::once(entity).chain(self.children.iter_descendants(entity)).collect()
    }

    /// Returns the meshes of an entity and its descendants.
    fn shapes(&self, root: Entity) -> Vec<Shape> {
        let family = self.family(root);
        let drawn = self.drawn.iter().filter(|(owner, ..)| family.contains(owner));
        drawn.filter_map(|(owner, mesh, skin)| self.shape(owner, mesh, skin)).collect()
    }

    /// Returns the mesh with its skin in its present pose, and without morph targets.
    fn shape(&self, owner: Entity, mesh: &Mesh3d, skin: Option<&SkinnedMesh>) -> Option<Shape> {
        let asset = self.meshes.get(mesh)?;
        let Ok(VertexAttributeValues::Float32x3(positions)) = asset.try_attribute(Mesh::ATTRIBUTE_POSITION) else {
            return None;
        };
        let positions: Vec<Vec3> = positions.iter().map(|position| Vec3::from(*position)).collect();
        let corners: Vec<usize> = match asset.indices() {
            Some(indices) => indices.iter().collect(),
            None => (0..positions.len()).collect(),
        };
        let triangles =
            corners.as_chunks::<3>().0.iter().copied().filter(|it| it.iter().all(|at| *at < positions.len()));
        let triangles = triangles.collect();
        let skinned = skin.and_then(|skin| self.skinned(asset, skin, &positions));
        let (vertices, influences) = match skinned {
            Some(skinned) => skinned,
            None => {
                let place = self.places.get(owner).ok()?;
                (positions.into_iter().map(|position| place.transform_point(position)).collect(), Vec::new())
            }
        };
        Some(Shape { vertices, triangles, influences })
    }

    fn skinned(&self, mesh: &Mesh, skin: &SkinnedMesh, positions: &[Vec3]) -> Option<(Vec<Vec3>, Vec<Influences>)> {
        let (Ok(VertexAttributeValues::Uint16x4(joints)), Ok(VertexAttributeValues::Float32x4(weights))) =
            (mesh.try_attribute(Mesh::ATTRIBUTE_JOINT_INDEX), mesh.try_attribute(Mesh::ATTRIBUTE_JOINT_WEIGHT))
        else {
            return None;
        };
        let bind_poses = self.bind_poses.get(&skin.inverse_bindposes)?;
        let places = skin.joints.iter().zip(bind_poses.iter());
        let places: Vec<Mat4> = places
            .map(|(joint, bind_pose)| Some(self.places.get(*joint).ok()?.to_matrix() * *bind_pose))
            .collect::<Option<_>>()?;
        let moved = positions.iter().zip(joints.iter().zip(weights)).map(|(position, (joints, weights))| {
            let mut influences = [(Entity::PLACEHOLDER, 0.0); 4];
            let mut place = Vec3::ZERO;
            for (influence, (joint, weight)) in influences.iter_mut().zip(joints.iter().zip(weights)) {
                let joint = usize::from(*joint);
                *influence = (*skin.joints.get(joint)?, *weight);
                place += *weight * places.get(joint)?.transform_point3(*position);
            }
            Some((place, influences))
        });
        moved.collect::<Option<(Vec<_>, Vec<_>)>>()
    }
}

impl Shape {
    fn is_moved_by(&self, family: &EntityHashSet) -> bool {
        self.influences.iter().flatten().any(|(joint, weight)| *weight > 0.0 && family.contains(joint))
    }

    /// Returns the share of a vertex's weights that these bones hold.
    fn share(&self, vertex: usize, family: &EntityHashSet) -> f32 {
        let influences = self.influences.get(vertex).into_iter().flatten();
        influences.filter(|(joint, _)| family.contains(joint)).map(|(_, weight)| weight).sum()
    }

    fn edges(&self) -> impl Iterator<Item = [Vec3; 2]> {
        let sides = self.triangles.iter().flat_map(|&[a, b, c]| [[a, b], [b, c], [c, a]]);
        sides.map(move |side| side.map(|at| self.vertices[at]))
    }
}

/// The outline in which a plane at some height cuts a model, seen from above: the minimum and the maximum of x and z.
type Slice = Option<[Vec2; 2]>;

/// Returns the box of what is above the chin, by the narrowest place between the head's widest and the shoulders. `None` where there are no
/// shoulders.
fn above_the_neck(edges: impl Iterator<Item = [Vec3; 2]>, [min, max]: Corners) -> Option<Corners> {
    let step = (max.y - min.y) / SLICES as f32;
    let height = |slice: usize| max.y - (slice as f32 + 0.5) * step;
    let mut slices: [Slice; SLICES] = [None; SLICES];
    for [a, b] in edges {
        let (low, high) = if a.y < b.y { (a, b) } else { (b, a) };
        let first = ((max.y - high.y) / step - 0.5).ceil().max(0.0) as usize;
        for (slice, cut) in slices.iter_mut().enumerate().skip(first) {
            let y = height(slice);
            if y < low.y || high.y <= low.y {
                break;
            }
            let at = low.lerp(high, (y - low.y) / (high.y - low.y)).xz();
            let [least, most] = cut.unwrap_or([at; 2]);
            *cut = Some([least.min(at), most.max(at)]);
        }
    }
    let size = |slice: Slice| slice.map_or(Vec2::ZERO, |[least, most]| most - least);
    let deepest = slices.iter().map(|slice| size(*slice).y).fold(0.0, f32::max);
    let (mut widest, mut depth, mut is_below_head) = (0, 0.0_f32, false);
    let shoulders = (0..SLICES).find(|&slice| {
        let (own, head) = (size(slices[slice]), size(slices[widest]).x);
        let is_head = depth >= MIN_DEPTH * deepest && slice as f32 * step >= MIN_HEIGHT * head;
        if own.x >= SHOULDERS * head && head > 0.0 && is_head {
            return true;
        }
        depth = depth.max(own.y);
        // Shoulders that begin below a neck widen from slice to slice, and are no wider head.
        if own.x > head && !(is_below_head && is_head) {
            (widest, is_below_head) = (slice, false);
        } else if own.x < NECK * head {
            is_below_head = true;
        }
        false
    })?;
    let width = |slice: &usize| size(slices[*slice]).x;
    let narrowest = (widest..shoulders).map(|slice| width(&slice)).min_by(f32::total_cmp)?;
    let neck = (widest..shoulders).find(|slice| width(slice) <= NARROW * narrowest)?;
    let chin = (neck + (neck - widest) / CHIN).min(shoulders - 1);
    let cuts = slices[..=chin].iter().flatten();
    let [least, most] = cuts
        .fold([Vec2::INFINITY, Vec2::NEG_INFINITY], |[least, most], [low, high]| [least.min(*low), most.max(*high)]);
    Some([Vec3::new(least.x, height(chin), least.y), Vec3::new(most.x, max.y, most.y)])
}
