//! Pipelines of somebody else's, which bind what Bevy binds for a view and know of no prepass.

use bevy::core_pipeline::core_3d::{main_opaque_pass_3d, main_transparent_pass_3d};
use bevy::core_pipeline::prepass::{DepthPrepass, MotionVectorPrepass, NormalPrepass};
use bevy::core_pipeline::schedule::{Core3d, Core3dSystems};
use bevy::pbr::{
    MeshPipelineKey, MeshPipelineViewLayouts, MeshViewBindGroup, ViewKeyCache, init_mesh_pipeline_view_layouts,
};
use bevy::prelude::*;
use bevy::render::camera::ExtractedCamera;
use bevy::render::render_resource::{
    CachedRenderPipelineId, ColorTargetState, ColorWrites, FragmentState, MultisampleState, PipelineCache,
    RenderPassDescriptor, RenderPipelineDescriptor, SpecializedRenderPipeline, SpecializedRenderPipelines,
    TextureFormat, VertexState,
};
use bevy::render::renderer::{RenderContext, ViewQuery};
use bevy::render::view::{ExtractedView, ViewTarget};
use bevy::render::{GpuResourceAppExt, Render, RenderApp, RenderStartup, RenderSystems};
use bevy::shader::Shader;
use bevy_portrait_realism::prelude::*;

use crate::common::headless;
use crate::setups::twins::Twins;
use crate::stage::{LDR, SIZE, assert_inside, changed};

const WGSL: &str = "
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32(index & 1u), f32(index >> 1u));
    return vec4<f32>(vec2<f32>(-1.0, 0.8) + corner * 0.4, 0.5, 1.0);
}

@fragment
fn fragment() -> @location(0) vec4<f32> {
    return vec4<f32>(0.8, 0.1, 0.6, 1.0);
}
";

#[derive(Resource)]
struct Stranger {
    shader: Handle<Shader>,
    layouts: MeshPipelineViewLayouts,
}

/// How the pipeline finds out which prepasses a view has.
#[derive(Resource, Clone, Copy, PartialEq, Debug)]
enum Knows {
    /// It names none.
    Nothing,
    /// It asks for Bevy's components while draw calls are queued.
    Components,
}

#[derive(Component)]
struct StrangerPipeline(CachedRenderPipelineId);

impl SpecializedRenderPipeline for Stranger {
    type Key = (MeshPipelineKey, TextureFormat);

    fn specialize(&self, (key, format): Self::Key) -> RenderPipelineDescriptor {
        RenderPipelineDescriptor {
            label: Some("stranger".into()),
            layout: vec![self.layouts.get_view_layout(key.into()).main_layout.clone()],
            vertex: VertexState { shader: self.shader.clone(), entry_point: Some("vertex".into()), ..default() },
            fragment: Some(FragmentState {
                shader: self.shader.clone(),
                entry_point: Some("fragment".into()),
                targets: vec![Some(ColorTargetState { format, blend: None, write_mask: ColorWrites::ALL })],
                ..default()
            }),
            multisample: MultisampleState { count: key.msaa_samples(), ..default() },
            ..default()
        }
    }
}

type Prepasses = (Has<NormalPrepass>, Has<DepthPrepass>, Has<MotionVectorPrepass>);

fn queue(
    mut commands: Commands,
    stranger: Res<Stranger>,
    knows: Res<Knows>,
    mut pipelines: ResMut<SpecializedRenderPipelines<Stranger>>,
    cache: Res<PipelineCache>,
    keys: Res<ViewKeyCache>,
    views: Query<(Entity, &ExtractedView, Prepasses), With<ExtractedCamera>>,
) {
    let prepasses =
        [MeshPipelineKey::NORMAL_PREPASS, MeshPipelineKey::DEPTH_PREPASS, MeshPipelineKey::MOTION_VECTOR_PREPASS];
    for (entity, view, (normals, depth, motion)) in &views {
        let Some(key) = keys.get(&view.retained_view_entity) else { continue };
        let mut key = *key;
        for (bits, has) in prepasses.into_iter().zip([normals, depth, motion]) {
            key.set(bits, has && *knows == Knows::Components);
        }
        let id = pipelines.specialize(&cache, &stranger, (key, view.target_format));
        commands.entity(entity).insert(StrangerPipeline(id));
    }
}

fn draw(
    view: ViewQuery<(&ViewTarget, &StrangerPipeline, &MeshViewBindGroup)>,
    cache: Res<PipelineCache>,
    mut ctx: RenderContext,
) {
    let (target, pipeline, bind_group) = view.into_inner();
    let Some(pipeline) = cache.get_render_pipeline(pipeline.0) else { return };
    let mut pass = ctx.begin_tracked_render_pass(RenderPassDescriptor {
        label: Some("stranger"),
        color_attachments: &[Some(target.get_color_attachment())],
        ..default()
    });
    pass.set_render_pipeline(pipeline);
    pass.set_bind_group(0, &bind_group.main, &bind_group.main_offsets);
    pass.draw(0..3, 0..1);
}

fn start(mut commands: Commands, layouts: Res<MeshPipelineViewLayouts>, shader: Res<StrangerShader>) {
    commands.insert_resource(Stranger { shader: shader.0.clone(), layouts: layouts.clone() });
}

#[derive(Resource)]
struct StrangerShader(Handle<Shader>);

#[test]
fn pipelines_that_know_of_no_prepass_or_ask_for_it_are_drawn_as_ever() {
    for (knows, msaa) in [(Knows::Nothing, Msaa::Off), (Knows::Nothing, Msaa::Sample4), (Knows::Components, Msaa::Off)]
    {
        let mut app = headless("assets", true);
        let shader = app.world_mut().resource_mut::<Assets<Shader>>().add(Shader::from_wgsl(WGSL, "stranger.wgsl"));
        app.sub_app_mut(RenderApp)
            .insert_resource(knows)
            .insert_resource(StrangerShader(shader))
            .init_gpu_resource::<SpecializedRenderPipelines<Stranger>>()
            .add_systems(RenderStartup, start.after(init_mesh_pipeline_view_layouts))
            .add_systems(Render, queue.in_set(RenderSystems::Queue))
            .add_systems(
                Core3d,
                draw.in_set(Core3dSystems::MainPass).after(main_opaque_pass_3d).before(main_transparent_pass_3d),
            );
        let mut twins = Twins::within(app, LDR, msaa, ());
        twins.insert(Transform::from_xyz(0.0, 0.0, 5.0));
        twins.settings = PortraitRealism { history: 0.5, ..default() };
        twins.switch(true);
        let [first, second] = twins.frames();
        let status = twins.app.world().get::<PortraitStatus>(twins.cameras[1]).expect("a status");
        assert!(status.tier.is_some(), "{knows:?}: it runs");
        let corner = &first[..3];
        assert!(corner[0] > 200 && corner[1] < 110, "{knows:?}: it is on screen: {corner:?}");
        assert_inside(&twins.region(), &changed(&first, &second, SIZE.x));
    }
}
