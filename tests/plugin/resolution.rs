//! Resolutions: the image that the network sees, its residual where the region is scaled down, and the tier that is chosen by time.

use bevy::asset::RenderAssetUsages;
use bevy::camera::ScalingMode;
use bevy::camera::primitives::Aabb;
use bevy::core_pipeline::tonemapping::{DebandDither, Tonemapping};
use bevy::image::ImageSampler;
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat, WgpuFeatures};
use bevy::render::renderer::RenderDevice;
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::prelude::*;
use portrait_network::transfer::{COLOR_CENTER, COLOR_SCALE, srgb_decode, srgb_encode};
use portrait_network::{Model, Plane};

use crate::common::{frame, headless, headless_without, render_world, settle, spawn_camera, target};
use crate::stage::{LDR, linear_model, model};

/// A camera that shows a picture, pixel for pixel; all of it is a face.
struct Gallery {
    app: App,
    camera: Entity,
    target: Handle<Image>,
    /// The first rendered image.
    first: Vec<u8>,
}

impl Gallery {
    /// Makes a gallery whose picture has the colours of `pixel`, display-referred sRGB, 0–255.
    fn new(size: UVec2, pixel: impl Fn(UVec2) -> [u8; 3]) -> Self {
        Self::of(headless("assets", true), size, pixel)
    }

    fn of(mut app: App, size: UVec2, pixel: impl Fn(UVec2) -> [u8; 3]) -> Self {
        let bytes = (0..size.x * size.y).flat_map(|at| {
            let [r, g, b] = pixel(UVec2::new(at % size.x, at / size.x));
            [r, g, b, 255]
        });
        let bytes: Vec<u8> = bytes.collect();
        let mut image = Image::new(
            Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 },
            TextureDimension::D2,
            bytes.clone(),
            TextureFormat::Rgba8UnormSrgb,
            RenderAssetUsages::default(),
        );
        image.sampler = ImageSampler::nearest();
        let target = target(&mut app, size, LDR);
        let camera = gallery_camera(&mut app, &target, size);
        let (width, height) = (size.x as f32, size.y as f32);
        let world = app.world_mut();
        let mesh = world.resource_mut::<Assets<Mesh>>().add(Rectangle::new(width, height));
        let texture = world.resource_mut::<Assets<Image>>().add(image);
        let material = StandardMaterial { base_color_texture: Some(texture), unlit: true, ..default() };
        let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
        let half = Vec3::new(width, height, 1.0) / 2.0;
        let bounds = Some(Aabb::from_min_max(-half, half));
        world.spawn((
            Mesh3d(mesh),
            MeshMaterial3d(material),
            Transform::default(),
            PortraitFace { bounds, ..default() },
        ));
        settle(&mut app);
        let first = frame(&mut app, &target);
        assert!(first == bytes, "the picture is shown as it is");
        Self { app, camera, target, first }
    }

    /// Draws a frame with these settings.
    fn set(&mut self, settings: PortraitRealism) -> Vec<u8> {
        self.app.world_mut().entity_mut(self.camera).insert(settings);
        settle(&mut self.app);
        frame(&mut self.app, &self.target)
    }

    /// Draws the next frame.
    fn next(&mut self) -> Vec<u8> {
        self.app.update();
        frame(&mut self.app, &self.target)
    }

    fn status(&self) -> PortraitStatus {
        *self.app.world().get::<PortraitStatus>(self.camera).expect("the camera has the effect")
    }

    fn reported(&self) -> (Option<ResolutionTier>, UVec2, Option<f32>) {
        let PortraitStatus { tier, network_px, gpu_ms, .. } = self.status();
        (tier, network_px, gpu_ms)
    }
}

fn gallery_camera(app: &mut App, target: &Handle<Image>, size: UVec2) -> Entity {
    let camera = spawn_camera(app, target, Msaa::Off);
    let projection = OrthographicProjection {
        scaling_mode: ScalingMode::Fixed { width: size.x as f32, height: size.y as f32 },
        ..OrthographicProjection::default_3d()
    };
    let parts = (Projection::Orthographic(projection), Tonemapping::None, DebandDither::Disabled);
    app.world_mut().entity_mut(camera).insert(parts);
    camera
}

/// Returns the colour of a picture with few colours and hard edges in every direction, finer than a pixel of a network that sees a
/// quarter of the pixels a side.
fn poster(at: UVec2) -> [u8; 3] {
    let from = |x: f32, y: f32| at.as_vec2() + 0.5 - Vec2::new(x, y);
    let tilted = Vec2::from_angle(0.4).rotate(from(300.0, 190.0)).abs();
    if from(190.3, 330.7).length() < 121.0 {
        [214, 160, 138]
    } else if tilted.x < 130.0 && tilted.y < 70.0 {
        [60, 36, 30]
    } else if (from(0.0, 0.0).x + 2.3 * from(0.0, 0.0).y).rem_euclid(170.0) < 40.0 {
        [96, 122, 80]
    } else {
        [120, 110, 160]
    }
}

const POSTER: UVec2 = UVec2::new(512, 512);

/// Returns a network whose residual is a function of the colour alone.
fn by_color() -> Model {
    linear_model(&[Plane::Color], vec![-0.5, 0.3, 0.1, 0.2, 0.4, -0.2, -0.1, 0.2, 0.5], [0.1, -0.05, 0.0])
}

/// Returns a network that adds 0.1 to every channel.
fn brighter() -> Model {
    linear_model(&[Plane::Color], vec![0.0; 9], [0.4; 3])
}

/// Returns the frame that [`by_color`] makes if it sees a quarter of the pixels a side, and the residual is enlarged bilinearly.
fn bilinear_by_color(first: &[u8], size: UVec2) -> Vec<f32> {
    let small = size / 4;
    let at = |x: u32, y: u32, c: usize| f32::from(first[((y * size.x + x) * 4) as usize + c]) / 255.0;
    let model = by_color();
    let conv = &model.convs()[0];
    let residual: Vec<[f32; 3]> = (0..small.x * small.y)
        .map(|index| {
            let corner = UVec2::new(index % small.x, index / small.x) * 4;
            let color: [f32; 3] = std::array::from_fn(|c| {
                let block = (0..16).map(|part| srgb_decode(at(corner.x + part % 4, corner.y + part / 4, c)));
                (srgb_encode(block.sum::<f32>() / 16.0) - COLOR_CENTER) * COLOR_SCALE
            });
            std::array::from_fn(|out| {
                let sum: f32 = (0..3).map(|c| conv.weight[out * 3 + c] * color[c]).sum();
                0.25 * (sum + conv.bias[out])
            })
        })
        .collect();
    let residual_at = |x: f32, y: f32, c: usize| {
        let (x, y) = (x.clamp(0.0, small.x as f32 - 1.0), y.clamp(0.0, small.y as f32 - 1.0));
        residual[(y as u32 * small.x + x as u32) as usize][c]
    };
    let mut out = Vec::new();
    for (y, x, c) in (0..size.y).flat_map(|y| (0..size.x).flat_map(move |x| (0..3).map(move |c| (y, x, c)))) {
        let [u, v] = [x, y].map(|side| ((side as f32 + 0.5) / 4.0 - 0.5).max(0.0));
        let (left, top) = (u.floor(), v.floor());
        let row = |y: f32| residual_at(left, y, c) * (1.0 - u.fract()) + residual_at(left + 1.0, y, c) * u.fract();
        let residual = row(top) * (1.0 - v.fract()) + row(top + 1.0) * v.fract();
        out.push((at(x, y, c) + residual).clamp(0.0, 1.0));
    }
    out
}

fn colors(frame: &[u8]) -> Vec<f32> {
    frame.chunks(4).flat_map(|px| px[..3].iter().map(|value| f32::from(*value) / 255.0)).collect()
}

/// Returns the root mean square of the differences at the pixels for which `counts` is true.
fn rms(a: &[f32], b: &[f32], counts: &[bool]) -> f32 {
    let differences = a.iter().zip(b).enumerate().filter(|(at, _)| counts[at / 3]).map(|(_, (a, b))| (a - b).powi(2));
    let (sum, count) = differences.fold((0.0, 0), |(sum, count), square| (sum + square, count + 1));
    (sum / count as f32).sqrt()
}

#[test]
fn each_tier_shows_the_network_its_number_of_pixels() {
    let mut gallery = Gallery::new(UVec2::new(600, 450), poster);
    let model = model(&mut gallery.app, by_color());
    let tiers = [
        (PortraitResolution::Low, ResolutionTier::Low, UVec2::new(120, 90)),
        (PortraitResolution::Medium, ResolutionTier::Medium, UVec2::new(240, 180)),
        (PortraitResolution::High, ResolutionTier::High, UVec2::new(480, 360)),
    ];
    let mut held = 0;
    for (resolution, tier, network_px) in tiers {
        let second = gallery.set(PortraitRealism { model: model.clone(), resolution, ..default() });
        assert!(second != gallery.first, "{resolution:?}");
        assert_eq!(gallery.reported(), (Some(tier), network_px, None));
        let state = render_world(&gallery.app).resource::<PortraitGpuState>();
        let capacity_px = state.network(model.id()).expect("it runs").plan().capacity_px;
        assert!(capacity_px.cmpge(network_px).all() && capacity_px.cmple(network_px + 63).all(), "{capacity_px}");
        assert!(state.allocated_bytes() > held, "{resolution:?} needs more memory");
        held = state.allocated_bytes();
    }
    // Smaller tiers run in the same memory.
    for (resolution, tier, network_px) in tiers {
        gallery.set(PortraitRealism { model: model.clone(), resolution, ..default() });
        assert_eq!(gallery.reported(), (Some(tier), network_px, None));
        assert_eq!(render_world(&gallery.app).resource::<PortraitGpuState>().allocated_bytes(), held);
    }
    gallery.set(PortraitRealism { model, enabled: false, ..default() });
    assert_eq!(gallery.status(), PortraitStatus::default(), "nothing is enhanced");
    gallery.app.world_mut().entity_mut(gallery.camera).remove::<PortraitRealism>();
    assert!(!gallery.app.world().entity(gallery.camera).contains::<PortraitStatus>());
}

#[test]
fn faces_smaller_than_a_tier_are_not_scaled() {
    let mut gallery = Gallery::new(UVec2::new(90, 120), poster);
    let model = model(&mut gallery.app, by_color());
    let mut set = |resolution| gallery.set(PortraitRealism { model: model.clone(), resolution, ..default() });
    let second = set(PortraitResolution::High);
    assert!(set(PortraitResolution::Low) == second && set(PortraitResolution::Medium) == second);
    assert_eq!(gallery.status().network_px, UVec2::new(90, 120));
}

#[test]
fn residual_follows_edges_that_the_network_saw_blurred() {
    let mut gallery = Gallery::new(POSTER, poster);
    let first = gallery.first.clone();
    let model = model(&mut gallery.app, by_color());
    let mut set = |resolution| colors(&gallery.set(PortraitRealism { model: model.clone(), resolution, ..default() }));
    // At scale 1 the network sees each pixel as it is.
    let (truth, guided) = (set(PortraitResolution::High), set(PortraitResolution::Low));
    let bilinear = bilinear_by_color(&first, POSTER);
    // A pixel is at an edge if a pixel of another colour lies within one pixel of the network.
    let pixel = |x: u32, y: u32| &first[((y * POSTER.x + x) * 4) as usize..][..3];
    let around = |side: u32| side.saturating_sub(4)..=(side + 4).min(POSTER.x - 1);
    let at_edge: Vec<bool> = (0..POSTER.x * POSTER.y)
        .map(|at| (at % POSTER.x, at / POSTER.x))
        .map(|(x, y)| around(y).any(|v| around(x).any(|u| pixel(u, v) != pixel(x, y))))
        .collect();
    let elsewhere: Vec<bool> = at_edge.iter().map(|at_edge| !at_edge).collect();
    let [error, bilinear_error] = [&guided, &bilinear].map(|found| rms(&truth, found, &at_edge));
    println!(
        "at edges: {error:.4} guided, {bilinear_error:.4} bilinear; elsewhere {:.4}",
        rms(&truth, &guided, &elsewhere)
    );
    assert!(2.0 * error <= bilinear_error, "{error} guided, {bilinear_error} bilinear");
    assert!(rms(&truth, &guided, &elsewhere) <= 1.0 / 255.0);
}

/// Returns the colour of a picture with pores and lines of one pixel on a soft gradient. Pores and lines even out under each pixel of a
/// network that sees a quarter of the pixels a side.
fn pores(at: UVec2) -> [u8; 3] {
    let hash = ((at.x / 2).wrapping_mul(0x9E37_79B1) ^ at.y.wrapping_mul(0x85EB_CA77)).wrapping_mul(0x2C1B_3C6D);
    let noise = ((hash ^ (hash >> 15)).wrapping_mul(0x297A_2D39) >> 24) as f32 / 255.0 - 0.5;
    let noise = if at.x.is_multiple_of(2) { noise } else { -noise };
    let line = if at.x % 4 == 1 { -30.0 } else { 0.0 };
    let soft = at.x as f32 * 0.1 + at.y as f32 * 0.06;
    [150.0, 110.0, 90.0].map(|base| (base + soft + line + 30.0 * noise) as u8)
}

/// Returns the sum of the squared differences of neighbouring pixels.
fn gradient_energy(frame: &[u8], size: UVec2) -> f64 {
    let value = |x: u32, y: u32, c: u32| f64::from(frame[((y * size.x + x) * 4 + c) as usize]);
    let mut sum = 0.0;
    for (y, x, c) in (1..size.y).flat_map(|y| (1..size.x).flat_map(move |x| (0..3).map(move |c| (y, x, c)))) {
        sum += (value(x, y, c) - value(x - 1, y, c)).powi(2) + (value(x, y, c) - value(x, y - 1, c)).powi(2);
    }
    sum
}

#[test]
fn detail_finer_than_the_networks_pixels_stays() {
    let mut gallery = Gallery::new(POSTER, pores);
    let before = gradient_energy(&gallery.first, POSTER);
    let resolution = PortraitResolution::Low;
    let second = gallery.set(PortraitRealism { model: PortraitModel::FAST, resolution, ..default() });
    assert!(second != gallery.first);
    let share = gradient_energy(&second, POSTER) / before;
    println!("{share:.3} of the frame's gradient energy");
    assert!(share >= 0.98, "{share} of the frame's gradient energy");
}

#[test]
fn constant_residuals_are_exact_at_every_scale() {
    let mut gallery = Gallery::new(UVec2::splat(320), poster);
    let first = gallery.first.clone();
    let model = model(&mut gallery.app, brighter());
    let mut set =
        |resolution, strength| gallery.set(PortraitRealism { model: model.clone(), resolution, strength, ..default() });
    let second = set(PortraitResolution::High, 1.0);
    assert!(second != first);
    for resolution in [PortraitResolution::Low, PortraitResolution::Medium] {
        assert!(set(resolution, 1.0) == second, "{resolution:?}");
        assert!(set(resolution, 0.0) == first, "{resolution:?}, strength 0");
    }
}

#[test]
fn a_change_of_tier_does_not_flash() {
    let mut gallery = Gallery::new(UVec2::new(300, 225), poster);
    // The residual is the same at every size of the network, so every enhanced frame is the same.
    let model = model(&mut gallery.app, brighter());
    let settings = |resolution| PortraitRealism { model: model.clone(), resolution, ..default() };
    let second = gallery.set(settings(PortraitResolution::Low));
    assert!(second != gallery.first);
    for resolution in [
        PortraitResolution::High,
        PortraitResolution::Low,
        PortraitResolution::Medium,
        PortraitResolution::Auto { budget_ms: 1e-6 },
        PortraitResolution::Auto { budget_ms: 1e6 },
        PortraitResolution::Low,
    ] {
        gallery.app.world_mut().entity_mut(gallery.camera).insert(settings(resolution));
        for count in 0..20 {
            assert!(gallery.next() == second, "frame {count} with {resolution:?}");
        }
    }
}

#[test]
fn auto_steps_down_and_up_with_its_budget() {
    let mut gallery = Gallery::new(UVec2::splat(272), poster);
    let device = render_world(&gallery.app).resource::<RenderDevice>();
    let measures = device.features().contains(TIME_STAMPS);
    let model = model(&mut gallery.app, by_color());
    let settings = |budget_ms| PortraitRealism {
        model: model.clone(),
        resolution: PortraitResolution::Auto { budget_ms },
        ..default()
    };
    gallery.set(settings(1e6));
    assert!(measures, "this device has no time stamps: the test needs another one");
    assert_eq!(gallery.status().tier, Some(ResolutionTier::High), "it starts with the highest");
    let frames_until = |gallery: &mut Gallery, tier: ResolutionTier| {
        let done = |gallery: &Gallery| gallery.status().tier == Some(tier);
        (0..100).find(|_| {
            gallery.app.update();
            done(gallery)
        })
    };
    for _ in 0..30 {
        gallery.app.update();
    }
    let measured = gallery.status().gpu_ms.expect("it is measured");
    println!("{measured:.2} ms at {}", gallery.status().network_px);
    assert!(measured > 0.0 && measured < 60_000.0, "{measured} ms");
    gallery.app.world_mut().entity_mut(gallery.camera).insert(settings(1e-6));
    let down = frames_until(&mut gallery, ResolutionTier::Low).expect("steps down");
    assert_eq!(gallery.status().network_px, UVec2::splat(121));
    for _ in 0..30 {
        gallery.app.update();
    }
    println!("{:.2} ms at {}", gallery.status().gpu_ms.expect("it is measured"), gallery.status().network_px);
    assert_eq!(gallery.status().tier, Some(ResolutionTier::Low), "it stays down");
    let held = render_world(&gallery.app).resource::<PortraitGpuState>().allocated_bytes();
    gallery.app.world_mut().entity_mut(gallery.camera).insert(settings(1e6));
    let up = frames_until(&mut gallery, ResolutionTier::High).expect("steps up");
    println!("down after {down} frames, up after {up}");
    assert!(down < 30 && up < 30, "{down} frames down, {up} frames up");
    assert_eq!(render_world(&gallery.app).resource::<PortraitGpuState>().allocated_bytes(), held, "nothing grew");
}

/// Features of the device that [`PortraitResolution::Auto`] measures with.
const TIME_STAMPS: WgpuFeatures = WgpuFeatures::TIMESTAMP_QUERY.union(WgpuFeatures::TIMESTAMP_QUERY_INSIDE_ENCODERS);

#[test]
fn without_time_stamps_auto_is_balanced() {
    let size = UVec2::splat(272);
    let mut gallery = Gallery::of(headless_without(TIME_STAMPS, "assets", true), size, poster);
    let model = model(&mut gallery.app, by_color());
    let mut set = |resolution| gallery.set(PortraitRealism { model: model.clone(), resolution, ..default() });
    let second = set(PortraitResolution::Medium);
    assert!(set(PortraitResolution::Auto { budget_ms: 1e-6 }) == second);
    assert_eq!(gallery.reported(), (Some(ResolutionTier::Medium), UVec2::splat(242), None));
}

#[test]
fn cameras_of_different_tiers_do_not_mix() {
    let size = UVec2::splat(160);
    let mut gallery = Gallery::new(size, poster);
    let model = model(&mut gallery.app, by_color());
    let settings = |resolution| PortraitRealism { model: model.clone(), resolution, ..default() };
    let (fast, full) =
        (gallery.set(settings(PortraitResolution::Low)), gallery.set(settings(PortraitResolution::High)));
    assert!(fast != full);
    let other_target = target(&mut gallery.app, size, LDR);
    let other = gallery_camera(&mut gallery.app, &other_target, size);
    gallery.app.world_mut().entity_mut(other).insert(settings(PortraitResolution::Low));
    assert!(gallery.set(settings(PortraitResolution::Auto { budget_ms: f32::INFINITY })) == full);
    assert!(frame(&mut gallery.app, &other_target) == fast);
    let status = gallery.app.world().get::<PortraitStatus>(other).expect("the effect");
    assert_eq!((status.tier, status.gpu_ms), (Some(ResolutionTier::Low), None), "only Auto is measured");
    assert!(gallery.status().gpu_ms.is_some());
}
