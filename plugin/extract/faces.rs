//! Faces, from the main world into the render world.

use bevy::asset::{AssetId, Assets, Handle};
use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::prelude::*;
use bevy::math::{Affine3A, Mat3, Mat4, Vec3};
use bevy::mesh::Mesh;
use bevy::platform::collections::HashSet;
use bevy::render::Extract;

use crate::api::model::PortraitModel;
use crate::api::settings::PortraitFace;
use crate::extract::boundless::Boundless;
use crate::extract::measure::{Corners, MeasuredMeshes};
use crate::extract::parts::{JointUsers, Marked, Part, Parts};
use crate::extract::scene::MainScene;
use crate::extract::sight::{Sight, Sights, ViewerItem};
use crate::region::box_corners;

/// A part smaller than this share of the largest is no part: games scale away what they do not show.
const MIN_PART: f32 = 1e-3;

/// The faces of this frame of which each camera draws something, and the weights that faces name. Cameras are entities of the main world.
#[derive(Resource, Default)]
pub(crate) struct ExtractedFaces {
    seen: EntityHashMap<Vec<ExtractedFace>>,
    /// Weights that faces have of their own, whether a camera sees the faces or not.
    models: HashSet<AssetId<PortraitModel>>,
}

impl ExtractedFaces {
    /// Returns the faces of which this camera draws something, if they are in its view.
    pub fn of(&self, camera: Entity) -> &[ExtractedFace] {
        self.seen.get(&camera).map_or(&[], Vec::as_slice)
    }

    /// Returns whether a face has these weights of its own.
    pub fn any_owns(&self, model: AssetId<PortraitModel>) -> bool {
        self.models.contains(&model)
    }
}

/// A face as a camera shows it: the box of what is neither hidden nor on other layers, in world space.
#[derive(Clone, Debug)]
pub(crate) struct ExtractedFace {
    /// The face's entity in the main world.
    pub entity: Entity,
    /// The face's own weights; `None` for those of the camera.
    pub model: Option<AssetId<PortraitModel>>,
    pub corners: [Vec3; 8],
    pub center: Vec3,
    /// Radius of the sphere around the box's corners.
    pub radius: f32,
    /// Transform from the world to the box, which reaches from (0, 0, 0) in its upper left front corner, seen from the front, to (1, 1, 1).
    pub face_from_world: Mat4,
    /// Corners of boxes that hold what the camera draws of the face, as [`box_corners`] orders them.
    pub drawn: Vec<[Vec3; 8]>,
}

/// The space of a face: that of its entity, or that of a mesh as a joint carries it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FaceSpace {
    pub world_from_face: Affine3A,
    /// Rotation to axes of which +Z is in front of the face and +Y above it, in quarter turns.
    pub front_from_face: Mat3,
}

/// The fronts of the faces that were seen before, as they were when each was seen first: later an animation may have turned them.
type Fronts = EntityHashMap<Mat3>;

impl ExtractedFace {
    /// Places a box of the face's space in the world. The face has no weights of its own.
    pub fn new(entity: Entity, [min, max]: Corners, space: FaceSpace, drawn: Vec<[Vec3; 8]>) -> Self {
        let corners = box_corners(min, max).map(|corner| space.world_from_face.transform_point3(corner));
        let center = corners.iter().sum::<Vec3>() / 8.0;
        let radius = corners.iter().map(|corner| corner.distance(center)).fold(0.0, f32::max);
        // Quarter turns leave a box a box.
        let (a, b) = (space.front_from_face * min, space.front_from_face * max);
        let (low, high) = (a.min(b), a.max(b));
        let size = (high - low).max(Vec3::splat(f32::MIN_POSITIVE));
        // The axes of the box run left to right, top to bottom and front to back.
        let unit_from_front = Mat4::from_scale(Vec3::new(1.0, -1.0, -1.0) / size)
            * Mat4::from_translation(Vec3::new(-low.x, -high.y, -high.z));
        let front_from_world = Mat4::from_mat3(space.front_from_face) * Mat4::from(space.world_from_face.inverse());
        let face_from_world = unit_from_front * front_from_world;
        Self { entity, model: None, corners, center, radius, face_from_world, drawn }
    }
}

/// Returns whether the app has Bevy's `MeshPlugin`: without it nothing can be drawn that has a face.
pub(crate) fn app_has_meshes(meshes: Extract<Option<Res<Assets<Mesh>>>>) -> bool {
    meshes.is_some()
}

/// Extracts the faces of which a camera draws something, as long as a camera's effect is on.
pub(crate) fn extract_faces(
    mut extracted: ResMut<ExtractedFaces>,
    faces: Extract<Query<(Entity, &PortraitFace)>>,
    scene: Extract<MainScene>,
    users: Res<JointUsers>,
    mut measured: ResMut<MeasuredMeshes>,
    (mut boundless, mut fronts): (Local<Boundless>, Local<Fronts>),
) {
    let MainScene { parts, sights, reasons } = &*scene;
    let viewers = sights.viewers();
    let ExtractedFaces { seen, models } = &mut *extracted;
    models.clear();
    models.extend(faces.iter().filter_map(|(_, face)| face.model.as_ref()).map(Handle::id));
    seen.retain(|camera, faces| {
        faces.clear();
        viewers.iter().any(|viewer| viewer.entity == *camera)
    });
    boundless.retain(|entity| faces.contains(entity));
    fronts.retain(|entity, _| faces.contains(*entity));
    if viewers.is_empty() {
        return;
    }
    for (entity, face) in &faces {
        let marked = parts.of(entity, &users, &mut measured);
        if face.bounds.is_none() && marked.parts.iter().all(|part| part.boxes.is_empty()) {
            let what = ["PortraitFace", "it is not enhanced"];
            boundless.warn(entity, &marked, what, parts, &users, reasons);
            continue;
        }
        let Some(world_from_face) = world_from_face(entity, face, &marked, parts) else { continue };
        let is_joint = !users.of(entity).is_empty();
        let find_front = || parts.file_from_face(entity, &marked, world_from_face, is_joint);
        let front_from_face = match fronts.get(&entity) {
            Some(known) => *known,
            // Bounds by hand may be there before the file is.
            None if marked.parts.is_empty() => find_front(),
            None => *fronts.entry(entity).or_insert_with(find_front),
        };
        let space = FaceSpace { world_from_face, front_from_face };
        let by_hand = face.bounds.map(|bounds| [Vec3::from(bounds.min()), Vec3::from(bounds.max())]);
        // Boxes are joined in the face's own space, where the joint box is tighter than along the axes of the world.
        let face_from_world = world_from_face.inverse();
        let bounds: Vec<_> = marked.parts.iter().map(|part| (part, part.within(face_from_world))).collect();
        for viewer in &viewers {
            let shown = match by_hand {
                Some(bounds) => shown_of_bounds(entity, bounds, space, &marked, viewer, sights),
                None => shown_of_parts(&bounds, viewer, sights),
            };
            let Some((bounds, drawn)) = shown else { continue };
            let model = face.model.as_ref().map(Handle::id);
            let face = ExtractedFace { model, ..ExtractedFace::new(entity, bounds, space, drawn) };
            seen.entry(viewer.entity).or_default().push(face);
        }
    }
}

/// Returns the transform of a face's space, or `None` where it is scaled to nothing.
fn world_from_face(entity: Entity, face: &PortraitFace, marked: &Marked, parts: &Parts) -> Option<Affine3A> {
    let carried = marked.parts.iter().find_map(|part| part.carried).filter(|_| face.bounds.is_none());
    let world_from_face = carried.or_else(|| parts.place(entity))?;
    world_from_face.inverse().is_finite().then_some(world_from_face)
}

/// Returns bounds that are given by hand, if the camera draws something of what is marked. What draws nothing itself, such as an empty
/// entity where another renderer draws, is seen as the entity would be.
fn shown_of_bounds(
    entity: Entity,
    [min, max]: Corners,
    space: FaceSpace,
    marked: &Marked,
    viewer: &ViewerItem,
    sights: &Sights,
) -> Option<(Corners, Vec<[Vec3; 8]>)> {
    let is_drawn = match marked.parts.as_slice() {
        [] => sights.of(viewer, entity) != Sight::Hidden,
        parts => parts.iter().any(|part| sights.of(viewer, part.entity) == Sight::Drawn),
    };
    let corners = box_corners(min, max).map(|corner| space.world_from_face.transform_point3(corner));
    is_drawn.then(|| ([min, max], vec![corners]))
}

/// Returns the box around the parts that the camera does not hide, in the face's space, and what it draws of them. Parts out of view belong
/// to the box as well, so that nothing jumps as they leave the view.
fn shown_of_parts(
    parts: &[(&Part, Option<Corners>)],
    viewer: &ViewerItem,
    sights: &Sights,
) -> Option<(Corners, Vec<[Vec3; 8]>)> {
    let seen = parts.iter().filter_map(|(part, bounds)| {
        let sight = sights.of(viewer, part.entity);
        (sight != Sight::Hidden).then_some((*part, (*bounds)?, sight))
    });
    let seen: Vec<_> = seen.collect();
    let size = |[min, max]: Corners| (max - min).max_element();
    let largest = seen.iter().map(|(_, bounds, _)| size(*bounds)).fold(0.0, f32::max);
    let (mut around, mut drawn) = (None, Vec::new());
    for (part, bounds, sight) in seen.into_iter().filter(|(_, bounds, _)| size(*bounds) >= MIN_PART * largest) {
        let [min, max] = around.unwrap_or(bounds);
        around = Some([min.min(bounds[0]), max.max(bounds[1])]);
        if sight == Sight::Drawn {
            let boxes = part.boxes.iter().map(|(world_from_box, [min, max])| {
                box_corners(*min, *max).map(|corner| world_from_box.transform_point3(corner))
            });
            drawn.extend(boxes);
        }
    }
    around.filter(|_| !drawn.is_empty()).map(|around| (around, drawn))
}
