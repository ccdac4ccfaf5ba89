//! Reports from the render world to the main world: the status of each camera, and whether the effect can run.

use bevy::ecs::prelude::*;
use bevy::render::MainWorld;

use crate::api::status::PortraitStatus;
use crate::api::support::PortraitRealismSupported;
use crate::frame::state::PortraitGpuState;

/// Writes what each camera's last frame was drawn with.
pub(crate) fn report_status(mut main_world: ResMut<MainWorld>, mut state: ResMut<PortraitGpuState>) {
    state.tiers.report(|camera, report| {
        if let Some(mut status) = main_world.get_mut::<PortraitStatus>(camera) {
            status.set_if_neq(report);
        }
    });
}

/// Writes whether the current device can run the effect.
pub(crate) fn report_support(mut main_world: ResMut<MainWorld>, supported: Res<PortraitRealismSupported>) {
    if main_world.get_resource::<PortraitRealismSupported>() != Some(&*supported) {
        main_world.insert_resource(supported.clone());
    }
    // A device that cannot run the effect draws nothing that a status could describe.
    if !supported.is_supported() {
        let mut statuses = main_world.query::<&mut PortraitStatus>();
        statuses.iter_mut(&mut main_world).for_each(|mut status| _ = status.set_if_neq(PortraitStatus::default()));
    }
}
