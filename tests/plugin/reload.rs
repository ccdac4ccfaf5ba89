//! Weights files that change while the app runs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bevy::asset::AssetLoadFailedEvent;
use bevy::core_pipeline::prepass::NormalPrepass;
use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::settings::WgpuSettings;
use bevy_portrait_realism::prelude::*;
use portrait_network::{Activation, Dtype, Layer, Model, Op, Plane, Spec};

use crate::common::{assets, frame, headless_of, plugins, renderer};
use crate::stage::{SIZE, Stage, linear_model};

/// Maximum time until a change of a file is seen.
const PATIENCE: Duration = Duration::from_secs(60);
const FILE: &str = "face.safetensors";

/// Error texts of the loads that failed.
#[derive(Resource, Default)]
struct Failures(Vec<String>);

fn note_failures(mut failed: MessageReader<AssetLoadFailedEvent<PortraitModel>>, mut seen: ResMut<Failures>) {
    seen.0.extend(failed.read().map(|failure| failure.error.to_string()));
}

/// A stage on which the camera's weights come from a file in a folder.
struct Reloading {
    stage: Stage,
    folder: tempfile::TempDir,
    /// The frame with the weights in use.
    second: Vec<u8>,
}

fn write(folder: &Path, model: &Model) {
    let bytes = model.to_bytes(Dtype::F32).expect("a model");
    fs::write(folder.join(FILE), bytes).expect("writing");
}

/// Returns a network that adds a tenth of `amount` to every channel.
fn adding(amount: f32) -> Model {
    linear_model(&[Plane::Color], vec![0.0; 9], [0.4 * amount; 3])
}

/// Returns a network with kernels that the network of [`adding`] does not run.
fn deeper() -> Model {
    let spec = Spec {
        name: "deeper".into(),
        inputs: vec![Plane::Color, Plane::Normal],
        layers: vec![
            Layer::conv3x3("a", 12, 1, Activation::LeakyRelu { slope: 0.1 }),
            Layer::conv3x3("b", 3, 1, Activation::None),
            Layer::new("out", Op::OutputResidual { scale: 0.25 }),
        ],
    };
    Model::random(spec.validate().expect("a valid spec"), 7)
}

impl Reloading {
    fn new(synchronous: bool, watched: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &adding(1.0));
        let renderer =
            RenderPlugin { synchronous_pipeline_compilation: synchronous, ..renderer(WgpuSettings::default()) };
        let path = folder.path().to_str().expect("a path of Unicode");
        let assets = AssetPlugin { watch_for_changes_override: Some(watched), ..assets(path) };
        let app = headless_of(plugins(renderer, assets), |app| {
            app.init_resource::<Failures>().add_plugins(PortraitRealismPlugin).add_systems(Update, note_failures);
        });
        let mut stage = Stage::within(app, Msaa::Off, ());
        if !synchronous {
            // Bevy compiles materials anew for a prepass that comes later, and does not draw them meanwhile.
            stage.app.world_mut().entity_mut(stage.camera).insert(NormalPrepass);
            stage.first = stage.frame();
        }
        let model = stage.app.world().resource::<AssetServer>().load(FILE);
        stage.app.world_mut().entity_mut(stage.camera).insert(PortraitRealism { model, ..default() });
        let mut reloading = Self { stage, folder, second: Vec::new() };
        reloading.second = reloading.stage.first.clone();
        reloading.take_over();
        reloading
    }

    fn next(&mut self) -> Vec<u8> {
        self.stage.app.update();
        std::thread::sleep(Duration::from_millis(2));
        frame(&mut self.stage.app, &self.stage.target)
    }

    /// Returns the colour in the middle of the face. Elsewhere a prepass that comes or goes moves an edge by itself.
    fn middle(frame: &[u8]) -> [u8; 3] {
        let at = ((SIZE.y / 2 * SIZE.x + SIZE.x / 2) * 4) as usize;
        [frame[at], frame[at + 1], frame[at + 2]]
    }

    /// Draws until the middle of the face changes, and asserts that it then stays: frames show the old weights, then the new ones.
    fn take_over(&mut self) {
        let start = Instant::now();
        let before = Self::middle(&self.second);
        let mut frames = 0;
        while Self::middle(&self.second) == before {
            self.second = self.next();
            frames += 1;
            assert!(start.elapsed() < PATIENCE, "the change is not seen");
        }
        println!("seen after {frames} frames");
        let after = Self::middle(&self.second);
        for _ in 0..5 {
            self.second = self.next();
            assert_eq!(Self::middle(&self.second), after, "the new weights stay");
        }
    }

    fn reload(&mut self) {
        self.stage.app.world().resource::<AssetServer>().reload(FILE);
    }

    fn failures(&self) -> &[String] {
        &self.stage.app.world().resource::<Failures>().0
    }

    /// Returns the difference of the middle's red from the first image.
    fn added(&self) -> i32 {
        let [first, second] = [&self.stage.first, &self.second].map(|frame| i32::from(Self::middle(frame)[0]));
        second - first
    }
}

#[test]
fn weights_that_are_loaded_again_take_over_without_a_frame_in_between() {
    for synchronous in [true, false] {
        let mut reloading = Reloading::new(synchronous, false);
        assert!((reloading.added() - 26).abs() <= 2, "{} added", reloading.added());
        // The files are other weights, then another network, whose kernels have to be compiled and whose prepass has to be drawn,
        // and then the first weights again.
        for model in [adding(-1.0), deeper(), adding(0.5), deeper(), adding(1.0)] {
            write(reloading.folder.path(), &model);
            reloading.reload();
            reloading.take_over();
            let [first, second] = [&reloading.stage.first, &reloading.second].map(|frame| Reloading::middle(frame));
            assert_ne!(first, second, "it is enhanced");
        }
        assert!((reloading.added() - 26).abs() <= 2, "{} added", reloading.added());
        assert!(reloading.failures().is_empty(), "{:?}", reloading.failures());
    }
}

#[test]
fn a_broken_weights_file_leaves_the_old_weights_in_use_and_is_reported() {
    let mut reloading = Reloading::new(true, false);
    let file = reloading.folder.path().join(FILE);
    let whole = fs::read(&file).expect("reading");
    fs::write(&file, &whole[..whole.len() / 2]).expect("writing");
    reloading.reload();
    let start = Instant::now();
    while reloading.failures().is_empty() {
        assert!(reloading.next() == reloading.second, "the old weights are used");
        assert!(start.elapsed() < PATIENCE, "the failure is not reported");
    }
    for _ in 0..10 {
        assert!(reloading.next() == reloading.second, "the old weights are used");
    }
    // Bevy tries a file that cannot be loaded again a second time, by its extension alone; and no frame tries it any more.
    let failures = reloading.failures();
    println!("{}", failures[0]);
    assert!(failures.len() <= 2, "{failures:?}");
    for failure in failures {
        assert!(failure.contains(FILE) && failure.contains("not a whole safetensors file"), "{failure}");
    }

    write(reloading.folder.path(), &adding(-1.0));
    reloading.reload();
    reloading.take_over();
    assert!((reloading.added() + 26).abs() <= 2, "{} added", reloading.added());
}

#[test]
fn a_weights_file_that_changes_is_loaded_again_where_files_are_watched() {
    let mut reloading = Reloading::new(true, true);
    write(reloading.folder.path(), &adding(-1.0));
    reloading.take_over();
    assert!((reloading.added() + 26).abs() <= 2, "{} added", reloading.added());
}
