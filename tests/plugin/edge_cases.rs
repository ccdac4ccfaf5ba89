//! Unusual cameras, faces and assets.

use bevy::anti_alias::fxaa::Fxaa;
use bevy::camera::visibility::RenderLayers;
use bevy::camera::{CameraMainTextureUsages, Hdr};
use bevy::diagnostic::DiagnosticsStore;
use bevy::prelude::*;
use bevy::render::diagnostic::RenderDiagnosticsPlugin;
use bevy::render::render_resource::{TextureFormat, TextureUsages};
use bevy::shader::Shader;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::internals::{Region, box_corners, face_region};
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane::Color as ColorPlane;

use crate::common::{face_bounds, frame, headless, render_world, settle, spawn_camera, spawn_face, target};
use crate::stage::{SIZE, Stage, assert_inside, changed, linear_model, model};

/// Returns settings with a network that adds 0.1 to every channel.
fn brighter(app: &mut App) -> PortraitRealism {
    let model = model(app, linear_model(&[ColorPlane], vec![0.0; 9], [0.4; 3]));
    PortraitRealism { model, ..default() }
}

#[test]
fn hidden_faces_and_faces_on_other_layers_are_left_alone() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let settings = brighter(&mut stage.app);
    assert!(stage.set(settings) != first);
    // The face has no mesh, so that hiding it does not change the frame otherwise.
    stage.app.world_mut().entity_mut(stage.face).remove::<PortraitFace>();
    let face = PortraitFace { bounds: Some(face_bounds()), ..default() };
    let face = stage.app.world_mut().spawn((Transform::default(), Visibility::Visible, face)).id();
    let second = stage.frame();
    assert!(second != first);
    stage.app.world_mut().entity_mut(face).insert(Visibility::Hidden);
    assert!(stage.frame() == first, "hidden");
    stage.app.world_mut().entity_mut(face).insert((Visibility::Visible, RenderLayers::layer(3)));
    assert!(stage.frame() == first, "another layer");
    stage.app.world_mut().entity_mut(face).insert(RenderLayers::from_layers(&[0, 3]));
    assert!(stage.frame() == second, "one layer in common");
}

#[test]
fn every_face_of_a_camera_gets_its_own_region() {
    let mut app = headless("assets", true);
    let size = UVec2::new(160, 64);
    let target = target(&mut app, size, TextureFormat::Rgba8UnormSrgb);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    app.world_mut().entity_mut(camera).insert(Transform::from_xyz(0.0, 0.0, 6.0));
    settle(&mut app);
    let first = frame(&mut app, &target);
    let places = [Vec3::new(-3.0, 0.0, 0.0), Vec3::ZERO, Vec3::new(3.0, 0.5, 1.0)];
    for place in places {
        app.world_mut()
            .spawn((Transform::from_translation(place), PortraitFace { bounds: Some(face_bounds()), ..default() }));
    }
    let settings = brighter(&mut app);
    app.world_mut().entity_mut(camera).insert(settings);
    settle(&mut app);
    let changed = changed(&first, &frame(&mut app, &target), size.x);
    let camera = app.world().get::<Camera>(camera).expect("a camera");
    let clip_from_world = camera.clip_from_view() * Mat4::from_translation(Vec3::new(0.0, 0.0, -6.0));
    let viewport = camera.physical_viewport_rect().expect("a viewport");
    let regions: Vec<Region> = places
        .iter()
        .map(|&place| face_region(&box_corners(place - 0.5, place + 0.5), clip_from_world, viewport).expect("in view"))
        .collect();
    for region in &regions {
        let middle = (region.rect_px.min + region.rect_px.max) / 2;
        assert!(changed.contains(&middle), "{region:?} is unchanged");
    }
    for px in changed {
        let inside = |region: &Region| px.cmpge(region.rect_px.min).all() && px.cmplt(region.rect_px.max).all();
        assert!(regions.iter().any(inside), "{px} is in no region");
    }
}

#[test]
fn targets_of_every_usual_format_are_enhanced() {
    let mut app = headless("assets", true);
    let settings = brighter(&mut app);
    spawn_face(&mut app);
    for format in [
        TextureFormat::Rgba8Unorm,
        TextureFormat::Bgra8UnormSrgb,
        TextureFormat::Rgba16Float,
        TextureFormat::Rgba32Float,
    ] {
        let target = target(&mut app, UVec2::new(40, 32), format);
        let camera = spawn_camera(&mut app, &target, Msaa::Off);
        settle(&mut app);
        let first = frame(&mut app, &target);
        app.world_mut().entity_mut(camera).insert(settings.clone());
        settle(&mut app);
        assert!(frame(&mut app, &target) != first, "{format:?}");
        app.world_mut().entity_mut(camera).insert(PortraitRealism { strength: 0.0, ..settings.clone() });
        settle(&mut app);
        assert!(frame(&mut app, &target) == first, "{format:?}, strength 0");
        app.world_mut().despawn(camera);
    }
}

#[test]
fn camera_without_copy_source_is_left_alone() {
    let usages = TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING;
    let mut stage = Stage::new(Msaa::Off, CameraMainTextureUsages(usages));
    let first = stage.first.clone();
    let settings = brighter(&mut stage.app);
    assert!(stage.set(settings) == first);
}

#[test]
fn anti_aliasing_runs_after_the_effect() {
    let mut stage = Stage::new(Msaa::Off, (Hdr, Fxaa::default()));
    let first = stage.first.clone();
    let settings = brighter(&mut stage.app);
    let changed = changed(&first, &stage.set(settings), SIZE.x);
    assert!(changed.len() > 500);
    // FXAA reads a few pixels around each one.
    let mut region = stage.region();
    region.rect_px = region.rect_px.inflate(8).intersect(URect::from_corners(UVec2::ZERO, SIZE));
    assert_inside(&region, &changed);
}

#[test]
fn weights_that_change_are_used_in_the_next_frame() {
    let mut stage = Stage::new(Msaa::Off, ());
    let settings = brighter(&mut stage.app);
    let handle = settings.model.clone();
    let second = stage.set(settings);
    let darker = linear_model(&[ColorPlane], vec![0.0; 9], [-0.4; 3]);
    _ = stage.app.world_mut().resource_mut::<Assets<PortraitModel>>().insert(&handle, darker.into());
    let third = stage.frame();
    let middle = ((SIZE.y / 2 * SIZE.x + SIZE.x / 2) * 4) as usize;
    let first = stage.first[middle];
    assert!(second[middle] > first + 15 && third[middle] + 15 < first, "{first} {} {}", second[middle], third[middle]);
}

#[test]
fn broken_shader_leaves_the_frame_alone_and_a_mended_one_works() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let settings = brighter(&mut stage.app);
    let second = stage.set(settings);
    // Whichever kernel the device is suited for.
    let broken = ["conv", "conv_cpu", "conv_small"].map(|name| {
        let path = format!("embedded://bevy_portrait_realism/shaders/inference/{name}.wgsl");
        let shader: Handle<Shader> =
            stage.app.world().resource::<AssetServer>().get_handle(path).expect("it is loaded");
        let mut shaders = stage.app.world_mut().resource_mut::<Assets<Shader>>();
        let good = shaders.get(&shader).expect("it is loaded").clone();
        _ = shaders.insert(&shader, Shader::from_wgsl("this is no shader", format!("shaders/inference/{name}.wgsl")));
        (shader, good)
    });
    for _ in 0..5 {
        stage.app.update();
    }
    assert!(frame(&mut stage.app, &stage.target) == first);
    for (shader, good) in broken {
        _ = stage.app.world_mut().resource_mut::<Assets<Shader>>().insert(&shader, good);
    }
    assert!(stage.frame() == second);
}

#[test]
fn each_layer_is_measured_under_its_own_name() {
    let mut app = headless("assets", true);
    // The plugin is added late, to an app that is already built, so its parts are set up by hand, as `App::finish` would.
    let plugin = RenderDiagnosticsPlugin;
    plugin.build(&mut app);
    plugin.finish(&mut app);
    spawn_face(&mut app);
    let target = target(&mut app, UVec2::new(48, 40), TextureFormat::Rgba8UnormSrgb);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    app.world_mut().entity_mut(camera).insert(PortraitRealism::default());
    settle(&mut app);
    settle(&mut app);
    let names: Vec<String> =
        app.world().resource::<DiagnosticsStore>().iter().map(|entry| entry.path().to_string()).collect();
    for stage in ["copy", "pack", "enc0", "mid1", "lift0", "head", "composite"] {
        let name = format!("portrait/{stage}/elapsed_cpu");
        assert!(names.iter().any(|found| found.ends_with(&name)), "{name} is not among {names:?}");
    }
}

#[test]
fn memory_grows_with_the_face_and_stays() {
    let mut stage = Stage::new(Msaa::Off, ());
    let allocated = |stage: &Stage| render_world(&stage.app).resource::<PortraitGpuState>().allocated_bytes();
    stage.app.world_mut().entity_mut(stage.camera).insert(Transform::from_xyz(0.0, 0.0, 8.0));
    stage.set(PortraitRealism::default());
    let far = allocated(&stage);
    stage.app.world_mut().entity_mut(stage.camera).insert(Transform::from_xyz(0.0, 0.0, 1.5));
    stage.frame();
    let near = allocated(&stage);
    assert!(near > far, "{near} > {far}");
    stage.app.world_mut().entity_mut(stage.camera).insert(Transform::from_xyz(0.0, 0.0, 8.0));
    stage.frame();
    assert_eq!(allocated(&stage), near);
}
