//! Materials as games have them.

use bevy::asset::uuid_handle;
use bevy::mesh::MeshVertexBufferLayoutRef;
use bevy::pbr::{MaterialPipeline, MaterialPipelineKey};
use bevy::prelude::*;
use bevy::reflect::TypePath;
use bevy::render::render_resource::{AsBindGroup, RenderPipelineDescriptor, SpecializedMeshPipelineError};
use bevy::render::settings::WgpuSettings;
use bevy::shader::{Shader, ShaderRef};
use bevy_portrait_realism::prelude::*;

use crate::common::{assets, headless_of, plugins, renderer};

const HAIR: Handle<Shader> = uuid_handle!("2a6c8f0e-3b1d-4c77-8e21-5c9f1e7a4d22");

/// Blended hair that writes depth.
#[derive(Asset, TypePath, AsBindGroup, Clone, Default)]
pub struct Hair {}

impl Material for Hair {
    fn fragment_shader() -> ShaderRef {
        HAIR.into()
    }

    fn alpha_mode(&self) -> AlphaMode {
        AlphaMode::Blend
    }

    fn specialize(
        _: &MaterialPipeline,
        descriptor: &mut RenderPipelineDescriptor,
        _: &MeshVertexBufferLayoutRef,
        _: MaterialPipelineKey<Self>,
    ) -> Result<(), SpecializedMeshPipelineError> {
        if let Some(depth) = &mut descriptor.depth_stencil {
            depth.depth_write_enabled = Some(true);
        }
        Ok(())
    }
}

const HAIR_WGSL: &str = "
#import bevy_pbr::forward_io::VertexOutput

@fragment
fn fragment(in: VertexOutput) -> @location(0) vec4<f32> {
    return vec4<f32>(0.15, 0.1, 0.08, 0.7);
}
";

/// Makes an app with the plugin and this material.
pub fn headless_with_materials() -> App {
    let mut app = headless_of(plugins(renderer(WgpuSettings::default()), assets("assets")), |app| {
        app.add_plugins((PortraitRealismPlugin, MaterialPlugin::<Hair>::default()));
    });
    let mut shaders = app.world_mut().resource_mut::<Assets<Shader>>();
    shaders.insert(&HAIR, Shader::from_wgsl(HAIR_WGSL, "hair.wgsl")).expect("a handle of its own");
    app
}

/// Spawns a rectangle with a material.
pub fn spawn_rectangle<M: Material>(app: &mut App, material: M, size: Vec2, place: Vec3) -> Entity {
    let world = app.world_mut();
    let mesh = world.resource_mut::<Assets<Mesh>>().add(Rectangle::from_size(size));
    let material = world.resource_mut::<Assets<M>>().add(material);
    world.spawn((Mesh3d(mesh), MeshMaterial3d(material), Transform::from_translation(place))).id()
}

/// Returns a material that shines by itself.
pub fn unlit(color: Color) -> StandardMaterial {
    StandardMaterial { base_color: color, unlit: true, ..default() }
}
