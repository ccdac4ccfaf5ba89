//! Cameras that draw over a picture without clearing it: nothing is enhanced twice.

use bevy::camera::{Camera3dDepthLoadOp, Hdr, Viewport};
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;

use crate::common::{frame, headless, settle, spawn_camera, spawn_face, target};
use crate::frame::{assert_close, enhance};
use crate::setups::twins::{ADDED, Twins, brighter, difference_at, region_of};
use crate::stage::{LDR, SIZE, Stage, assert_inside, changed, model};

/// Returns a camera that clears nothing.
fn over(order: isize) -> Camera {
    Camera { order, clear_color: ClearColorConfig::None, ..default() }
}

#[test]
fn a_camera_that_never_clears_enhances_what_it_draws_and_not_what_it_drew() {
    for (msaa, hdr) in [(Msaa::Off, false), (Msaa::Sample4, false), (Msaa::Off, true)] {
        let what = format!("{msaa:?}, high dynamic range {hdr}");
        let mut twins = Twins::new(msaa, ());
        if hdr {
            twins.insert(Hdr);
        }
        twins.insert(over(0));
        let [first, second] = twins.frames();
        let added = difference_at(&first, &second, SIZE / 2);
        assert!((added - ADDED).abs() <= 2.0, "{what}: {added} of 255 added to the face");
        // The corner of the region, beside the face, is what was there before.
        let beside = twins.region().rect_px.min + 14;
        assert_eq!(difference_at(&first, &second, beside), 0.0, "{what}: beside the face");
        for step in 0..8 {
            twins.app.update();
            let [without, third] = twins.shown();
            if !hdr {
                // Tone mapping maps the canvas of an HDR camera again and again by itself, and MSAA blends the outline with it.
                let own = changed(&first, &without, SIZE.x);
                assert!(own.is_empty() || msaa != Msaa::Off, "{what}: {} pixels change by themselves", own.len());
                let mut differs = changed(&second, &third, SIZE.x);
                differs.retain(|px| !own.contains(px));
                assert!(differs.is_empty(), "{what}: {} pixels change in frame {step}", differs.len());
                let twice = (0..SIZE.x * SIZE.y).map(|at| UVec2::new(at % SIZE.x, at / SIZE.x));
                let twice = twice.filter(|px| difference_at(&without, &third, *px) > ADDED + 2.5).count();
                assert_eq!(twice, 0, "{what}: pixels that are enhanced more than once in frame {step}");
            }
            let middle = third[((SIZE.y / 2 * SIZE.x + SIZE.x / 2) * 4) as usize];
            assert!(
                middle.abs_diff(second[((SIZE.y / 2 * SIZE.x + SIZE.x / 2) * 4) as usize]) <= 1,
                "{what}: the face"
            );
        }
    }
}

#[test]
fn a_trail_on_a_canvas_stays_as_it_was_drawn() {
    let mut stage = Stage::new(Msaa::Off, over(0));
    let settings = PortraitRealism { model: model(&mut stage.app, brighter()), ..default() };
    stage.set(settings);
    let mut last = frame(&mut stage.app, &stage.target);
    // The face moves to the right; what it leaves behind is on the canvas for good.
    for step in 1..6 {
        let x = 0.12 * step as f32;
        stage.app.world_mut().entity_mut(stage.face).insert(Transform::from_xyz(x, 0.0, 0.0));
        stage.app.update();
        let now = frame(&mut stage.app, &stage.target);
        // The sphere's left edge has passed these pixels.
        let passed = |px: &UVec2| px.x < 30 && px.y > 30 && px.y < 50;
        let trail: Vec<_> = changed(&last, &now, SIZE.x).into_iter().filter(passed).collect();
        if step > 1 {
            assert!(trail.is_empty(), "step {step}: {} pixels of the trail change", trail.len());
        }
        last = now;
    }
}

#[test]
fn a_face_that_two_cameras_of_one_picture_see_is_enhanced_once() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        let mut twins = Twins::new(msaa, ());
        // On both pictures a second camera draws the same once more; its effect is on where the first camera's is.
        let overs = twins.targets.clone().map(|target| {
            let camera = spawn_camera(&mut twins.app, &target, msaa);
            twins.app.world_mut().entity_mut(camera).insert(over(1));
            camera
        });
        twins.app.world_mut().entity_mut(overs[1]).insert(twins.settings.clone());
        let [first, second] = twins.frames();
        let region = twins.region();
        assert_inside(&region, &changed(&first, &second, SIZE.x));
        let expected = enhance(&first, SIZE, &region, &brighter(), 1.0);
        let differs = |(found, expected): (&u8, &u8)| found.abs_diff(*expected) > 3;
        let wrong = second.iter().zip(&expected).filter(|pair| differs(*pair)).count();
        // Samples at the outline blend both cameras' pictures.
        let allowed = if msaa == Msaa::Off { 0 } else { 3 * 400 };
        assert!(wrong <= allowed, "{msaa:?}: {wrong} channels are not those of one enhancement");
    }
}

#[test]
fn a_camera_over_a_fresh_picture_enhances_its_whole_region() {
    let mut app = headless("assets", true);
    spawn_face(&mut app);
    let target = target(&mut app, SIZE, LDR);
    let below = spawn_camera(&mut app, &target, Msaa::Off);
    let above = spawn_camera(&mut app, &target, Msaa::Off);
    app.world_mut().entity_mut(above).insert(over(1));
    settle(&mut app);
    let first = frame(&mut app, &target);
    let settings = PortraitRealism { model: model(&mut app, brighter()), ..default() };
    app.world_mut().entity_mut(above).insert(settings.clone());
    settle(&mut app);
    assert_close(&enhance(&first, SIZE, &region_of(&app, above), &brighter(), 1.0), &frame(&mut app, &target), 2);

    // So do both halves of a split screen whose first camera clears for both.
    let half = UVec2::new(SIZE.x / 2, SIZE.y);
    for (side, camera) in [below, above].into_iter().enumerate() {
        let physical_position = UVec2::new(side as u32 * half.x, 0);
        let mut part = app.world_mut().get_mut::<Camera>(camera).expect("a camera");
        part.viewport = Some(Viewport { physical_position, physical_size: half, ..default() });
        app.world_mut().entity_mut(camera).insert(Transform::from_xyz(0.0, 0.0, 4.0)).remove::<PortraitRealism>();
    }
    settle(&mut app);
    let first = frame(&mut app, &target);
    for camera in [below, above] {
        app.world_mut().entity_mut(camera).insert(settings.clone());
    }
    settle(&mut app);
    let left = enhance(&first, SIZE, &region_of(&app, below), &brighter(), 1.0);
    let both = enhance(&left, SIZE, &region_of(&app, above), &brighter(), 1.0);
    assert_close(&both, &frame(&mut app, &target), 2);
}

#[test]
fn a_camera_that_clears_neither_colours_nor_depths_is_left_alone() {
    let mut stage = Stage::new(Msaa::Off, over(0));
    let camera = Camera3d { depth_load_op: Camera3dDepthLoadOp::Load, ..default() };
    stage.app.world_mut().entity_mut(stage.camera).insert(camera);
    let first = stage.frame();
    let settings = PortraitRealism { model: model(&mut stage.app, brighter()), ..default() };
    assert!(stage.set(settings) == first);
    assert_eq!(stage.app.world().get::<PortraitStatus>(stage.camera), Some(&PortraitStatus::default()));
}

#[test]
fn insets_over_an_enhanced_picture_and_over_each_other_are_enhanced_once() {
    for clears in [true, false] {
        let mut twins = Twins::new(Msaa::Off, ());
        let clear_color = match clears {
            true => ClearColorConfig::Custom(Color::srgb(0.1, 0.1, 0.2)),
            false => ClearColorConfig::None,
        };
        // Over the picture, and the second one over the first as well.
        let places = [(UVec2::new(48, 4), UVec2::new(44, 40)), (UVec2::new(52, 36), UVec2::new(44, 40))];
        for (order, (physical_position, physical_size)) in (1..).zip(places) {
            let viewport = Some(Viewport { physical_position, physical_size, ..default() });
            let insets = twins.targets.clone().map(|target| {
                let camera = spawn_camera(&mut twins.app, &target, Msaa::Off);
                let part = Camera { viewport: viewport.clone(), order, clear_color, ..default() };
                twins.app.world_mut().entity_mut(camera).insert((part, Transform::from_xyz(0.0, 0.2, 2.5)));
                camera
            });
            twins.app.world_mut().entity_mut(insets[1]).insert(twins.settings.clone());
        }
        let [first, second] = twins.frames();
        let rect = URect::new(48, 4, 96, 76);
        let mut face = 0;
        for at in 0..first.len() / 4 {
            let px = UVec2::new(at as u32 % SIZE.x, at as u32 / SIZE.x);
            let added = difference_at(&first, &second, px);
            let brightest = first[at * 4..][..3].iter().copied().max().unwrap_or(0);
            if brightest < 225 {
                assert!(added <= ADDED + 2.5, "clears {clears}: {added} of 255 added at {px}");
            }
            face += usize::from(rect.contains(px) && (added - ADDED).abs() < 2.0);
        }
        assert!(face > 250, "clears {clears}: {face} pixels of the insets are enhanced");
    }
}
