//! Faces with weights of their own: each is enhanced with them, as a camera with these weights enhances it, and nothing else changes.

use bevy::asset::LoadState;
use bevy::core_pipeline::prepass::{DepthPrepass, MotionVectorPrepass, NormalPrepass};
use bevy::prelude::*;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::prelude::*;
use portrait_network::{Model, Plane, Spec};

use crate::churn::other_network;
use crate::common::{frame, render_world, settle, spawn_camera, target, update_until};
use crate::faces::{Row, SIZE};
use crate::log::Log;
use crate::setups::twins::brighter;
use crate::stage::{LDR, changed, linear_model, model};
use crate::steady::{made, runs_alone};

/// Places across and scales of three faces, which lie in the left, the middle and the right third of the frame.
const THREE: [(f32, f32); 3] = [(-2.1, 0.9), (0.0, 1.0), (2.1, 0.8)];

impl Row {
    /// Makes a row whose camera has prepasses of its own, so that frames with different weights do not differ in those.
    fn with_prepasses(places: &[(f32, f32)]) -> Self {
        let mut row = Self::new(places);
        row.app.world_mut().entity_mut(row.camera).insert((NormalPrepass, DepthPrepass));
        settle(&mut row.app);
        row
    }

    /// Gives a face weights of its own, or takes them away.
    fn give(&mut self, face: usize, model: Option<Handle<PortraitModel>>) {
        let face = self.faces[face];
        self.app.world_mut().get_mut::<PortraitFace>(face).expect("a face").model = model;
    }

    fn shown(&mut self) -> Vec<u8> {
        settle(&mut self.app);
        frame(&mut self.app, &self.target)
    }

    /// Returns the frame in which all faces have these weights from the camera.
    fn all_with(&mut self, model: &Handle<PortraitModel>) -> Vec<u8> {
        self.settings(|settings| settings.model = model.clone());
        self.shown()
    }

    fn enhanced_faces(&self) -> usize {
        self.app.world().get::<PortraitStatus>(self.camera).expect("the effect").faces
    }

    fn state(&self) -> &PortraitGpuState {
        render_world(&self.app).resource()
    }
}

/// Returns a frame whose left, middle and right third come from these frames.
fn thirds(frames: [&[u8]; 3]) -> Vec<u8> {
    let row_bytes = SIZE.x as usize * 4;
    let at = |at: usize| frames[(at % row_bytes) / (row_bytes / 3)][at];
    (0..frames[0].len()).map(at).collect()
}

/// Returns a network that reads every plane.
fn of_all_planes() -> Model {
    let spec = Spec::tiny(&[Plane::Color, Plane::Normal, Plane::Depth]);
    Model::random(spec.validate().expect("a valid spec"), 11)
}

#[test]
fn faces_with_weights_of_their_own_get_what_a_camera_with_these_weights_gives_them() {
    let mut row = Row::with_prepasses(&THREE);
    let [off, _] = row.frames();
    let own = [model(&mut row.app, other_network()), model(&mut row.app, of_all_planes())];
    let models = [PortraitModel::QUALITY, PortraitModel::FAST, own[0].clone(), own[1].clone()];
    let alone = models.each_ref().map(|model| row.all_with(model));
    assert!(alone.iter().enumerate().all(|(at, frame)| *frame != off && !alone[..at].contains(frame)), "all differ");
    // The middle face has the camera's weights.
    for [left, middle, right] in [[0, 1, 2], [1, 0, 3], [3, 2, 0], [2, 3, 2], [0, 0, 1]] {
        row.settings(|settings| settings.model = models[middle].clone());
        row.give(0, Some(models[left].clone()));
        row.give(2, Some(models[right].clone()));
        let expected = thirds([&alone[left], &alone[middle], &alone[right]]);
        assert!(row.shown() == expected, "{left}, {middle} and {right}");
        assert_eq!(row.enhanced_faces(), 3);
    }
    row.give(0, None);
    row.give(2, None);
    assert!(row.all_with(&models[3]) == alone[3], "the camera's again");
}

#[test]
fn steady_frames_with_faces_of_different_weights_make_nothing() {
    if !runs_alone("own_weights::steady_frames_with_faces_of_different_weights_make_nothing") {
        return;
    }
    let mut row = Row::with_prepasses(&THREE);
    row.give(0, Some(PortraitModel::QUALITY));
    row.give(2, Some(PortraitModel::FAST));
    row.app.world_mut().entity_mut(row.camera).insert(MotionVectorPrepass);
    // With history, every face has a residual that it keeps.
    for history in [0.0, 0.5] {
        let [off, on] = [false, true].map(|enabled| {
            row.settings(|settings| (settings.enabled, settings.history) = (enabled, history));
            settle(&mut row.app);
            made(&mut row.app)
        });
        println!("made in steady frames without {off:?}, with {on:?}");
        assert_eq!(row.enhanced_faces(), 3);
        assert_eq!(on, off);
    }
}

#[test]
fn networks_share_their_scratch_memory_and_go_with_the_last_face_that_names_them() {
    let mut row = Row::with_prepasses(&THREE);
    // Two networks of one shape need no more than one.
    let twins = [5, 6].map(|seed| {
        let spec = Spec::tiny(&[Plane::Color]).validate().expect("a valid spec");
        model(&mut row.app, Model::random(spec, seed))
    });
    row.all_with(&twins[0]);
    let one = row.state().allocated_bytes();
    row.give(1, Some(twins[1].clone()));
    row.shown();
    assert!(twins.iter().all(|model| row.state().network(model.id()).is_some()));
    assert_eq!(row.state().allocated_bytes(), one);
    row.give(1, None);

    // Two of different shapes need less than both.
    row.all_with(&PortraitModel::QUALITY);
    assert!(row.state().network(twins[1].id()).is_none(), "nothing names it any more");
    let quality = row.state().allocated_bytes();
    row.give(2, Some(PortraitModel::FAST));
    let both_shown = row.shown();
    let both = row.state().allocated_bytes();
    let of_fast = row.state().network(PortraitModel::FAST.id()).expect("it runs").plan().scratch_bytes();
    println!("QUALITY {quality} bytes, FAST would add {of_fast}, both {both}");
    assert!(both >= quality && both - quality < of_fast, "{quality} + {of_fast}: {both}");

    // Out of view a face keeps its network, and it is enhanced in the frame that shows it again.
    let face = row.faces[2];
    let place = *row.app.world().get::<Transform>(face).expect("a place");
    row.app.world_mut().entity_mut(face).insert(Transform::from_xyz(50.0, 0.0, 0.0));
    row.shown();
    assert!(row.enhanced_faces() == 2 && row.state().network(PortraitModel::FAST.id()).is_some());
    row.app.world_mut().entity_mut(face).insert(place);
    row.app.update();
    assert!(frame(&mut row.app, &row.target) == both_shown, "at once");

    row.app.world_mut().entity_mut(face).despawn();
    row.shown();
    assert!(row.state().network(PortraitModel::FAST.id()).is_none(), "gone with its face");
    assert_eq!(row.state().allocated_bytes(), quality);
    row.app.world_mut().entity_mut(row.camera).remove::<PortraitRealism>();
    row.give(0, Some(PortraitModel::FAST));
    row.shown();
    assert_eq!(row.state().allocated_bytes(), 0, "a face alone holds nothing");
}

#[test]
fn a_face_whose_weights_are_missing_is_left_as_it_is_and_named_once() {
    if !runs_alone("own_weights::a_face_whose_weights_are_missing_is_left_as_it_is_and_named_once") {
        return;
    }
    let log = Log::listen();
    let mut row = Row::new(&THREE);
    let [off, on] = row.frames();
    let villain = row.faces[2];
    row.app.world_mut().entity_mut(villain).insert(Name::new("Villain"));
    let missing: Handle<PortraitModel> = row.app.world().resource::<AssetServer>().load("weights/nowhere.safetensors");
    row.give(2, Some(missing.clone()));
    let expected = thirds([&on, &on, &off]);
    row.app.update();
    assert!(frame(&mut row.app, &row.target) == expected, "while they are loaded");
    update_until(&mut row.app, "the failure", |app| {
        matches!(app.world().resource::<AssetServer>().load_state(&missing), LoadState::Failed(_))
    });
    (0..20).for_each(|_| row.app.update());
    assert!(row.shown() == expected, "the others are enhanced as they were");
    assert_eq!(row.enhanced_faces(), 2);
    let said = log.about("Villain");
    let names = |part: &str| said[0].contains(part);
    assert!(said.len() == 1 && names("nowhere.safetensors") && names("`PortraitFace::model`"), "{said:#?}");

    // And where the camera's are missing, faces with weights of their own are enhanced.
    let there = model(&mut row.app, brighter());
    row.settings(|settings| settings.model = missing);
    row.give(2, Some(there));
    assert!(row.shown() == thirds([&off, &off, &on]), "the one alone");
}

#[test]
fn the_weights_of_one_face_are_swapped_and_loaded_anew_without_a_frame_in_between() {
    let mut row = Row::with_prepasses(&THREE);
    let first = model(&mut row.app, brighter());
    let models = [
        first.clone(),
        model(&mut row.app, other_network()),
        PortraitModel::FAST,
        model(&mut row.app, of_all_planes()),
    ];
    let alone = models.each_ref().map(|model| row.all_with(model));
    let expected = |own: usize| thirds([&alone[0], &alone[0], &alone[own]]);
    row.all_with(&first);
    for step in 0..30 {
        let own = (step * 2 + step / 7) % 4;
        row.give(2, Some(models[own].clone()));
        row.app.update();
        assert!(frame(&mut row.app, &row.target) == expected(own), "frame {step} with {own}");
    }

    // Weights that read other planes, that have other kernels, and the first ones again come under the same handle.
    row.give(2, Some(models[1].clone()));
    assert!(row.shown() == expected(1));
    let darker = linear_model(&[Plane::Color], vec![0.0; 9], [-0.4; 3]);
    let others = [(of_all_planes(), "other planes"), (darker, "other kernels"), (other_network(), "the first")];
    for (other, what) in others {
        let before = row.shown();
        let mut assets = row.app.world_mut().resource_mut::<Assets<PortraitModel>>();
        assets.insert(&models[1], other.into()).expect("a handle of its own");
        let mut frames = Vec::new();
        for _ in 0..20 {
            row.app.update();
            frames.push(frame(&mut row.app, &row.target));
        }
        let after = row.shown();
        assert!(after != before && frames.iter().all(|frame| *frame == before || *frame == after), "{what}");
        let moved = changed(&before, &after, SIZE.x);
        assert!(moved.iter().all(|px| px.x >= SIZE.x * 2 / 3), "{what}: the other faces are as they were");
    }
    assert!(row.shown() == expected(1));
}

#[test]
fn two_cameras_show_a_face_with_its_own_weights_and_the_others_with_theirs() {
    let mut row = Row::with_prepasses(&THREE);
    let models = [model(&mut row.app, brighter()), model(&mut row.app, other_network()), PortraitModel::FAST];
    let alone = models.each_ref().map(|model| row.all_with(model));
    let other_target = target(&mut row.app, SIZE, LDR);
    let other = spawn_camera(&mut row.app, &other_target, Msaa::Off);
    let projection = row.app.world().get::<Projection>(row.camera).expect("a projection").clone();
    let settings = PortraitRealism { model: models[1].clone(), ..default() };
    row.app.world_mut().entity_mut(other).insert((projection, settings, NormalPrepass, DepthPrepass));
    row.settings(|settings| settings.model = models[0].clone());
    row.give(0, Some(models[2].clone()));
    assert!(row.shown() == thirds([&alone[2], &alone[0], &alone[0]]));
    assert!(frame(&mut row.app, &other_target) == thirds([&alone[2], &alone[1], &alone[1]]));
}

#[test]
fn overlapping_faces_of_different_weights_each_keep_their_own() {
    let mut row = Row::new(&[(-0.3, 1.0), (0.5, 0.9)]);
    let own = model(&mut row.app, linear_model(&[Plane::Color], vec![0.0; 9], [-0.3; 3]));
    row.give(1, Some(own));
    let [off, both] = row.frames();
    assert_eq!(row.enhanced_faces(), 2, "they are not one");
    // The same with each of the two alone.
    let alone = [1, 0].map(|other| {
        let face = row.app.world_mut().entity_mut(row.faces[other]).take::<PortraitFace>().expect("a face");
        let shown = row.shown();
        row.app.world_mut().entity_mut(row.faces[other]).insert(face);
        shown
    });
    let regions = alone.each_ref().map(|alone| changed(&off, alone, SIZE.x));
    let pixel = |frame: &[u8], px: UVec2| frame[((px.y * SIZE.x + px.x) * 4) as usize];
    for (own, other) in [(0, 1), (1, 0)] {
        let mut apart = regions[own].iter().filter(|px| !regions[other].contains(px)).peekable();
        assert!(apart.peek().is_some(), "a part of {own} is its own");
        // What is added is rounded where the other one fades to nothing.
        let as_alone = |px: UVec2| pixel(&both, px).abs_diff(pixel(&alone[own], px)) <= 1;
        assert!(apart.all(|&px| as_alone(px)), "{own} where the other is not");
    }
    let shared: Vec<_> = regions[0].iter().filter(|px| regions[1].contains(px)).collect();
    assert!(!shared.is_empty(), "they overlap");
}

#[test]
fn cameras_have_the_prepasses_of_the_faces_weights_while_a_face_names_them() {
    let mut row = Row::new(&THREE);
    let prepasses = |row: &mut Row| {
        settle(&mut row.app);
        let camera = row.app.world().entity(row.camera);
        [camera.contains::<NormalPrepass>(), camera.contains::<DepthPrepass>()]
    };
    assert_eq!(prepasses(&mut row), [false; 2]);
    row.give(1, Some(PortraitModel::QUALITY));
    assert_eq!(prepasses(&mut row), [true; 2]);
    assert_eq!(row.enhanced_faces(), 3);
    row.settings(|settings| settings.enabled = false);
    assert_eq!(prepasses(&mut row), [false; 2], "off is off");
    row.settings(|settings| settings.enabled = true);
    assert_eq!(prepasses(&mut row), [true; 2]);
    row.give(1, Some(PortraitModel::FAST));
    assert_eq!(prepasses(&mut row), [false; 2], "FAST reads none");
}
