//! Twins: two cameras that differ in nothing but the effect, drawn in the same frame. Twins make an honest comparison where something,
//! such as jitter, changes from frame to frame.

use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy_portrait_realism::internals::{Region, box_corners, face_region};
use bevy_portrait_realism::prelude::*;
use portrait_network::{Model, Plane};

use crate::common::{face_bounds, frame, headless, settle, spawn_camera, spawn_face, target};
use crate::frame::{assert_close, enhance};
use crate::stage::{LDR, SIZE, assert_inside, changed, linear_model, model};

/// Returns a network that adds 0.1 to every channel, display-referred sRGB.
pub fn brighter() -> Model {
    linear_model(&[Plane::Color], vec![0.0; 9], [0.4; 3])
}

/// Amount that [`brighter`] adds to a channel, display-referred sRGB, of 255.
pub const ADDED: f32 = 0.1 * 255.0;

pub struct Twins {
    pub app: App,
    /// The cameras without and with the effect.
    pub cameras: [Entity; 2],
    pub targets: [Handle<Image>; 2],
    pub face: Entity,
    pub settings: PortraitRealism,
}

impl Twins {
    /// Makes cameras with these parts; the effect adds 0.1.
    pub fn new(msaa: Msaa, parts: impl Bundle + Clone) -> Self {
        Self::within(headless("assets", true), LDR, msaa, parts)
    }

    /// Makes cameras with these parts within an app that has the plugin.
    pub fn within(mut app: App, format: TextureFormat, msaa: Msaa, parts: impl Bundle + Clone) -> Self {
        let face = spawn_face(&mut app);
        let targets = [0, 1].map(|_| target(&mut app, SIZE, format));
        let cameras = targets.each_ref().map(|target| {
            let camera = spawn_camera(&mut app, target, msaa);
            app.world_mut().entity_mut(camera).insert(parts.clone());
            camera
        });
        let settings = PortraitRealism { model: model(&mut app, brighter()), ..default() };
        let mut twins = Self { app, cameras, targets, face, settings };
        twins.switch(true);
        twins
    }

    /// Gives both cameras these parts.
    pub fn insert(&mut self, parts: impl Bundle + Clone) {
        for camera in self.cameras {
            self.app.world_mut().entity_mut(camera).insert(parts.clone());
        }
    }

    /// Switches the second camera's effect.
    pub fn switch(&mut self, enabled: bool) {
        let settings = PortraitRealism { enabled, ..self.settings.clone() };
        self.app.world_mut().entity_mut(self.cameras[1]).insert(settings);
    }

    /// Returns the frames of both cameras once nothing is being compiled any more.
    pub fn frames(&mut self) -> [Vec<u8>; 2] {
        settle(&mut self.app);
        self.shown()
    }

    /// Returns the contents of both targets.
    pub fn shown(&mut self) -> [Vec<u8>; 2] {
        self.targets.each_ref().map(|target| frame(&mut self.app, target))
    }

    /// Returns the region in which the plugin has to find the face.
    pub fn region(&self) -> Region {
        region_of(&self.app, self.cameras[1])
    }

    /// Asserts that both cameras show the same, bit for bit, with the effect off. With the effect on, the second camera's region must be
    /// what the reference makes of the first camera's, within `tolerance` of 255, and the rest the same, bit for bit.
    pub fn assert_enhanced(&mut self, what: &str, tolerance: u8) {
        println!("{what}");
        self.switch(false);
        let [first, off] = self.frames();
        assert!(first == off, "{what}: switched off, it is the first image");
        self.switch(true);
        let [first, second] = self.frames();
        let (region, changed) = (self.region(), changed(&first, &second, SIZE.x));
        assert!(changed.len() > 500, "{what}: {} pixels changed", changed.len());
        assert_inside(&region, &changed);
        assert_close(&enhance(&first, SIZE, &region, &brighter(), 1.0), &second, tolerance);
    }
}

/// Returns the region in which the plugin has to find the face that a camera sees.
pub fn region_of(app: &App, camera: Entity) -> Region {
    let world = app.world();
    let transform = world.get::<GlobalTransform>(camera).expect("a transform");
    let camera = world.get::<Camera>(camera).expect("a camera");
    let clip_from_world = camera.clip_from_view() * transform.to_matrix().inverse();
    let bounds = face_bounds();
    let corners = box_corners(bounds.min().into(), bounds.max().into());
    face_region(&corners, clip_from_world, camera.physical_viewport_rect().expect("a viewport")).expect("in view")
}

/// Returns the mean difference of a pixel's channels between two frames, of 255.
pub fn difference_at(first: &[u8], second: &[u8], at: UVec2) -> f32 {
    let at = ((at.y * SIZE.x + at.x) * 4) as usize;
    (0..3).map(|channel| f32::from(second[at + channel]) - f32::from(first[at + channel])).sum::<f32>() / 3.0
}
