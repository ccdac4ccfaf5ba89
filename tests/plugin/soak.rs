//! A soak: thousands of frames in which everything changes that a game can change, after which no more is held than before.

use std::{env, fs};

use bevy::camera::RenderTarget;
use bevy::core_pipeline::prepass::{DepthPrepass, NormalPrepass};
use bevy::prelude::*;
use bevy::render::render_resource::PollType;
use bevy::render::renderer::{RenderDevice, RenderInstance};
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::prelude::*;
use portrait_network::{Model, Plane, Spec};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::common::{face_bounds, frame, headless, render_world, settle, spawn_camera, spawn_face, target};
use crate::setups::twins::brighter;
use crate::stage::{LDR, model};
use crate::steady::runs_alone;

/// Number of frames, unless `PORTRAIT_SOAK_FRAMES` gives another.
const FRAMES: usize = 300;
/// Number of frames in a round. After each round the effect is taken away, and the held objects and memory are counted.
const ROUND: usize = 50;
/// Share of the rounds that warm up, in which kernels, prepasses and sizes are seen for the first time.
const WARM_UP: f32 = 0.5;
/// Maximum number of objects of each kind by which a round may exceed the warm-up: Bevy keeps some for a frame or two.
const MORE_OBJECTS: usize = 8;
/// Maximum GPU memory by which a round may exceed the warm-up, bytes.
const MORE_GPU_BYTES: u64 = 1 << 20;
/// Maximum resident memory by which a round may exceed the warm-up, bytes: the software rasteriser compiles shaders for textures that it
/// has not seen yet. A driver that keeps a compiled shader in every enhanced frame adds 50 MB over a run, a sound one less than 2 MB.
const MORE_RESIDENT_BYTES: u64 = 24 << 20;

/// Sizes of the target, among them two odd ones.
const SIZES: [UVec2; 5] =
    [UVec2::new(96, 80), UVec2::new(160, 90), UVec2::new(33, 71), UVec2::new(1, 1), UVec2::new(200, 200)];
const MODELS: usize = 5;
const MAX_FACES: usize = 6;

/// Change between two frames.
#[derive(Clone, Debug)]
enum Change {
    Enabled(bool),
    Model(usize),
    Resolution(PortraitResolution),
    Shaping { base: f32, detail: f32, history: f32 },
    Strength(f32),
    Size(usize),
    Samples(Msaa),
    Prepasses(bool),
    FaceComes(Vec3),
    FaceGoes(usize),
    CameraMoves(Vec3),
    CameraIsActive(bool),
    EffectGoes,
    OtherWeights,
}

fn change() -> impl Strategy<Value = Change> {
    let place = |reach: f32| [-reach..reach, -reach..reach, -0.5_f32..0.5].prop_map(Vec3::from);
    prop_oneof![
        4 => any::<bool>().prop_map(Change::Enabled),
        4 => (0..MODELS).prop_map(Change::Model),
        2 => prop_oneof![
            Just(PortraitResolution::Low),
            Just(PortraitResolution::Medium),
            Just(PortraitResolution::High),
            Just(PortraitResolution::Auto { budget_ms: 5.0 }),
        ]
        .prop_map(Change::Resolution),
        4 => (0.0_f32..2.0, 0.0_f32..2.0, prop_oneof![Just(0.0_f32), 0.0_f32..0.95])
            .prop_map(|(base, detail, history)| Change::Shaping { base, detail, history }),
        1 => (0.0_f32..=1.0).prop_map(Change::Strength),
        4 => (0..SIZES.len()).prop_map(Change::Size),
        1 => prop_oneof![Just(Msaa::Off), Just(Msaa::Sample4)].prop_map(Change::Samples),
        1 => any::<bool>().prop_map(Change::Prepasses),
        4 => place(1.0).prop_map(Change::FaceComes),
        4 => (0..MAX_FACES).prop_map(Change::FaceGoes),
        4 => place(0.3).prop_map(Change::CameraMoves),
        1 => any::<bool>().prop_map(Change::CameraIsActive),
        1 => Just(Change::EffectGoes),
        1 => Just(Change::OtherWeights),
    ]
}

struct Soak {
    app: App,
    camera: Entity,
    targets: [Handle<Image>; SIZES.len()],
    models: [Handle<PortraitModel>; MODELS],
    settings: PortraitRealism,
    faces: Vec<Entity>,
}

/// Objects and memory that the process and the device hold while no camera has the effect.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_bytes: u64,
    gpu_bytes: u64,
    /// Numbers of buffers, textures, views, bind groups and pipelines.
    objects: [usize; 5],
}

fn resident_bytes() -> u64 {
    // https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resident set");
    line.trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
}

impl Soak {
    fn new() -> Self {
        let mut app = headless("assets", true);
        spawn_face(&mut app);
        let targets = SIZES.map(|size| target(&mut app, size, LDR));
        let camera = spawn_camera(&mut app, &targets[0], Msaa::Off);
        let random = |planes: &[Plane], seed| Model::random(Spec::tiny(planes).validate().expect("valid"), seed);
        let own = [brighter(), random(&[Plane::Color], 5), random(&[Plane::Color, Plane::Normal, Plane::Depth], 6)];
        let [bright, color, geometry] = own.map(|own| model(&mut app, own));
        let models = [PortraitModel::FAST, bright, PortraitModel::QUALITY, color, geometry];
        settle(&mut app);
        let settings = PortraitRealism::default();
        Self { app, camera, targets, models, settings, faces: Vec::new() }
    }

    fn make(&mut self, change: Change) {
        let world = self.app.world_mut();
        let mut camera = world.entity_mut(self.camera);
        match change {
            Change::Enabled(enabled) => self.settings.enabled = enabled,
            Change::Model(at) => self.settings.model = self.models[at].clone(),
            Change::Resolution(resolution) => self.settings.resolution = resolution,
            Change::Shaping { base, detail, history } => {
                self.settings = PortraitRealism { base, detail, history, ..self.settings.clone() };
            }
            Change::Strength(strength) => self.settings.strength = strength,
            Change::Size(at) => _ = camera.insert(RenderTarget::Image(self.targets[at].clone().into())),
            Change::Samples(msaa) => _ = camera.insert(msaa),
            Change::Prepasses(true) => _ = camera.insert((NormalPrepass, DepthPrepass)),
            Change::Prepasses(false) => _ = camera.remove::<(NormalPrepass, DepthPrepass)>(),
            Change::CameraMoves(place) => _ = camera.insert(Transform::from_translation(place + Vec3::Z * 2.0)),
            Change::CameraIsActive(is_active) => camera.get_mut::<Camera>().expect("a camera").is_active = is_active,
            Change::EffectGoes => {
                camera.remove::<PortraitRealism>();
                return;
            }
            Change::FaceComes(place) if self.faces.len() < MAX_FACES => {
                let bounds = PortraitFace { bounds: Some(face_bounds()), ..default() };
                let transform = Transform::from_translation(place).with_scale(Vec3::splat(0.5 + place.z));
                self.faces.push(world.spawn((bounds, transform)).id());
            }
            Change::FaceGoes(at) if at < self.faces.len() => _ = world.despawn(self.faces.swap_remove(at)),
            Change::FaceComes(_) | Change::FaceGoes(_) => {}
            Change::OtherWeights => {
                let mut models = world.resource_mut::<Assets<PortraitModel>>();
                models.insert(&self.models[1], brighter().into()).expect("a handle of its own");
            }
        }
        self.app.world_mut().entity_mut(self.camera).insert(self.settings.clone());
    }

    /// Takes everything away that came, and counts the held objects and memory.
    fn rest(&mut self) -> Held {
        let world = self.app.world_mut();
        self.faces.drain(..).for_each(|face| _ = world.despawn(face));
        let mut camera = world.entity_mut(self.camera);
        camera.remove::<(PortraitRealism, NormalPrepass, DepthPrepass)>();
        camera.insert((
            Msaa::Off,
            RenderTarget::Image(self.targets[0].clone().into()),
            Transform::from_xyz(0.0, 0.0, 2.0),
        ));
        camera.get_mut::<Camera>().expect("a camera").is_active = true;
        // Bevy keeps textures for three frames.
        (0..6).for_each(|_| self.app.update());
        settle(&mut self.app);
        let world = render_world(&self.app);
        let device = world.resource::<RenderDevice>();
        device.poll(PollType::wait_indefinitely()).expect("polling");
        assert_eq!(world.resource::<PortraitGpuState>().allocated_bytes(), 0, "all is given back");
        let gpu_bytes = device.wgpu_device().generate_allocator_report().expect("Vulkan").total_allocated_bytes;
        let report = world.resource::<RenderInstance>().generate_report().expect("wgpu's own");
        let hub = report.hub_report();
        let objects = [&hub.buffers, &hub.textures, &hub.texture_views, &hub.bind_groups, &hub.compute_pipelines]
            .map(|kind| kind.num_kept_from_user);
        Held { resident_bytes: resident_bytes(), gpu_bytes, objects }
    }
}

#[test]
fn what_is_held_after_thousands_of_changing_frames_is_what_was_held_before() {
    if !runs_alone("soak::what_is_held_after_thousands_of_changing_frames_is_what_was_held_before") {
        return;
    }
    let frames = env::var("PORTRAIT_SOAK_FRAMES").map_or(FRAMES, |frames| frames.parse().expect("a number of frames"));
    let mut runner = TestRunner::new_with_rng(default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let changes = proptest::collection::vec(change(), 0..3);
    let rounds = frames / ROUND;
    let mut soak = Soak::new();
    let first = frame(&mut soak.app, &soak.targets[0]);
    let mut held = Vec::new();
    for round in 0..rounds {
        for _ in 0..ROUND {
            let changes = changes.new_tree(&mut runner).expect("changes").current();
            changes.into_iter().for_each(|change| soak.make(change));
            soak.app.update();
        }
        held.push(soak.rest());
        println!("{:>6} frames: {:?}", (round + 1) * ROUND, held[round]);
        assert!(frame(&mut soak.app, &soak.targets[0]) == first, "the frame is what it was without the effect");
    }
    let (warm_up, rest) = held.split_at((rounds as f32 * WARM_UP) as usize);
    let warm = warm_up.last().expect("a round to warm up");
    for held in rest {
        let objects = held.objects.iter().zip(warm.objects).all(|(now, warm)| *now <= warm + MORE_OBJECTS);
        assert!(objects, "{held:?} is held, and after the warm-up {warm:?}");
        assert!(held.gpu_bytes <= warm.gpu_bytes + MORE_GPU_BYTES, "{held:?} is held, and after the warm-up {warm:?}");
        let resident = held.resident_bytes <= warm.resident_bytes + MORE_RESIDENT_BYTES;
        assert!(resident, "{held:?} is held, and after the warm-up {warm:?}");
    }
}
