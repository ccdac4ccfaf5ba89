//! Steady frames: a frame like the one before makes nothing new.

use std::env;
use std::process::Command;

use bevy::core_pipeline::prepass::{DepthPrepass, NormalPrepass};
use bevy::prelude::*;
use bevy::render::render_resource::PipelineCache;
use bevy::render::renderer::RenderDevice;
use bevy_portrait_realism::prelude::*;

use crate::common::render_world;
use crate::counting::objects_made;
use crate::stage::Stage;

const FRAMES: u32 = 5;

/// Returns true if the calling test runs in a process of its own, where no other test's objects are counted. Otherwise runs the test, by
/// its full name, in such a process, and fails if the test fails there.
pub fn runs_alone(test: &str) -> bool {
    runs_alone_with(test, |_| {})
}

/// Runs the calling test alone as [`runs_alone`] does, in a process that `set_up` prepares.
pub fn runs_alone_with(test: &str, set_up: impl FnOnce(&mut Command)) -> bool {
    const ALONE: &str = "PORTRAIT_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(env::current_exe().expect("the tests have a file"));
    set_up(command.args(["--exact", test, "--nocapture"]).env(ALONE, "1"));
    let child = command.output().expect("the tests start again");
    let output = String::from_utf8_lossy(&child.stdout);
    println!("{output}");
    assert!(child.status.success() && output.contains("1 passed"), "{}", String::from_utf8_lossy(&child.stderr));
    false
}

/// Returns the numbers of buffers, textures, views, bind groups and pipelines that [`FRAMES`] frames make.
pub fn made(app: &mut App) -> [u64; 5] {
    let count = |app: &App| {
        let world = render_world(app);
        let [buffers, textures, views, bind_groups] = objects_made(world.resource::<RenderDevice>());
        let pipelines = world.resource::<PipelineCache>().pipelines().count() as u64;
        [buffers, textures, views, bind_groups, pipelines]
    };
    let before = count(app);
    (0..FRAMES).for_each(|_| app.update());
    let after = count(app);
    std::array::from_fn(|kind| after[kind] - before[kind])
}

#[test]
fn steady_frames_make_no_buffer_texture_bind_group_or_pipeline() {
    if !runs_alone("steady::steady_frames_make_no_buffer_texture_bind_group_or_pipeline") {
        return;
    }
    // With prepasses of its own, the camera's frames do not differ in those.
    let mut stage = Stage::new(Msaa::Sample4, (NormalPrepass, DepthPrepass));
    for model in [PortraitModel::QUALITY, PortraitModel::FAST] {
        let settings = |enabled| PortraitRealism { model: model.clone(), enabled, ..default() };
        let [off, on] = [false, true].map(|enabled| {
            stage.set(settings(enabled));
            made(&mut stage.app)
        });
        println!("made in {FRAMES} frames without {off:?}, with {on:?}");
        assert_eq!(on, off);
        // The count is not 0 where objects are made: a camera with other settings needs new buffers and bind groups.
        assert!(off[..4].iter().all(|&made| made >= 1), "asking makes one of each: {off:?}");
    }
}

#[test]
fn a_larger_face_is_counted() {
    let mut stage = Stage::new(Msaa::Off, ());
    stage.set(PortraitRealism { model: PortraitModel::FAST, ..default() });
    let before = objects_made(render_world(&stage.app).resource::<RenderDevice>());
    stage.app.world_mut().entity_mut(stage.face).insert(Transform::from_scale(Vec3::splat(2.5)));
    stage.frame();
    let after = objects_made(render_world(&stage.app).resource::<RenderDevice>());
    assert!(after[0] > before[0] + 2, "scratch buffers were made: {before:?}, {after:?}");
}
