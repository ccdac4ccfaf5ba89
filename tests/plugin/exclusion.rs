//! Exclusion: objects in front of a face are never painted over.

use bevy::core_pipeline::prepass::DepthPrepass;
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane;

use crate::golden::assert_golden;
use crate::stage::{SIZE, Stage, changed, linear_model, model};

/// Spawns a bar across the face, like a hand.
fn spawn_bar(stage: &mut Stage, z: f32, alpha: f32) -> Entity {
    let world = stage.app.world_mut();
    let mesh = world.resource_mut::<Assets<Mesh>>().add(Cuboid::new(2.0, 0.18, 0.05));
    let mut material = StandardMaterial::from(Color::srgb(0.9, 0.7, 0.6).with_alpha(alpha));
    material.alpha_mode = if alpha < 1.0 { AlphaMode::Blend } else { AlphaMode::Opaque };
    let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
    let turned = Transform::from_xyz(0.0, 0.0, z).with_rotation(Quat::from_rotation_z(0.3));
    world.spawn((Mesh3d(mesh), MeshMaterial3d(material), turned)).id()
}

fn brighter(stage: &mut Stage) -> PortraitRealism {
    let model = model(&mut stage.app, linear_model(&[Plane::Color], vec![0.0; 9], [0.5; 3]));
    PortraitRealism { model, ..default() }
}

/// Returns the pixels that the bar covers, wholly or in part.
fn covered(without_bar: &[u8], with_bar: &[u8]) -> Vec<UVec2> {
    changed(without_bar, with_bar, SIZE.x)
}

/// Draws a frame with the effect off and one with the effect on, and returns both and the pixels that changed.
fn enhance(stage: &mut Stage, settings: &PortraitRealism) -> (Vec<u8>, Vec<u8>, Vec<UVec2>) {
    let off = stage.set(PortraitRealism { enabled: false, ..settings.clone() });
    let on = stage.set(settings.clone());
    let pixels = changed(&off, &on, SIZE.x);
    (off, on, pixels)
}

#[test]
fn hand_in_front_of_the_face_is_left_untouched_pixel_for_pixel() {
    for (name, msaa) in [("hand", Msaa::Off), ("hand_msaa", Msaa::Sample4)] {
        let mut stage = Stage::new(msaa, DepthPrepass);
        let settings = brighter(&mut stage);
        let (without, ..) = enhance(&mut stage, &settings);
        // The bar is in front of the face's box, whose front is 0.5 from its centre, by more than the box's margin.
        spawn_bar(&mut stage, 1.0, 1.0);
        let (off, on, pixels) = enhance(&mut stage, &settings);
        let hand = covered(&without, &off);
        assert!(hand.len() > 400, "{name}: it is on screen: {} pixels", hand.len());
        assert!(hand.iter().all(|at| !pixels.contains(at)), "{name}: painted over");
        assert!(pixels.len() > 1000, "{name}: the face above and below is enhanced: {}", pixels.len());
        assert_golden(&stage.app, &format!("{name}_in_front"), SIZE, &on);
    }
}

#[test]
fn hand_at_the_cheek_is_excluded_by_name() {
    let mut stage = Stage::new(Msaa::Sample4, ());
    let settings = brighter(&mut stage);
    // The plugin brings the prepass with the first exclusion, not before.
    assert!(!stage.app.world().entity(stage.camera).contains::<DepthPrepass>());
    let (without, ..) = enhance(&mut stage, &settings);
    // The bar is within the face's box, in front of the face's surface.
    let bar = spawn_bar(&mut stage, 0.5, 1.0);
    let (off, _, pixels) = enhance(&mut stage, &settings);
    let hand = covered(&without, &off);
    let painted = hand.iter().filter(|at| pixels.contains(at)).count();
    assert!(painted * 2 > hand.len(), "it counts as a part of the face: {painted} of {}", hand.len());

    stage.app.world_mut().entity_mut(bar).insert(PortraitExclude::default());
    stage.set(settings.clone());
    assert!(stage.app.world().entity(stage.camera).contains::<DepthPrepass>());
    let (_, on, pixels) = enhance(&mut stage, &settings);
    assert!(hand.iter().all(|at| !pixels.contains(at)), "painted over");
    assert!(pixels.len() > 1000, "the rest of the face is enhanced: {}", pixels.len());
    assert_golden(&stage.app, "hand_excluded", SIZE, &on);

    // A hidden bar protects nothing.
    stage.app.world_mut().entity_mut(bar).insert(Visibility::Hidden);
    let (_, _, pixels) = enhance(&mut stage, &settings);
    assert!(hand.iter().any(|at| pixels.contains(at)));
}

#[test]
fn what_is_seen_through_an_excluded_box_is_left_untouched() {
    let mut stage = Stage::new(Msaa::Off, ());
    let settings = brighter(&mut stage);
    let (without, ..) = enhance(&mut stage, &settings);
    let glasses = spawn_bar(&mut stage, 0.6, 0.3);
    let exclude = |stage: &mut Stage, see_through| {
        stage.app.world_mut().entity_mut(glasses).insert(PortraitExclude { see_through, ..default() });
        enhance(stage, &settings)
    };
    let (off, _, pixels) = exclude(&mut stage, false);
    let glass = covered(&without, &off);
    assert!(glass.len() > 400 && glass.iter().any(|at| pixels.contains(at)), "glass has no depth");
    let (_, on, pixels) = exclude(&mut stage, true);
    assert!(glass.iter().all(|at| !pixels.contains(at)), "painted over");
    assert!(pixels.len() > 1000, "the rest of the face is enhanced: {}", pixels.len());
    assert_golden(&stage.app, "glasses_excluded", SIZE, &on);
}

#[test]
fn excluded_behind_the_face_changes_nothing() {
    let mut stage = Stage::new(Msaa::Off, DepthPrepass);
    let settings = brighter(&mut stage);
    let second = stage.set(settings);
    let bar = spawn_bar(&mut stage, 0.0, 1.0);
    // The bar is inside the head, out of sight where the face is.
    stage
        .app
        .world_mut()
        .entity_mut(bar)
        .insert((PortraitExclude { see_through: true, ..default() }, Transform::from_scale(Vec3::new(0.2, 1.0, 1.0))));
    assert!(stage.frame() == second);
}
