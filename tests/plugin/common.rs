//! Helpers of the tests: a headless app, a small scene, and frames as bytes.

use std::time::{Duration, Instant};

use bevy::app::PluginGroupBuilder;
use bevy::asset::RenderAssetUsages;
use bevy::camera::RenderTarget;
use bevy::camera::primitives::Aabb;
use bevy::dev_tools::render_debug::RenderDebugOverlayPlugin;
use bevy::gizmos_render::GizmoRenderPlugin;
use bevy::gltf::GltfPlugin;
use bevy::log::LogPlugin;
use bevy::pbr::PbrPlugin;
use bevy::prelude::*;
use bevy::render::error_handler::RenderErrorHandler;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::{
    Buffer, BufferDescriptor, BufferUsages, CachedPipelineState, CommandEncoderDescriptor, Extent3d, MapMode,
    PipelineCache, PollType, TexelCopyBufferInfo, TexelCopyBufferLayout, TextureDimension, TextureFormat,
    TextureUsages, WgpuFeatures,
};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bevy::render::settings::WgpuSettings;
use bevy::render::texture::GpuImage;
use bevy::render::{RenderApp, RenderPlugin};
use bevy::shader::ShaderCacheError;
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_portrait_realism::internals::ActivationFormat;
use bevy_portrait_realism::prelude::*;
use half::f16;

/// Maximum time that shaders and assets may take, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(300);

/// Makes an app with a renderer and no window; assets come from the folder `assets`.
pub fn headless(assets: &str, portrait: bool) -> App {
    headless_without(WgpuFeatures::empty(), assets, portrait)
}

/// Makes an app as [`headless`] does, on a device that lacks these features.
pub fn headless_without(features: WgpuFeatures, assets: &str, portrait: bool) -> App {
    let wgpu = WgpuSettings { disabled_features: Some(features), ..default() };
    let app = headless_of(plugins(renderer(wgpu), self::assets(assets)), |app| {
        if portrait {
            app.add_plugins(PortraitRealismPlugin);
        }
    });
    let device = app.get_sub_app(RenderApp).and_then(|render| render.world().get_resource::<RenderDevice>());
    assert!(
        device.is_some(),
        "no Vulkan device: install a driver, for example `apt-get install mesa-vulkan-drivers` for lavapipe"
    );
    app
}

/// Makes a renderer that compiles shaders at once.
pub fn renderer(wgpu: WgpuSettings) -> RenderPlugin {
    RenderPlugin { render_creation: wgpu.into(), synchronous_pipeline_compilation: true, ..default() }
}

/// Makes the plugin for assets from a folder, which is not watched.
pub fn assets(folder: &str) -> AssetPlugin {
    AssetPlugin { file_path: folder.into(), watch_for_changes_override: Some(false), ..default() }
}

/// Returns Bevy's plugins with this renderer and these assets, without windows.
pub fn plugins(renderer: RenderPlugin, assets: AssetPlugin) -> PluginGroupBuilder {
    DefaultPlugins
        .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
        .set(renderer)
        .set(assets)
        .disable::<WinitPlugin>()
        .disable::<LogPlugin>()
        .disable::<PipelinedRenderingPlugin>()
}

/// Returns Bevy's plugins without those whose materials ask for as much of a device as the effect does, or more.
pub fn without_materials(wgpu: WgpuSettings) -> PluginGroupBuilder {
    plugins(renderer(wgpu), assets("assets"))
        .disable::<PbrPlugin>()
        .disable::<GltfPlugin>()
        .disable::<GizmoRenderPlugin>()
        .disable::<RenderDebugOverlayPlugin>()
}

/// Makes an app with these plugins, to which `add` adds the rest before the app starts.
pub fn headless_of(plugins: PluginGroupBuilder, add: impl FnOnce(&mut App)) -> App {
    let mut app = App::new();
    app.add_plugins(plugins);
    // A renderer that has stopped would show the same frame for ever, and that would pass for "unchanged".
    app.insert_resource(RenderErrorHandler(|error, _, _| panic!("{error:?}")));
    add(&mut app);
    let start = Instant::now();
    while app.plugins_state() == bevy::app::PluginsState::Adding {
        bevy::tasks::tick_global_task_pools_on_main_thread();
        assert!(start.elapsed() < PATIENCE, "the renderer does not start");
    }
    app.finish();
    app.cleanup();
    app
}

pub fn render_world(app: &App) -> &World {
    app.sub_app(RenderApp).world()
}

pub fn render_world_mut(app: &mut App) -> &mut World {
    app.sub_app_mut(RenderApp).world_mut()
}

/// Renders until no shader is being compiled, and then two frames more.
pub fn settle(app: &mut App) {
    let start = Instant::now();
    let mut calm = 0;
    while calm < 4 {
        app.update();
        let cache = render_world(app).resource::<PipelineCache>();
        let busy = cache.pipelines().any(|pipeline| match &pipeline.state {
            CachedPipelineState::Queued | CachedPipelineState::Creating(_) => true,
            CachedPipelineState::Err(
                ShaderCacheError::ShaderNotLoaded(_) | ShaderCacheError::ShaderImportNotYetAvailable,
            ) => true,
            CachedPipelineState::Err(error) => panic!("a shader does not compile: {error}"),
            CachedPipelineState::Ok(_) => false,
        });
        calm = if busy { 0 } else { calm + 1 };
        if busy {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(start.elapsed() < PATIENCE, "shaders are still being compiled");
    }
}

/// Renders until `done` returns true.
pub fn update_until(app: &mut App, what: &str, mut done: impl FnMut(&App) -> bool) {
    let start = Instant::now();
    while !done(app) {
        app.update();
        std::thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
    }
}

/// Makes an image that cameras can render to and that can be read back.
pub fn target(app: &mut App, size: UVec2, format: TextureFormat) -> Handle<Image> {
    let extent = Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
    let usage = RenderAssetUsages::default();
    let mut image = Image::new_uninit(extent, TextureDimension::D2, format, usage);
    image.texture_descriptor.usage =
        TextureUsages::COPY_SRC | TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING;
    app.world_mut().resource_mut::<Assets<Image>>().add(image)
}

/// Spawns a lit sphere of radius 0.5 at the origin that is marked as a face.
pub fn spawn_face(app: &mut App) -> Entity {
    let world = app.world_mut();
    let mesh = world.resource_mut::<Assets<Mesh>>().add(Sphere::new(0.5));
    let material = world.resource_mut::<Assets<StandardMaterial>>().add(StandardMaterial {
        base_color: Color::srgb(0.8, 0.55, 0.45),
        perceptual_roughness: 0.6,
        ..default()
    });
    world.spawn((
        DirectionalLight { illuminance: 4_000.0, ..default() },
        Transform::from_xyz(1.0, 2.0, 3.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    world
        .spawn((
            Mesh3d(mesh),
            MeshMaterial3d(material),
            Transform::default(),
            PortraitFace { bounds: Some(face_bounds()), ..default() },
        ))
        .id()
}

/// Spawns a camera two units in front of the face, without the effect.
pub fn spawn_camera(app: &mut App, target: &Handle<Image>, msaa: Msaa) -> Entity {
    app.world_mut()
        .spawn((
            Camera3d::default(),
            Camera { clear_color: ClearColorConfig::Custom(Color::srgb(0.2, 0.25, 0.3)), ..default() },
            RenderTarget::Image(target.clone().into()),
            msaa,
            Transform::from_xyz(0.0, 0.0, 2.0),
        ))
        .id()
}

/// Returns the face's box, for tests that give it by hand.
pub fn face_bounds() -> Aabb {
    Aabb::from_min_max(Vec3::splat(-0.5), Vec3::splat(0.5))
}

/// Reads the frame that the target holds, row by row without padding.
pub fn frame(app: &mut App, target: &Handle<Image>) -> Vec<u8> {
    let world = render_world(app);
    let image = world.resource::<RenderAssets<GpuImage>>().get(target).expect("the target exists");
    let (device, queue) = (world.resource::<RenderDevice>(), world.resource::<RenderQueue>());
    let (width, height) = (image.texture.width(), image.texture.height());
    let row_bytes = width * image.texture.format().block_copy_size(None).expect("a colour format");
    let padded = row_bytes.next_multiple_of(256);
    let buffer = device.create_buffer(&BufferDescriptor {
        label: None,
        size: u64::from(padded * height),
        usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
    let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(padded), rows_per_image: None };
    encoder.copy_texture_to_buffer(
        image.texture.as_image_copy(),
        TexelCopyBufferInfo { buffer: &buffer, layout },
        Extent3d { width, height, depth_or_array_layers: 1 },
    );
    queue.submit([encoder.finish()]);
    let bytes = map(device, &buffer);
    bytes.chunks(padded as usize).flat_map(|row| &row[..row_bytes as usize]).copied().collect()
}

/// Reads the values that a network's scratch buffer holds.
pub fn read_planes(device: &RenderDevice, queue: &RenderQueue, source: &Buffer, format: ActivationFormat) -> Vec<f32> {
    let buffer = device.create_buffer(&BufferDescriptor {
        label: None,
        size: source.size(),
        usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(source, 0, &buffer, 0, source.size());
    queue.submit([encoder.finish()]);
    let bytes = map(device, &buffer);
    match format {
        ActivationFormat::F32 => bytemuck::pod_collect_to_vec(&bytes),
        ActivationFormat::F16 => {
            bytes.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect()
        }
    }
}

fn map(device: &RenderDevice, buffer: &Buffer) -> Vec<u8> {
    buffer.slice(..).map_async(MapMode::Read, |result| result.expect("mapping"));
    device.poll(PollType::wait_indefinitely()).expect("polling");
    buffer.slice(..).get_mapped_range().to_vec()
}
