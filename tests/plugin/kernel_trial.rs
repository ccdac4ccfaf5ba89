//! The trial of kernels, the warm-up on software rasterisers, and swapping kernels in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::renderer::RenderAdapter;
use bevy::render::settings::WgpuSettings;
use bevy_portrait_realism::PortraitKernels;
use bevy_portrait_realism::internals::{KernelVariant, PortraitGpuState, PortraitPipelines, PortraitView, WarmUp};
use bevy_portrait_realism::prelude::*;
use wgpu::DeviceType;

use crate::common::{assets, headless_of, plugins, render_world, render_world_mut, renderer};
use crate::stage::Stage;
use crate::steady::runs_alone_with;

/// Maximum time that lavapipe may take to compile the candidates on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Makes a stage with this choice of kernels. With `synchronous` the renderer compiles shaders before it draws with them.
fn stage(kernels: PortraitKernels, synchronous: bool) -> Stage {
    let renderer = RenderPlugin { synchronous_pipeline_compilation: synchronous, ..renderer(WgpuSettings::default()) };
    let app = headless_of(plugins(renderer, assets("assets")), |app| {
        app.insert_resource(kernels).add_plugins(PortraitRealismPlugin);
    });
    Stage::within(app, Msaa::Off, ())
}

fn fastest(file: &Path) -> PortraitKernels {
    PortraitKernels::Fastest { remembered_in: Some(file.into()) }
}

/// Returns the kernels that draw the frames.
fn running(app: &App) -> Option<KernelVariant> {
    let state = render_world(app).resource::<PortraitGpuState>();
    state.network(PortraitModel::FAST.id()).map(|network| network.plan().variant)
}

fn is_enhanced(app: &mut App) -> bool {
    let world = render_world_mut(app);
    world.query::<&PortraitView>().iter(world).next().is_some()
}

/// Draws until `done` returns true, and asserts that no frame meanwhile is without the effect.
fn update_enhanced(app: &mut App, done: impl Fn(&App) -> bool) {
    let start = Instant::now();
    while !done(app) {
        app.update();
        assert!(is_enhanced(app));
        std::thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() < PATIENCE, "the kernels are still being tried");
    }
}

/// Turns the effect on, and draws until the effect shows; on a software rasteriser that is once the kernels are warm.
fn turn_on(stage: &mut Stage) -> Vec<u8> {
    stage.set(fast_model());
    let start = Instant::now();
    while !is_enhanced(&mut stage.app) {
        stage.app.update();
        std::thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() < PATIENCE, "the kernels are still being warmed up");
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

/// Returns the kernels that stand in for those that a software rasteriser takes long to compile.
fn stand_in(app: &App) -> Option<KernelVariant> {
    let world = render_world(app);
    let is_slow = world.resource::<RenderAdapter>().get_info().device_type == DeviceType::Cpu;
    let runs = |variant: &KernelVariant| variant.missing_on(world.resource(), world.resource()).is_none();
    Some(KernelVariant::CPU_SMALL).filter(|_| is_slow).filter(runs)
}

#[test]
fn the_fastest_kernels_take_over_and_are_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cache/kernels.json");
    fs::create_dir(folder.path().join("cache")).expect("a folder");
    fs::write(&file, "{ damaged").expect("writing");

    let mut stage = stage(fastest(&file), true);
    let first = stage.first.clone();
    let begun = turn_on(&mut stage);
    let candidates = candidates(&stage.app);
    assert_eq!(running(&stage.app), Some(candidates[0]));
    assert_ne!(begun, first, "enhanced before the trial has ended");

    let chosen = |app: &App| render_world(app).resource::<PortraitPipelines>().variant;
    let is_remembered =
        || serde_json::from_slice::<HashMap<String, KernelVariant>>(&fs::read(&file).expect("a file")).is_ok();
    update_enhanced(&mut stage.app, |_| is_remembered());
    let [remembered] = entries(&file).into_values().collect::<Vec<_>>()[..] else { panic!("one adapter") };
    assert!(candidates.contains(&remembered), "{remembered:?}");
    update_enhanced(&mut stage.app, |app| chosen(app) == remembered && running(app) == Some(remembered));

    let after = stage.frame();
    let difference = begun.iter().zip(&after).map(|(before, after)| before.abs_diff(*after)).max();
    assert!(difference.is_some_and(|difference| difference <= 1), "the same but for rounding: {difference:?}");

    // A remembered choice is not tried again: the file is believed although other kernels are faster.
    let believed = candidates.into_iter().find(|&candidate| candidate != remembered).expect("another candidate");
    let other: HashMap<_, _> = entries(&file).into_keys().map(|adapter| (adapter, believed)).collect();
    fs::write(&file, serde_json::to_string(&other).expect("json")).expect("writing");
    let mut stage = self::stage(fastest(&file), true);
    turn_on(&mut stage);
    assert_eq!(running(&stage.app), Some(believed));
    assert_eq!(entries(&file), other);
}

#[test]
fn an_app_that_ends_while_kernels_are_tried_ends_the_trial() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kernels.json");
    let mut stage = stage(fastest(&file), false);
    let Some(small) = stand_in(&stage.app) else {
        println!("not tried: on this device a trial is over too soon to end it");
        return;
    };
    turn_on(&mut stage);
    // These are enough frames for the trial to begin, and too few for it to end.
    (0..15).for_each(|_| stage.app.update());
    assert_eq!(running(&stage.app), Some(small));
    drop(stage);
    assert!(!file.exists(), "a trial that went on to its end would have written it");
}

/// Returns the size of the driver's cache of compiled shaders, bytes, once the driver has written everything.
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
    let name = "kernel_trial::no_frame_is_held_up_by_a_driver_that_compiles";
    let kept = tempfile::tempdir().expect("a folder");
    if !runs_alone_with(name, |command| _ = command.env(KEPT, kept.path())) {
        return;
    }
    let kept = PathBuf::from(env::var_os(KEPT).expect("the folder"));
    let mut stage = stage(PortraitKernels::Suited, false);
    let Some(small) = stand_in(&stage.app) else {
        println!("not tried: on this device kernels are compiled when pipelines are made");
        return;
    };
    let of_scene = compiled_bytes(&kept);
    let start = Instant::now();
    let wait = |what: &str| {
        std::thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() < PATIENCE, "{what}");
    };

    let is_busy = |stage: &Stage| render_world(&stage.app).resource::<WarmUp>().is_running();
    stage.app.world_mut().entity_mut(stage.camera).insert(fast_model());
    while !is_busy(&stage) {
        stage.app.update();
        assert!(!is_enhanced(&mut stage.app), "its kernels have not been compiled");
        wait("nothing is warmed up in the background");
    }
    while is_busy(&stage) {
        wait("the kernels are still being warmed up");
    }
    let in_background = compiled_bytes(&kept);
    assert!(in_background > of_scene && of_scene > 0, "{of_scene}, {in_background} bytes");
    stage.app.update();
    update_enhanced(&mut stage.app, |_| true);
    stage.frame();
    assert_eq!(compiled_bytes(&kept), in_background, "a frame has compiled something");
    assert_eq!(running(&stage.app), Some(small));
    let tier = |stage: &Stage| stage.app.world().get::<PortraitStatus>(stage.camera).and_then(|status| status.tier);
    assert_eq!(tier(&stage), Some(ResolutionTier::Low), "kernels that stand in see few pixels");

    // The suited kernels are compiled in the background, and swapped in without a frame that compiles or goes without.
    let suited = candidates(&stage.app)[0];
    let is_chosen = |app: &App| render_world(app).resource::<PortraitPipelines>().variant == suited;
    update_enhanced(&mut stage.app, is_chosen);
    let of_suited = compiled_bytes(&kept);
    assert!(of_suited > in_background, "{in_background}, {of_suited} bytes");
    update_enhanced(&mut stage.app, |app| running(app) == Some(suited));
    stage.frame();
    assert_eq!(tier(&stage), Some(ResolutionTier::High));
    assert_eq!(compiled_bytes(&kept), of_suited, "the kernels that were swapped in were compiled in a frame");
}
