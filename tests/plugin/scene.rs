//! Scenes as third parties make them: glTF files with several meshes, a skin and morph targets, loaded by Bevy's public API alone.

use std::path::Path;

use bevy::camera::visibility::NoFrustumCulling;
use bevy::gltf::GltfLoaderSettings;
use bevy::mesh::morph::MorphWeights;
use bevy::prelude::*;
use bevy_portrait_realism::internals::{Region, box_corners, face_region};
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane;
use serde_json::{Value, json};

use crate::common::{frame, headless, settle, spawn_camera, target, update_until};
use crate::stage::{LDR, assert_inside, changed, linear_model, model};

const SIZE: UVec2 = UVec2::new(160, 120);
/// Distance from the camera to the origin, metres.
const DISTANCE_M: f32 = 8.0;
/// Half extents of the box that stands for the head.
const HEAD: Vec3 = Vec3::new(0.3, 0.5, 0.4);
/// Half extents of the box that stands for the mouth.
const MOUTH: Vec3 = Vec3::new(0.4, 0.2, 0.3);
/// Half extents of the box that stands for the hat.
const HAT: Vec3 = Vec3::new(0.25, 0.15, 0.2);
/// Place of the mouth's node.
const MOUTH_AT: Vec3 = Vec3::new(-2.0, -1.0, 0.0);
/// Place of the hat's node.
const HAT_AT: Vec3 = Vec3::new(0.0, 0.8, 0.0);
/// Shift of the head's upper corners by the morph target that makes the head taller.
const TALL: Vec3 = Vec3::new(0.0, 0.6, 0.0);
/// Shift of the mouth's upper corners by the morph target that opens the mouth.
const WIDE_OPEN: Vec3 = Vec3::new(0.0, 1.2, 0.0);

/// Triangles of a box whose corners are those of [`box_corners`]; the material has to cull none.
pub const BOX_INDICES: [u16; 36] =
    [0, 1, 3, 0, 3, 2, 4, 5, 7, 4, 7, 6, 0, 1, 5, 0, 5, 4, 2, 3, 7, 2, 7, 6, 0, 2, 6, 0, 6, 4, 1, 3, 7, 1, 7, 5];

/// Bytes of a glTF buffer, and the accessors into it.
#[derive(Default)]
pub struct Buffer {
    pub bytes: Vec<u8>,
    pub views: Vec<Value>,
    pub accessors: Vec<Value>,
}

impl Buffer {
    /// Appends an accessor and returns its index.
    pub fn push(&mut self, bytes: &[u8], count: usize, component: u32, kind: &str, bounds: Option<[Vec3; 2]>) -> usize {
        self.views.push(json!({ "buffer": 0, "byteOffset": self.bytes.len(), "byteLength": bytes.len() }));
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let mut accessor = json!({
            "bufferView": self.views.len() - 1, "count": count, "componentType": component, "type": kind
        });
        if let Some([min, max]) = bounds {
            accessor["min"] = json!(min.to_array());
            accessor["max"] = json!(max.to_array());
        }
        self.accessors.push(accessor);
        self.accessors.len() - 1
    }

    pub fn vectors(&mut self, vectors: &[Vec3]) -> usize {
        let bounds = vectors.iter().fold([Vec3::MAX, Vec3::MIN], |[low, high], it| [low.min(*it), high.max(*it)]);
        let bytes: Vec<u8> = vectors.iter().flat_map(|it| it.to_array()).flat_map(f32::to_le_bytes).collect();
        self.push(&bytes, vectors.len(), 5126, "VEC3", Some(bounds))
    }

    /// Adds a mesh: a box around the origin. The morph target `target` moves the upper corners, and the skin ties all corners to `joint`.
    fn mesh(&mut self, name: &str, half: Vec3, target: Option<Vec3>, joint: Option<u8>) -> Value {
        let corners = box_corners(-half, half);
        let mut primitive = json!({ "material": 0 });
        primitive["attributes"] = json!({
            "POSITION": self.vectors(&corners),
            "NORMAL": self.vectors(&corners.map(|corner| corner.normalize())),
        });
        if let Some(joint) = joint {
            let joints: Vec<u8> = corners.iter().flat_map(|_| [joint, 0, 0, 0]).collect();
            primitive["attributes"]["JOINTS_0"] = json!(self.push(&joints, corners.len(), 5121, "VEC4", None));
            let weights: Vec<u8> =
                corners.iter().flat_map(|_| [1.0_f32, 0.0, 0.0, 0.0]).flat_map(f32::to_le_bytes).collect();
            primitive["attributes"]["WEIGHTS_0"] = json!(self.push(&weights, corners.len(), 5126, "VEC4", None));
        }
        if let Some(moved) = target {
            let moves = corners.map(|corner| if corner.y > 0.0 { moved } else { Vec3::ZERO });
            primitive["targets"] = json!([{ "POSITION": self.vectors(&moves) }]);
        }
        let indices: Vec<u8> = BOX_INDICES.iter().flat_map(|index| index.to_le_bytes()).collect();
        primitive["indices"] = json!(self.push(&indices, 36, 5123, "SCALAR", None));
        json!({ "name": name, "primitives": [primitive] })
    }
}

/// Returns a bust: a skinned head that a morph target makes taller, a mouth that another morph target opens, and a hat on the head's joint.
///
/// The head and the hat hang on joint 1, the skull, which hangs below joint 0, the neck.
pub fn bust() -> (Value, Vec<u8>) {
    let mut buffer = Buffer::default();
    let meshes = [
        buffer.mesh("Head mesh", HEAD, Some(TALL), Some(1)),
        buffer.mesh("Mouth mesh", MOUTH, Some(WIDE_OPEN), None),
        buffer.mesh("Hat mesh", HAT, None, None),
    ];
    let identities: Vec<u8> =
        [Mat4::IDENTITY; 2].iter().flat_map(|it| it.to_cols_array()).flat_map(f32::to_le_bytes).collect();
    let bind_poses = buffer.push(&identities, 2, 5126, "MAT4", None);
    let Buffer { bytes, views, accessors } = buffer;
    let gltf = json!({
        "asset": { "version": "2.0" },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [
            { "name": "Bust", "children": [1, 2, 3] },
            // The place of a skinned node does not count, only the places of the joints.
            { "name": "Head", "mesh": 0, "skin": 0, "translation": [5, -5, 0] },
            { "name": "Mouth", "mesh": 1, "translation": MOUTH_AT.to_array() },
            { "name": "Neck", "children": [4] },
            { "name": "Skull", "children": [5] },
            { "name": "Hat", "mesh": 2, "translation": HAT_AT.to_array() },
        ],
        "skins": [{ "joints": [3, 4], "inverseBindMatrices": bind_poses }],
        "meshes": meshes,
        "materials": [{ "doubleSided": true, "pbrMetallicRoughness": { "baseColorFactor": [0.7, 0.5, 0.4, 1] } }],
        "buffers": [{ "uri": "bust.bin", "byteLength": bytes.len() }],
        "bufferViews": views,
        "accessors": accessors,
    });
    (gltf, bytes)
}

/// Writes `bust.gltf` and the file of its buffer.
pub fn write(folder: &Path, (gltf, bytes): &(Value, Vec<u8>)) {
    std::fs::write(folder.join("bust.bin"), bytes).expect("a temporary file");
    std::fs::write(folder.join("bust.gltf"), gltf.to_string()).expect("a temporary file");
}

/// Returns the entity of this name.
pub fn named(app: &mut App, name: &str) -> Entity {
    let world = app.world_mut();
    let mut names = world.query::<(Entity, &Name)>();
    names.iter(world).find(|(_, found)| found.as_str() == name).map(|(entity, _)| entity).expect("a node of this name")
}

/// Updates the app until a scene with this node is there.
pub fn load(app: &mut App, node: &str) {
    let node = node.to_owned();
    // Queries need a mutable world; names can be counted without.
    update_until(app, "the scene", move |app| {
        let mut names = app.world().try_query::<&Name>();
        names.as_mut().is_some_and(|names| names.iter(app.world()).any(|name| name.as_str() == node))
    });
}

/// A scene before a camera, and what is needed to see what the effect changes.
pub struct Scene {
    pub app: App,
    pub target: Handle<Image>,
    pub camera: Entity,
    pub root: Entity,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// Sets up the three lines of the README: the plugin, a camera with the effect, and the bust with a face.
    fn new(face: impl Bundle) -> Self {
        Self::of(&bust(), "Head", |_| {}, face)
    }

    /// Sets up a scene of this file, which has this node, loaded with changed settings.
    pub fn of(
        file: &(Value, Vec<u8>),
        node: &str,
        settings: impl Fn(&mut GltfLoaderSettings) + Send + Sync + 'static,
        face: impl Bundle,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), file);
        let mut app = headless(&folder.path().to_string_lossy(), true);
        let target = target(&mut app, SIZE, LDR);
        let camera = spawn_camera(&mut app, &target, Msaa::Off);
        app.world_mut().entity_mut(camera).insert(Transform::from_xyz(0.0, 0.0, DISTANCE_M));
        let assets = app.world().resource::<AssetServer>();
        let scene = assets.load_builder().with_settings(settings).load("bust.gltf#Scene0");
        let root = app.world_mut().spawn((WorldAssetRoot(scene), face)).id();
        app.world_mut()
            .spawn((DirectionalLight::default(), Transform::from_xyz(1.0, 2.0, 3.0).looking_at(Vec3::ZERO, Vec3::Y)));
        load(&mut app, node);
        Self { app, target, camera, root, _folder: folder }
    }

    pub fn place(&mut self, name: &str, transform: Transform) {
        let entity = named(&mut self.app, name);
        self.app.world_mut().entity_mut(entity).insert(transform);
    }

    pub fn morph(&mut self, name: &str, weight: f32) {
        let entity = named(&mut self.app, name);
        let mut weights = self.app.world_mut().get_mut::<MorphWeights>(entity).expect("morph targets");
        weights.weights_mut()[0] = weight;
    }

    /// Draws the frame without the effect and the frame with these settings and a network that brightens everything, and returns the pixels
    /// that differ.
    pub fn changed_by(&mut self, settings: PortraitRealism) -> Vec<UVec2> {
        self.app.world_mut().entity_mut(self.camera).remove::<PortraitRealism>();
        settle(&mut self.app);
        let first = frame(&mut self.app, &self.target);
        let model = model(&mut self.app, linear_model(&[Plane::Color], vec![0.0; 9], [0.4; 3]));
        self.app.world_mut().entity_mut(self.camera).insert(PortraitRealism { model, ..settings });
        settle(&mut self.app);
        changed(&first, &frame(&mut self.app, &self.target), SIZE.x)
    }

    /// Returns the region that a box has in the camera's view.
    pub fn region(&self, [min, max]: [Vec3; 2]) -> Region {
        let camera = self.app.world().entity(self.camera);
        let place = camera.get::<GlobalTransform>().expect("a place").to_matrix();
        let camera = camera.get::<Camera>().expect("a camera");
        let viewport = camera.physical_viewport_rect().expect("a viewport");
        face_region(&box_corners(min, max), camera.clip_from_view() * place.inverse(), viewport).expect("in view")
    }

    /// Asserts that the effect, which brightens, changes nothing outside of the box's region, and everything inside but the faded edge.
    pub fn assert_follows(&mut self, what: &str, bounds: [Vec3; 2]) {
        let changed = self.changed_by(PortraitRealism::default());
        let region = self.region(bounds);
        println!("{what}: {:?}, {} pixels changed", region.rect_px, changed.len());
        assert_inside(&region, &changed);
        let (low, high) =
            changed.iter().fold((UVec2::MAX, UVec2::MIN), |(low, high), px| (low.min(*px), high.max(*px + 1)));
        let reaches = low.saturating_sub(region.rect_px.min).max(region.rect_px.max.saturating_sub(high));
        assert!(reaches.max_element() <= 2, "{what}: {low} to {high} has changed of {:?}", region.rect_px);
    }

    /// Asserts that the effect changes nothing.
    pub fn assert_untouched(&mut self, what: &str) {
        let changed = self.changed_by(PortraitRealism::default());
        assert!(changed.is_empty(), "{what}: {} pixels changed", changed.len());
    }
}

fn around(center: Vec3, half: Vec3) -> [Vec3; 2] {
    [center - half, center + half]
}

#[test]
fn region_of_a_scene_holds_all_of_its_meshes() {
    let mut scene = Scene::new(PortraitFace::default());
    // Head, hat on its joint, and mouth.
    scene.assert_follows("at rest", [MOUTH_AT - MOUTH, Vec3::new(HEAD.x, (HAT_AT + HAT).y, HEAD.z)]);
    scene.place("Neck", Transform::from_xyz(1.5, 0.5, 0.0));
    let high = Vec3::new(1.5 + HEAD.x, (HAT_AT + HAT).y + 0.5, HEAD.z);
    scene.assert_follows("with the neck moved", [(MOUTH_AT - MOUTH).with_z(-HEAD.z), high]);
}

#[test]
fn region_follows_a_skinned_face_that_morphs() {
    let mut scene = Scene::new(MarkPortraitFaces::named(["Head"]));
    scene.assert_follows("at rest", around(Vec3::ZERO, HEAD));
    // A quarter turn about the neck, then aside: up is left.
    let turned = Quat::from_rotation_z(std::f32::consts::FRAC_PI_2);
    let half = Vec3::new(HEAD.y, HEAD.x, HEAD.z);
    let moved = Vec3::new(1.0, -0.5, 0.0);
    scene.place("Neck", Transform::from_translation(moved));
    scene.place("Skull", Transform::from_rotation(turned));
    scene.assert_follows("turned", around(moved, half));
    scene.morph("Head", 1.0);
    let [low, high] = around(moved, half);
    scene.assert_follows("turned and taller", [low - Vec3::X * TALL.y, high]);
    scene.morph("Head", 0.5);
    scene.assert_follows("turned and half as much taller", [low - Vec3::X * TALL.y / 2.0, high]);
}

#[test]
fn region_follows_a_face_that_morphs_without_a_skin() {
    let mut scene = Scene::new(MarkPortraitFaces::named(["Mouth"]));
    let [low, high] = around(MOUTH_AT, MOUTH);
    scene.assert_follows("at rest", [low, high]);
    scene.morph("Mouth", 1.0);
    scene.assert_follows("open", [low, high + WIDE_OPEN]);
    scene.place("Mouth", Transform::from_translation(MOUTH_AT + Vec3::X * 3.0));
    scene.assert_follows("open elsewhere", [low + Vec3::X * 3.0, high + WIDE_OPEN + Vec3::X * 3.0]);
}

#[test]
fn two_faces_of_one_scene_have_their_own_regions() {
    let mut scene = Scene::new(MarkPortraitFaces::named(["Head", "Mouth"]));
    settle(&mut scene.app);
    let world = scene.app.world_mut();
    assert_eq!(world.query::<&PortraitFace>().iter(world).count(), 2);
    // Nothing that Bevy culls is needed: bounds are there also where culling is off.
    let head = named(&mut scene.app, "Head");
    scene.app.world_mut().entity_mut(head).remove::<PortraitFace>();
    let mouth = named(&mut scene.app, "Mouth");
    let mesh = scene.app.world().get::<Children>(mouth).expect("a mesh")[0];
    scene.app.world_mut().entity_mut(mesh).insert(NoFrustumCulling);
    scene.assert_follows("the mouth alone, never culled", around(MOUTH_AT, MOUTH));
}
