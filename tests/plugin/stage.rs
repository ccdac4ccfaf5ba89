//! A stage for tests: one face, one camera, and the frame without the effect.

use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::internals::{Region, box_corners, face_region};
use bevy_portrait_realism::prelude::*;
use portrait_network::{Activation, ConvWeights, Layer, Model, Op, Plane, Provenance, Spec};

use crate::common::{face_bounds, frame, headless, render_world, settle, spawn_camera, spawn_face, target};

/// Size of the stage's target.
pub const SIZE: UVec2 = UVec2::new(96, 80);
/// Format of the stage's target.
pub const LDR: TextureFormat = TextureFormat::Rgba8UnormSrgb;

/// An app with one face and one camera without the effect, and the frame that the camera shows.
pub struct Stage {
    pub app: App,
    pub camera: Entity,
    pub face: Entity,
    pub target: Handle<Image>,
    /// The first rendered image.
    pub first: Vec<u8>,
}

impl Stage {
    pub fn new(msaa: Msaa, camera_parts: impl Bundle) -> Self {
        Self::within(headless("assets", true), msaa, camera_parts)
    }

    /// Makes a stage within an app that has the plugin.
    pub fn within(mut app: App, msaa: Msaa, camera_parts: impl Bundle) -> Self {
        let face = spawn_face(&mut app);
        let target = target(&mut app, SIZE, LDR);
        let camera = spawn_camera(&mut app, &target, msaa);
        app.world_mut().entity_mut(camera).insert(camera_parts);
        settle(&mut app);
        let first = frame(&mut app, &target);
        assert!(first.chunks(4).any(|px| px != &first[..4]), "the face is on screen");
        Self { app, camera, face, target, first }
    }

    /// Draws a frame with the current settings.
    pub fn frame(&mut self) -> Vec<u8> {
        settle(&mut self.app);
        frame(&mut self.app, &self.target)
    }

    /// Draws a frame with these settings.
    pub fn set(&mut self, settings: PortraitRealism) -> Vec<u8> {
        self.app.world_mut().entity_mut(self.camera).insert(settings);
        self.frame()
    }

    pub fn allocated_bytes(&self) -> u64 {
        render_world(&self.app).resource::<PortraitGpuState>().allocated_bytes()
    }

    /// Returns the region in which the plugin has to find the face.
    pub fn region(&self) -> Region {
        let world = self.app.world();
        let camera = world.get::<Camera>(self.camera).expect("a camera");
        let transform = world.get::<GlobalTransform>(self.camera).expect("a transform");
        let clip_from_world = camera.clip_from_view() * transform.to_matrix().inverse();
        let bounds = face_bounds();
        let corners = box_corners(bounds.min().into(), bounds.max().into());
        face_region(&corners, clip_from_world, camera.physical_viewport_rect().expect("a viewport")).expect("in view")
    }
}

/// Returns the positions of the pixels that differ.
pub fn changed(before: &[u8], after: &[u8], width: u32) -> Vec<UVec2> {
    assert_eq!(before.len(), after.len());
    let differing = before.chunks(4).zip(after.chunks(4)).enumerate().filter(|(_, (before, after))| before != after);
    differing.map(|(at, _)| UVec2::new(at as u32 % width, at as u32 / width)).collect()
}

pub fn assert_inside(region: &Region, changed: &[UVec2]) {
    for &px in changed {
        let inside = px.cmpge(region.rect_px.min).all() && px.cmplt(region.rect_px.max).all();
        assert!(inside, "{px} lies outside {region:?}");
    }
}

pub fn model(app: &mut App, model: Model) -> Handle<PortraitModel> {
    app.world_mut().resource_mut::<Assets<PortraitModel>>().add(PortraitModel::from(model))
}

/// Returns a network of one 1×1 convolution: residual = weights · planes + bias.
pub fn linear_model(inputs: &[Plane], weight: Vec<f32>, bias: [f32; 3]) -> Model {
    let spec = Spec {
        name: "linear".into(),
        inputs: inputs.to_vec(),
        layers: vec![Layer::conv1x1("mix", 3, Activation::None), Layer::new("out", Op::OutputResidual { scale: 0.25 })],
    };
    let graph = spec.validate().expect("a valid spec");
    Model::new(graph, vec![ConvWeights { weight, bias: bias.to_vec() }], Provenance::default()).expect("weights fit")
}
