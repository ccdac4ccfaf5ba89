//! The demo scene: a head that was never trained on, its lights and its camera, as the data set describes them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bevy::camera::primitives::Aabb;
use bevy::camera::{Hdr, ShadowLodOrigin};
use bevy::light::{DirectionalLightShadowMap, ShadowFilteringMethod};
use bevy::mesh::morph::MorphWeights;
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;
use portrait_dataset::background::Backdrop;
use portrait_dataset::scene::Scene;
use portrait_dataset::{cameras, lights, mipmaps, rendering};

/// Radius around the head that the lights' shadows cover, metres.
const LIT_RADIUS_M: f32 = 0.45;
/// Angle by which the head turns to either side, radians.
const TURN: f32 = 0.45;
/// Time of one turn from side to side and back, seconds.
const TURN_PERIOD_S: f32 = 12.0;

/// Ratio of the background's width to its height.
const WIDEST: f32 = 4.0;

/// Time of the performance, seconds. At 0 the head has the pose and the expression of the reference image.
#[derive(Resource, Default)]
pub struct DemoClock(pub f32);

/// The demo's scene and assets, as its files describe them.
#[derive(Resource)]
pub struct Demo {
    scene: Scene,
    backdrop: Backdrop,
}

/// A head that turns about its own axis.
#[derive(Component, Default)]
pub struct DemoHead {
    /// Place of the head.
    pub place: Transform,
    /// Delay of the head's motion behind [`DemoClock`], seconds.
    pub late_s: f32,
}

/// Returns the folder of the demo's files: beside the program where it was packed, else in the checkout.
pub fn assets_folder() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("assets")));
    let packed = beside.filter(|folder| folder.join("heads").is_dir());
    packed.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"))
}

/// Reads the demo's files, and adds the systems that move every head by [`DemoClock`].
pub fn load(app: &mut App) -> Result<()> {
    let heads = assets_folder().join("heads");
    let scene = Scene::read(&heads.join("demo.json")).context("the demo's scene")?;
    let backdrop = Backdrop::read(&heads, &scene).context("the demo's background")?;
    // The even sky of the reference image is ambient light here.
    let brightness = lights::ambient_brightness(scene.environment.strength * scene.rendering.gain());
    app.insert_resource(GlobalAmbientLight { brightness, ..default() })
        .insert_resource(DirectionalLightShadowMap { size: scene.rendering.shadow_map_px })
        .insert_resource(Demo { scene, backdrop })
        .init_resource::<DemoClock>()
        .add_systems(Update, (turn, express, add_mip_levels));
    Ok(())
}

/// Spawns the whole scene, head, lights and camera, and returns the camera. The camera does not have the effect.
pub fn spawn(app: &mut App) -> Result<Entity> {
    load(app)?;
    let world = app.world_mut();
    spawn_head(world, DemoHead::default());
    spawn_lights(world);
    Ok(spawn_camera(world))
}

/// Spawns a head that is marked as a face.
pub fn spawn_head(world: &mut World, head: DemoHead) -> Entity {
    let bounds = Some(face_bounds(world));
    let scene = world.resource::<AssetServer>().load("heads/demo.glb#Scene0");
    world.spawn((WorldAssetRoot(scene), head.place, head, PortraitFace { bounds, ..default() })).id()
}

/// Returns the box of the demo's face, in the space of the head.
pub fn face_bounds(world: &World) -> Aabb {
    let face = &world.resource::<Demo>().scene.face;
    Aabb { center: face.center.into(), half_extents: face.half_extents.into() }
}

/// Spawns the lights of the reference image, which cover a head at the origin.
pub fn spawn_lights(world: &mut World) {
    let scene = world.resource::<Demo>().scene.clone();
    let bounds = lights::Bounds { center: scene.face.center.into(), radius_m: LIT_RADIUS_M };
    let stage = world.spawn((Transform::default(), Visibility::default())).id();
    for light in &scene.lights {
        lights::spawn(world, stage, light, &scene, &bounds, scene.rendering.gain());
    }
}

/// Returns the transform and the projection of the reference image's camera.
pub fn pose(world: &World) -> (Transform, Projection) {
    cameras::pose(&world.resource::<Demo>().scene)
}

/// Spawns the camera of the reference image, and the background behind the head.
pub fn spawn_camera(world: &mut World) -> Entity {
    let demo = world.resource::<Demo>();
    let (scene, backdrop) = (demo.scene.clone(), demo.backdrop.clone());
    let camera = (pose(world), cameras::beauty_layers(), ShadowLodOrigin, camera(demo));
    let camera = world.spawn(camera).id();
    cameras::spawn_background(world, camera, &scene, &backdrop);
    // The reference image is square, a window may be wider; a gradient goes from bottom to top, so it can be as wide as it likes.
    if let (Backdrop::Gradient(_), Some(background)) = (&backdrop, world.get::<Children>(camera).map(|them| them[0]))
        && let Some(mut place) = world.get_mut::<Transform>(background)
    {
        place.scale.x = WIDEST;
    }
    camera
}

/// Returns the components with which every camera of the demo draws: the exposure and tone mapping of the reference image.
pub fn camera(demo: &Demo) -> impl Bundle + use<> {
    (
        Camera3d::default(),
        Hdr,
        Msaa::Sample4,
        lights::unit_exposure(),
        rendering::tonemapping(demo.scene.rendering.tone_mapping),
        ShadowFilteringMethod::Gaussian,
    )
}

/// Lets [`DemoClock`] run with the app's time.
pub fn play(time: Res<Time>, mut clock: ResMut<DemoClock>) {
    clock.0 += time.delta_secs();
}

fn turn(clock: Res<DemoClock>, demo: Res<Demo>, mut heads: Query<(&DemoHead, &mut Transform)>) {
    let pivot = Vec3::from(demo.scene.face.center).with_y(0.0);
    for (head, mut transform) in &mut heads {
        let angle = TURN * ((clock.0 - head.late_s) / TURN_PERIOD_S * std::f32::consts::TAU).sin();
        *transform = head.place
            * Transform::from_translation(pivot)
            * Transform::from_rotation(Quat::from_rotation_y(angle))
            * Transform::from_translation(-pivot);
    }
}

/// Lets expressions come and go over that of the reference image.
fn express(
    clock: Res<DemoClock>,
    demo: Res<Demo>,
    meshes: Res<Assets<Mesh>>,
    heads: Query<&DemoHead>,
    parents: Query<&ChildOf>,
    mut faces: Query<(Entity, &mut MorphWeights)>,
) {
    for (entity, mut weights) in &mut faces {
        let Some(head) = parents.iter_ancestors(entity).find_map(|parent| heads.get(parent).ok()) else { continue };
        let time_s = clock.0 - head.late_s;
        let swell = |period_s: f32| (1.0 - (time_s / period_s * std::f32::consts::TAU).cos()) / 2.0;
        // A blink lasts a fifth of a second.
        let blink = (1.0 - (time_s.rem_euclid(4.0) - 3.0).abs() / 0.1).max(0.0);
        let names = weights.first_mesh().and_then(|mesh| meshes.get(mesh)).and_then(|mesh| mesh.morph_target_names());
        let Some(names) = names.map(<[String]>::to_vec) else { continue };
        for (name, weight) in names.iter().zip(weights.weights_mut()) {
            let own = demo.scene.expression.get(name).copied().unwrap_or_default();
            let more = match name.as_str() {
                "mouthSmileLeft" | "mouthSmileRight" | "mouthSmile" => 0.4 * swell(7.0),
                "browInnerUp" => 0.6 * swell(5.0),
                "jawOpen" => 0.35 * swell(9.0),
                "eyeBlinkLeft" | "eyeBlinkRight" | "eyeBlink" => blink,
                _ => 0.0,
            };
            *weight = (own + more).min(1.0);
        }
    }
}

/// Adds mip levels to the textures of a GLB, for which Bevy makes none; pores sparkle without them.
pub fn add_mip_levels(
    mut events: MessageReader<AssetEvent<StandardMaterial>>,
    assets: Res<AssetServer>,
    mut waiting: Local<Vec<AssetId<StandardMaterial>>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
    mut images: ResMut<Assets<Image>>,
) {
    // Only textures of files get mip levels, since a material made by hand may show a camera's target.
    waiting.extend(events.read().filter_map(|event| match event {
        AssetEvent::Added { id } if assets.get_path(*id).is_some() => Some(*id),
        _ => None,
    }));
    waiting.retain(|id| {
        if !assets.is_loaded_with_dependencies(*id) {
            return true;
        }
        if let Some(mut material) = materials.get_mut(*id) {
            mipmaps::add_to_material(&mut material, &mut images);
        }
        false
    });
}
