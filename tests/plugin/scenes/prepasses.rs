//! Prepasses that the effect reads: outside of the face's region the picture is the same, bit for bit, with and without them.

use bevy::core_pipeline::oit::OrderIndependentTransparencySettings;
use bevy::core_pipeline::prepass::{DepthPrepass, NormalPrepass};
use bevy::pbr::ScreenSpaceAmbientOcclusion;
use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::occlusion_culling::OcclusionCulling;
use bevy::render::settings::WgpuSettings;
use bevy_portrait_realism::prelude::*;

use super::materials::{Moved, headless_with_materials, spawn_rectangle, unlit};
use crate::common::{
    assets, frame, headless, headless_of, plugins, renderer, settle, spawn_camera, spawn_face, target,
};
use crate::scene;
use crate::setups::twins::{Twins, region_of};
use crate::stage::{LDR, SIZE, assert_inside, changed};

/// Makes twins that are so far from the face that most of the frame lies outside of its region, and whose effect reads normals and depth.
fn distant_twins(app: App, msaa: Msaa, parts: impl Bundle + Clone) -> Twins {
    let mut twins = Twins::within(app, LDR, msaa, parts);
    twins.insert(Transform::from_xyz(0.0, 0.0, 5.0));
    twins.settings.model = PortraitModel::QUALITY;
    twins.switch(true);
    twins
}

fn is_enhanced(app: &App, camera: Entity) -> bool {
    app.world().get::<PortraitStatus>(camera).is_some_and(|status| status.tier.is_some())
}

/// Asserts that the scene around the face shows `what` it is for, that the effect runs, and that nothing outside of its region changes.
fn assert_same_outside(twins: &mut Twins, what: &str) {
    twins.switch(true);
    let [first, second] = twins.frames();
    assert!(is_enhanced(&twins.app, twins.cameras[1]), "{what}: it runs");
    let changed = changed(&first, &second, SIZE.x);
    assert!(changed.len() > 100, "{what}: {} pixels changed", changed.len());
    assert_inside(&twins.region(), &changed);
    twins.switch(false);
    let [first, off] = twins.frames();
    assert!(first == off, "{what}: switched off");
}

/// Returns a pixel left of the region, at the height of the face.
const BESIDE: UVec2 = UVec2::new(14, 40);

fn pixel(frame: &[u8], at: UVec2) -> [u8; 3] {
    let at = ((at.y * SIZE.x + at.x) * 4) as usize;
    [frame[at], frame[at + 1], frame[at + 2]]
}

#[test]
fn hair_cards_with_alpha_to_coverage_keep_what_is_behind_them() {
    let mut twins = distant_twins(headless("assets", true), Msaa::Sample4, ());
    // Cards beside the face, half covered, in front of something bright.
    let card = StandardMaterial { alpha_mode: AlphaMode::AlphaToCoverage, ..unlit(Color::srgba(0.1, 0.05, 0.05, 0.5)) };
    spawn_rectangle(&mut twins.app, unlit(Color::WHITE), Vec2::splat(2.0), Vec3::new(-2.2, 0.0, -1.0));
    let [before, _] = twins.frames();
    spawn_rectangle(&mut twins.app, card, Vec2::splat(1.0), Vec3::new(-1.7, 0.0, 0.0));
    let [first, _] = twins.frames();
    let (behind, through) = (pixel(&before, BESIDE)[0], pixel(&first, BESIDE)[0]);
    assert!(through > 60 && through + 40 < behind, "half of what is behind shows through: {behind}, {through}");
    assert_same_outside(&mut twins, "hair cards");
}

#[test]
fn materials_that_their_prepass_does_not_know_keep_what_is_behind_them() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        let mut twins = distant_twins(headless_with_materials(), msaa, ());
        spawn_rectangle(
            &mut twins.app,
            unlit(Color::srgb(0.1, 0.8, 0.2)),
            Vec2::splat(2.0),
            Vec3::new(-2.2, 0.0, -1.0),
        );
        spawn_rectangle(&mut twins.app, Moved {}, Vec2::splat(0.8), Vec3::new(-2.0, 0.0, 0.0));
        let [first, _] = twins.frames();
        assert!(first.chunks(4).any(|px| px[0] > 200 && px[2] < 100), "{msaa:?}: the stripes are on screen");
        assert_same_outside(&mut twins, &format!("moved and discarded, {msaa:?}"));
    }
}

#[test]
fn lit_surfaces_glass_and_order_independent_transparency_keep_their_shading() {
    // Without MSAA, Bevy's materials take their normals from a prepass that they know of, and glass takes depths from it.
    for way in ["plain", "order-independent transparency", "occlusion culling"] {
        let mut twins = distant_twins(headless("assets", true), Msaa::Off, ());
        let world = twins.app.world_mut();
        let mesh = world.resource_mut::<Assets<Mesh>>().add(Sphere::new(0.5));
        let shiny = StandardMaterial { perceptual_roughness: 0.2, ..Color::srgb(0.4, 0.5, 0.9).into() };
        let glass =
            StandardMaterial { specular_transmission: 0.9, thickness: 0.4, perceptual_roughness: 0.4, ..default() };
        let veil = StandardMaterial { alpha_mode: AlphaMode::Blend, ..Color::srgba(0.9, 0.4, 0.2, 0.5).into() };
        let mut place = |material: StandardMaterial, place: Vec3| {
            let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
            world.spawn((Mesh3d(mesh.clone()), MeshMaterial3d(material), Transform::from_translation(place)));
        };
        place(shiny, Vec3::new(-1.6, 0.9, 0.0));
        place(glass, Vec3::new(1.6, 0.6, 0.0));
        place(veil.clone(), Vec3::new(-1.6, -0.6, 0.0));
        place(veil, Vec3::new(-1.4, -0.8, 0.4));
        match way {
            "order-independent transparency" => twins.insert(OrderIndependentTransparencySettings::default()),
            "occlusion culling" => twins.insert(OcclusionCulling),
            _ => {}
        }
        assert_same_outside(&mut twins, way);
    }
}

#[test]
fn motion_vectors_for_the_effect_change_nothing_outside_of_a_skinned_face() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    scene::write(folder.path(), &scene::bust());
    let mut twins = distant_twins(headless(&folder.path().to_string_lossy(), true), Msaa::Sample4, ());
    let bust = twins.app.world().resource::<AssetServer>().load("bust.gltf#Scene0");
    twins
        .app
        .world_mut()
        .spawn((WorldAssetRoot(bust), Transform::from_xyz(1.6, 0.0, 0.0).with_scale(Vec3::splat(0.5))));
    scene::load(&mut twins.app, "Skull");
    twins.settings.history = 0.6;
    twins.switch(true);
    settle(&mut twins.app);
    let skull = scene::named(&mut twins.app, "Skull");
    for step in 0..6 {
        let turned = Transform::from_rotation(Quat::from_rotation_z(0.1 * step as f32));
        twins.app.world_mut().entity_mut(skull).insert(turned);
        twins.app.update();
        let [first, second] = twins.shown();
        assert!(is_enhanced(&twins.app, twins.cameras[1]), "step {step}: it runs");
        assert_inside(&twins.region(), &changed(&first, &second, SIZE.x));
    }
    assert_same_outside(&mut twins, "history");
}

/// Two cameras on one target, side by side, with these numbers of samples.
fn unequal_cameras(app: &mut App, target: &Handle<Image>, samples: [Msaa; 2]) -> [Entity; 2] {
    let half = UVec2::new(SIZE.x / 2, SIZE.y);
    [0, 1].map(|side| {
        let camera = spawn_camera(app, target, samples[side as usize]);
        let viewport = bevy::camera::Viewport {
            physical_position: UVec2::new(side * half.x, 0),
            physical_size: half,
            ..default()
        };
        let clear_color = ClearColorConfig::Custom(Color::srgb(0.2, 0.25, 0.3));
        let part = Camera { viewport: Some(viewport), order: side as isize, clear_color, ..default() };
        app.world_mut().entity_mut(camera).insert((part, Transform::from_xyz(0.0, 0.0, 4.0)));
        camera
    })
}

#[test]
fn cameras_with_other_samples_on_one_target_are_both_enhanced() {
    for samples in [[Msaa::Off, Msaa::Sample4], [Msaa::Sample4, Msaa::Off]] {
        let mut app = headless("assets", true);
        spawn_face(&mut app);
        let target = target(&mut app, SIZE, LDR);
        let cameras = unequal_cameras(&mut app, &target, samples);
        settle(&mut app);
        let first = frame(&mut app, &target);
        // One camera's depths are its own, and the other's are the effect's.
        for own in [None, Some(0), Some(1)] {
            if let Some(own) = own {
                app.world_mut().entity_mut(cameras[own]).insert(DepthPrepass);
            }
            for camera in cameras {
                app.world_mut().entity_mut(camera).insert(PortraitRealism { history: 0.5, ..default() });
            }
            settle(&mut app);
            let second = frame(&mut app, &target);
            let changed = changed(&first, &second, SIZE.x);
            for camera in cameras {
                assert!(is_enhanced(&app, camera), "{samples:?}: both run");
                let rect = region_of(&app, camera).rect_px;
                assert!(
                    changed.iter().filter(|px| rect.contains(**px)).count() > 50,
                    "{samples:?}: {rect:?} is enhanced"
                );
            }
            for camera in cameras {
                app.world_mut().entity_mut(camera).remove::<(PortraitRealism, DepthPrepass)>();
            }
            settle(&mut app);
            assert!(frame(&mut app, &target) == first, "{samples:?}: removed");
        }
    }
}

#[test]
fn prepasses_that_the_app_needs_as_well_stay_when_the_effect_goes() {
    // Ambient occlusion requires both prepasses, and the app may insert one by itself.
    let mut twins = distant_twins(headless("assets", true), Msaa::Off, ());
    let with_occlusion = |twins: &mut Twins| twins.insert(ScreenSpaceAmbientOcclusion::default());
    twins.frames();
    with_occlusion(&mut twins);
    let [first, second] = twins.frames();
    assert_inside(&twins.region(), &changed(&first, &second, SIZE.x));
    twins.switch(false);
    let [first, off] = twins.frames();
    assert!(first == off, "ambient occlusion stays");
    let camera = twins.app.world().entity(twins.cameras[1]);
    assert!(camera.contains::<DepthPrepass>() && camera.contains::<NormalPrepass>());

    let mut twins = distant_twins(headless("assets", true), Msaa::Off, ());
    twins.frames();
    twins.insert(DepthPrepass);
    let [first, second] = twins.frames();
    assert_inside(&twins.region(), &changed(&first, &second, SIZE.x));
    twins.switch(false);
    let [first, off] = twins.frames();
    assert!(first == off, "the app's own prepass stays");
    let camera = twins.app.world().entity(twins.cameras[1]);
    assert!(camera.contains::<DepthPrepass>() && !camera.contains::<NormalPrepass>());

    // What the app takes away comes back while the effect needs it.
    twins.switch(true);
    twins.frames();
    for camera in twins.cameras {
        twins.app.world_mut().entity_mut(camera).remove::<(DepthPrepass, NormalPrepass)>();
    }
    twins.frames();
    assert!(is_enhanced(&twins.app, twins.cameras[1]), "it goes on");
    assert_same_outside(&mut twins, "taken away");
}

#[test]
fn the_scene_shows_no_gap_while_bevy_compiles_materials_for_prepasses() {
    // Shaders are compiled while frames are drawn, as in an app.
    let renderer = RenderPlugin { synchronous_pipeline_compilation: false, ..renderer(WgpuSettings::default()) };
    let app = headless_of(plugins(renderer, assets("assets")), |app| {
        app.add_plugins(PortraitRealismPlugin);
    });
    let mut twins = distant_twins(app, Msaa::Off, ());
    twins.switch(false);
    spawn_rectangle(&mut twins.app, unlit(Color::srgb(0.1, 0.8, 0.2)), Vec2::splat(2.0), Vec3::new(-2.2, 0.0, -1.0));
    let [first, off] = twins.frames();
    assert!(first == off);
    for enabled in [true, false] {
        twins.switch(enabled);
        let mut shown = Vec::new();
        for _ in 0..60 {
            twins.app.update();
            shown.push(twins.shown()[1].clone());
        }
        let [_, last] = twins.frames();
        shown.push(last);
        shown.dedup();
        println!("enabled {enabled}: {} different frames", shown.len());
        for second in &shown {
            assert_inside(&twins.region(), &changed(&first, second, SIZE.x));
        }
        // Only the image before and the image after are seen: no frame has half of its normals.
        assert!(shown.len() <= 2, "{} different frames", shown.len());
    }
}
