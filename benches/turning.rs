//! Measures whether the effect holds still while the demo's head turns: each frame is compared with the one before, moved along by the
//! exact motion of the surfaces. The measure is the warping error of Lai et al. 2018, over the pixels of the face that both frames show.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use bevy::camera::RenderTarget;
use bevy::camera::primitives::Aabb;
use bevy::core_pipeline::prepass::{DepthPrepass, MotionVectorPrepass, NormalPrepass};
use bevy::math::Affine3A;
use bevy::prelude::*;
use bevy::render::RenderApp;
use bevy::render::render_resource::{TextureFormat, TextureUsages};
use bevy_portrait_realism::prelude::*;
use portrait_dataset::readback::{GBufferReader, read_target};

use crate::examples::demo::{self, DemoHead};
use crate::examples::windowless::{PATIENCE, Windowless, settle};

/// Angle by which the head turns in a frame, radians: at 30 frames a second 34° in a second.
const TURN: f32 = 0.02;
/// Maximum difference between the depths of the same point in two frames, metres.
const DEPTH_TOLERANCE_M: f32 = 0.004;

/// The demo's head, ready to be turned.
pub struct Turning {
    app: App,
    camera: Entity,
    head: Entity,
    target: Handle<Image>,
    reader: GBufferReader,
    face: Aabb,
    side: usize,
}

/// Image and geometry of one frame.
struct Shot {
    /// Pixels of the frame, RGBA, display-referred sRGB.
    image: Vec<u8>,
    depths_m: Vec<Option<f32>>,
    world_from_head: Affine3A,
}

/// A camera that does not move, which projects points to pixels and finds the points of pixels.
struct Pinhole {
    world_from_view: Affine3A,
    /// Width of a metre at a distance of a metre, pixels.
    scale: f32,
    middle: f32,
}

impl Turning {
    /// Starts the demo in a picture of `side` × `side` pixels.
    pub fn new(side: u32) -> Result<Self> {
        let mut parts = None;
        let windowless = Windowless {
            size_px: UVec2::splat(side),
            assets: demo::assets_folder(),
            wait_for_shaders: true,
            logs: false,
        };
        let mut app = windowless.start(|app| {
            app.add_plugins(PortraitRealismPlugin);
            demo::load(app)?;
            let world = app.world_mut();
            let head = demo::spawn_head(world, DemoHead::default());
            // The head turns, but keeps its expression: only rigid motion can be followed exactly.
            world.entity_mut(head).remove::<DemoHead>();
            demo::spawn_lights(world);
            let camera = demo::spawn_camera(world);
            let mut target = Image::new_target_texture(side, side, TextureFormat::Rgba8UnormSrgb, None);
            target.texture_descriptor.usage |= TextureUsages::COPY_SRC;
            let target = world.resource_mut::<Assets<Image>>().add(target);
            // All prepasses in every run, so that the first images are the same.
            let prepasses = (NormalPrepass, DepthPrepass, MotionVectorPrepass);
            world.entity_mut(camera).insert((prepasses, Msaa::Off, RenderTarget::from(target.clone())));
            parts = Some((head, camera, target));
            Ok(())
        })?;
        settle(&mut app)?;
        let (head, camera, target) = parts.context("the scene was made")?;
        let face = demo::face_bounds(app.world());
        let reader = GBufferReader::new(app.sub_app(RenderApp).world())?;
        Ok(Self { app, camera, head, target, reader, face, side: side as usize })
    }

    /// Returns the mean warping error, 0–1, of each of `frames` frames after the first two, with the effect at these settings or, for
    /// `None`, without the effect.
    pub fn errors(&mut self, settings: Option<PortraitRealism>, frames: usize) -> Result<Vec<f64>> {
        let mut camera = self.app.world_mut().entity_mut(self.camera);
        let enhanced = settings.is_some();
        match settings {
            Some(settings) => camera.insert(settings),
            None => camera.remove::<PortraitRealism>(),
        };
        self.turn(0.0);
        let started = Instant::now();
        // Frames are drawn until the effect shows, and once more.
        while {
            self.app.update();
            enhanced && !self.is_enhanced()
        } {
            if started.elapsed() > PATIENCE {
                bail!("the effect did not start within {} s", PATIENCE.as_secs());
            }
        }
        settle(&mut self.app)?;
        let mut before = self.shoot(0)?;
        let mut errors = Vec::new();
        for frame in 1..frames + 2 {
            let now = self.shoot(frame)?;
            if frame >= 2 {
                errors.push(self.warping_error(&before, &now)?);
            }
            before = now;
        }
        Ok(errors)
    }

    fn is_enhanced(&self) -> bool {
        self.app.world().get::<PortraitStatus>(self.camera).is_some_and(|status| status.tier.is_some())
    }

    fn turn(&mut self, angle: f32) {
        let pivot = Vec3::from(self.face.center).with_y(0.0);
        let turned = Transform::from_translation(pivot)
            * Transform::from_rotation(Quat::from_rotation_y(angle))
            * Transform::from_translation(-pivot);
        self.app.world_mut().entity_mut(self.head).insert(turned);
    }

    fn shoot(&mut self, frame: usize) -> Result<Shot> {
        self.turn(frame as f32 * TURN - 0.2);
        self.app.update();
        let near_m = match self.app.world().get::<Projection>(self.camera) {
            Some(Projection::Perspective(perspective)) => perspective.near,
            _ => bail!("the demo's camera is a perspective one"),
        };
        let render = self.app.sub_app_mut(RenderApp).world_mut();
        let image = read_target(render, &self.target, 4)?;
        let depths_m = self.reader.read(render, self.camera, near_m)?.depths_m;
        let head = self.app.world().get::<GlobalTransform>(self.head).context("the head is there")?;
        Ok(Shot { image, depths_m, world_from_head: head.affine() })
    }

    fn warping_error(&self, before: &Shot, now: &Shot) -> Result<f64> {
        let world = self.app.world();
        let (Some(transform), Some(Projection::Perspective(perspective))) =
            (world.get::<GlobalTransform>(self.camera), world.get::<Projection>(self.camera))
        else {
            bail!("the demo's camera is a perspective one");
        };
        let side = self.side;
        let pinhole = Pinhole {
            world_from_view: transform.affine(),
            scale: side as f32 / (2.0 * (perspective.fov / 2.0).tan()),
            middle: side as f32 / 2.0,
        };
        let (mut sum, mut count) = (0.0, 0_u32);
        for at in 0..side * side {
            let Some(depth_m) = now.depths_m[at] else { continue };
            let point = pinhole.point(Vec2::new((at % side) as f32, (at / side) as f32) + 0.5, depth_m);
            let in_head = now.world_from_head.inverse().transform_point3(point);
            if (in_head - Vec3::from(self.face.center)).abs().cmpgt(self.face.half_extents.into()).any() {
                continue;
            }
            let (place, depth_m) = pinhole.project(before.world_from_head.transform_point3(in_head));
            let place = place - 0.5;
            let last = side as f32 - 1.0;
            if place.min_element() < 0.0 || place.max_element() >= last {
                continue;
            }
            let corners = [(0, 0), (1, 0), (0, 1), (1, 1)]
                .map(|(right, down)| (place.y as usize + down) * side + place.x as usize + right);
            let is_hidden = |&corner: &usize| {
                before.depths_m[corner].is_none_or(|seen_m| (seen_m - depth_m).abs() > DEPTH_TOLERANCE_M)
            };
            if corners.iter().any(is_hidden) {
                continue;
            }
            let part = place.fract();
            let shares =
                [(1.0 - part.x) * (1.0 - part.y), part.x * (1.0 - part.y), (1.0 - part.x) * part.y, part.x * part.y];
            for channel in 0..3 {
                let value = |corner: usize| f32::from(before.image[corner * 4 + channel]);
                let moved: f32 = corners.iter().zip(shares).map(|(&corner, share)| value(corner) * share).sum();
                sum += f64::from((f32::from(now.image[at * 4 + channel]) - moved).abs()) / (3.0 * 255.0);
            }
            count += 1;
        }
        if count == 0 {
            bail!("no pixel of the face is seen in both frames");
        }
        Ok(sum / f64::from(count))
    }
}

impl Pinhole {
    fn point(&self, place: Vec2, depth_m: f32) -> Vec3 {
        let across = (place - self.middle) / self.scale * depth_m;
        self.world_from_view.transform_point3(Vec3::new(across.x, -across.y, -depth_m))
    }

    fn project(&self, point: Vec3) -> (Vec2, f32) {
        let view = self.world_from_view.inverse().transform_point3(point);
        let across = Vec2::new(view.x, -view.y) / -view.z;
        (across * self.scale + self.middle, -view.z)
    }
}
