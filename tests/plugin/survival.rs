//! Survival: a broken frame does not break the app, and the next whole frame is enhanced as before.

use bevy::camera::primitives::Aabb;
use bevy::camera::{CameraMainTextureUsages, Hdr, ManualTextureViewHandle, RenderTarget, Viewport};
use bevy::core_pipeline::prepass::{MotionVectorPrepass, NormalPrepass};
use bevy::core_pipeline::schedule::{Core3d, Core3dSystems};
use bevy::core_pipeline::tonemapping::tonemapping;
use bevy::math::Vec3A;
use bevy::mesh::VertexAttributeValues;
use bevy::prelude::*;
use bevy::render::RenderApp;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::{
    BufferInitDescriptor, BufferUsages, Extent3d, Origin3d, TexelCopyBufferInfo, TexelCopyBufferLayout,
    TexelCopyTextureInfo, TextureAspect, TextureFormat, TextureUsages, WgpuFeatures,
};
use bevy::render::renderer::{RenderContext, RenderDevice, ViewQuery};
use bevy::render::settings::{WgpuLimits, WgpuSettings};
use bevy::render::texture::{GpuImage, ManualTextureView, ManualTextureViews};
use bevy::render::view::ViewTarget;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::internals::PortraitPipelines;
use bevy_portrait_realism::prelude::*;
use half::f16;
use portrait_network::Plane;

use crate::common::{
    assets, face_bounds, frame, headless, headless_of, plugins, render_world, render_world_mut, renderer, settle,
    spawn_camera, spawn_face, target, without_materials,
};
use crate::frame::{assert_close, enhance};
use crate::setups::twins::{ADDED, Twins, brighter, region_of};
use crate::stage::{LDR, SIZE, Stage, assert_inside, changed, linear_model, model};

type Pixel = [f16; 4];

/// Pixels painted over every frame before the effect: the first pixel of each run, and the run's bytes in the frame's format.
#[derive(Resource, Default)]
struct Paint(Vec<(UVec2, Vec<u8>)>);

fn paint(view: ViewQuery<&ViewTarget>, paint: Res<Paint>, device: Res<RenderDevice>, mut ctx: RenderContext) {
    let texture = view.into_inner().main_texture();
    let texel_bytes = texture.format().block_copy_size(None).expect("a colour format");
    for (at, contents) in &paint.0 {
        let descriptor = BufferInitDescriptor { label: None, contents, usage: BufferUsages::COPY_SRC };
        let buffer = device.create_buffer_with_data(&descriptor);
        let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row: None, rows_per_image: None };
        let origin = Origin3d { x: at.x, y: at.y, z: 0 };
        ctx.command_encoder().copy_buffer_to_texture(
            TexelCopyBufferInfo { buffer: &buffer, layout },
            TexelCopyTextureInfo { texture, mip_level: 0, origin, aspect: TextureAspect::All },
            Extent3d { width: contents.len() as u32 / texel_bytes, height: 1, depth_or_array_layers: 1 },
        );
    }
}

/// Adds a pass that paints over every frame of an app, on cameras whose main texture may be copied to.
fn add_paint(app: &mut App) {
    let paint = paint.in_set(Core3dSystems::PostProcess).after(tonemapping).before(PortraitRealismSystems::Enhance);
    app.sub_app_mut(RenderApp).init_resource::<Paint>().add_systems(Core3d, paint);
}

fn paintable() -> CameraMainTextureUsages {
    CameraMainTextureUsages::default().with(TextureUsages::COPY_DST)
}

/// A camera with high dynamic range whose frames are painted on.
struct Painted {
    app: App,
    camera: Entity,
    target: Handle<Image>,
    size: UVec2,
}

impl Painted {
    fn new(size: UVec2) -> Self {
        let mut app = headless("assets", true);
        spawn_face(&mut app);
        let target = target(&mut app, size, TextureFormat::Rgba16Float);
        let camera = spawn_camera(&mut app, &target, Msaa::Off);
        app.world_mut().entity_mut(camera).insert((Hdr, paintable(), NormalPrepass, MotionVectorPrepass));
        add_paint(&mut app);
        settle(&mut app);
        Self { app, camera, target, size }
    }

    fn show(&mut self, settings: PortraitRealism, paint: &[(UVec2, [f32; 3])]) -> Vec<Pixel> {
        let bytes = |[r, g, b]: [f32; 3]| [r, g, b, 1.0].map(|value| f16::from_f32(value).to_le_bytes()).concat();
        let paint = paint.iter().map(|&(at, color)| (at, bytes(color))).collect();
        render_world_mut(&mut self.app).insert_resource(Paint(paint));
        self.app.world_mut().entity_mut(self.camera).insert(settings);
        settle(&mut self.app);
        let bytes = frame(&mut self.app, &self.target);
        bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|pixel| bytemuck::pod_read_unaligned::<[u16; 4]>(pixel).map(f16::from_bits))
            .collect()
    }

    fn index(&self, at: UVec2) -> usize {
        (at.y * self.size.x + at.x) as usize
    }
}

fn bits(pixel: Pixel) -> [u16; 4] {
    pixel.map(f16::to_bits)
}

#[test]
fn pixels_that_are_no_numbers_or_infinite_stay_so_and_are_black_and_white_to_the_network() {
    const NAN: f32 = f32::NAN;
    const INF: f32 = f32::INFINITY;
    let values =
        [[NAN; 3], [INF; 3], [-INF; 3], [NAN, 0.5, INF], [0.2, -NAN, 0.1], [65504.0, -65504.0, -0.5], [0.25; 3]];
    // The region is at full size, or scaled down for the network.
    for (size, resolution) in [(SIZE, PortraitResolution::High), (SIZE * 3, PortraitResolution::Low)] {
        let mut painted = Painted::new(size);
        let mut places = vec![UVec2::new(1, 1), size / 2 + UVec2::new(9, 0), size / 2 - UVec2::new(30, 3), size / 5];
        // The values fill a block in the middle of the face.
        places.extend((0..15).map(|at| size / 2 + UVec2::new(at % 5, at / 5)));
        let broken: Vec<_> = places.iter().zip(values.iter().cycle()).map(|(&at, &color)| (at, color)).collect();
        let shown = |value: f32| if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        let whole: Vec<_> = broken.iter().map(|&(at, color)| (at, color.map(shown))).collect();
        let shipped = [PortraitModel::FAST, PortraitModel::QUALITY];
        let contrast = linear_model(&[Plane::Color], vec![0.5, 0.2, 0.1, -0.3, 0.4, 0.1, 0.2, 0.2, 0.3], [0.2; 3]);
        let models = [model(&mut painted.app, contrast)].into_iter().chain(shipped);
        for (at, model) in models.enumerate() {
            let plain = PortraitRealism { model, resolution, ..default() };
            let shaped = PortraitRealism { base: 0.5, detail: 1.5, history: 0.8, ..plain.clone() };
            for settings in [plain, shaped] {
                let first = painted.show(PortraitRealism { enabled: false, ..settings.clone() }, &broken);
                let second = painted.show(settings.clone(), &broken);
                let mended = painted.show(settings, &whole);
                let mut enhanced = 0;
                let is_broken = |at: usize| broken.iter().any(|&(place, _)| painted.index(place) == at);
                for at in 0..first.len() {
                    let [first, second, mended] = [&first, &second, &mended].map(|frame| frame[at]);
                    if is_broken(at) {
                        for (before, after) in first.into_iter().zip(second) {
                            assert_eq!(before.is_nan(), after.is_nan(), "{before} became {after}");
                            assert!(!before.is_infinite() || before == after, "{before} became {after}");
                        }
                        continue;
                    }
                    assert!(second.iter().all(|value| value.is_finite()), "pixel {at}: {second:?}");
                    assert_eq!(bits(second), bits(mended), "pixel {at} differs by what a broken one is");
                    enhanced += usize::from(bits(second) != bits(first));
                }
                println!("{size}, model {at}: {enhanced} pixels enhanced");
                assert!(enhanced > 500, "{size}, model {at}: {enhanced} pixels enhanced");
                let outside = painted.index(UVec2::ONE);
                assert_eq!(first[outside].map(f16::is_nan), second[outside].map(f16::is_nan));
            }
        }
    }
}

/// Spawns a sphere with NaN and infinities among its vertices and its material's colours.
fn spawn_broken(app: &mut App) -> Entity {
    let mut mesh = Mesh::from(Sphere::new(0.3));
    for (attribute, every) in [(Mesh::ATTRIBUTE_POSITION, 7), (Mesh::ATTRIBUTE_NORMAL, 3)] {
        if let Some(VertexAttributeValues::Float32x3(values)) = mesh.attribute_mut(attribute) {
            values.iter_mut().step_by(every).for_each(|value| *value = [f32::NAN, f32::INFINITY, 0.1]);
        }
    }
    let world = app.world_mut();
    let mesh = world.resource_mut::<Assets<Mesh>>().add(mesh);
    let material = world.resource_mut::<Assets<StandardMaterial>>().add(StandardMaterial {
        base_color: Color::linear_rgb(f32::NAN, 0.5, f32::INFINITY),
        emissive: LinearRgba::rgb(f32::INFINITY, f32::NAN, 1e30),
        ..default()
    });
    world
        .spawn((Mesh3d(mesh), MeshMaterial3d(material), Transform::from_xyz(0.1, 0.1, 0.4), PortraitFace::default()))
        .id()
}

#[test]
fn in_a_scene_of_nan_vertices_and_infinite_lights_what_was_finite_stays_so_and_no_harm_lasts() {
    let mut twins = Twins::within(headless("assets", true), TextureFormat::Rgba16Float, Msaa::Sample4, Hdr);
    let whole = twins.frames();
    let broken = spawn_broken(&mut twins.app);
    let light = PointLight { intensity: f32::INFINITY, ..default() };
    let light = twins.app.world_mut().spawn((light, Transform::from_xyz(0.0, 0.5, 1.5))).id();
    // Faces that are nowhere or everywhere.
    let nowhere = Aabb { center: Vec3A::NAN, half_extents: Vec3A::ONE };
    let everywhere = Aabb { center: Vec3A::ZERO, half_extents: Vec3A::INFINITY };
    let faces = [nowhere, everywhere].map(|bounds| {
        twins.app.world_mut().spawn((Transform::default(), PortraitFace { bounds: Some(bounds), ..default() })).id()
    });
    let moved = PortraitFace { bounds: Some(face_bounds()), ..default() };
    let moved = twins.app.world_mut().spawn((Transform::from_xyz(f32::NAN, 0.0, f32::INFINITY), moved)).id();
    for shipped in [twins.settings.model.clone(), PortraitModel::QUALITY] {
        twins.settings.model = shipped;
        twins.switch(true);
        let [first, second] = twins.frames();
        let values = |frame: &[u8]| -> Vec<f32> {
            frame.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect()
        };
        for (at, (first, second)) in values(&first).into_iter().zip(values(&second)).enumerate() {
            assert!(!first.is_finite() || second.is_finite(), "value {at} was {first} and is {second}");
        }
    }
    for entity in [broken, light, moved].into_iter().chain(faces) {
        twins.app.world_mut().despawn(entity);
    }
    twins.settings.model = model(&mut twins.app, brighter());
    twins.switch(true);
    assert!(twins.frames() == whole, "all is as it was");
}

#[test]
fn a_camera_that_is_nowhere_leaves_the_other_one_enhanced_and_comes_back() {
    let mut twins = Twins::new(Msaa::Off, ());
    let other = target(&mut twins.app, SIZE, LDR);
    let lost = spawn_camera(&mut twins.app, &other, Msaa::Off);
    twins.app.world_mut().entity_mut(lost).insert(twins.settings.clone());
    let whole = twins.frames();
    let seen = frame(&mut twins.app, &other);
    assert!(seen == whole[1]);
    for place in [Vec3::NAN, Vec3::INFINITY, Vec3::splat(1e38)] {
        twins.app.world_mut().entity_mut(lost).insert(Transform::from_translation(place));
        assert!(twins.frames() == whole, "{place}");
    }
    twins.app.world_mut().entity_mut(lost).insert(Transform::from_xyz(0.0, 0.0, 2.0));
    assert!(twins.frames() == whole && frame(&mut twins.app, &other) == seen, "it is back");
}

/// Makes a target that is like a window to a camera, without a window system.
fn window(app: &mut App, image: &Handle<Image>, size: UVec2) -> RenderTarget {
    let images = render_world(app).resource::<RenderAssets<GpuImage>>();
    let texture_view = images.get(image).expect("it is uploaded").texture_view.clone();
    let handle = ManualTextureViewHandle(7);
    let view = ManualTextureView { texture_view, size, view_format: LDR };
    app.world_mut().resource_mut::<ManualTextureViews>().insert(handle, view);
    RenderTarget::TextureView(handle)
}

#[test]
fn a_window_that_is_minimised_costs_nothing_and_is_enhanced_when_it_comes_back() {
    let mut stage = Stage::new(Msaa::Sample4, ());
    let settings = PortraitRealism { model: model(&mut stage.app, brighter()), ..default() };
    let full = stage.set(settings);
    let open = window(&mut stage.app, &stage.target, SIZE);
    stage.app.world_mut().entity_mut(stage.camera).insert(open);
    assert!(stage.frame() == full, "a window shows the same");
    for size in [UVec2::ZERO, UVec2::new(0, SIZE.y), UVec2::new(SIZE.x, 0)] {
        window(&mut stage.app, &stage.target, size);
        for _ in 0..5 {
            stage.app.update();
        }
        let status = stage.app.world().get::<PortraitStatus>(stage.camera);
        assert_eq!(status, Some(&PortraitStatus::default()), "{size}: nothing is enhanced");
        window(&mut stage.app, &stage.target, SIZE);
        assert!(stage.frame() == full, "{size}: it is back");
    }
}

#[test]
fn viewports_of_one_pixel_and_of_the_last_corner_are_survived() {
    let mut twins = Twins::new(Msaa::Off, ());
    let whole = twins.frames();
    let viewports =
        [(UVec2::ZERO, UVec2::ONE), (SIZE - 1, UVec2::ONE), (SIZE * 4, SIZE), (UVec2::ZERO, UVec2::new(1, SIZE.y))];
    for (physical_position, physical_size) in viewports {
        for camera in twins.cameras {
            let viewport = Viewport { physical_position, physical_size, ..default() };
            twins.app.world_mut().get_mut::<Camera>(camera).expect("a camera").viewport = Some(viewport);
        }
        let [first, second] = twins.frames();
        let px = changed(&first, &second, SIZE.x);
        assert!(px.len() <= physical_size.element_product() as usize, "{physical_position} {physical_size}: {px:?}");
    }
    for camera in twins.cameras {
        twins.app.world_mut().get_mut::<Camera>(camera).expect("a camera").viewport = None;
    }
    assert!(twins.frames() == whole);
}

#[test]
fn a_target_as_wide_as_the_device_allows_is_enhanced_from_edge_to_edge_in_little_memory() {
    let mut app = headless("assets", true);
    let limit = render_world(&app).resource::<RenderDevice>().limits().max_texture_dimension_2d.min(16_384);
    let size = UVec2::new(limit, 40);
    let target = target(&mut app, size, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    let bounds = Aabb::from_min_max(Vec3::new(-1e4, -1.0, -0.5), Vec3::new(1e4, 1.0, 0.5));
    app.world_mut().spawn((Transform::default(), PortraitFace { bounds: Some(bounds), ..default() }));
    settle(&mut app);
    let first = frame(&mut app, &target);
    let settings = PortraitRealism { model: model(&mut app, brighter()), ..default() };
    let handle = settings.model.id();
    app.world_mut().entity_mut(camera).insert(settings);
    settle(&mut app);
    let second = frame(&mut app, &target);
    for x in [20, limit / 3, limit / 2, limit - 20] {
        let at = ((size.y / 2 * limit + x) * 4) as usize;
        let added = f32::from(second[at]) - f32::from(first[at]);
        assert!((added - ADDED).abs() <= 2.0, "{added} of 255 added at {x} of {limit}");
    }
    let state = render_world(&app).resource::<PortraitGpuState>();
    let capacity = state.network(handle).expect("it runs").plan().capacity_px;
    println!("{limit} px wide: the network sees {capacity}, {} bytes", state.allocated_bytes());
    assert!(capacity.max_element() <= 512 && state.allocated_bytes() < 16 << 20, "{capacity}");
}

#[test]
fn faces_whose_depths_a_device_cannot_bind_are_left_alone_while_gizmos_are_drawn() {
    let limits = WgpuLimits { max_storage_buffer_binding_size: 4 << 20, ..WgpuLimits::default() };
    let wgpu = WgpuSettings { constrained_limits: Some(limits), ..default() };
    let mut app = headless_of(plugins(renderer(wgpu), assets("assets")), |app| {
        app.add_plugins(PortraitRealismPlugin);
    });
    let size = UVec2::new(1_300, 1_000);
    let target = target(&mut app, size, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    app.world_mut().entity_mut(camera).insert(Transform::from_xyz(0.0, 0.0, 1.0));
    app.world_mut().spawn((Transform::default(), PortraitFace { bounds: Some(face_bounds()), ..default() }));
    let settings = PortraitRealism { model: model(&mut app, brighter()), ..default() };
    settle(&mut app);
    let first = frame(&mut app, &target);
    app.world_mut().entity_mut(camera).insert(settings.clone());
    settle(&mut app);
    let second = frame(&mut app, &target);
    assert!(changed(&first, &second, size.x).len() > 1_048_576, "the region is larger than 4 MiB of depths");
    app.add_systems(Update, |mut gizmos: Gizmos| gizmos.line(Vec3::NEG_X, Vec3::X, Color::WHITE));
    settle(&mut app);
    let overlaid = frame(&mut app, &target);
    app.world_mut().entity_mut(camera).insert(PortraitRealism { enabled: false, ..settings });
    settle(&mut app);
    assert!(frame(&mut app, &target) == overlaid, "left alone");
}

#[test]
fn a_device_of_the_least_limits_and_without_features_enhances_as_the_reference_does() {
    // Bevy's own materials bind more storage buffers than these limits allow, so the materials are left out.
    let wgpu = WgpuSettings {
        constrained_limits: Some(WgpuLimits::downlevel_defaults()),
        disabled_features: Some(WgpuFeatures::all()),
        ..default()
    };
    let plugins = without_materials(wgpu);
    let mut app = headless_of(plugins, |app| {
        app.add_plugins(PortraitRealismPlugin);
    });
    let device = render_world(&app).resource::<RenderDevice>();
    assert_eq!(device.limits().max_storage_buffers_per_shader_stage, 4);
    let extras = WgpuFeatures::SHADER_F16 | WgpuFeatures::SHADER_INT64 | WgpuFeatures::SUBGROUP;
    assert!(!device.features().intersects(extras | WgpuFeatures::TIMESTAMP_QUERY));
    // Some shaders wait for the missing shaders of the materials for ever.
    let update = |app: &mut App| (0..20).for_each(|_| app.update());
    app.world_mut().spawn((Transform::default(), PortraitFace { bounds: Some(face_bounds()), ..default() }));
    let target = target(&mut app, SIZE, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    app.world_mut().entity_mut(camera).insert(paintable());
    add_paint(&mut app);
    let picture = (0..SIZE.y).map(|y| {
        let row = (0..SIZE.x).flat_map(|x| [(x * y % 251) as u8, (x * 2) as u8, (y * 3) as u8, 255]);
        (UVec2::new(0, y), row.collect())
    });
    render_world_mut(&mut app).insert_resource(Paint(picture.collect()));
    update(&mut app);
    let first = frame(&mut app, &target);
    assert!(first[400..] != first[..first.len() - 400], "the picture is on screen");
    // Time stamps for this are missing, too.
    let resolution = PortraitResolution::Auto { budget_ms: 1.0 };
    let settings = PortraitRealism { model: PortraitModel::FAST, ..default() };
    app.world_mut().entity_mut(camera).insert(settings.clone());
    update(&mut app);
    let second = frame(&mut app, &target);
    let variant = render_world(&app).resource::<PortraitPipelines>().variant;
    assert!(!variant.half_products && !variant.reads_textures, "{variant:?}");
    let region = region_of(&app, camera);
    assert_inside(&region, &changed(&first, &second, SIZE.x));
    let shipped = PortraitModel::fast().expect("the shipped weights");
    assert_close(&enhance(&first, SIZE, &region, &shipped, 1.0), &second, 2);
    let all = PortraitRealism { base: 0.5, detail: 1.5, likeness: 0.5, resolution, ..settings };
    app.world_mut().entity_mut(camera).insert(all);
    update(&mut app);
    let shaped = frame(&mut app, &target);
    assert!(shaped != first && shaped != second);
    assert_inside(&region, &changed(&first, &shaped, SIZE.x));
}
