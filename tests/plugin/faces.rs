//! Several faces: the right ones are enhanced, and none pops in or out.

use bevy::camera::ScalingMode;
use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane;

use crate::common::{face_bounds, frame, headless, settle, spawn_camera, target};
use crate::stage::{LDR, changed, linear_model, model};

/// Size of the row's target.
pub const SIZE: UVec2 = UVec2::new(240, 96);
/// Height of the camera's view, units; the view is 2.5 times as wide.
const HEIGHT: f32 = 2.4;

/// A row of balls of the same material in front of an orthographic camera, each marked as a face.
pub struct Row {
    pub app: App,
    pub camera: Entity,
    pub faces: Vec<Entity>,
    pub target: Handle<Image>,
}

impl Row {
    /// Makes a row of balls with these places across and scales.
    pub fn new(places: &[(f32, f32)]) -> Self {
        let mut app = headless("assets", true);
        let world = app.world_mut();
        let mesh = world.resource_mut::<Assets<Mesh>>().add(Sphere::new(0.5));
        let material = StandardMaterial { base_color: Color::srgb(0.5, 0.4, 0.3), unlit: true, ..default() };
        let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
        let place = |&(x, scale): &(f32, f32)| Transform::from_xyz(x, 0.0, 0.0).with_scale(Vec3::splat(scale));
        let faces = places
            .iter()
            .map(|face| {
                let face_part = PortraitFace { bounds: Some(face_bounds()), ..default() };
                world.spawn((Mesh3d(mesh.clone()), MeshMaterial3d(material.clone()), place(face), face_part)).id()
            })
            .collect();
        let target = target(&mut app, SIZE, LDR);
        let camera = spawn_camera(&mut app, &target, Msaa::Off);
        let projection = OrthographicProjection {
            scaling_mode: ScalingMode::FixedVertical { viewport_height: HEIGHT },
            ..OrthographicProjection::default_3d()
        };
        app.world_mut().entity_mut(camera).insert(Projection::Orthographic(projection));
        let model = model(&mut app, linear_model(&[Plane::Color], vec![0.0; 9], [0.4; 3]));
        app.world_mut().entity_mut(camera).insert(PortraitRealism { model, ..default() });
        settle(&mut app);
        Self { app, camera, faces, target }
    }

    fn place(&mut self, face: usize, x: f32, scale: f32) {
        let transform = Transform::from_xyz(x, 0.0, 0.0).with_scale(Vec3::splat(scale));
        self.app.world_mut().entity_mut(self.faces[face]).insert(transform);
    }

    pub fn settings(&mut self, change: impl FnOnce(&mut PortraitRealism)) {
        let mut camera = self.app.world_mut().entity_mut(self.camera);
        change(&mut camera.get_mut::<PortraitRealism>().expect("the effect"));
    }

    /// Draws the frames without and with the effect.
    pub fn frames(&mut self) -> [Vec<u8>; 2] {
        [false, true].map(|enabled| {
            self.settings(|settings| settings.enabled = enabled);
            settle(&mut self.app);
            frame(&mut self.app, &self.target)
        })
    }

    /// Returns the amount by which the effect brightens the middle of the face at `x`, 0–255.
    fn gain(&mut self, x: f32) -> u8 {
        let [off, on] = self.frames();
        let at = ((SIZE.y / 2 * SIZE.x + column(x)) * 4) as usize;
        on[at] - off[at]
    }
}

/// Returns the column of pixels at a place across.
fn column(x: f32) -> u32 {
    (SIZE.x as f32 / 2.0 + x * SIZE.y as f32 / HEIGHT) as u32
}

#[test]
fn overlapping_faces_are_enhanced_once() {
    let mut row = Row::new(&[(-0.2, 1.0), (0.3, 0.9)]);
    let alone = {
        let mut single = Row::new(&[(-0.2, 1.0)]);
        single.gain(-0.2)
    };
    assert!(alone >= 20, "{alone}");
    let [off, on] = row.frames();
    let gains: Vec<u8> = changed(&off, &on, SIZE.x)
        .into_iter()
        .map(|at| ((at.y * SIZE.x + at.x) * 4) as usize)
        .map(|at| on[at] - off[at])
        .collect();
    let largest = gains.iter().copied().max().expect("it is enhanced");
    // The background is darker, and the same step in sRGB is as large there.
    assert!(largest <= alone + 2, "where both are, the effect is there once: {largest}, alone {alone}");
    for x in [-0.2, 0.05, 0.3] {
        assert_eq!(row.gain(x), alone, "at {x}");
    }
}

#[test]
fn a_budget_takes_the_largest_and_fades_between_equals() {
    let mut row = Row::new(&[(-2.5, 0.6), (-0.8, 0.9), (0.9, 0.8), (2.6, 0.7)]);
    let full = row.gain(-0.8);
    assert!(full >= 20 && [-2.5, 0.9, 2.6].map(|x| row.gain(x)) == [full; 3], "all are within the default budget");
    row.settings(|settings| settings.max_faces = 2);
    let gains = [-2.5, -0.8, 0.9, 2.6].map(|x| row.gain(x));
    assert!(gains[0] == 0 && gains[3] == 0 && gains[1] > 0 && gains[2] > 0, "{gains:?}");
    // The last one grows and takes the place of the third: no step of it shows as a jump.
    let mut before: Option<[u8; 2]> = None;
    let mut seen = Vec::new();
    for step in 0..=24 {
        row.place(3, 2.6, 0.65 + 0.0125 * step as f32);
        let now = [0.9, 2.6].map(|x| row.gain(x));
        seen.push(now);
        if let Some(before) = before {
            let jump = (0..2).map(|face| now[face].abs_diff(before[face])).max().unwrap_or(0);
            assert!(jump <= full / 4, "step {step}: {seen:?}");
        }
        before = Some(now);
    }
    assert!(seen[0][1] == 0 && seen[24][0] == 0 && seen[24][1] > full / 2, "{seen:?}");
}

#[test]
fn faces_fade_with_distance_and_at_the_edge_of_the_screen() {
    let mut row = Row::new(&[(0.0, 1.0)]);
    let full = row.gain(0.0);
    // The box is as wide as the ball, 40 pixels at scale 1.
    let shrinking: Vec<u8> = (0..=20)
        .map(|step| {
            row.place(0, 0.0, 1.0 - 0.04 * step as f32);
            row.gain(0.0)
        })
        .collect();
    assert_eq!((shrinking[0], shrinking[20]), (full, 0), "{shrinking:?}");
    assert!(shrinking.windows(2).all(|pair| pair[1] <= pair[0] && pair[0] - pair[1] <= full / 3), "{shrinking:?}");

    // The face moves out to the right; its part on screen is enhanced less and less.
    row.place(0, 0.0, 1.0);
    let mut changes: Vec<u32> = Vec::new();
    for step in 0..=30 {
        row.place(0, 2.4 + 0.05 * step as f32, 1.0);
        let [off, on] = row.frames();
        let gain = off.iter().zip(&on).map(|(off, on)| u32::from(on.abs_diff(*off))).max().unwrap_or(0);
        changes.push(gain);
    }
    assert!(changes[0] > 0 && changes[30] == 0, "{changes:?}");
    let steepest = changes.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap_or(0);
    assert!(steepest <= u32::from(full) / 3, "no pop: {changes:?}");
}

#[test]
fn fast_turns_and_cuts_never_flash() {
    let mut row = Row::new(&[(0.0, 1.0)]);
    let full = row.gain(0.0);
    let middle = |row: &mut Row, x: f32| {
        row.app.update();
        frame(&mut row.app, &row.target)[((SIZE.y / 2 * SIZE.x + column(x)) * 4) as usize]
    };
    row.place(0, -2.0, 0.8);
    row.settings(|settings| settings.enabled = false);
    let off = middle(&mut row, -2.0);
    row.settings(|settings| settings.enabled = true);
    // The face jumps by a quarter of the screen from frame to frame, nearer and farther; then out of sight and back.
    for (x, scale) in [(-2.0, 0.8), (-0.5, 1.3), (1.0, 2.2), (2.0, 0.7), (-1.5, 1.0)] {
        row.place(0, x, scale);
        // Dithering may make a difference of 1.
        let gain = middle(&mut row, x) - off;
        assert!(gain.abs_diff(full) <= 1, "at {x}, scale {scale}: {gain}, not {full}");
    }
    row.place(0, 50.0, 1.0);
    row.app.update();
    row.place(0, 1.0, 1.5);
    let gain = middle(&mut row, 1.0) - off;
    assert!(gain.abs_diff(full) <= 1, "in the frame that shows it again: {gain}, not {full}");
}
