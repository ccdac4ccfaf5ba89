//! The demo scene that the examples share: a head that was never trained on, its lights and its camera, as the data set
//! describes them. Nothing here is needed to use the plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bevy::camera::primitives::Aabb;
use bevy::camera::{Hdr, RenderTarget};
use bevy::light::{DirectionalLightShadowMap, EnvironmentMapLight, ShadowFilteringMethod};
use bevy::mesh::morph::MorphWeights;
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;
use portrait_dataset::background::Backdrop;
use portrait_dataset::linear_image::LinearImage;
use portrait_dataset::scene::Scene;
use portrait_dataset::{cameras, environment, lights, mipmaps};

/// Metres around the head that the lights' cones and shadows cover.
const LIT_RADIUS_M: f32 = 0.45;
/// How far the head turns to either side, radians.
const TURN: f32 = 0.45;
/// Seconds for one turn from side to side and back.
const TURN_PERIOD_S: f32 = 12.0;

/// Spawns the head, its lights and a camera with [`PortraitRealism`], and moves the head by [`DemoClock`].
pub struct DemoPlugin {
    /// What the camera draws into.
    pub target: RenderTarget,
}

/// Time of the performance, seconds. At 0 the head is in the pose and with the expression of the reference image.
#[derive(Resource, Default)]
pub struct DemoClock(pub f32);

#[derive(Resource)]
struct DemoScene {
    scene: Scene,
    expression: Vec<(String, f32)>,
}

/// The node that turns.
#[derive(Component)]
struct HeadRoot;

/// Where the demo's files are.
pub fn assets_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

impl DemoPlugin {
    fn load() -> Result<DemoScene> {
        let path = assets_folder().join("heads/demo.json");
        let scene = Scene::read(&path)?;
        let expression = scene.expression.iter().map(|(name, weight)| (name.clone(), *weight)).collect();
        Ok(DemoScene { scene, expression })
    }
}

impl Plugin for DemoPlugin {
    fn build(&self, app: &mut App) {
        match Self::load() {
            Ok(demo) => {
                let target = self.target.clone();
                let size = demo.scene.rendering.shadow_map_px;
                app.insert_resource(demo)
                    .insert_resource(GlobalAmbientLight { brightness: 0.0, ..default() })
                    .insert_resource(DirectionalLightShadowMap { size })
                    .init_resource::<DemoClock>()
                    .add_systems(Startup, move |world: &mut World| {
                        if let Err(error) = spawn(world, target.clone()) {
                            error!("the demo scene cannot be made: {error:#}");
                            world.write_message(AppExit::error());
                        }
                    })
                    .add_systems(Update, (turn, express, add_mip_levels));
            }
            Err(error) => {
                error!("the demo scene cannot be read: {error:#}");
                app.add_systems(Startup, |mut exit: MessageWriter<AppExit>| {
                    exit.write(AppExit::error());
                });
            }
        }
    }
}

fn spawn(world: &mut World, target: RenderTarget) -> Result<()> {
    let scene = world.resource::<DemoScene>().scene.clone();
    let (center, half_extents) = (Vec3::from(scene.face.center), Vec3::from(scene.face.half_extents));
    let head = world.resource::<AssetServer>().load("heads/demo.glb#Scene0");
    let bounds = Some(Aabb { center: center.into(), half_extents: half_extents.into() });
    world.spawn((WorldAssetRoot(head), Transform::default(), HeadRoot, PortraitFace { bounds }));

    let lit = lights::Bounds { center, radius_m: LIT_RADIUS_M };
    for area in &scene.lights {
        world.spawn(lights::spot_light(area, center, &lit));
    }
    let sky = LinearImage::read_exr(&assets_folder().join("heads").join(&scene.environment.file))
        .context("the demo's environment")?;
    let [diffuse_map, specular_map] =
        environment::filter(&sky).map(|map| world.resource_mut::<Assets<Image>>().add(map));
    let backdrop = Backdrop::read(&assets_folder().join("heads"), &scene).context("the demo's background")?;
    let camera = world.spawn((
        Camera3d::default(),
        Hdr,
        target,
        cameras::pose(&scene),
        lights::unit_exposure(),
        Msaa::Sample4,
        scene.rendering.tonemapping(),
        cameras::beauty_layers(),
        ShadowFilteringMethod::Gaussian,
        EnvironmentMapLight {
            diffuse_map,
            specular_map,
            intensity: scene.environment.strength,
            rotation: environment::rotation(scene.environment.rotation_deg),
            ..default()
        },
        PortraitRealism::default(),
    ));
    let camera = camera.id();
    cameras::spawn_background(world, camera, &scene, &backdrop);
    Ok(())
}

/// Turns the head about its own axis.
fn turn(clock: Res<DemoClock>, demo: Res<DemoScene>, mut heads: Query<&mut Transform, With<HeadRoot>>) {
    let angle = TURN * (clock.0 / TURN_PERIOD_S * std::f32::consts::TAU).sin();
    let pivot = Vec3::from(demo.scene.face.center).with_y(0.0);
    for mut transform in &mut heads {
        *transform = Transform::from_translation(pivot)
            * Transform::from_rotation(Quat::from_rotation_y(angle))
            * Transform::from_translation(-pivot);
    }
}

/// Lets expressions come and go over the reference's own.
fn express(
    clock: Res<DemoClock>,
    demo: Res<DemoScene>,
    meshes: Res<Assets<Mesh>>,
    mut faces: Query<&mut MorphWeights>,
) {
    let swell = |period_s: f32| (1.0 - (clock.0 / period_s * std::f32::consts::TAU).cos()) / 2.0;
    // A blink lasts a fifth of a second.
    let blink = (1.0 - ((clock.0 % 4.0) - 3.0).abs() / 0.1).max(0.0);
    for mut weights in &mut faces {
        let names = weights.first_mesh().and_then(|mesh| meshes.get(mesh)).and_then(|mesh| mesh.morph_target_names());
        let Some(names) = names.map(<[String]>::to_vec) else { continue };
        for (name, weight) in names.iter().zip(weights.weights_mut()) {
            let own = demo.expression.iter().find(|(other, _)| other == name).map_or(0.0, |(_, weight)| *weight);
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

/// Bevy makes no mip levels for the textures in a GLB, and pores sparkle without.
fn add_mip_levels(
    mut events: MessageReader<AssetEvent<StandardMaterial>>,
    assets: Res<AssetServer>,
    mut waiting: Local<Vec<AssetId<StandardMaterial>>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
    mut images: ResMut<Assets<Image>>,
) {
    waiting.extend(events.read().filter_map(|event| match event {
        AssetEvent::Added { id } => Some(*id),
        _ => None,
    }));
    waiting.retain(|id| {
        if assets.get_path(*id).is_some() && !assets.is_loaded_with_dependencies(*id) {
            return true;
        }
        if let Some(mut material) = materials.get_mut(*id) {
            mipmaps::add_to_material(&mut material, &mut images);
        }
        false
    });
}
