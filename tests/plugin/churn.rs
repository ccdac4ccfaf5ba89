//! Models, cameras and faces that come, change and go in every frame.

use bevy::asset::AssetEventSystems;
use bevy::camera::visibility::RenderLayers;
use bevy::core_pipeline::prepass::ViewPrepassTextures;
use bevy::prelude::*;
use bevy::render::camera::ExtractedCamera;
use bevy::render::view::{ExtractedView, ViewDepthTexture, ViewTarget};
use bevy::render::{ExtractSchedule, MainWorld, Render, RenderApp, RenderSystems};
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::prelude::*;
use portrait_network::{Model, Plane, Spec};

use crate::common::{face_bounds, frame, render_world, render_world_mut, settle, spawn_camera, target};
use crate::setups::twins::{Twins, brighter};
use crate::stage::{LDR, SIZE, Stage, linear_model, model};

/// Returns a network of two convolutions with random weights.
pub fn other_network() -> Model {
    Model::random(Spec::tiny(&[Plane::Color]).validate().expect("a valid spec"), 5)
}

#[test]
fn models_that_are_swapped_in_every_frame_are_each_shown_at_once() {
    let mut stage = Stage::new(Msaa::Off, ());
    let models = [model(&mut stage.app, brighter()), model(&mut stage.app, other_network()), PortraitModel::FAST];
    let settings = models.map(|model| PortraitRealism { model, ..default() });
    let expected = settings.clone().map(|settings| stage.set(settings));
    assert!(expected.iter().all(|second| *second != stage.first));
    for step in 0..30 {
        let at = (step * 2 + step / 7) % 3;
        stage.app.world_mut().entity_mut(stage.camera).insert(settings[at].clone());
        stage.app.update();
        assert!(frame(&mut stage.app, &stage.target) == expected[at], "frame {step}");
    }
    stage.app.world_mut().entity_mut(stage.camera).remove::<PortraitRealism>();
    assert!(stage.frame() == stage.first);
    assert_eq!(stage.allocated_bytes(), 0);
}

#[test]
fn weights_that_are_replaced_in_every_frame_are_shown_a_frame_late_and_never_missing() {
    let adding = |amount: f32| linear_model(&[Plane::Color], vec![0.0; 9], [amount; 3]);
    // The models are other weights, and another network with other kernels.
    for models in [[adding(0.4), adding(-0.4)], [adding(0.4), other_network()]] {
        let mut stage = Stage::new(Msaa::Off, ());
        let settings = PortraitRealism { model: model(&mut stage.app, models[0].clone()), ..default() };
        let replace = |stage: &mut Stage, model: &Model| {
            let mut assets = stage.app.world_mut().resource_mut::<Assets<PortraitModel>>();
            assets.insert(&settings.model, model.clone().into()).expect("a handle of its own");
        };
        let mut expected = Vec::new();
        stage.set(settings.clone());
        for model in &models {
            replace(&mut stage, model);
            (0..20).for_each(|_| stage.app.update());
            expected.push(stage.frame());
        }
        assert!(expected[0] != expected[1] && expected.iter().all(|second| *second != stage.first));
        for step in 0..30 {
            replace(&mut stage, &models[step % 2]);
            stage.app.update();
            let shown = frame(&mut stage.app, &stage.target);
            assert!(expected.contains(&shown), "frame {step} is neither");
        }
        replace(&mut stage, &models[0]);
        (0..20).for_each(|_| stage.app.update());
        assert!(stage.frame() == expected[0]);
    }
}

#[test]
fn cameras_whose_order_changes_in_every_frame_show_what_they_did() {
    let mut twins = Twins::new(Msaa::Sample4, ());
    let expected = twins.frames();
    let third = target(&mut twins.app, SIZE, LDR);
    let camera = spawn_camera(&mut twins.app, &third, Msaa::Sample4);
    let settings = PortraitRealism { strength: 0.5, model: PortraitModel::FAST, ..default() };
    twins.app.world_mut().entity_mut(camera).insert(settings);
    assert!(twins.frames() == expected);
    let fast = frame(&mut twins.app, &third);
    for step in 0..30 {
        let cameras = [twins.cameras[0], twins.cameras[1], camera];
        for (at, camera) in cameras.into_iter().enumerate() {
            let order = (at as isize * 5 + step * (at as isize + 1)) % 7;
            twins.app.world_mut().get_mut::<Camera>(camera).expect("a camera").order = order * 3 + at as isize;
        }
        twins.app.update();
        assert!(twins.shown() == expected && frame(&mut twins.app, &third) == fast, "frame {step}");
    }
}

/// Entities that are to be despawned, in either world.
#[derive(Resource, Clone, Default)]
struct Doomed(Vec<Entity>);

/// Point of the main world's schedule at which entities are despawned.
#[derive(Resource, Clone, Copy, PartialEq, Default)]
struct At(usize);

fn despawn_at(point: usize) -> impl Fn(Commands, Res<Doomed>, Res<At>) {
    move |mut commands, doomed, at| {
        if at.0 == point {
            doomed.0.iter().for_each(|&entity| commands.entity(entity).try_despawn());
        }
    }
}

/// Twins beside a second camera and a second face, which are alone on their layer and come and go.
struct Victims {
    twins: Twins,
    target: Handle<Image>,
    expected: [Vec<u8>; 2],
    seen: Vec<u8>,
    held: u64,
}

const ELSEWHERE: RenderLayers = RenderLayers::layer(5);

impl Victims {
    fn new(add: impl FnOnce(&mut App)) -> Self {
        let mut twins = Twins::new(Msaa::Off, ());
        twins.app.init_resource::<Doomed>().init_resource::<At>();
        add(&mut twins.app);
        let expected = twins.frames();
        let target = target(&mut twins.app, SIZE, LDR);
        let mut victims = Self { twins, target, expected, seen: Vec::new(), held: 0 };
        let entities = victims.spawn();
        settle(&mut victims.twins.app);
        victims.seen = frame(&mut victims.twins.app, &victims.target);
        assert!(victims.seen != vec![victims.seen[0]; victims.seen.len()]);
        entities.iter().for_each(|&entity| _ = victims.twins.app.world_mut().despawn(entity));
        settle(&mut victims.twins.app);
        victims.held = render_world(&victims.twins.app).resource::<PortraitGpuState>().allocated_bytes();
        victims
    }

    fn spawn(&mut self) -> [Entity; 2] {
        let app = &mut self.twins.app;
        let camera = spawn_camera(app, &self.target, Msaa::Off);
        let settings = PortraitRealism { model: PortraitModel::QUALITY, history: 0.5, ..default() };
        app.world_mut().entity_mut(camera).insert((settings, ELSEWHERE));
        let face = (Transform::default(), PortraitFace { bounds: Some(face_bounds()), ..default() }, ELSEWHERE);
        let face = app.world_mut().spawn(face).id();
        let marked = (Name::new("root"), MarkPortraitFaces::named(["Head*"]), ELSEWHERE);
        app.world_mut().spawn(marked);
        [camera, face]
    }

    fn assert_unharmed(&mut self, what: &str) {
        assert!(self.twins.shown() == self.expected, "{what}: the others are as they were");
    }

    /// Asserts that everything of the second camera is gone, and comes back as before when camera and face do.
    fn assert_recovered(&mut self, what: &str) {
        assert!(self.twins.frames() == self.expected, "{what}: the others are as they were");
        let held = render_world(&self.twins.app).resource::<PortraitGpuState>().allocated_bytes();
        assert_eq!(held, self.held, "{what}: what it held is given back");
        let entities = self.spawn();
        settle(&mut self.twins.app);
        assert!(frame(&mut self.twins.app, &self.target) == self.seen, "{what}: another one is enhanced as it was");
        entities.iter().for_each(|&entity| _ = self.twins.app.world_mut().despawn(entity));
    }
}

#[test]
fn cameras_and_faces_that_are_despawned_anywhere_in_the_main_world_leave_the_others_enhanced() {
    let mut victims = Victims::new(|app| {
        app.add_systems(First, despawn_at(1))
            .add_systems(PreUpdate, despawn_at(2))
            .add_systems(Update, despawn_at(3))
            .add_systems(PostUpdate, (despawn_at(4), despawn_at(5).before(AssetEventSystems)))
            .add_systems(PostUpdate, despawn_at(6).after(AssetEventSystems))
            .add_systems(Last, despawn_at(7));
    });
    for point in 1..=7 {
        // Entities are despawned in the camera's first frame, in which it gets its components, in the second, or once it is enhanced.
        for age in [0, 1, 4] {
            let entities = victims.spawn();
            (0..age).for_each(|_| victims.twins.app.update());
            victims.twins.app.insert_resource(Doomed(entities.to_vec()));
            // The components that the effect brings to a camera are added or taken away in the same frame.
            if age == 4 {
                victims
                    .twins
                    .app
                    .world_mut()
                    .entity_mut(entities[0])
                    .insert(PortraitRealism { enabled: false, ..default() });
            }
            victims.twins.app.insert_resource(At(point));
            victims.twins.app.update();
            assert!(entities.iter().all(|&entity| victims.twins.app.world().get_entity(entity).is_err()));
            victims.assert_unharmed(&format!("point {point}, age {age}"));
            victims.twins.app.insert_resource(At(0));
            (0..3).for_each(|_| victims.twins.app.update());
            victims.assert_unharmed(&format!("after point {point}, age {age}"));
        }
    }
    victims.assert_recovered("main world");
}

/// Loss that befalls the victims' camera in the render world. The camera's entity itself stays: Bevy's own systems insert into the entity
/// until the frame is drawn, and panic if it is gone.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Debug)]
enum Blow {
    Settings,
    View,
    Target,
    Prepass,
    /// The camera of the main world goes while it is extracted.
    Source,
}

/// Point of the render world's schedule, the loss that happens there, and the main world's entities that it befalls.
#[derive(Resource, Clone, Default)]
struct Struck {
    at: usize,
    blow: Option<Blow>,
    entities: Vec<Entity>,
}

fn strike(point: usize) -> impl Fn(&mut World) {
    move |world| {
        let struck = world.resource::<Struck>().clone();
        let Some(blow) = struck.blow.filter(|_| struck.at == point) else { return };
        if blow == Blow::Source {
            if let Some(mut main_world) = world.get_resource_mut::<MainWorld>() {
                struck.entities.iter().for_each(|&entity| _ = main_world.try_despawn(entity));
            }
            return;
        }
        let mut cameras = world.query_filtered::<(Entity, &RenderLayers), With<ExtractedCamera>>();
        let found: Vec<_> =
            cameras.iter(world).filter(|(_, layers)| **layers == ELSEWHERE).map(|(camera, _)| camera).collect();
        for camera in found {
            let mut camera = world.entity_mut(camera);
            match blow {
                Blow::Settings => _ = camera.remove::<PortraitRealism>(),
                Blow::View => _ = camera.remove::<(ExtractedView, ExtractedCamera)>(),
                Blow::Target => _ = camera.remove::<(ViewTarget, ViewDepthTexture)>(),
                Blow::Prepass => _ = camera.remove::<ViewPrepassTextures>(),
                Blow::Source => {}
            }
        }
    }
}

#[test]
fn cameras_that_vanish_between_extraction_and_drawing_leave_the_others_enhanced() {
    let mut victims = Victims::new(|app| {
        let render = app.sub_app_mut(RenderApp);
        render.init_resource::<Struck>().add_systems(ExtractSchedule, strike(0));
        let sets = [
            RenderSystems::ExtractCommands,
            RenderSystems::PrepareAssets,
            RenderSystems::CreateViews,
            RenderSystems::PrepareViews,
            RenderSystems::Queue,
            RenderSystems::PhaseSort,
            RenderSystems::PrepareResources,
            RenderSystems::PrepareBindGroups,
            RenderSystems::Cleanup,
        ];
        for (at, set) in sets.into_iter().enumerate() {
            render.add_systems(Render, (strike(2 * at + 1).before(set.clone()), strike(2 * at + 2).after(set)));
        }
    });
    const POINTS: usize = 18;
    let blows = [Blow::Source, Blow::Settings, Blow::Prepass, Blow::Target, Blow::View];
    for blow in blows {
        for at in 0..=POINTS {
            println!("{blow:?} at {at}");
            let entities = victims.spawn();
            (0..4).for_each(|_| victims.twins.app.update());
            let struck = Struck { at, blow: Some(blow), entities: entities.to_vec() };
            render_world_mut(&mut victims.twins.app).insert_resource(struck);
            victims.twins.app.update();
            victims.assert_unharmed(&format!("{blow:?} at {at}"));
            render_world_mut(&mut victims.twins.app).insert_resource(Struck::default());
            for entity in entities {
                _ = victims.twins.app.world_mut().try_despawn(entity);
            }
            victims.twins.app.update();
            victims.assert_unharmed(&format!("after {blow:?} at {at}"));
        }
    }
    victims.assert_recovered("render world");
}
