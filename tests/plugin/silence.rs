//! Faces and exclusions that never get bounds are warned about once.

use std::any::TypeId;

use bevy::camera::primitives::Aabb;
use bevy::camera::visibility::{NoFrustumCulling, VisibilityClass};
use bevy::mesh::skinning::{SkinnedMesh, SkinnedMeshInverseBindposes};
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;

use crate::common::{headless, settle, spawn_camera, target};
use crate::log::Log;
use crate::stage::{LDR, SIZE};
use crate::steady::runs_alone;

/// The class of what another plugin draws.
struct Particles;

#[test]
fn what_never_gets_bounds_is_warned_about_once_by_name_with_what_to_do() {
    if !runs_alone("silence::what_never_gets_bounds_is_warned_about_once_by_name_with_what_to_do") {
        return;
    }
    let log = Log::listen();
    let mut app = headless("assets", true);
    let target = target(&mut app, SIZE, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    app.world_mut().entity_mut(camera).insert(PortraitRealism { model: PortraitModel::FAST, ..default() });
    let world = app.world_mut();
    let mesh = world.resource_mut::<Assets<Mesh>>().add(Sphere::new(0.5));
    let waiting = world.resource::<Assets<Mesh>>().reserve_handle();
    let place = || (Transform::default(), Visibility::default());

    // A joint that moves no vertices, of a skin whose mesh knows of none.
    let joint = world.spawn((Name::new("Bone_End"), place(), PortraitFace::default())).id();
    let inverse_bindposes = world
        .resource_mut::<Assets<SkinnedMeshInverseBindposes>>()
        .add(SkinnedMeshInverseBindposes::from(vec![Mat4::IDENTITY]));
    world.spawn((Mesh3d(mesh.clone()), SkinnedMesh { inverse_bindposes, joints: vec![joint] }));
    world.spawn((Name::new("Never_Culled"), Mesh3d(mesh.clone()), NoFrustumCulling, PortraitFace::default()));
    world.spawn((Name::new("Sparks"), place(), PortraitExclude::default()));
    world.spawn((Name::new("Mist"), place(), PortraitFace::default()));
    // Particles and the like are of a class of their own, and have no bounds.
    let mut class = VisibilityClass::default();
    class.push(TypeId::of::<Particles>());
    world.spawn((Name::new("Fountain"), place(), class, PortraitExclude::default()));
    world.spawn((Name::new("Glove"), Mesh3d(mesh.clone()), NoFrustumCulling, PortraitExclude::default()));
    // These have bounds, or will.
    let by_hand = Some(Aabb::from_min_max(Vec3::ZERO, Vec3::ONE));
    world.spawn((Name::new("By_Hand"), place(), PortraitExclude { bounds: by_hand, ..default() }));
    world.spawn((
        Name::new("Own_Bounds"),
        Mesh3d(mesh.clone()),
        NoFrustumCulling,
        Aabb::default(),
        PortraitFace::default(),
    ));
    world.spawn((Name::new("Plain"), Mesh3d(mesh.clone()), PortraitFace::default()));
    world.spawn((Name::new("Loading"), Mesh3d(waiting.clone()), PortraitExclude::default()));
    let scene = world.resource::<AssetServer>().load("nowhere.glb#Scene0");
    world.spawn((Name::new("Scene_To_Come"), WorldAssetRoot(scene), PortraitFace::default()));

    (0..20).for_each(|_| app.update());
    settle(&mut app);
    let expected = [
        ("Bone_End", "`PortraitFace`", "joint that moves no vertices"),
        ("Never_Culled", "`PortraitFace`", "`NoFrustumCulling`"),
        ("Sparks", "`PortraitExclude`", "draws anything"),
        ("Mist", "`PortraitFace`", "draws anything"),
        ("Fountain", "`PortraitExclude`", "as particles have none"),
        ("Glove", "`PortraitExclude`", "`NoFrustumCulling`"),
    ];
    let mut said = log.about("portrait realism");
    said.retain(|line| line.contains("bounds"));
    for (name, component, reason) in expected {
        let lines: Vec<_> = said.iter().filter(|line| line.contains(name)).collect();
        let bounds = format!("{}::bounds`", component.trim_end_matches('`'));
        let fits = |line: &str| [component, reason, &bounds].iter().all(|part| line.contains(part));
        assert!(lines.len() == 1 && fits(lines[0]), "{name}: {lines:?}");
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");

    // A mesh that has been loaded gets bounds; the others are not warned about again.
    app.world_mut().resource_mut::<Assets<Mesh>>().insert(&waiting, Sphere::new(0.2).into()).expect("its own handle");
    (0..20).for_each(|_| app.update());
    assert_eq!(log.about("portrait realism"), [""; 0]);
}
