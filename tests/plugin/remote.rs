//! The plugin's components over Bevy's remote protocol, without a network connection.

use bevy::prelude::*;
use bevy::remote::builtin_methods::{
    process_remote_get_components_request, process_remote_insert_components_request,
    process_remote_list_components_request, process_remote_mutate_components_request,
};
use bevy_portrait_realism::prelude::*;
use serde_json::{Value, json};

/// Name of the settings' component in Bevy's protocol.
const COMPONENT: &str = "bevy_portrait_realism::api::settings::PortraitRealism";

/// Makes an app with assets and without a renderer.
fn app() -> App {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, AssetPlugin::default(), PortraitRealismPlugin));
    app.finish();
    app
}

fn get(app: &App, entity: Entity, component: &str) -> Value {
    let params = json!({ "entity": entity, "components": [component], "strict": false });
    process_remote_get_components_request(In(Some(params)), app.world()).expect("an answer")
}

fn mutate(app: &mut App, entity: Entity, path: &str, value: Value) {
    let params = json!({ "entity": entity, "component": COMPONENT, "path": path, "value": value });
    process_remote_mutate_components_request(In(Some(params)), app.world_mut())
        .unwrap_or_else(|error| panic!("{path}: {error:?}"));
}

#[test]
fn settings_are_read_set_and_inserted_over_the_remote_protocol() {
    let mut app = app();
    let camera = app.world_mut().spawn(PortraitRealism::default()).id();
    let listed = process_remote_list_components_request(In(Some(json!({ "entity": camera }))), app.world());
    let listed = listed.expect("an answer").to_string();
    assert!(
        listed.contains(COMPONENT) && listed.contains("bevy_portrait_realism::api::status::PortraitStatus"),
        "{listed}"
    );

    let answer = get(&app, camera, COMPONENT);
    println!("{answer}");
    assert_eq!(answer["errors"], json!({}), "{answer}");
    let read = answer["components"][COMPONENT].clone();
    assert_eq!(read["enabled"], json!(true));
    assert_eq!(read["strength"], json!(1.0));
    assert_eq!(read["resolution"], json!("High"));

    mutate(&mut app, camera, ".enabled", json!(false));
    mutate(&mut app, camera, ".strength", json!(0.25));
    mutate(&mut app, camera, ".resolution", json!({ "Auto": { "budget_ms": 2.5 } }));
    let set = app.world().get::<PortraitRealism>(camera).expect("the component");
    assert!(!set.enabled && set.strength == 0.25);
    assert_eq!(set.resolution, PortraitResolution::Auto { budget_ms: 2.5 });

    // The settings read from one camera are inserted into another one.
    let other = app.world_mut().spawn_empty().id();
    let params = json!({ "entity": other, "components": { COMPONENT: read } });
    process_remote_insert_components_request(In(Some(params)), app.world_mut()).expect("it is inserted");
    let inserted = app.world().get::<PortraitRealism>(other).expect("the component");
    assert_eq!(inserted.model, PortraitModel::QUALITY);
    assert!(inserted.enabled && inserted.strength == 1.0);
}

#[test]
fn faces_and_status_are_read_over_the_remote_protocol() {
    let mut app = app();
    let bounds = bevy::camera::primitives::Aabb::from_min_max(Vec3::ZERO, Vec3::ONE);
    let face =
        app.world_mut().spawn((PortraitFace { bounds: Some(bounds), ..default() }, PortraitStatus::default())).id();
    for component in
        ["bevy_portrait_realism::api::settings::PortraitFace", "bevy_portrait_realism::api::status::PortraitStatus"]
    {
        let answer = get(&app, face, component);
        println!("{answer}");
        assert_eq!(answer["errors"], json!({}), "{component}: {answer}");
        assert!(!answer["components"][component].is_null(), "{component}: {answer}");
    }
}

#[test]
fn settings_with_weights_from_a_file_are_set_over_the_remote_protocol() {
    let mut app = app();
    let model = app.world().resource::<AssetServer>().load("weights/fast.safetensors");
    let camera = app.world_mut().spawn(PortraitRealism { model: model.clone(), ..default() }).id();
    // Bevy's protocol cannot write down a handle that counts its users, in whatever component.
    let answer = get(&app, camera, COMPONENT);
    println!("{answer}");
    assert!(answer["errors"][COMPONENT].to_string().contains("StrongHandle"), "{answer}");
    mutate(&mut app, camera, ".strength", json!(0.5));
    let set = app.world().get::<PortraitRealism>(camera).expect("the component");
    assert!(set.strength == 0.5 && set.model == model);
    // Weights in the binary can be put in its place.
    let built_in = app.world_mut().spawn(PortraitRealism { model: PortraitModel::FAST, ..default() }).id();
    let handle = get(&app, built_in, COMPONENT)["components"][COMPONENT]["model"].clone();
    println!("{handle}");
    mutate(&mut app, camera, ".model", handle);
    assert_eq!(app.world().get::<PortraitRealism>(camera).expect("the component").model, PortraitModel::FAST);
}
