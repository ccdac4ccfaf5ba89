//! Characters as games have them: head, hair and body are one skinned mesh, and the face is a bone.

use bevy::camera::primitives::Aabb;
use bevy::gltf::GltfLoaderSettings;
use bevy::gltf::convert_coordinates::GltfConvertCoordinates;
use bevy::image::Image;
use bevy::mesh::skinning::SkinnedMesh;
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};
use bevy_portrait_realism::internals::box_corners;
use bevy_portrait_realism::prelude::*;
use serde_json::{Value, json};

use crate::scene::{BOX_INDICES, Buffer, Scene, named};

/// Centre and half extents of the boxes that stand for parts of the body, metres, in the bind pose.
const BODY: [Vec3; 2] = [Vec3::new(0.0, -1.2, 0.0), Vec3::new(1.0, 0.9, 0.4)];
const NECK: [Vec3; 2] = [Vec3::new(0.0, -0.1, 0.0), Vec3::new(0.9, 0.2, 0.2)];
const HEAD: [Vec3; 2] = [Vec3::new(0.0, 0.8, 0.1), Vec3::new(0.6, 0.7, 0.5)];
const HAIR: [Vec3; 2] = [Vec3::new(0.0, 1.5, -0.1), Vec3::new(0.7, 0.3, 0.6)];
/// Places of the joints, each seen from its parent.
const NECK_JOINT: Vec3 = Vec3::new(0.0, -0.3, 0.0);
const HEAD_JOINT: Vec3 = Vec3::new(0.0, 0.4, 0.05);
const HAIR_JOINT: Vec3 = Vec3::new(0.0, 1.2, 0.0);
/// Shift of every box's upper corners by the morph target.
const TALLER: Vec3 = Vec3::new(0.0, 0.5, 0.0);

/// Rotation of the head's joint in the bind pose: joints do not lie along the axes of the mesh.
fn head_turn() -> Quat {
    Quat::from_euler(EulerRot::XYZ, 0.5, 0.2, 0.3)
}

/// Returns a character that is one mesh with one skin: hips, neck, head, hair, and the end of the head's bone, which moves nothing. The
/// neck's upper half is a third the head's.
fn character() -> (Value, Vec<u8>) {
    character_with(Quat::IDENTITY)
}

/// Returns the character as of a tool with other axes: the file's root turns them to those of glTF.
fn character_with(axes: Quat) -> (Value, Vec<u8>) {
    let own = |vector: Vec3| axes.inverse() * vector;
    let head_turn = axes.inverse() * head_turn() * axes;
    let [neck_joint, head_joint, hair_joint] = [NECK_JOINT, HEAD_JOINT, HAIR_JOINT].map(own);
    let mut buffer = Buffer::default();
    let boxes = [(BODY, [0, 0], 1.0), (NECK, [1, 2], 0.7), (HEAD, [2, 2], 1.0), (HAIR, [3, 3], 1.0)];
    let (mut places, mut normals, mut moves) = (Vec::new(), Vec::new(), Vec::new());
    let (mut joints, mut weights, mut indices) = (Vec::new(), Vec::new(), Vec::new());
    for (at, ([center, half], [first, second], share)) in boxes.into_iter().enumerate() {
        for corner in box_corners(-half, half) {
            places.push(own(center + corner));
            normals.push(own(corner.normalize()));
            moves.push(if corner.y > 0.0 { own(TALLER) } else { Vec3::ZERO });
            joints.extend([first, second, 0, 0_u8]);
            weights.extend([share, 1.0 - share, 0.0, 0.0_f32]);
        }
        indices.extend(BOX_INDICES.map(|index| index + 8 * at as u16));
    }
    let bytes = |floats: &[f32]| -> Vec<u8> { floats.iter().flat_map(|it| it.to_le_bytes()).collect() };
    let count = places.len();
    let primitive = json!({
        "material": 0,
        "attributes": {
            "POSITION": buffer.vectors(&places),
            "NORMAL": buffer.vectors(&normals),
            "JOINTS_0": buffer.push(&joints, count, 5121, "VEC4", None),
            "WEIGHTS_0": buffer.push(&bytes(&weights), count, 5126, "VEC4", None),
        },
        "targets": [{ "POSITION": buffer.vectors(&moves) }],
        "indices": buffer.push(
            &indices.iter().flat_map(|it: &u16| it.to_le_bytes()).collect::<Vec<u8>>(), indices.len(), 5123, "SCALAR", None
        ),
    });
    let neck = Mat4::from_translation(neck_joint);
    let head = neck * Mat4::from_rotation_translation(head_turn, head_joint);
    let hair = head * Mat4::from_translation(hair_joint);
    let bind = [Mat4::IDENTITY, neck, head, hair, hair].map(|place| place.inverse().to_cols_array());
    let bind_poses = buffer.push(&bytes(bind.as_flattened()), 5, 5126, "MAT4", None);
    let Buffer { bytes, views, accessors } = buffer;
    let gltf = json!({
        "asset": { "version": "2.0" },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [
            { "name": "Hero", "rotation": axes.to_array(), "children": [1, 2] },
            { "name": "Hero_Node", "mesh": 0, "skin": 0 },
            { "name": "mixamorig:Hips", "children": [3] },
            { "name": "mixamorig:Neck", "translation": neck_joint.to_array(), "children": [4] },
            {
                "name": "mixamorig:Head", "translation": head_joint.to_array(),
                "rotation": head_turn.to_array(), "children": [5, 6]
            },
            { "name": "Hair", "translation": hair_joint.to_array() },
            { "name": "mixamorig:HeadTop_End", "translation": hair_joint.to_array() },
        ],
        "skins": [{ "joints": [2, 3, 4, 5, 6], "inverseBindMatrices": bind_poses }],
        "meshes": [{ "name": "Hero_Mesh", "primitives": [primitive] }],
        "materials": [{ "doubleSided": true, "pbrMetallicRoughness": { "baseColorFactor": [0.7, 0.5, 0.4, 1] } }],
        "buffers": [{ "uri": "bust.bin", "byteLength": bytes.len() }],
        "bufferViews": views,
        "accessors": accessors,
    });
    (gltf, bytes)
}

fn scene(face: impl Bundle) -> Scene {
    Scene::of(&character(), "mixamorig:Head", |_| {}, face)
}

/// Returns the box around both.
fn both(a: [Vec3; 2], b: [Vec3; 2]) -> [Vec3; 2] {
    let ([a, a_half], [b, b_half]) = (a, b);
    [(a - a_half).min(b - b_half), (a + a_half).max(b + b_half)]
}

/// Returns the box of head and hair in the bind pose.
fn head_and_hair() -> [Vec3; 2] {
    both(HEAD, HAIR)
}

/// Asserts that the region is that of the head with its hair, however the character is posed.
fn assert_finds_the_head(scene: &mut Scene) {
    let [low, high] = head_and_hair();
    scene.assert_follows("in the bind pose", [low, high]);
    let aside = Vec3::new(1.0, -0.4, 0.0);
    scene.place("mixamorig:Neck", Transform::from_translation(NECK_JOINT + aside));
    scene.assert_follows("with the neck moved", [low + aside, high + aside]);
    // A quarter turn about the neck's joint: up is left. The body stays.
    let turned = Quat::from_rotation_z(std::f32::consts::FRAC_PI_2);
    scene.place("mixamorig:Neck", Transform::from_translation(NECK_JOINT).with_rotation(turned));
    let around_joint = |at: Vec3| NECK_JOINT + turned * (at - NECK_JOINT);
    let (a, b) = (around_joint(low), around_joint(high));
    let [low, high] = [a.min(b), a.max(b)];
    scene.assert_follows("turned", [low, high]);
    scene.morph("Hero_Node", 1.0);
    scene.assert_follows("turned and taller", [low - Vec3::X * TALLER.y, high]);
}

#[test]
fn a_bone_that_a_name_hits_is_the_face_of_the_vertices_that_it_moves() {
    let mut scene = scene(MarkPortraitFaces::named(["*Head"]));
    let head = named(&mut scene.app, "mixamorig:Head");
    assert!(scene.app.world().entity(head).contains::<PortraitFace>(), "the bone is marked");
    assert_finds_the_head(&mut scene);
}

#[test]
fn a_face_on_the_bone_itself_is_the_same() {
    let mut scene = scene(());
    let head = named(&mut scene.app, "mixamorig:Head");
    scene.app.world_mut().entity_mut(head).insert(PortraitFace::default());
    assert_finds_the_head(&mut scene);
}

#[test]
fn joints_below_the_bone_move_their_vertices_too() {
    let mut scene = scene(MarkPortraitFaces::named(["mixamorig:Head"]));
    // Aside along the axes of the world: the joint of the head is turned against them.
    let aside = Vec3::new(0.9, 0.0, 0.0);
    scene.place("Hair", Transform::from_translation(HAIR_JOINT + head_turn().inverse() * aside));
    scene.assert_follows("with the hair aside", both(HEAD, [HAIR[0] + aside, HAIR[1]]));
    // A hat that hangs on the bone without a skin is a part as well, and so is what another skin ties to the bone.
    let mut bust = Scene::of(&crate::scene::bust(), "Skull", |_| {}, MarkPortraitFaces::named(["Skull"]));
    bust.assert_follows("a bust by its skull", [Vec3::new(-0.3, -0.5, -0.4), Vec3::new(0.3, 0.95, 0.4)]);
}

#[test]
fn bone_heads_are_found_whatever_the_loader_does_about_bounds() {
    use bevy::asset::RenderAssetUsages;
    use bevy::gltf::GltfSkinnedMeshBoundsPolicy::{BindPose, Dynamic, NoFrustumCulling};
    for (what, policy, usages) in [
        ("bounds of the bind pose", BindPose, RenderAssetUsages::default()),
        ("never culled", NoFrustumCulling, RenderAssetUsages::default()),
        ("vertices that only the renderer keeps", Dynamic, RenderAssetUsages::RENDER_WORLD),
    ] {
        let settings = move |settings: &mut GltfLoaderSettings| {
            settings.skinned_mesh_bounds_policy = Some(policy);
            settings.load_meshes = usages;
        };
        let mut scene =
            Scene::of(&character(), "mixamorig:Head", settings, MarkPortraitFaces::named(["mixamorig:Head"]));
        let aside = Vec3::new(0.8, 0.3, 0.0);
        scene.place("mixamorig:Neck", Transform::from_translation(NECK_JOINT + aside));
        // Without vertices there are the boxes of joints, and the head's joint has a hand in the neck.
        let [low, high] = if usages == RenderAssetUsages::RENDER_WORLD {
            let [neck_low, neck_high] = both(NECK, NECK);
            let [low, high] = head_and_hair();
            [low.min(neck_low), high.max(neck_high)]
        } else {
            head_and_hair()
        };
        scene.assert_follows(what, [low + aside, high + aside]);
    }
}

#[test]
fn a_mesh_and_a_bone_that_are_called_alike_are_one_face() {
    let mut scene = Scene::of(&crate::scene::bust(), "Head", |_| {}, MarkPortraitFaces::named(["Head", "Skull"]));
    scene.assert_follows("head, skull and hat", [Vec3::new(-0.3, -0.5, -0.4), Vec3::new(0.3, 0.95, 0.4)]);
}

#[test]
fn a_head_scaled_to_nothing_leaves_the_frame_alone() {
    let mut scene = scene(());
    // First-person games scale the bone of the head, and others a whole character.
    for (face, scaled) in [("mixamorig:Head", "mixamorig:Head"), ("Hero_Node", "Hero")] {
        let marked = named(&mut scene.app, face);
        scene.app.world_mut().entity_mut(marked).insert(PortraitFace::default());
        assert!(!scene.changed_by(PortraitRealism::default()).is_empty(), "{face}");
        let entity = named(&mut scene.app, scaled);
        let place = *scene.app.world().get::<Transform>(entity).expect("a place");
        for scale in [Vec3::ZERO, Vec3::splat(1e-5), Vec3::new(0.0, 1.0, 0.0)] {
            scene.place(scaled, place.with_scale(scale));
            scene.assert_untouched(&format!("{face}, {scaled} scaled to {scale}"));
        }
        scene.place(scaled, place);
        scene.app.world_mut().entity_mut(marked).remove::<PortraitFace>();
    }
}

#[test]
fn bounds_by_hand_on_a_bone_lie_in_the_space_of_the_bone() {
    let bounds = [Vec3::new(-0.5, 0.0, -0.4), Vec3::new(0.5, 1.0, 0.4)];
    let mut scene = scene(());
    let head = named(&mut scene.app, "mixamorig:Head");
    let face = PortraitFace { bounds: Some(Aabb::from_min_max(bounds[0], bounds[1])), ..default() };
    scene.app.world_mut().entity_mut(head).insert(face);
    // The joint is turned back, so that its axes are those of the world.
    scene.place("mixamorig:Head", Transform::from_translation(HEAD_JOINT));
    let joint = NECK_JOINT + HEAD_JOINT;
    scene.assert_follows("by hand", bounds.map(|corner| corner + joint));
    // Nothing of the character is drawn any more: neither is its face.
    let mesh = named(&mut scene.app, "Hero_Node");
    scene.app.world_mut().entity_mut(mesh).insert(Visibility::Hidden);
    scene.assert_untouched("hidden");
}

#[test]
fn skins_that_change_are_followed() {
    let mut scene = scene(MarkPortraitFaces::named(["mixamorig:Head"]));
    scene.assert_follows("before", head_and_hair());
    // Another bone takes the head's place in the skin, as when a character is put together anew.
    let [head, hair] = ["mixamorig:Head", "Hair"].map(|name| named(&mut scene.app, name));
    let world = scene.app.world_mut();
    let mut skins = world.query::<&mut SkinnedMesh>();
    for mut skin in skins.iter_mut(world) {
        skin.joints.iter_mut().filter(|joint| **joint == hair).for_each(|joint| *joint = head);
    }
    let hair_at = head_turn() * HAIR_JOINT;
    scene.assert_follows("after", both(HEAD, [HAIR[0] - hair_at, HAIR[1]]));
    let world = scene.app.world_mut();
    let mesh = world.query_filtered::<Entity, With<SkinnedMesh>>().single(world).expect("one skin");
    world.entity_mut(mesh).despawn();
    scene.assert_untouched("no skin is left");
}

#[test]
fn a_hand_of_a_character_that_is_one_mesh_is_excluded_by_its_bone() {
    let mut scene = scene(PortraitFace::default());
    let whole = scene.changed_by(PortraitRealism::default());
    let head = named(&mut scene.app, "mixamorig:Head");
    scene.app.world_mut().entity_mut(head).insert(PortraitExclude::default());
    let changed = scene.changed_by(PortraitRealism::default());
    let head = scene.region(both(HEAD, HEAD)).rect_px;
    let middle = (head.min + head.max) / 2;
    assert!(whole.contains(&middle) && !changed.contains(&middle), "the head is left alone");
    let body = scene.region(both(BODY, BODY)).rect_px;
    assert!(changed.contains(&((body.min + body.max) / 2)), "the body is not");
}

/// Returns a mask that is white in its left half.
fn left_half(app: &mut App) -> PortraitMask {
    let size = Extent3d { width: 2, height: 1, depth_or_array_layers: 1 };
    let image = Image::new(size, TextureDimension::D2, vec![255, 0], TextureFormat::R8Unorm, default());
    let image = Image { sampler: bevy::image::ImageSampler::nearest(), ..image };
    let image = app.world_mut().resource_mut::<Assets<Image>>().add(image);
    PortraitMask { image, space: PortraitMaskSpace::Face }
}

/// Asserts that a mask over the left half of the face lies on the left, whatever entity of the character is the face.
fn assert_masks_the_left(scene: &mut Scene, case: &str) {
    let mask = Some(left_half(&mut scene.app));
    let faces = ["Hero_Node", "Hero_Mesh", "mixamorig:Head"].map(|name| (name, named(&mut scene.app, name)));
    for (what, face) in [("the root", scene.root)].into_iter().chain(faces) {
        scene.app.world_mut().entity_mut(face).insert(PortraitFace::default());
        let changed = scene.changed_by(PortraitRealism { mask: mask.clone(), ..default() });
        scene.app.world_mut().entity_mut(face).remove::<PortraitFace>();
        let left = changed.iter().filter(|px| px.x < 80).count();
        let right = changed.len() - left;
        assert!(left > 100 && right * 20 < left, "{what}, {case}: {left} pixels left, {right} right");
    }
}

#[test]
fn a_mask_lies_on_the_same_cheek_however_the_loader_turned_the_axes() {
    for [rotate_scene_entity, rotate_meshes] in [[false, false], [true, false], [false, true], [true, true]] {
        let convert = GltfConvertCoordinates { rotate_scene_entity, rotate_meshes };
        let settings = move |settings: &mut GltfLoaderSettings| settings.convert_coordinates = Some(convert);
        let mut scene = Scene::of(&character(), "mixamorig:Head", settings, ());
        // What the file has in front is turned to the camera.
        let turned = if rotate_scene_entity { std::f32::consts::PI } else { 0.0 };
        let root = scene.root;
        scene.app.world_mut().entity_mut(root).insert(Transform::from_rotation(Quat::from_rotation_y(turned)));
        assert_masks_the_left(&mut scene, &format!("{convert:?}"));
    }
}

#[test]
fn a_mask_lies_on_the_same_cheek_however_an_exporter_turned_the_axes() {
    let quarter = std::f32::consts::FRAC_PI_2;
    for (what, axes) in [
        ("Z up", Quat::from_rotation_x(-quarter)),
        ("-Z up", Quat::from_rotation_x(quarter)),
        ("X up", Quat::from_rotation_z(quarter)),
    ] {
        let mut scene = Scene::of(&character_with(axes), "mixamorig:Head", |_| {}, ());
        assert_masks_the_left(&mut scene, what);
    }
}

#[test]
fn a_mask_turns_with_a_head_that_turned_after_it_was_seen() {
    let mut scene = scene(MarkPortraitFaces::named(["mixamorig:Head"]));
    let mask = Some(left_half(&mut scene.app));
    let settings = PortraitRealism { mask, ..default() };
    let sides = |scene: &mut Scene, is_first: &dyn Fn(&UVec2) -> bool| {
        let changed = scene.changed_by(settings.clone());
        let first = changed.iter().filter(|px| is_first(px)).count();
        (first, changed.len() - first)
    };
    let (left, right) = sides(&mut scene, &|px| px.x < 80);
    assert!(left > 100 && right * 20 < left, "upright: {left} and {right}");
    // A quarter turn to the left about the neck's joint: what was on the left is below.
    let turned = Quat::from_rotation_z(std::f32::consts::FRAC_PI_2);
    scene.place("mixamorig:Neck", Transform::from_translation(NECK_JOINT).with_rotation(turned));
    let joint = 60.0 - NECK_JOINT.y * 120.0 / (2.0 * 8.0 * (std::f32::consts::FRAC_PI_8).tan());
    let (below, above) = sides(&mut scene, &|px| px.y as f32 > joint);
    assert!(below > 100 && above * 10 < below, "lying: {below} below and {above} above");
}
