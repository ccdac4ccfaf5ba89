//! The start of the renderer, or of a new device after one was lost: the pipelines, and which kernels they run.

use bevy::ecs::prelude::*;
use bevy::log::error;
use bevy::render::renderer::{RenderAdapter, RenderDevice};

use crate::api::kernels::PortraitKernels;
use crate::api::support::PortraitRealismSupported;
use crate::inference::variant::runs_on_cpu;
use crate::kernels::trial::KernelTrial;
use crate::kernels::warm_up::WarmUp;
use crate::pipelines::PortraitPipelines;
use crate::shaders::PortraitShaders;

/// Says whether Bevy compiles pipelines before it draws with them, so that frames wait for kernels anyway.
#[derive(Resource)]
pub(crate) struct CompilesSynchronously(pub bool);

/// Makes [`PortraitPipelines`], or logs once why this device has none.
pub(crate) fn start(
    mut commands: Commands,
    device: Res<RenderDevice>,
    adapter: Res<RenderAdapter>,
    shaders: Res<PortraitShaders>,
    kernels: Res<PortraitKernels>,
    synchronous: Res<CompilesSynchronously>,
) {
    let supported = PortraitRealismSupported::on(&device, &adapter);
    let reason = supported.reason().cloned();
    commands.insert_resource(supported);
    if let Some(reason) = reason {
        error!("portrait realism: the frame stays as it is: {reason}");
        commands.remove_resource::<PortraitPipelines>();
        return;
    }
    let compiles_on_first_use = runs_on_cpu(&adapter) && !synchronous.0;
    let (variant, trial) = KernelTrial::begin(&kernels, compiles_on_first_use, &device, &adapter);
    commands.insert_resource(PortraitPipelines::new(shaders.clone(), variant));
    commands.insert_resource(trial);
    commands.insert_resource(WarmUp::new(compiles_on_first_use));
}
