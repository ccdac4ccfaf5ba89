//! History: flicker calms down, and no change is late by more than a frame.

use bevy::camera::ScalingMode;
use bevy::core_pipeline::prepass::{DepthPrepass, MotionVectorPrepass};
use bevy::core_pipeline::tonemapping::{DebandDither, Tonemapping};
use bevy::image::ImageSampler;
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};
use bevy_portrait_realism::prelude::*;
use portrait_network::{Model, Plane};

use crate::common::{frame, headless, settle, spawn_camera, target};
use crate::stage::{LDR, SIZE, Stage, linear_model, model};

/// A picture on a plane that moves in front of an orthographic camera: a unit is a pixel, and all of it is a face.
struct Slide {
    app: App,
    camera: Entity,
    slide: Entity,
    image: Handle<Image>,
    target: Handle<Image>,
}

const SLIDE: u32 = 48;

impl Slide {
    fn new(settings: impl FnOnce(&mut App) -> PortraitRealism) -> Self {
        let mut app = headless("assets", true);
        let target = target(&mut app, SIZE, LDR);
        let camera = spawn_camera(&mut app, &target, Msaa::Off);
        let projection = OrthographicProjection {
            scaling_mode: ScalingMode::Fixed { width: SIZE.x as f32, height: SIZE.y as f32 },
            ..OrthographicProjection::default_3d()
        };
        let parts = (Projection::Orthographic(projection), Tonemapping::None, DebandDither::Disabled);
        app.world_mut().entity_mut(camera).insert(parts);
        let image = app.world_mut().resource_mut::<Assets<Image>>().add(picture(|_| 128));
        let world = app.world_mut();
        let mesh = world.resource_mut::<Assets<Mesh>>().add(Rectangle::new(SLIDE as f32, SLIDE as f32));
        let material = StandardMaterial { base_color_texture: Some(image.clone()), unlit: true, ..default() };
        let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
        let slide = (Mesh3d(mesh), MeshMaterial3d(material), Transform::default(), PortraitFace::default());
        let slide = world.spawn(slide).id();
        let settings = settings(&mut app);
        app.world_mut().entity_mut(camera).insert(settings);
        settle(&mut app);
        Self { app, camera, slide, image, target }
    }

    /// Draws the next frame, with the slide `x_px` pixels to the right of the middle and this picture on it, and returns green in the
    /// slide's middle row, 0–255.
    fn next(&mut self, x_px: i32, pixel: impl Fn(UVec2) -> u8) -> Vec<u8> {
        let mut images = self.app.world_mut().resource_mut::<Assets<Image>>();
        images.insert(&self.image, picture(pixel)).expect("the image is there");
        // A material keeps the texture that it was made with.
        let mut materials = self.app.world_mut().resource_mut::<Assets<StandardMaterial>>();
        let ids: Vec<_> = materials.ids().collect();
        for id in ids {
            materials.get_mut(id).expect("its material").unlit = true;
        }
        self.app.world_mut().entity_mut(self.slide).insert(Transform::from_xyz(x_px as f32, 0.0, 0.0));
        self.app.update();
        let frame = frame(&mut self.app, &self.target);
        let row = (SIZE.y / 2 * SIZE.x) as usize;
        let left = (SIZE.x as i32 / 2 - SLIDE as i32 / 2 + x_px) as usize;
        (0..SLIDE as usize).map(|x| frame[(row + left + x) * 4 + 1]).collect()
    }

    fn settings(&mut self, change: impl FnOnce(&mut PortraitRealism)) {
        let mut camera = self.app.world_mut().entity_mut(self.camera);
        change(&mut camera.get_mut::<PortraitRealism>().expect("the effect"));
    }
}

fn picture(pixel: impl Fn(UVec2) -> u8) -> Image {
    let bytes = (0..SLIDE * SLIDE).flat_map(|at| {
        let value = pixel(UVec2::new(at % SLIDE, at / SLIDE));
        [value, value, value, 255]
    });
    let extent = Extent3d { width: SLIDE, height: SLIDE, depth_or_array_layers: 1 };
    let format = TextureFormat::Rgba8UnormSrgb;
    let mut image = Image::new(extent, TextureDimension::D2, bytes.collect(), format, default());
    image.sampler = ImageSampler::nearest();
    image
}

/// Returns a network that amplifies the frame, so that noise becomes more noise.
fn amplifier() -> Model {
    let mut weight = vec![0.0; 9];
    (0..3).for_each(|channel| weight[channel * 4] = 0.8);
    linear_model(&[Plane::Color], weight, [0.0; 3])
}

fn with_history(history: f32) -> impl FnOnce(&mut App) -> PortraitRealism {
    move |app| PortraitRealism { model: model(app, amplifier()), history, ..default() }
}

/// Returns a picture of noise of ±8 that differs from frame to frame, around a pattern that moves with the slide.
fn noisy(frame: u32) -> impl Fn(UVec2) -> u8 {
    move |at| {
        let mut noise = (at.x * 0x9E37 + at.y * 0x85EB + frame * 0xC2B2 + 1).wrapping_mul(0x2C1B_3C6D);
        noise ^= noise >> 15;
        let pattern = if (at.x / 6 + at.y / 6) % 2 == 0 { 90 } else { 160 };
        pattern + ((noise.wrapping_mul(0x297A_2D39) >> 20) % 17) as u8 - 8
    }
}

/// Returns the mean difference of the moving slide's rows from one frame to the next, in the slide's middle; the motion is exact.
fn flicker(rows: &[Vec<u8>]) -> f64 {
    let inner = 8..SLIDE as usize - 8;
    let pairs = rows.windows(2).flat_map(|pair| inner.clone().map(|x| (pair[0][x], pair[1][x])));
    let (sum, count) = pairs.fold((0.0, 0), |(sum, count), (a, b)| (sum + f64::from(a.abs_diff(b)), count + 1));
    sum / f64::from(count)
}

#[test]
fn history_calms_what_flickers_on_a_moving_face() {
    let run = |history: Option<f32>| {
        let mut slide = Slide::new(with_history(history.unwrap_or_default()));
        slide.settings(|settings| settings.enabled = history.is_some());
        settle(&mut slide.app);
        // Two pixels a frame, so that without motion vectors nothing would fit.
        let rows: Vec<_> = (0..12).map(|frame| slide.next(2 * frame - 12, noisy(frame as u32))).collect();
        flicker(&rows[4..])
    };
    let (input, without, with) = (run(None), run(Some(0.0)), run(Some(0.9)));
    println!("warping error: {input:.2} of 255 in, {without:.2} out without history, {with:.2} with");
    assert!(without > 1.15 * input, "the network makes it worse: {without} of {input}");
    assert!(with <= 1.05 * input, "history takes that away: {with} of {input}");
}

#[test]
fn a_mouth_that_opens_in_three_frames_is_late_by_one_at_most() {
    // Dark where the mouth is, with teeth; skin has a grain. From closed to 24 columns wide.
    let mouth = |open: f32| {
        move |at: UVec2| {
            let grain = ((at.x * 7 + at.y * 3) % 5) as u8;
            if (at.x as f32 - 23.5).abs() < open * 12.0 { 30 + 12 * grain } else { 170 + 4 * grain }
        }
    };
    let run = |history: f32| -> Vec<Vec<u8>> {
        let mut slide = Slide::new(with_history(history));
        let opening = (0..10).map(|frame| (frame as f32 - 4.0).clamp(0.0, 3.0) / 3.0);
        opening.map(|open| slide.next(0, mouth(open))).collect()
    };
    let (sharp, steady) = (run(0.0), run(0.9));
    let width = |row: &[u8]| row[8..40].iter().filter(|value| **value < 100).count();
    println!("columns of mouth without history {:?}", sharp.iter().map(|row| width(row)).collect::<Vec<_>>());
    println!("columns of mouth with history    {:?}", steady.iter().map(|row| width(row)).collect::<Vec<_>>());
    assert_eq!((width(&sharp[0]), width(&sharp[9])), (0, 24), "the mouth opens");
    for (frame, (row, sharp)) in steady[1..].iter().zip(sharp.windows(2)).enumerate() {
        for x in 8..40 {
            // The value is on the way from the frame before to this one, or behind by less than a tenth of the way.
            let way = [sharp[0][x], sharp[1][x]];
            let (low, high) = (way[0].min(way[1]).saturating_sub(8), way[0].max(way[1]).saturating_add(8));
            let found = row[x];
            assert!(
                (low..=high).contains(&found),
                "frame {}, column {x}: {found}, expected {low} to {high}",
                frame + 1
            );
        }
    }
}

#[test]
fn reset_and_a_pause_forget_the_last_frame() {
    let mut slide = Slide::new(with_history(0.9));
    assert!(slide.app.world().entity(slide.camera).contains::<MotionVectorPrepass>(), "the plugin brings it");
    let mut sharp = Slide::new(with_history(0.0));
    for frame in 0..6 {
        slide.next(0, noisy(frame));
        sharp.next(0, noisy(frame));
    }
    let expected = sharp.next(0, noisy(6));
    slide.settings(|settings| settings.reset = true);
    assert_eq!(slide.next(0, noisy(6)), expected, "as if there were no history");
    let after = slide.next(0, noisy(7));
    let settings = slide.app.world().get::<PortraitRealism>(slide.camera).expect("the effect");
    assert!(!settings.reset, "it holds for one frame");
    assert_ne!(after, sharp.next(0, noisy(7)), "history goes on");

    // The effect is off for a while, so that the kept residual is old.
    slide.settings(|settings| settings.enabled = false);
    (0..3).for_each(|_| slide.app.update());
    slide.settings(|settings| settings.enabled = true);
    settle(&mut slide.app);
    slide.settings(|settings| settings.reset = true);
    let expected = sharp.next(0, noisy(9));
    assert_eq!(slide.next(0, noisy(9)), expected);

    slide.settings(|settings| settings.history = 0.0);
    slide.app.update();
    assert!(!slide.app.world().entity(slide.camera).contains::<MotionVectorPrepass>(), "and takes it away");
}

#[test]
fn a_camera_with_another_prepass_goes_on_when_its_history_ends() {
    for shipped in [PortraitModel::FAST, PortraitModel::QUALITY] {
        for msaa in [Msaa::Off, Msaa::Sample4] {
            let mut stage = Stage::new(msaa, DepthPrepass);
            let plain = PortraitRealism { model: shipped.clone(), ..default() };
            let second = stage.set(plain.clone());
            for _ in 0..2 {
                stage.set(PortraitRealism { history: 0.5, ..plain.clone() });
                assert!(stage.set(plain.clone()) == second);
            }
            stage.set(PortraitRealism { history: 0.5, ..plain });
            stage.app.world_mut().entity_mut(stage.camera).remove::<PortraitRealism>();
            assert!(stage.frame() == stage.first);
        }
    }
}
