//! Whole frames: the effect changes the region, and leaves everything else alone.

use bevy::camera::primitives::Aabb;
use bevy::camera::{Hdr, Viewport};
use bevy::core_pipeline::prepass::{DepthPrepass, NormalPrepass};
use bevy::prelude::*;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::internals::Region;
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane::{Depth, Normal};
use portrait_network::layers::weigh;
use portrait_network::reference::{Tensor, forward};
use portrait_network::transfer::{srgb_decode, srgb_encode};
use portrait_network::{Model, Plane};

use crate::common::{
    face_bounds, frame, headless, render_world, settle, spawn_camera, spawn_face, target, update_until,
};
use crate::stage::{LDR, SIZE, Stage, assert_inside, changed, linear_model, model};

/// Computes on the CPU the second image that the effect makes of an 8-bit frame.
pub fn enhance(first: &[u8], size: UVec2, region: &Region, model: &Model, strength: f32) -> Vec<u8> {
    let (rect, mut second) = (region.rect_px, first.to_vec());
    let (width, height) = (rect.width() as usize, rect.height() as usize);
    let at = |y: usize, x: usize| ((rect.min.y as usize + y) * size.x as usize + rect.min.x as usize + x) * 4;
    let planes = Tensor::from_fn(3, height, width, |c, y, x| f32::from(first[at(y, x) + c]) / 255.0);
    let forward = forward(model, &planes).expect("planes fit");
    // The plugin gives the residual's layers the factors that the weights recommend.
    let residual = Tensor::from_fn(3, height, width, |c, y, x| forward.at(c, y, x) - planes.at(c, y, x));
    let weighed = weigh(&residual.data, height, width, model.recommended);
    let enhanced = |c: usize, y: usize, x: usize| planes.at(c, y, x) + weighed[(c * height + y) * width + x];
    for y in 0..height {
        for x in 0..width {
            let inwards = [x, y, width - 1 - x, height - 1 - y];
            let fading = inwards.iter().zip(region.fading_sides).filter(|(_, fades)| *fades).map(|(side, _)| *side);
            let nearest = fading.min().map_or(1.0, |side| (side as f32 / region.feather_px()).min(1.0));
            let weight = strength * nearest * nearest * (3.0 - 2.0 * nearest);
            for c in 0..3 {
                let original = srgb_decode(planes.at(c, y, x));
                let change = srgb_decode(enhanced(c, y, x).clamp(0.0, 1.0)) - original;
                second[at(y, x) + c] = (srgb_encode(original + weight * change) * 255.0).round() as u8;
            }
        }
    }
    second
}

pub fn assert_close(expected: &[u8], found: &[u8], tolerance: u8) {
    let differences = expected.iter().zip(found).map(|(a, b)| a.abs_diff(*b));
    let (at, difference) = differences.enumerate().max_by_key(|(_, difference)| *difference).expect("a frame");
    println!("largest difference from the reference: {difference} of 255");
    assert!(difference <= tolerance, "frames differ by {difference} of 255 at pixel {}", at / 4);
}

/// Returns settings with the embedded weights that read nothing but the frame.
fn fast() -> PortraitRealism {
    PortraitRealism { model: PortraitModel::FAST, ..default() }
}

#[test]
fn normals_of_a_wall_behind_the_face_are_hidden_from_the_network() {
    let mut stage = Stage::new(Msaa::Off, ());
    let world = stage.app.world_mut();
    let wall = world.resource_mut::<Assets<Mesh>>().add(Rectangle::new(40.0, 40.0));
    let material = world.resource_mut::<Assets<StandardMaterial>>().add(Color::srgb(0.3, 0.3, 0.3));
    world.spawn((Mesh3d(wall), MeshMaterial3d(material), Transform::from_xyz(0.0, 0.0, -3.0)));
    let first = stage.frame();
    // The network shows the normal's z as red.
    let mut weight = vec![0.0; 3 * 7];
    weight[5] = 1.0;
    let model = model(&mut stage.app, linear_model(&[Plane::Color, Normal, Depth], weight, [0.0; 3]));
    let second = stage.set(PortraitRealism { model, ..default() });
    let red = |at: UVec2| {
        let at = ((at.y * SIZE.x + at.x) * 4) as usize;
        (f32::from(second[at]) - f32::from(first[at])) / 255.0
    };
    assert!((red(SIZE / 2) - 0.25).abs() < 0.02, "face: {}", red(SIZE / 2));
    let corner = stage.region().rect_px.min + 7;
    assert!(red(corner).abs() < 0.01, "wall: {}", red(corner));
}

#[test]
fn default_weights_change_the_region_and_bring_their_prepasses() {
    let mut stage = Stage::new(Msaa::Sample4, ());
    let first = stage.first.clone();
    let second = stage.set(PortraitRealism::default());
    let changed = changed(&first, &second, SIZE.x);
    assert!(changed.len() > 500, "{} pixels changed", changed.len());
    assert_inside(&stage.region(), &changed);
    assert!(stage.app.world().entity(stage.camera).contains::<NormalPrepass>());
    assert!(stage.set(fast()) != second, "the fast weights are others");
    let models = stage.app.world().resource::<Assets<PortraitModel>>();
    assert_eq!(models.len(), 2, "weights in the binary become assets when they are asked for");

    // The plugin takes away what it added, and nothing else.
    stage.app.world_mut().entity_mut(stage.camera).insert(DepthPrepass);
    stage.set(PortraitRealism::default());
    stage.app.world_mut().entity_mut(stage.camera).remove::<PortraitRealism>();
    stage.frame();
    let camera = stage.app.world().entity(stage.camera);
    assert!(camera.contains::<DepthPrepass>() && !camera.contains::<NormalPrepass>());
}

#[test]
fn frame_matches_the_reference_and_off_is_bit_for_bit_the_first_image() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let region = stage.region();
    let shipped = PortraitModel::fast().expect("the shipped weights");
    assert_eq!(stage.allocated_bytes(), 0, "nothing is allocated before a camera asks for it");

    // The effect is off, in every way there is, before it was ever on.
    assert!(stage.set(PortraitRealism { enabled: false, ..fast() }) == first, "disabled");
    assert!(stage.set(PortraitRealism { strength: 0.0, ..fast() }) == first, "strength 0");
    assert!(stage.set(PortraitRealism { strength: f32::NAN, ..fast() }) == first, "strength NaN");
    assert_eq!(stage.allocated_bytes(), 0, "off allocates nothing");

    for strength in [1.0, 0.5] {
        let second = stage.set(PortraitRealism { strength, ..fast() });
        let changed = changed(&first, &second, SIZE.x);
        assert!(changed.len() > 500, "{} pixels changed", changed.len());
        assert_inside(&region, &changed);
        assert_close(&enhance(&first, SIZE, &region, &shipped, strength), &second, 2);
    }

    // The same frame again allocates nothing.
    let allocated = stage.allocated_bytes();
    assert!(allocated > 0);
    let again = stage.set(PortraitRealism { strength: 1.0, ..fast() });
    assert!(again != first);
    assert_eq!(stage.allocated_bytes(), allocated);

    // Then the effect is off again, in every way there is.
    assert!(stage.set(PortraitRealism { strength: 0.0, ..fast() }) == first, "strength 0");
    assert!(stage.set(PortraitRealism { enabled: false, ..fast() }) == first, "disabled");
    assert_eq!(stage.allocated_bytes(), allocated, "off does not grow");
    assert!(stage.set(fast()) == again, "on again");
    stage.app.world_mut().entity_mut(stage.camera).remove::<PortraitRealism>();
    assert!(stage.frame() == first, "component removed");
    assert_eq!(stage.allocated_bytes(), 0, "a network that no camera names is dropped");

    // Without a visible face nothing changes.
    stage.set(fast());
    stage.app.world_mut().entity_mut(stage.face).insert(PortraitFace::default());
    assert!(stage.frame() == again, "the mesh's box is the one given by hand");
    let beside = Aabb::from_min_max(Vec3::new(20.0, -0.5, -0.5), Vec3::new(21.0, 0.5, 0.5));
    stage.app.world_mut().entity_mut(stage.face).insert(PortraitFace { bounds: Some(beside), ..default() });
    assert!(stage.frame() == first, "face off screen");
    stage.app.world_mut().entity_mut(stage.face).remove::<PortraitFace>();
    assert!(stage.frame() == first, "no face");
}

#[test]
fn without_the_plugin_the_frame_is_the_same_bit_for_bit() {
    let stage = Stage::new(Msaa::Sample4, PortraitRealism { strength: 0.0, ..default() });
    let mut app = headless("assets", false);
    spawn_face(&mut app);
    let target = target(&mut app, SIZE, LDR);
    spawn_camera(&mut app, &target, Msaa::Sample4);
    settle(&mut app);
    assert!(frame(&mut app, &target) == stage.first);
}

#[test]
fn hdr_camera_with_msaa_is_enhanced_after_tone_mapping() {
    let mut stage = Stage::new(Msaa::Sample4, Hdr);
    let first = stage.first.clone();
    let region = stage.region();
    // The network raises the contrast of red and green, lowers that of blue, and mixes in the mean of all three.
    let weight = vec![0.6, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, -0.6];
    let linear = linear_model(&[Plane::Color], weight, [0.2, 0.1, 0.3]);
    let settings = PortraitRealism { model: model(&mut stage.app, linear.clone()), ..default() };
    let second = stage.set(settings.clone());
    let changed = changed(&first, &second, SIZE.x);
    assert!(changed.len() > 500, "{} pixels changed", changed.len());
    assert_inside(&region, &changed);
    // The 8-bit first image is a rounded copy of what the network saw.
    assert_close(&enhance(&first, SIZE, &region, &linear, 1.0), &second, 2);
    assert!(stage.set(PortraitRealism { strength: 0.0, ..settings }) == first);
}

#[test]
fn normals_and_depth_reach_the_network() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        let mut stage = Stage::new(msaa, ());
        let first = stage.first.clone();
        // Red: the normal's z; green: depth; blue: the normal's y.
        let mut weight = vec![0.0; 3 * 7];
        (weight[5], weight[7 + 6], weight[14 + 4]) = (1.0, 1.0, 1.0);
        let model = model(&mut stage.app, linear_model(&[Plane::Color, Normal, Depth], weight, [0.0; 3]));
        let settings = PortraitRealism { model, ..default() };
        let off = PortraitRealism { strength: 0.0, ..settings.clone() };
        assert!(stage.set(off.clone()) == first);
        assert!(!stage.app.world().entity(stage.camera).contains::<DepthPrepass>(), "no prepass before it is needed");
        let second = stage.set(settings);
        let camera = stage.app.world().entity(stage.camera);
        assert!(camera.contains::<DepthPrepass>() && camera.contains::<NormalPrepass>());
        assert!(
            stage.set(off) == first,
            "off is the identical frame, without the prepasses that only the network needs"
        );
        let at = |x: u32, y: u32, c: usize| {
            let at = ((y * SIZE.x + x) * 4) as usize + c;
            f32::from(second[at]) / 255.0 - f32::from(first[at]) / 255.0
        };
        // In the middle the sphere faces the camera, 0.5 of the box's radius in front of its centre.
        let radius = 0.75_f32.sqrt();
        let (x, y) = (SIZE.x / 2, SIZE.y / 2);
        assert!((at(x, y, 0) - 0.25).abs() < 0.02, "normal z {}", at(x, y, 0));
        assert!((at(x, y, 1) - 0.25 * 0.5 / radius).abs() < 0.02, "depth {}", at(x, y, 1));
        assert!(at(x, y, 2).abs() < 0.02, "normal y {}", at(x, y, 2));
        assert!(
            at(x, y - 14, 2) > 0.05 && at(x, y + 14, 2) < -0.05,
            "up is up: {} {}",
            at(x, y - 14, 2),
            at(x, y + 14, 2)
        );
        // In the region's corner nothing was drawn: no normal, and depth -1.
        let corner = stage.region().rect_px.min + 7;
        assert!(at(corner.x, corner.y, 0).abs() < 0.01);
        assert!((at(corner.x, corner.y, 1) + 0.25).abs() < 0.1, "depth {}", at(corner.x, corner.y, 1));
    }
}

#[test]
fn two_cameras_with_different_settings_do_not_mix() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let size = UVec2::new(64, 56);
    let other_target = target(&mut stage.app, size, LDR);
    let other = spawn_camera(&mut stage.app, &other_target, Msaa::Off);
    settle(&mut stage.app);
    let other_first = frame(&mut stage.app, &other_target);
    let brighter = model(&mut stage.app, linear_model(&[Plane::Color], vec![0.0; 9], [0.4; 3]));
    stage.app.world_mut().entity_mut(other).insert(PortraitRealism { strength: 0.5, model: brighter, ..default() });
    assert!(stage.frame() == first, "the other camera's effect stays there");

    let alone = frame(&mut stage.app, &other_target);
    assert!(alone != other_first);
    let second = stage.set(fast());
    let shipped = PortraitModel::fast().expect("the shipped weights");
    assert_close(&enhance(&first, SIZE, &stage.region(), &shipped, 1.0), &second, 2);
    assert!(frame(&mut stage.app, &other_target) == alone, "each camera has its own strength and weights");

    // Other strengths scale the change of the same weights.
    stage.app.world_mut().entity_mut(other).insert(PortraitRealism { strength: 0.25, ..fast() });
    assert!(stage.frame() == second);
    stage.app.world_mut().entity_mut(other).insert(PortraitRealism { enabled: false, ..fast() });
    assert!(stage.frame() == second);
    assert!(frame(&mut stage.app, &other_target) == other_first);
}

#[test]
fn sub_viewport_and_resize_and_one_pixel_stay_in_bounds() {
    let viewport = Viewport { physical_position: UVec2::new(31, 17), physical_size: UVec2::new(45, 39), ..default() };
    let camera = Camera {
        viewport: Some(viewport),
        clear_color: ClearColorConfig::Custom(Color::srgb(0.2, 0.25, 0.3)),
        ..default()
    };
    let mut stage = Stage::new(Msaa::Off, camera);
    let first = stage.first.clone();
    let region = stage.region();
    let shipped = PortraitModel::fast().expect("the shipped weights");
    let second = stage.set(fast());
    assert_close(&enhance(&first, SIZE, &region, &shipped, 1.0), &second, 2);
    assert_inside(&region, &changed(&first, &second, SIZE.x));

    // The target changes size while the effect runs: smaller, one pixel, larger than ever.
    for size in [UVec2::new(60, 57), UVec2::ONE, UVec2::new(200, 130)] {
        let camera_off = PortraitRealism { enabled: false, ..fast() };
        let bigger = target(&mut stage.app, size, LDR);
        let image = stage.app.world_mut().resource_mut::<Assets<Image>>().remove(&bigger).expect("the new target");
        _ = stage.app.world_mut().resource_mut::<Assets<Image>>().insert(&stage.target, image);
        stage.app.world_mut().get_mut::<Camera>(stage.camera).expect("a camera").viewport = None;
        // A whole face in one pixel would be too small to be enhanced: this one is a wall in front of the camera.
        let scale = if size == UVec2::ONE { Vec3::new(60.0, 60.0, 1.0) } else { Vec3::ONE };
        stage.app.world_mut().entity_mut(stage.face).insert(Transform::from_scale(scale));
        let second = stage.frame();
        let first = stage.set(camera_off);
        assert_eq!(first.len(), (size.x * size.y * 4) as usize);
        let region = stage.region();
        assert_close(&enhance(&first, size, &region, &shipped, 1.0), &second, 2);
        assert_ne!(first, second, "{size}: the effect runs");
        stage.set(fast());
    }
}

#[test]
fn large_region_is_scaled_down_for_the_network() {
    let mut app = headless("assets", true);
    let size = UVec2::new(700, 560);
    let target = target(&mut app, size, LDR);
    // The frame is only the clear colour, so the residual is the same everywhere, whatever the scale.
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    app.world_mut().spawn((Transform::default(), PortraitFace { bounds: Some(face_bounds()), ..default() }));
    app.world_mut().entity_mut(camera).insert(Transform::from_xyz(0.0, 0.0, 1.0));
    settle(&mut app);
    let first = frame(&mut app, &target);
    let brighter = model(&mut app, linear_model(&[Plane::Color], vec![0.0; 9], [0.4; 3]));
    app.world_mut().entity_mut(camera).insert(PortraitRealism { model: brighter, ..default() });
    settle(&mut app);
    let second = frame(&mut app, &target);
    let middle = ((size.y / 2 * size.x + size.x / 2) * 4) as usize;
    let change = f32::from(second[middle]) - f32::from(first[middle]);
    assert!((change - 0.1 * 255.0).abs() <= 1.5, "changed by {change}");
    let plan = render_world(&app).resource::<PortraitGpuState>().network(app_model(&app, camera)).expect("runs").plan();
    assert!(plan.capacity_px.max_element() <= 512, "{}", plan.capacity_px);
}

fn app_model(app: &App, camera: Entity) -> AssetId<PortraitModel> {
    app.world().get::<PortraitRealism>(camera).expect("the component").model.id()
}

#[test]
fn without_a_renderer_the_plugin_does_nothing() {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, PortraitRealismPlugin));
    let camera = app.world_mut().spawn((Camera3d::default(), PortraitRealism::default())).id();
    app.world_mut().spawn(PortraitFace::default());
    app.update();
    app.world_mut().entity_mut(camera).remove::<PortraitRealism>();
    app.update();

    // With assets, but without a renderer, the weights are still there.
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, AssetPlugin::default(), PortraitRealismPlugin));
    app.world_mut().spawn(PortraitRealism::default());
    update_until(&mut app, "the default weights", |app| {
        app.world().resource::<Assets<PortraitModel>>().get(&Handle::default()).is_some()
    });
}
