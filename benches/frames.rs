//! Whole frames: the time of the demo scene without the plugin, with the effect off and with the effect on; the cost of the effect on
//! larger faces and larger screens; the allocations of a steady frame; the time until the first enhanced frame.

#[path = "../tests/plugin/counting.rs"]
mod counting;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bevy::camera::primitives::Aabb;
use bevy::prelude::*;
use bevy::render::RenderApp;
use bevy::render::render_resource::{CachedPipelineState, PipelineCache, PipelineDescriptor, PollType};
use bevy::render::renderer::RenderDevice;
use bevy_portrait_realism::internals::PortraitView;
use bevy_portrait_realism::prelude::*;
use clap::ValueEnum;

use crate::device::BenchDevice;
use crate::examples::demo;
use crate::examples::windowless::Windowless;
use crate::row::{Row, Work};

/// Width and height of the demo's frame.
const DEMO_PX: u32 = 512;
/// Maximum time that a scene and its shaders may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Number of frames drawn with everything in place before a frame counts.
const SETTLING_FRAMES: u32 = 4;
/// Number of measurements of each start.
const STARTS: usize = 3;
/// Number of frames over which allocations are counted.
const STEADY_FRAMES: u32 = 10;
/// Factor of the number of rounds for time stamps, which are noisy in single frames.
const GROWTH_REPEATS: usize = 3;
/// Resolution that draws with the highest tier and takes time stamps.
const MEASURED: PortraitResolution = PortraitResolution::Auto { budget_ms: f32::MAX };
/// Heights of the faces on a screen of 1280 × 720, pixels; the first one is also drawn on every screen of [`SCREENS_PX`].
const FACES_PX: [u32; 3] = [128, 256, 512];
/// Widths and heights of the screens, pixels.
const SCREENS_PX: [[u32; 2]; 4] = [[640, 360], [1280, 720], [1920, 1080], [3840, 2160]];

/// Measurements of whole frames.
pub struct Frames {
    /// Rows of the table.
    pub rows: Vec<Row>,
    /// Buffers, textures, views and bind groups that the effect makes in a frame like the one before.
    pub steady_allocations: f64,
    /// Seconds from the scene's first complete frame to the first enhanced frame, with cold shader caches.
    pub first_enhanced_s: f64,
    /// Seconds by which the first enhanced frame comes later than the first complete frame of a start without the plugin.
    pub later_than_without_s: f64,
    /// Seconds by which the longest frame after the effect is turned on exceeds a frame without it, with cold shader caches.
    pub longest_stall_s: f64,
}

/// Measurement in a process of its own, which finds no compiled shader.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Start {
    /// Measures the time until the demo scene's first complete frame, without the plugin.
    Without,
    /// Measures the times until the demo scene's first complete and first enhanced frame, with the plugin.
    With,
    /// Measures a frame without the effect, and the longest one after the effect is turned on.
    Stall,
}

/// Measures all figures of whole frames; what is compared is measured in turn. Once the time `is_over`, what is left is measured once.
pub fn measure(device: &BenchDevice, rounds: usize, is_over: &dyn Fn() -> bool) -> Result<Frames> {
    let mut rows = demo_rows(device, rounds, is_over)?;
    rows.extend(growth_rows(device, rounds, is_over)?);
    let starts = start_rows(is_over)?;
    let [complete_without, complete, enhanced, frame, longest] = starts.each_ref().map(Row::median_s);
    rows.extend(starts);
    Ok(Frames {
        rows,
        steady_allocations: steady_allocations()?,
        first_enhanced_s: enhanced - complete,
        later_than_without_s: enhanced - complete_without,
        longest_stall_s: longest - frame,
    })
}

fn demo_rows(device: &BenchDevice, rounds: usize, is_over: &dyn Fn() -> bool) -> Result<Vec<Row>> {
    let demo = |plugin| {
        let mut app = start(UVec2::splat(DEMO_PX), plugin, true, demo_scene)?;
        settle(&mut app).map(|()| app)
    };
    let (mut without, mut with) = (demo(false)?, demo(true)?);
    let mut rows =
        ["absent", "off", "on"].map(|name| Row::new(&format!("demo frame {DEMO_PX}², plugin {name}"), Work::default()));
    for _ in 0..rounds {
        rows[0].seconds.push(frame_s(device, &mut without));
        for (row, enabled) in rows[1..].iter_mut().zip([false, true]) {
            enable(&mut with, enabled);
            row.seconds.push(frame_s(device, &mut with));
        }
        if is_over() {
            break;
        }
    }
    Ok(rows.into())
}

/// Measures the effect's own time on larger faces and larger screens, between time stamps of the device.
fn growth_rows(device: &BenchDevice, rounds: usize, is_over: &dyn Fn() -> bool) -> Result<Vec<Row>> {
    let faces = FACES_PX.map(|face_px| (format!("effect on a face of {face_px} px"), [1280, 720], face_px));
    let screens = SCREENS_PX.map(|[x, y]| (format!("effect on a screen of {x}×{y}"), [x, y], FACES_PX[0]));
    let mut measured = Vec::new();
    for (name, screen_px, face_px) in faces.into_iter().chain(screens) {
        let mut app = start(screen_px.into(), true, true, |app| {
            ball(app, screen_px[1], face_px);
            Ok(())
        })?;
        settle(&mut app)?;
        let started = Instant::now();
        while time_stamped_s(&mut app)?.is_none() {
            frame_s(device, &mut app);
            if started.elapsed() > PATIENCE {
                bail!("{name}: no time stamps after {PATIENCE:?}; does the device have them?");
            }
        }
        measured.push((Row::new(&name, Work::default()), app));
    }
    for _ in 0..rounds * GROWTH_REPEATS {
        for (row, app) in &mut measured {
            frame_s(device, app);
            row.seconds.extend(time_stamped_s(app)?);
        }
        if is_over() {
            break;
        }
    }
    Ok(measured.into_iter().map(|(row, _)| row).collect())
}

/// Returns the plugin's own measurement of its last frames, seconds, once the plugin draws with the highest tier.
fn time_stamped_s(app: &mut App) -> Result<Option<f64>> {
    let world = app.world_mut();
    let status = world.query::<&PortraitStatus>().iter(world).next().context("no camera with the effect")?;
    Ok(status.gpu_ms.filter(|_| status.tier == Some(ResolutionTier::High)).map(|ms| f64::from(ms) / 1e3))
}

/// Measures one frame and everything that the device does for it, seconds, after another frame to warm up.
fn frame_s(device: &BenchDevice, app: &mut App) -> f64 {
    let mut frame = || {
        app.update();
        wait(app);
    };
    frame();
    device.seconds_of(frame)
}

fn wait(app: &App) {
    let device = app.world().resource::<RenderDevice>();
    assert!(device.poll(PollType::wait_indefinitely()).is_ok(), "the device is gone");
}

fn enable(app: &mut App, enabled: bool) {
    let world = app.world_mut();
    world.query::<&mut PortraitRealism>().iter_mut(world).for_each(|mut portrait| portrait.enabled = enabled);
}

/// Starts an app without a window that draws into a texture.
fn start(
    size_px: UVec2,
    plugin: bool,
    wait_for_shaders: bool,
    scene: impl FnOnce(&mut App) -> Result<()>,
) -> Result<App> {
    let windowless = Windowless { size_px, assets: demo::assets_folder(), wait_for_shaders, logs: false };
    windowless.start(|app| {
        if plugin {
            app.add_plugins(PortraitRealismPlugin);
        }
        scene(app)
    })
}

/// Spawns the demo scene with the effect on.
fn demo_scene(app: &mut App) -> Result<()> {
    let camera = demo::spawn(app)?;
    app.world_mut().entity_mut(camera).insert(PortraitRealism::default());
    Ok(())
}

/// Spawns a lit ball whose region is about `face_px` high, enhanced by weights that read nothing but the frame, so that no prepass grows
/// with the screen.
fn ball(app: &mut App, screen_height_px: u32, face_px: u32) {
    let world = app.world_mut();
    let mesh = world.resource_mut::<Assets<Mesh>>().add(Sphere::new(0.5));
    let material = world.resource_mut::<Assets<StandardMaterial>>().add(Color::srgb(0.8, 0.55, 0.45));
    let bounds = Some(Aabb::from_min_max(Vec3::splat(-0.5), Vec3::splat(0.5)));
    world.spawn((Mesh3d(mesh), MeshMaterial3d(material), PortraitFace { bounds, ..default() }));
    world.spawn((DirectionalLight::default(), Transform::from_xyz(1.0, 2.0, 3.0).looking_at(Vec3::ZERO, Vec3::Y)));
    let fov = 2.0 * (0.5 * screen_height_px as f32 / face_px as f32 / 2.0).atan();
    world.spawn((
        Camera3d::default(),
        Projection::from(PerspectiveProjection { fov, ..default() }),
        Msaa::Off,
        Transform::from_xyz(0.0, 0.0, 3.0),
        PortraitRealism { model: PortraitModel::FAST, resolution: MEASURED, ..default() },
    ));
}

/// Draws until the scene is there, every pipeline has been compiled, and the effect runs where it can.
fn settle(app: &mut App) -> Result<()> {
    let (started, mut settled) = (Instant::now(), 0);
    while settled < SETTLING_FRAMES {
        app.update();
        settled = if scene_is_complete(app)? && waiting(app, true)? == 0 { settled + 1 } else { 0 };
        if started.elapsed() > PATIENCE {
            bail!("a scene was not ready after {PATIENCE:?}");
        }
    }
    Ok(())
}

/// Returns true once the scene's meshes are there and Bevy's own pipelines are compiled.
fn scene_is_complete(app: &mut App) -> Result<bool> {
    let world = app.world_mut();
    let root = world.query::<&WorldAssetRoot>().iter(world).count();
    // The demo's background alone is one mesh.
    Ok(world.query::<&Mesh3d>().iter(world).count() > root && waiting(app, false)? == 0)
}

/// Returns the number of pipelines that are not compiled yet: of all pipelines, or of Bevy's own.
fn waiting(app: &App, all: bool) -> Result<usize> {
    let render = app.get_sub_app(RenderApp).context("Bevy started without a renderer")?;
    let pipelines = render.world().resource::<PipelineCache>().pipelines();
    let waiting =
        pipelines.filter(|pipeline| !matches!(pipeline.state, CachedPipelineState::Ok(_))).filter(|pipeline| {
            let label = match &pipeline.descriptor {
                PipelineDescriptor::RenderPipelineDescriptor(descriptor) => &descriptor.label,
                PipelineDescriptor::ComputePipelineDescriptor(descriptor) => &descriptor.label,
            };
            all || !label.as_ref().is_some_and(|label| label.starts_with("portrait "))
        });
    Ok(waiting.count())
}

/// Returns the number of objects that a frame makes with the effect beyond those that it makes without.
fn steady_allocations() -> Result<f64> {
    let mut app = start(UVec2::new(640, 360), true, true, |app| {
        ball(app, 360, FACES_PX[0]);
        Ok(())
    })?;
    settle(&mut app)?;
    let mut made_by_a_frame = |enabled| {
        enable(&mut app, enabled);
        (0..SETTLING_FRAMES).for_each(|_| app.update());
        let before = counting::objects_made(app.world().resource::<RenderDevice>());
        (0..STEADY_FRAMES).for_each(|_| app.update());
        let after = counting::objects_made(app.world().resource::<RenderDevice>());
        let made: u64 = after.iter().zip(before).map(|(after, before)| after - before).sum();
        made as f64 / f64::from(STEADY_FRAMES)
    };
    let [off, on] = [made_by_a_frame(false), made_by_a_frame(true)];
    Ok(on - off)
}

/// Measures starts that find no compiled shader.
fn start_rows(is_over: &dyn Fn() -> bool) -> Result<[Row; 5]> {
    let mut rows = [
        "demo's first complete frame, plugin absent",
        "demo's first complete frame, plugin on",
        "demo's first enhanced frame",
        "frame before the effect is turned on",
        "longest frame after the effect is turned on",
    ]
    .map(|name| Row::new(name, Work::default()));
    for _ in 0..STARTS {
        let mut seconds = Vec::new();
        for start in [Start::Without, Start::With, Start::Stall] {
            let mut child = Command::new(std::env::current_exe()?);
            // Mesa keeps compiled shaders here.
            let cache = tempfile::tempdir()?;
            let name = start.to_possible_value().context("no name")?;
            child.args(["--start", name.get_name()]).env("MESA_SHADER_CACHE_DIR", cache.path());
            let output = child.output().context("cannot start the benchmark again")?;
            let text = String::from_utf8_lossy(&output.stdout);
            let parsed: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
            seconds.extend(parsed.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?);
        }
        for (row, seconds) in rows.iter_mut().zip(seconds) {
            row.seconds.push(seconds);
        }
        if is_over() {
            break;
        }
    }
    Ok(rows)
}

/// Returns the seconds of one start, during which shaders are compiled in the background.
pub fn measure_start(start: Start) -> Result<Vec<f64>> {
    match start {
        Start::Without => Ok(vec![first_frames(false)?[0]]),
        Start::With => Ok(first_frames(true)?.into()),
        Start::Stall => Ok(longest_frame()?.into()),
    }
}

/// Returns the seconds until the first complete frame and, with the plugin, until the first enhanced frame.
fn first_frames(plugin: bool) -> Result<[f64; 2]> {
    let started = Instant::now();
    let mut app = start(UVec2::splat(DEMO_PX), plugin, false, demo_scene)?;
    let mut complete_s = None;
    while started.elapsed() < PATIENCE {
        app.update();
        wait(&app);
        let now_s = started.elapsed().as_secs_f64();
        if !scene_is_complete(&mut app)? {
            continue;
        }
        let complete_s = *complete_s.get_or_insert(now_s);
        let world = app.sub_app_mut(RenderApp).world_mut();
        if !plugin || world.query::<&PortraitView>().iter(world).next().is_some() {
            return Ok([complete_s, now_s]);
        }
    }
    bail!("no such frame after {PATIENCE:?}")
}

/// Measures a frame of a complete scene before the effect is turned on, and the longest frame from then on until enhanced frames have been
/// drawn for a while.
fn longest_frame() -> Result<[f64; 2]> {
    let mut app = start(UVec2::new(640, 360), true, false, |app| {
        ball(app, 360, FACES_PX[0]);
        Ok(())
    })?;
    enable(&mut app, false);
    settle(&mut app)?;
    let frame = |app: &mut App| {
        let started = Instant::now();
        app.update();
        wait(app);
        started.elapsed().as_secs_f64()
    };
    let mut without = Row::new("", Work::default());
    without.seconds.extend((0..STEADY_FRAMES).map(|_| frame(&mut app)));
    enable(&mut app, true);
    let (started, mut longest_s, mut drawn) = (Instant::now(), 0.0, 0);
    while drawn < STEADY_FRAMES {
        longest_s = frame(&mut app).max(longest_s);
        let world = app.sub_app_mut(RenderApp).world_mut();
        drawn += u32::from(world.query::<&PortraitView>().iter(world).next().is_some());
        if started.elapsed() > PATIENCE {
            bail!("nothing was enhanced after {PATIENCE:?}");
        }
    }
    Ok([without.median_s(), longest_s])
}
