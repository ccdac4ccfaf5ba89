//! The cost of the plugin in an app whose cameras do not have the effect.

use bevy::diagnostic::DiagnosticsStore;
use bevy::prelude::*;
use bevy::render::diagnostic::RenderDiagnosticsPlugin;
use bevy::render::render_resource::{PipelineCache, PipelineDescriptor};
use bevy::render::renderer::RenderDevice;
use bevy::render::settings::WgpuSettings;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::internals::PortraitView;
use bevy_portrait_realism::prelude::*;

use crate::common::{
    assets, headless_of, plugins, render_world, render_world_mut, renderer, settle, spawn_camera, spawn_face, target,
};
use crate::stage::{LDR, SIZE};

/// Objects that the plugin has on the GPU, and passes that it runs there.
#[derive(Debug, Default, PartialEq)]
struct Cost {
    /// Number of buffers and textures with the plugin's labels.
    allocations: usize,
    pipelines: usize,
    views: usize,
    /// Number of passes with a span in the last frames.
    passes: usize,
}

fn cost(app: &mut App) -> Cost {
    // After these frames the spans of earlier frames have arrived, and are not counted any more.
    for _ in 0..10 {
        app.update();
    }
    app.world_mut().resource_mut::<DiagnosticsStore>().iter_mut().for_each(|diagnostic| diagnostic.clear_history());
    for _ in 0..10 {
        app.update();
    }
    let store = app.world().resource::<DiagnosticsStore>();
    let is_span = |path: &str| path.starts_with("render/portrait");
    let passes = store.iter().filter(|entry| is_span(entry.path().as_str()) && entry.history_len() > 0).count();
    let world = render_world_mut(app);
    let views = world.query::<&PortraitView>().iter(world).count();
    let device = world.resource::<RenderDevice>().wgpu_device();
    let report = device.generate_allocator_report().expect("this backend reports what is allocated");
    let is_ours = |label: &str| label.starts_with("portrait");
    let label = |pipeline: &PipelineDescriptor| match pipeline {
        PipelineDescriptor::RenderPipelineDescriptor(descriptor) => descriptor.label.clone(),
        PipelineDescriptor::ComputePipelineDescriptor(descriptor) => descriptor.label.clone(),
    };
    let pipelines = world.resource::<PipelineCache>().pipelines();
    Cost {
        allocations: report.allocations.iter().filter(|allocation| is_ours(&allocation.name)).count(),
        pipelines: pipelines
            .filter(|pipeline| label(&pipeline.descriptor).is_some_and(|label| is_ours(&label)))
            .count(),
        views,
        passes,
    }
}

#[test]
fn without_a_portrait_camera_there_is_no_pass_no_pipeline_and_no_memory() {
    let mut app = headless_of(plugins(renderer(WgpuSettings::default()), assets("assets")), |app| {
        app.add_plugins((PortraitRealismPlugin, RenderDiagnosticsPlugin));
    });
    spawn_face(&mut app);
    let target = target(&mut app, SIZE, LDR);
    let camera = spawn_camera(&mut app, &target, Msaa::Sample4);
    settle(&mut app);
    assert_eq!(cost(&mut app), Cost::default());
    assert_eq!(render_world(&app).resource::<PortraitGpuState>().allocated_bytes(), 0);
    assert_eq!(app.world().resource::<Assets<PortraitModel>>().len(), 0, "no weights are decoded");

    // With the effect the count is not 0.
    app.world_mut().entity_mut(camera).insert(PortraitRealism::default());
    settle(&mut app);
    let with = cost(&mut app);
    println!("with an enhanced camera: {with:?}");
    assert!(with.allocations >= 4 && with.pipelines >= 3 && with.views == 1 && with.passes > 3, "{with:?}");
    app.world_mut().entity_mut(camera).remove::<PortraitRealism>();
    settle(&mut app);
    let after = cost(&mut app);
    assert_eq!((after.views, after.passes), (0, 0));
    assert!(after.allocations < with.allocations, "{after:?}");
}
