//! The cameras and what only they see: the background, and the reference on a screen.

use bevy::asset::RenderAssetUsages;
use bevy::camera::visibility::RenderLayers;
use bevy::camera::{Hdr, RenderTarget, ScalingMode, ShadowLodOrigin};
use bevy::core_pipeline::prepass::{DepthPrepass, NormalPrepass};
use bevy::core_pipeline::tonemapping::{DebandDither, Tonemapping};
use bevy::image::ImageSampler;
use bevy::light::{NotShadowCaster, NotShadowReceiver};
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat, TextureUsages};
use half::f16;

use crate::background::Backdrop;
use crate::lights;
use crate::linear_image::LinearImage;
use crate::rendering::{self, Rendering};
use crate::scene::Scene;

const HEAD_LAYER: usize = 0;
const BACKGROUND_LAYER: usize = 1;
const SCREEN_LAYER: usize = 2;
/// Distance of the background from the camera, in metres: behind any scene.
const BACKGROUND_DISTANCE_M: f32 = 50.0;
/// Factor by which the background is larger than the picture.
const BACKGROUND_MARGIN: f32 = 1.1;

/// A camera and the image it draws into.
pub struct Shooting {
    /// Entity of the camera.
    pub entity: Entity,
    /// Texture that the camera draws into.
    pub target: Handle<Image>,
}

fn target(world: &mut World, size_px: [u32; 2], format: TextureFormat) -> Handle<Image> {
    let mut image = Image::new_target_texture(size_px[0], size_px[1], format, None);
    image.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    world.resource_mut::<Assets<Image>>().add(image)
}

fn camera(order: isize) -> Camera {
    Camera { order, clear_color: ClearColorConfig::Custom(Color::BLACK), ..default() }
}

/// Returns where a scene's camera stands and how wide it looks. Its picture is square.
pub fn pose(scene: &Scene) -> (Transform, Projection) {
    let rotation = Quat::from_array(scene.camera.rotation_xyzw).normalize();
    let transform = Transform::from_translation(Vec3::from(scene.camera.position)).with_rotation(rotation);
    let projection = PerspectiveProjection {
        fov: scene.camera.fov_y_rad,
        aspect_ratio: 1.0,
        near: scene.camera.near_m,
        ..default()
    };
    (transform, Projection::Perspective(projection))
}

/// Spawns the camera of the first rendered image, in front of `backdrop`; without a backdrop, that of the scene's linear
/// radiance.
pub fn spawn_beauty(world: &mut World, stage: Entity, scene: &Scene, backdrop: Option<&Backdrop>) -> Shooting {
    let format = if backdrop.is_some() { TextureFormat::Rgba8UnormSrgb } else { TextureFormat::Rgba16Float };
    let target = target(world, [scene.size_px; 2], format);
    let mut entity = world.spawn((
        Camera3d::default(),
        camera(0),
        Hdr,
        RenderTarget::Image(target.clone().into()),
        pose(scene),
        lights::unit_exposure(),
        DebandDither::Disabled,
        ShadowLodOrigin,
        beauty_layers(),
        ChildOf(stage),
    ));
    rendering::apply(&scene.rendering, &mut entity);
    let entity = match backdrop {
        Some(backdrop) => {
            let entity = entity.id();
            spawn_background(world, entity, scene, backdrop);
            entity
        }
        None => entity.insert(Tonemapping::None).id(),
    };
    Shooting { entity, target }
}

/// Spawns the background of a scene, on a layer that only cameras of [`beauty_layers`] see.
pub fn spawn_background(world: &mut World, camera: Entity, scene: &Scene, backdrop: &Backdrop) {
    let mesh = world.resource_mut::<Assets<Mesh>>().add(background_mesh(scene, backdrop));
    let texture = match backdrop {
        Backdrop::Gradient(_) => None,
        Backdrop::Image(image) => Some(texture(world, image)),
    };
    let material = StandardMaterial { base_color_texture: texture, ..unlit() };
    let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
    world.spawn((
        Mesh3d(mesh),
        MeshMaterial3d(material),
        Transform::from_xyz(0.0, 0.0, -BACKGROUND_DISTANCE_M),
        RenderLayers::layer(BACKGROUND_LAYER),
        NotShadowCaster,
        NotShadowReceiver,
        ChildOf(camera),
    ));
}

/// Returns the layers of the scene and of its background.
pub fn beauty_layers() -> RenderLayers {
    RenderLayers::from_layers(&[HEAD_LAYER, BACKGROUND_LAYER])
}

fn unlit() -> StandardMaterial {
    StandardMaterial { unlit: true, fog_enabled: false, double_sided: true, cull_mode: None, ..default() }
}

/// Makes a quad that faces the camera, a little larger than the picture: linear vertex colours make a gradient, and white vertex
/// colours show an image's texels where the pixels are.
fn background_mesh(scene: &Scene, backdrop: &Backdrop) -> Mesh {
    let edge = (scene.camera.fov_y_rad / 2.0).tan() * BACKGROUND_DISTANCE_M * BACKGROUND_MARGIN;
    let corners = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0_f32]];
    let positions: Vec<[f32; 3]> = corners.iter().map(|[x, y]| [x * edge, y * edge, 0.0]).collect();
    let place = |at: f32| (1.0 + at * BACKGROUND_MARGIN) / 2.0;
    let uvs: Vec<[f32; 2]> = corners.iter().map(|[x, y]| [place(*x), place(-y)]).collect();
    let color = |down: f32| match backdrop {
        Backdrop::Gradient(gradient) => gradient.at(down),
        Backdrop::Image(_) => [1.0; 3],
    };
    let colors: Vec<[f32; 4]> = uvs.iter().map(|[_, v]| color(*v)).map(|[r, g, b]| [r, g, b, 1.0]).collect();
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
        .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, vec![[0.0, 0.0, 1.0]; 4])
        .with_inserted_attribute(Mesh::ATTRIBUTE_UV_0, uvs)
        .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, colors)
        .with_inserted_indices(Indices::U32(vec![0, 1, 2, 0, 2, 3]))
}

/// Spawns a camera at the scene's pose that draws normals and depth and nothing else.
pub fn spawn_g_buffer(world: &mut World, stage: Entity, scene: &Scene) -> Entity {
    let entity = world.spawn((
        Camera3d::default(),
        camera(1),
        RenderTarget::None { size: UVec2::splat(scene.size_px) },
        pose(scene),
        Msaa::Off,
        NormalPrepass,
        DepthPrepass,
        RenderLayers::layer(HEAD_LAYER),
        ChildOf(stage),
    ));
    entity.id()
}

/// Makes a texture of a linear image, in half floats, read without interpolation.
fn texture(world: &mut World, image: &LinearImage) -> Handle<Image> {
    let [width, height] = image.size;
    let texels = image.pixels.iter().flatten();
    let halves = texels.flat_map(|value| f16::from_f32(value.clamp(-65504.0, 65504.0)).to_le_bytes()).collect();
    let extent = Extent3d { width, height, depth_or_array_layers: 1 };
    let format = TextureFormat::Rgba16Float;
    let mut texture = Image::new(extent, TextureDimension::D2, halves, format, RenderAssetUsages::RENDER_WORLD);
    texture.sampler = ImageSampler::nearest();
    world.resource_mut::<Assets<Image>>().add(texture)
}

/// Spawns a camera that looks at nothing but `image`, texel for pixel, through the scene's tone mapping.
pub fn spawn_display(world: &mut World, stage: Entity, image: &LinearImage, rendering: &Rendering) -> Shooting {
    let texture = texture(world, image);
    let mesh = world.resource_mut::<Assets<Mesh>>().add(Rectangle::new(1.0, 1.0));
    let material = StandardMaterial { base_color_texture: Some(texture), ..unlit() };
    let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
    let layer = RenderLayers::layer(SCREEN_LAYER);
    let screen = (Mesh3d(mesh), MeshMaterial3d(material), Transform::default(), layer.clone());
    world.spawn((screen, NotShadowCaster, NotShadowReceiver, ChildOf(stage)));
    let target = target(world, image.size, TextureFormat::Rgba8UnormSrgb);
    let projection = OrthographicProjection {
        scaling_mode: ScalingMode::Fixed { width: 1.0, height: 1.0 },
        ..OrthographicProjection::default_3d()
    };
    let entity = world.spawn((
        Camera3d::default(),
        camera(2),
        Hdr,
        RenderTarget::Image(target.clone().into()),
        Transform::from_xyz(0.0, 0.0, 1.0),
        Projection::Orthographic(projection),
        Msaa::Off,
        rendering::tonemapping(rendering.tone_mapping),
        DebandDither::Disabled,
        layer,
        ChildOf(stage),
    ));
    Shooting { entity: entity.id(), target }
}
