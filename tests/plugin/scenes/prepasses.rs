//! Prepasses that the plugin adds: what they change is said once, and cameras that cannot have them in one frame go on.

use bevy::camera::Viewport;
use bevy::core_pipeline::prepass::{DepthPrepass, NormalPrepass};
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane;

use crate::common::{frame, headless, settle, spawn_camera, spawn_face, target};
use crate::log::Log;
use crate::setups::twins::brighter;
use crate::stage::{LDR, SIZE, changed, linear_model, model};
use crate::steady::runs_alone;

/// Makes two cameras on one target, side by side, with these numbers of samples. Both see the face.
fn side_by_side(app: &mut App, target: &Handle<Image>, samples: [Msaa; 2]) -> [Entity; 2] {
    let half = UVec2::new(SIZE.x / 2, SIZE.y);
    [0, 1].map(|side| {
        let camera = spawn_camera(app, target, samples[side as usize]);
        let physical_position = UVec2::new(side * half.x, 0);
        let viewport = Some(Viewport { physical_position, physical_size: half, ..default() });
        let clear_color = ClearColorConfig::Custom(Color::srgb(0.2, 0.25, 0.3));
        let part = Camera { viewport, order: side as isize, clear_color, ..default() };
        app.world_mut().entity_mut(camera).insert((part, Transform::from_xyz(0.0, 0.0, 4.0)));
        camera
    })
}

/// Returns which of the cameras are enhanced, and which have normals.
fn state(app: &App, cameras: [Entity; 2]) -> [[bool; 2]; 2] {
    let status = |camera: Entity| app.world().get::<PortraitStatus>(camera).is_some_and(|status| status.tier.is_some());
    let normals = |camera: Entity| app.world().entity(camera).contains::<NormalPrepass>();
    [cameras.map(status), cameras.map(normals)]
}

#[test]
fn of_cameras_with_other_samples_on_one_target_one_has_prepasses_and_the_app_goes_on() {
    let mut app = headless("assets", true);
    spawn_face(&mut app);
    let target = target(&mut app, SIZE, LDR);
    let cameras = side_by_side(&mut app, &target, [Msaa::Off, Msaa::Sample4]);
    settle(&mut app);
    let first = frame(&mut app, &target);
    let set = |app: &mut App, model: &Handle<PortraitModel>| {
        for camera in cameras {
            app.world_mut().entity_mut(camera).insert(PortraitRealism { model: model.clone(), ..default() });
        }
        settle(app);
    };
    let normals = model(&mut app, linear_model(&[Plane::Color, Plane::Normal], vec![0.0; 18], [0.4; 3]));
    set(&mut app, &normals);
    let [enhanced, has_normals] = state(&app, cameras);
    assert!(enhanced == [true, false] || enhanced == [false, true], "one of both: {enhanced:?}");
    assert_eq!(has_normals, enhanced);
    let second = frame(&mut app, &target);
    let half = if enhanced[0] { 0..SIZE.x / 2 } else { SIZE.x / 2..SIZE.x };
    let changed = changed(&first, &second, SIZE.x);
    assert!(changed.len() > 50 && changed.iter().all(|px| half.contains(&px.x)), "{enhanced:?}: its half changes");

    // Weights that read no prepass run on both.
    let colors = model(&mut app, brighter());
    set(&mut app, &colors);
    assert_eq!(state(&app, cameras), [[true; 2], [false; 2]]);

    // A prepass that is the camera's own comes first.
    set(&mut app, &normals);
    let [loser, winner] = if enhanced[0] { [0, 1] } else { [1, 0] };
    app.world_mut().entity_mut(cameras[loser]).remove::<PortraitRealism>();
    settle(&mut app);
    app.world_mut().entity_mut(cameras[winner]).insert((NormalPrepass, DepthPrepass));
    set(&mut app, &normals);
    let [now, _] = state(&app, cameras);
    assert!(now[winner] && !now[loser], "the camera with prepasses of its own: {now:?}");

    // Both with the same samples.
    for camera in cameras {
        app.world_mut().entity_mut(camera).insert(Msaa::Off);
    }
    settle(&mut app);
    assert_eq!(state(&app, cameras), [[true; 2]; 2]);
}

#[test]
fn what_prepasses_change_is_said_once_with_the_way_out() {
    if !runs_alone("scenes::prepasses::what_prepasses_change_is_said_once_with_the_way_out") {
        return;
    }
    let log = Log::listen();
    let mut app = headless("assets", true);
    spawn_face(&mut app);
    let target = target(&mut app, SIZE, LDR);
    let cameras = [(); 2].map(|()| spawn_camera(&mut app, &target, Msaa::Off));
    app.world_mut().entity_mut(cameras[1]).insert(Camera { order: 1, ..default() });
    let colors = model(&mut app, brighter());
    app.world_mut().entity_mut(cameras[0]).insert(PortraitRealism { model: colors, ..default() });
    (0..4).for_each(|_| app.update());
    assert_eq!(log.about("draws prepasses"), [""; 0], "no prepass was added");

    let normals = model(&mut app, linear_model(&[Plane::Color, Plane::Normal], vec![0.0; 18], [0.4; 3]));
    for camera in cameras {
        app.world_mut().entity_mut(camera).insert(PortraitRealism { model: normals.clone(), ..default() });
        (0..4).for_each(|_| app.update());
    }
    let said = log.about("draws prepasses");
    assert_eq!(said.len(), 1, "{said:#?}");
    for part in [
        "AlphaMode::AlphaToCoverage",
        "AlphaMode::Mask",
        "enable_prepass",
        "10 bits",
        "pipelines of other plugins",
        "PortraitModel::FAST",
    ] {
        assert!(said[0].contains(part), "{part} is not in {}", said[0]);
    }
}
