//! Projections, viewports, several cameras on one target, and cameras that come and go.

use bevy::camera::visibility::RenderLayers;
use bevy::camera::{Hdr, ScalingMode, SubCameraView, Viewport};
use bevy::prelude::*;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::prelude::*;

use super::twins::{Twins, brighter, region_of};
use crate::common::{frame, headless, render_world, settle, spawn_camera, spawn_face, target};
use crate::frame::{assert_close, enhance};
use crate::golden::assert_golden;
use crate::stage::{LDR, SIZE, assert_inside, changed, model};

fn orthographic() -> Projection {
    let scaling_mode = ScalingMode::FixedVertical { viewport_height: 2.0 };
    Projection::Orthographic(OrthographicProjection { scaling_mode, ..OrthographicProjection::default_3d() })
}

#[test]
fn every_projection_is_enhanced() {
    let mut twins = Twins::new(Msaa::Off, ());
    twins.insert(orthographic());
    twins.assert_enhanced("orthographic", 2);
    twins.insert(Projection::Perspective(PerspectiveProjection { fov: 1.2, ..default() }));
    twins.assert_enhanced("perspective", 2);
    // The camera draws the upper left part of a view twice as large.
    let part = SubCameraView { full_size: SIZE * 2, offset: (SIZE / 4).as_vec2(), size: SIZE };
    for camera in twins.cameras {
        twins.app.world_mut().get_mut::<Camera>(camera).expect("a camera").sub_camera_view = Some(part);
    }
    twins.assert_enhanced("part of a larger view", 2);
}

/// Two cameras side by side on one target.
struct SplitScreen {
    app: App,
    target: Handle<Image>,
    cameras: [Entity; 2],
    settings: PortraitRealism,
}

impl SplitScreen {
    fn new(msaa: Msaa, parts: impl Bundle + Clone) -> Self {
        let mut app = headless("assets", true);
        spawn_face(&mut app);
        let target = target(&mut app, SIZE, LDR);
        let half = UVec2::new(SIZE.x / 2, SIZE.y);
        let cameras = [0, 1].map(|side| {
            let camera = spawn_camera(&mut app, &target, msaa);
            let viewport =
                Viewport { physical_position: UVec2::new(side * half.x, 0), physical_size: half, ..default() };
            let clear_color = ClearColorConfig::Custom(Color::srgb(0.2, 0.25, 0.3));
            let order = side as isize;
            let place = Transform::from_xyz(0.1, 0.2 * side as f32, 3.0);
            let part = Camera { viewport: Some(viewport), order, clear_color, ..default() };
            app.world_mut().entity_mut(camera).insert((part, place)).insert(parts.clone());
            camera
        });
        let settings = PortraitRealism { model: model(&mut app, brighter()), ..default() };
        Self { app, target, cameras, settings }
    }

    fn frame(&mut self, strengths: [f32; 2]) -> Vec<u8> {
        for (camera, strength) in self.cameras.into_iter().zip(strengths) {
            let settings = PortraitRealism { strength, ..self.settings.clone() };
            self.app.world_mut().entity_mut(camera).insert(settings);
        }
        settle(&mut self.app);
        frame(&mut self.app, &self.target)
    }

    fn assert_enhanced(&mut self, what: &str) {
        let first = self.frame([0.0, 0.0]);
        let regions = self.cameras.map(|camera| region_of(&self.app, camera));
        let [left, right] = [[1.0, 0.0], [0.0, 0.5]].map(|strengths| self.frame(strengths));
        for (second, region, strength) in [(&left, &regions[0], 1.0), (&right, &regions[1], 0.5)] {
            let changed = changed(&first, second, SIZE.x);
            assert!(changed.len() > 300, "{what}: {} pixels changed", changed.len());
            assert_inside(region, &changed);
            assert_close(&enhance(&first, SIZE, region, &brighter(), strength), second, 2);
        }
        let both = self.frame([1.0, 0.5]);
        for (at, (both, [left, right])) in both.iter().zip(left.iter().zip(&right).map(|(l, r)| [l, r])).enumerate() {
            let is_left = at as u32 / 4 % SIZE.x < SIZE.x / 2;
            assert_eq!(both, if is_left { left } else { right }, "{what}: byte {at}");
        }
        assert!(self.frame([0.0, 0.0]) == first, "{what}: switched off");
    }
}

#[test]
fn both_halves_of_a_split_screen_are_enhanced_each_with_its_own_settings() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        SplitScreen::new(msaa, ()).assert_enhanced(&format!("{msaa:?}"));
        SplitScreen::new(msaa, Hdr).assert_enhanced(&format!("{msaa:?}, high dynamic range"));
    }
    let mut split = SplitScreen::new(Msaa::Sample4, Hdr);
    let both = split.frame([1.0, 0.5]);
    assert_golden(&split.app, "split_screen", SIZE, &both);
}

#[test]
fn a_camera_drawn_over_an_enhanced_one_keeps_what_is_below() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        let mut twins = Twins::new(msaa, ());
        // The new camera sees nothing, and clears nothing.
        for target in twins.targets.clone() {
            let camera = spawn_camera(&mut twins.app, &target, msaa);
            let over = Camera { order: 1, clear_color: ClearColorConfig::None, ..default() };
            twins.app.world_mut().entity_mut(camera).insert((over, RenderLayers::layer(7)));
        }
        twins.assert_enhanced(&format!("{msaa:?}"), 2);
    }
}

#[test]
fn cameras_that_are_switched_off_reordered_or_gone_leave_the_others_enhanced() {
    let mut split = SplitScreen::new(Msaa::Off, ());
    let first = split.frame([0.0, 0.0]);
    let both = split.frame([1.0, 1.0]);
    let update = |split: &mut SplitScreen| {
        settle(&mut split.app);
        frame(&mut split.app, &split.target)
    };
    let set_active = |split: &mut SplitScreen, active: bool| {
        let camera = split.cameras[0];
        split.app.world_mut().get_mut::<Camera>(camera).expect("a camera").is_active = active;
    };

    // Nobody draws the left half any more, and the other camera clears it; the right half is enhanced as ever.
    set_active(&mut split, false);
    let without = update(&mut split);
    let is_left = |px: &UVec2| px.x < SIZE.x / 2;
    assert!(changed(&both, &without, SIZE.x).iter().all(is_left), "the right half is as it was");
    let status = |split: &SplitScreen, camera: usize| {
        *split.app.world().get::<PortraitStatus>(split.cameras[camera]).expect("a status")
    };
    assert_eq!(status(&split, 0), PortraitStatus::default(), "a camera that is off enhances nothing");
    assert!(status(&split, 1).tier.is_some());
    set_active(&mut split, true);
    assert!(update(&mut split) == both, "on again");

    split.app.world_mut().get_mut::<Camera>(split.cameras[0]).expect("a camera").order = 5;
    assert!(update(&mut split) == both, "the other way round");

    split.app.world_mut().entity_mut(split.cameras[1]).despawn();
    settle(&mut split.app);
    // The target's right half is undefined where nobody draws it; the left half is as it was.
    let alone = frame(&mut split.app, &split.target);
    assert!(!changed(&both, &alone, SIZE.x).iter().any(is_left), "the left half is as it was");
    assert!(first != both);

    split.app.world_mut().entity_mut(split.cameras[0]).despawn();
    settle(&mut split.app);
    assert_eq!(render_world(&split.app).resource::<PortraitGpuState>().allocated_bytes(), 0, "nothing is held");
}

#[test]
fn faces_are_enhanced_for_cameras_on_their_render_layers() {
    let mut twins = Twins::new(Msaa::Off, RenderLayers::layer(2));
    twins.app.world_mut().entity_mut(twins.face).insert(RenderLayers::layer(2));
    let mut lights = twins.app.world_mut().query_filtered::<Entity, With<DirectionalLight>>();
    for light in lights.iter(twins.app.world()).collect::<Vec<_>>() {
        twins.app.world_mut().entity_mut(light).insert(RenderLayers::layer(2));
    }
    twins.assert_enhanced("both on layer 2", 2);
    twins.insert(RenderLayers::layer(3));
    let [first, second] = twins.frames();
    assert!(first == second, "the camera does not see the face's layer");
}

#[test]
fn a_2d_camera_is_left_alone_and_costs_nothing() {
    let mut app = headless("assets", true);
    spawn_face(&mut app);
    let target = target(&mut app, SIZE, LDR);
    let camera = (Camera2d, bevy::camera::RenderTarget::Image(target.clone().into()), PortraitRealism::default());
    let camera = app.world_mut().spawn(camera).id();
    settle(&mut app);
    let first = frame(&mut app, &target);
    assert!(first.chunks(4).all(|px| px == &first[..4]), "nothing but the clear colour");
    assert_eq!(app.world().get::<PortraitStatus>(camera), Some(&PortraitStatus::default()));
    assert_eq!(render_world(&app).resource::<PortraitGpuState>().allocated_bytes(), 0);
}
