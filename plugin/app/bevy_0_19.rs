//! Bevy 0.19.1 keeps the pipeline that draws the background's motion vectors on a camera whose motion vector prepass is gone, and
//! draws with it for as long as the camera has another prepass: a wgpu error, at which Bevy ends the app. Cameras lose that prepass
//! whenever `PortraitRealism::history` is set to 0.

use bevy::core_pipeline::prepass::MotionVectorPrepass;
use bevy::core_pipeline::prepass::background_motion_vectors::{
    BackgroundMotionVectorsBindGroup, BackgroundMotionVectorsPipelineId,
};
use bevy::ecs::prelude::*;

type Stale = (With<BackgroundMotionVectorsPipelineId>, Without<MotionVectorPrepass>);

pub(crate) fn remove_stale_pipelines(mut commands: Commands, views: Query<Entity, Stale>) {
    for view in &views {
        commands.entity(view).try_remove::<(BackgroundMotionVectorsPipelineId, BackgroundMotionVectorsBindGroup)>();
    }
}
