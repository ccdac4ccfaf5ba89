//! Marking faces while a scene loads.

use bevy::camera::primitives::Aabb;
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;
use serde_json::json;

use crate::common::{headless, update_until};
use crate::log::Log;
use crate::scene::{bust, load, named, write};
use crate::steady::runs_alone;

/// Returns an app that has loaded the bust, changed by `extras` of its nodes, with `marker` on the bust's root.
fn loaded(extras: &[(usize, serde_json::Value)], marker: MarkPortraitFaces) -> (App, Entity, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut file = bust();
    for (node, extras) in extras {
        file.0["nodes"][node]["extras"] = extras.clone();
    }
    write(folder.path(), &file);
    let mut app = headless(&folder.path().to_string_lossy(), true);
    let scene = app.world().resource::<AssetServer>().load("bust.gltf#Scene0");
    let root = app.world_mut().spawn((WorldAssetRoot(scene), marker)).id();
    load(&mut app, "Head");
    (app, root, folder)
}

/// Returns the names of the entities that are marked.
fn marked(app: &mut App) -> Vec<String> {
    let world = app.world_mut();
    let mut faces = world.query_filtered::<&Name, With<PortraitFace>>();
    let mut names: Vec<String> = faces.iter(world).map(ToString::to_string).collect();
    names.sort();
    names
}

#[test]
fn nodes_are_marked_by_name_in_the_frame_in_which_they_appear() {
    let (mut app, _, _folder) = loaded(&[], MarkPortraitFaces::named(["Head", "M*th"]));
    assert_eq!(marked(&mut app), ["Head", "Mouth"]);
}

#[test]
fn nodes_are_marked_by_their_extras_with_bounds_of_their_own() {
    let extras = [
        (1, json!({ "portrait_face": [-1, -2, -3, 1, 2, 3], "who": "Ada" })),
        (2, json!({ "portrait_face": false })),
        (5, json!({ "portrait_face": true })),
    ];
    let (mut app, _, _folder) = loaded(&extras, MarkPortraitFaces::default());
    assert_eq!(marked(&mut app), ["Hat", "Head"]);
    let head = named(&mut app, "Head");
    let bounds = app.world().get::<PortraitFace>(head).expect("a face").bounds;
    assert_eq!(bounds, Some(Aabb::from_min_max(Vec3::new(-1.0, -2.0, -3.0), Vec3::new(1.0, 2.0, 3.0))));
}

#[test]
fn faces_that_are_there_are_kept_and_a_scene_that_loads_again_is_marked_again() {
    let (mut app, root, _folder) = loaded(&[], MarkPortraitFaces::named(["Hat"]));
    assert_eq!(marked(&mut app), ["Hat"]);
    let by_hand = PortraitFace { bounds: Some(Aabb::from_min_max(Vec3::ZERO, Vec3::ONE)), ..default() };
    let head = named(&mut app, "Head");
    app.world_mut().entity_mut(head).insert(by_hand.clone());
    app.world_mut().entity_mut(root).insert(MarkPortraitFaces::named(["Head", "Mouth"]));
    app.update();
    assert_eq!(marked(&mut app), ["Hat", "Head", "Mouth"], "other names mark more");
    assert_eq!(app.world().get::<PortraitFace>(head).map(|face| face.bounds), Some(by_hand.bounds));

    let scene = app.world().get::<WorldAssetRoot>(root).expect("a scene").clone();
    app.world_mut().entity_mut(root).despawn_related::<Children>();
    app.world_mut().entity_mut(root).insert(scene);
    update_until(&mut app, "the scene again", |app| app.world().get::<Children>(root).is_some());
    assert_eq!(marked(&mut app), ["Head", "Mouth"]);
}

#[test]
fn a_root_without_faces_is_warned_about_once_with_the_names_there_are() {
    if !runs_alone("marking::a_root_without_faces_is_warned_about_once_with_the_names_there_are") {
        return;
    }
    let log = Log::listen();
    let mut app = headless("assets", true);
    let root = app.world_mut().spawn((Name::new("hero"), MarkPortraitFaces::named(["head", "face*"]))).id();
    app.update();
    assert_eq!(log.about("hero"), [""; 0], "the scene is still being loaded");
    app.world_mut().spawn((ChildOf(root), Name::new("Torso"), children![Name::new("Head"), Name::new("Arm")]));
    app.update();
    let said = log.about("hero");
    let expected = ["WARN", "head or face*", "portrait_face", "Arm, Head, Torso"];
    assert!(said.len() == 1 && expected.iter().all(|part| said[0].contains(part)), "{said:#?}");
    app.update();
    app.world_mut().spawn((ChildOf(root), Name::new("Leg")));
    app.update();
    assert_eq!(log.about("hero"), [""; 0], "once");
    let head = app.world_mut().spawn((ChildOf(root), Name::new("face_of_hero"))).id();
    app.update();
    assert!(app.world().entity(head).contains::<PortraitFace>(), "what comes later is still marked");
}
