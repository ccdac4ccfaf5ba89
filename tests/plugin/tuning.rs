//! The search for the fastest kernels, and how they take over.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use bevy::prelude::*;
use bevy::render::render_resource::WgpuFeatures;
use bevy::render::renderer::RenderAdapter;
use bevy_portrait_realism::first_use::FirstUses;
use bevy_portrait_realism::gpu_state::PortraitGpuState;
use bevy_portrait_realism::pipeline::PortraitPipelines;
use bevy_portrait_realism::prelude::*;
use bevy_portrait_realism::variant::KernelVariant;
use bevy_portrait_realism::{PortraitKernels, PortraitView};
use wgpu::DeviceType;

use crate::common::{headless_with, render_world, render_world_mut};
use crate::stage::Stage;
use crate::steady::runs_alone_with;

/// Longest that lavapipe may take to compile the candidates on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

fn stage(remembered_in: Option<&Path>) -> Stage {
    let kernels = PortraitKernels::Auto { remembered_in: remembered_in.map(Into::into) };
    Stage::within(headless_with(kernels, WgpuFeatures::empty(), "assets", true), Msaa::Off, ())
}

/// The kernels that draw the frames.
fn running(app: &App) -> Option<KernelVariant> {
    let state = render_world(app).resource::<PortraitGpuState>();
    state.network(PortraitModel::FAST.id()).map(|network| network.plan().variant)
}

fn is_enhanced(app: &mut App) -> bool {
    let world = render_world_mut(app);
    world.query::<&PortraitView>().iter(world).next().is_some()
}

/// Draws until `done`. Not one frame is without the effect meanwhile.
fn update_enhanced(app: &mut App, done: impl Fn(&App) -> bool) {
    let start = Instant::now();
    while !done(app) {
        app.update();
        assert!(is_enhanced(app));
        std::thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() < PATIENCE, "the kernels are still being tried");
    }
}

/// Turns the effect on, and draws until it shows: where a driver compiles kernels on first use, that is when others have used them.
fn turn_on(stage: &mut Stage) -> Vec<u8> {
    stage.set(fast_model());
    let start = Instant::now();
    while !is_enhanced(&mut stage.app) {
        stage.app.update();
        std::thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() < PATIENCE, "the kernels are still being used for the first time");
    }
    stage.frame()
}

fn candidates(app: &App) -> Vec<KernelVariant> {
    let world = render_world(app);
    KernelVariant::candidates(world.resource(), world.resource())
}

fn entries(file: &Path) -> HashMap<String, KernelVariant> {
    serde_json::from_slice(&fs::read(file).expect("a file")).expect("variants by adapter")
}

fn fast_model() -> PortraitRealism {
    PortraitRealism { model: PortraitModel::FAST, ..default() }
}

/// The kernels that draw before the fastest ones are known, where those take long to compile.
fn stand_in(app: &App) -> Option<KernelVariant> {
    let world = render_world(app);
    let is_slow = world.resource::<RenderAdapter>().get_info().device_type == DeviceType::Cpu;
    let runs = |variant: &KernelVariant| variant.missing_on(world.resource(), world.resource()).is_none();
    KernelVariant::STAND_INS.into_iter().filter(|_| is_slow).find(runs)
}

#[test]
fn the_fastest_kernels_take_over_and_are_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cache/kernels.json");
    fs::create_dir(folder.path().join("cache")).expect("a folder");
    fs::write(&file, "{ damaged").expect("writing");

    let mut stage = stage(Some(&file));
    let first = stage.first.clone();
    let begun = turn_on(&mut stage);
    let candidates = candidates(&stage.app);
    let small = stand_in(&stage.app);
    let begin = small.unwrap_or(candidates[0]);
    assert_eq!(running(&stage.app), Some(begin));
    assert_ne!(begun, first, "enhanced before the trial has ended");
    let tier = |stage: &Stage| stage.app.world().get::<PortraitStatus>(stage.camera).and_then(|status| status.tier);
    let most = if small.is_some() { QualityTier::Fast } else { QualityTier::Quality };
    assert_eq!(tier(&stage), Some(most), "kernels that stand in see few pixels");

    let chosen = |app: &App| render_world(app).resource::<PortraitPipelines>().variant;
    let is_remembered =
        || serde_json::from_slice::<HashMap<String, KernelVariant>>(&fs::read(&file).expect("a file")).is_ok();
    update_enhanced(&mut stage.app, |_| is_remembered());
    let [remembered] = entries(&file).into_values().collect::<Vec<_>>()[..] else { panic!("one adapter") };
    assert!(candidates.contains(&remembered), "{remembered:?}");
    update_enhanced(&mut stage.app, |app| chosen(app) == remembered && running(app) == Some(remembered));

    let after = stage.frame();
    assert_eq!(tier(&stage), Some(QualityTier::Quality));
    let difference = begun.iter().zip(&after).map(|(before, after)| before.abs_diff(*after)).max();
    assert!(difference.is_some_and(|difference| difference <= 1), "the same but for rounding: {difference:?}");

    // What is remembered is not tried again: the file is believed although other kernels are faster.
    let believed = candidates.into_iter().find(|&candidate| candidate != remembered).expect("another candidate");
    let other: HashMap<_, _> = entries(&file).into_keys().map(|adapter| (adapter, believed)).collect();
    fs::write(&file, serde_json::to_string(&other).expect("json")).expect("writing");
    let mut stage = self::stage(Some(&file));
    turn_on(&mut stage);
    update_enhanced(&mut stage.app, |app| running(app) == Some(believed));
    assert_eq!(entries(&file), other);
}

#[test]
fn an_app_that_ends_while_kernels_are_tried_ends_the_trial() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kernels.json");
    let mut stage = stage(Some(&file));
    let Some(small) = stand_in(&stage.app) else {
        println!("not tried: on this device a trial is over too soon to end it");
        return;
    };
    turn_on(&mut stage);
    // Enough for the trial to begin, too few for it to end.
    (0..15).for_each(|_| stage.app.update());
    assert_eq!(running(&stage.app), Some(small));
    drop(stage);
    assert!(!file.exists(), "a trial that went on to its end would have written it");
}

/// How much the driver keeps of compiled shaders, once it has written what it has.
fn compiled_bytes(folder: &Path) -> u64 {
    fn bytes(folder: &Path) -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| match entry.metadata() {
                Ok(found) if found.is_dir() => bytes(&entry.path()),
                Ok(found) => found.len(),
                Err(_) => 0,
            })
            .sum()
    }
    std::thread::sleep(Duration::from_secs(1));
    bytes(folder)
}

#[test]
fn no_frame_is_held_up_by_a_driver_that_compiles() {
    const KEPT: &str = "MESA_SHADER_CACHE_DIR";
    let name = "tuning::no_frame_is_held_up_by_a_driver_that_compiles";
    let kept = tempfile::tempdir().expect("a folder");
    if !runs_alone_with(name, |command| _ = command.env(KEPT, kept.path())) {
        return;
    }
    let kept = PathBuf::from(env::var_os(KEPT).expect("the folder"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kernels.json");
    let mut stage = stage(Some(&file));
    if stand_in(&stage.app).is_none() {
        println!("not tried: on this device kernels are compiled when pipelines are made");
        return;
    }
    let of_scene = compiled_bytes(&kept);
    let start = Instant::now();
    let wait = |what: &str| {
        std::thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() < PATIENCE, "{what}");
    };

    let is_busy = |stage: &Stage| render_world(&stage.app).resource::<FirstUses>().are_running();
    stage.app.world_mut().entity_mut(stage.camera).insert(fast_model());
    while !is_busy(&stage) {
        stage.app.update();
        assert!(!is_enhanced(&mut stage.app), "its kernels have not been compiled");
        wait("nothing is used in the background");
    }
    while is_busy(&stage) {
        wait("the kernels are still being used for the first time");
    }
    let in_background = compiled_bytes(&kept);
    assert!(in_background > of_scene && of_scene > 0, "{of_scene}, {in_background} bytes");
    stage.app.update();
    update_enhanced(&mut stage.app, |_| true);
    stage.frame();
    assert_eq!(compiled_bytes(&kept), in_background, "a frame has compiled something");

    update_enhanced(&mut stage.app, |_| file.exists());
    let of_trial = compiled_bytes(&kept);
    assert!(of_trial > in_background, "{in_background}, {of_trial} bytes");
    let chosen = entries(&file).into_values().next();
    update_enhanced(&mut stage.app, |app| running(app) == chosen);
    stage.frame();
    assert_eq!(compiled_bytes(&kept), of_trial, "the kernels that took over were compiled in a frame");
}
