//! Pipelined rendering, as every desktop game has it: a frame is drawn on a thread while the app runs the next one.

use bevy::prelude::*;
use bevy::render::gpu_readback::{Readback, ReadbackComplete};
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::settings::WgpuSettings;
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane;

use super::still::first_screenshot;
use crate::common::{assets, headless_of, plugins, renderer, spawn_camera, spawn_face, target, update_until};
use crate::setups::twins::brighter;
use crate::stage::{LDR, linear_model, model};

/// Size of the target: rows are read back without padding.
const SIZE: UVec2 = UVec2::new(64, 56);
/// Number of frames after which what is read back shows what was set.
const LATE: usize = 8;

/// The frame that was read back last, by the entity that reads it.
#[derive(Resource, Default)]
struct Shown(Vec<u8>);

/// An app whose frames are drawn on a thread.
struct Pipelined {
    app: App,
    target: Handle<Image>,
    camera: Entity,
    face: Entity,
}

impl Pipelined {
    fn new() -> Self {
        let plugins = plugins(renderer(WgpuSettings::default()), assets("assets")).enable::<PipelinedRenderingPlugin>();
        let mut app = headless_of(plugins, |app| {
            app.add_plugins(PortraitRealismPlugin).init_resource::<Shown>();
        });
        let face = spawn_face(&mut app);
        let target = target(&mut app, SIZE, LDR);
        let camera = spawn_camera(&mut app, &target, Msaa::Sample4);
        app.world_mut()
            .spawn(Readback::texture(target.clone()))
            .observe(|read: On<ReadbackComplete>, mut shown: ResMut<Shown>| shown.0.clone_from(&read.data));
        Self { app, target, camera, face }
    }

    /// Runs the app until a frame that was set up now is read back, and returns it.
    fn frame(&mut self) -> Vec<u8> {
        for _ in 0..LATE {
            self.app.update();
        }
        self.steady()
    }

    /// Waits for shaders: two frames, some time apart, are the same.
    fn steady(&mut self) -> Vec<u8> {
        let mut last = Vec::new();
        update_until(&mut self.app, "a steady frame", |app| {
            let now = app.world().resource::<Shown>().0.clone();
            std::thread::sleep(std::time::Duration::from_millis(5));
            let same = !now.is_empty() && now == last;
            last = now;
            same
        });
        assert!(self.app.should_exit().is_none(), "the renderer goes on");
        last
    }

    fn set(&mut self, settings: PortraitRealism) -> Vec<u8> {
        let enabled = settings.enabled && settings.strength > 0.0;
        self.app.world_mut().entity_mut(self.camera).insert(settings);
        for _ in 0..LATE {
            self.app.update();
        }
        let camera = self.camera;
        update_until(&mut self.app, "the effect", |app| is_enhanced(app, camera) == enabled);
        self.frame()
    }
}

fn is_enhanced(app: &App, camera: Entity) -> bool {
    app.world().get::<PortraitStatus>(camera).is_some_and(|status| status.tier.is_some())
}

#[test]
fn switching_swapping_resetting_and_despawning_work_as_without_pipelining() {
    let mut stage = Pipelined::new();
    let first = stage.frame();
    assert_eq!(first.len(), (SIZE.x * SIZE.y * 4) as usize);
    assert!(first.chunks(4).any(|px| px != &first[..4]), "the face is on screen");
    let off = PortraitRealism { enabled: false, ..default() };

    // Switched on and off, with weights that need prepasses and without.
    let second = stage.set(PortraitRealism::default());
    assert!(second != first, "on");
    assert!(stage.set(off.clone()) == first, "off is the first image");
    assert!(stage.set(PortraitRealism::default()) == second, "on again");
    assert!(stage.set(PortraitRealism { strength: 0.0, ..default() }) == first, "strength 0");

    // Weights are swapped by handle, and by the asset behind it.
    let lighter = model(&mut stage.app, brighter());
    let darker = linear_model(&[Plane::Color], vec![0.0; 9], [-0.4; 3]);
    let settings = PortraitRealism { model: lighter.clone(), ..default() };
    let light = stage.set(settings.clone());
    let fast = stage.set(PortraitRealism { model: PortraitModel::FAST, ..default() });
    assert!(light != fast && stage.set(settings.clone()) == light, "swapped by handle");
    let mut models = stage.app.world_mut().resource_mut::<Assets<PortraitModel>>();
    models.insert(&lighter, darker.into()).expect("a handle of its own");
    let dark = stage.frame();
    let middle = ((SIZE.y / 2 * SIZE.x + SIZE.x / 2) * 4) as usize;
    assert!(light[middle] > first[middle] + 15 && dark[middle] + 15 < first[middle], "swapped behind its handle");

    // A reset holds for one frame, and history goes on after it.
    let history = PortraitRealism { history: 0.8, ..settings.clone() };
    let kept = stage.set(history.clone());
    stage.set(PortraitRealism { reset: true, ..history });
    assert!(!stage.app.world().get::<PortraitRealism>(stage.camera).expect("settings").reset, "set back");
    let again = stage.frame();
    let differs = again.iter().zip(&kept).any(|(again, kept)| again.abs_diff(*kept) > 1);
    assert!(!differs, "the same picture after a reset");

    // A camera and a face that go in the middle of a frame.
    let other = target(&mut stage.app, SIZE, LDR);
    for age in 0..4 {
        let camera = spawn_camera(&mut stage.app, &other, Msaa::Off);
        stage.app.world_mut().entity_mut(camera).insert(PortraitRealism { history: 0.5, ..default() });
        let face = stage.app.world_mut().spawn((Transform::from_xyz(0.3, 0.0, 0.0), PortraitFace::default())).id();
        (0..age * 3).for_each(|_| stage.app.update());
        stage.app.world_mut().entity_mut(camera).despawn();
        stage.app.world_mut().entity_mut(face).despawn();
        stage.app.update();
    }
    let alone = stage.frame();
    assert!(alone.iter().zip(&kept).all(|(alone, kept)| alone.abs_diff(*kept) <= 1), "the others are as they were");

    stage.app.world_mut().entity_mut(stage.face).despawn();
    stage.frame();
    assert!(!is_enhanced(&stage.app, stage.camera), "without a face nothing is enhanced");
    stage.app.world_mut().entity_mut(stage.camera).despawn();
    stage.frame();
}

#[test]
fn the_first_screenshot_after_the_status_shows_the_effect_with_pipelining_too() {
    let mut stage = Pipelined::new();
    let first = stage.frame();
    let settings = PortraitRealism { model: model(&mut stage.app, brighter()), ..default() };
    let shot = first_screenshot(&mut stage.app, stage.camera, &stage.target, settings.clone());
    assert!(shot != first, "it has the effect");
    assert!(shot == stage.set(settings), "it is the frame as it stays");
}
