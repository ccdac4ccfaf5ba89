//! Materials as games have them, with shaders that their prepass does not know.

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

const MOVED: Handle<Shader> = uuid_handle!("1f0f7d5c-6d2e-4f60-9a57-0f0b6f2b9d11");
const HAIR: Handle<Shader> = uuid_handle!("2a6c8f0e-3b1d-4c77-8e21-5c9f1e7a4d22");

/// A material whose main pass moves the mesh to the side, and discards every other stripe of it. Its prepass does neither.
#[derive(Asset, TypePath, AsBindGroup, Clone, Default)]
pub struct Moved {}

impl Material for Moved {
    fn vertex_shader() -> ShaderRef {
        MOVED.into()
    }

    fn fragment_shader() -> ShaderRef {
        MOVED.into()
    }
}

const MOVED_WGSL: &str = "
#import bevy_pbr::mesh_functions
#import bevy_pbr::forward_io::{Vertex, VertexOutput}
#import bevy_pbr::view_transformations::position_world_to_clip

@vertex
fn vertex(vertex: Vertex) -> VertexOutput {
    var out: VertexOutput;
    let world_from_local = mesh_functions::get_world_from_local(vertex.instance_index);
    let moved = vec4<f32>(vertex.position + vec3<f32>(0.3, 0.0, 0.0), 1.0);
    out.world_position = mesh_functions::mesh_position_local_to_world(world_from_local, moved);
    out.position = position_world_to_clip(out.world_position.xyz);
    return out;
}

@fragment
fn fragment(in: VertexOutput) -> @location(0) vec4<f32> {
    if (u32(in.position.x) / 2u) % 2u == 0u {
        discard;
    }
    return vec4<f32>(0.9, 0.3, 0.1, 1.0);
}
";

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

/// Makes an app with the plugin and these materials.
pub fn headless_with_materials() -> App {
    let mut app = headless_of(plugins(renderer(WgpuSettings::default()), assets("assets")), |app| {
        app.add_plugins((PortraitRealismPlugin, MaterialPlugin::<Moved>::default(), MaterialPlugin::<Hair>::default()));
    });
    let mut shaders = app.world_mut().resource_mut::<Assets<Shader>>();
    for (handle, text, path) in [(MOVED, MOVED_WGSL, "moved.wgsl"), (HAIR, HAIR_WGSL, "hair.wgsl")] {
        shaders.insert(&handle, Shader::from_wgsl(text, path)).expect("a handle of its own");
    }
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
