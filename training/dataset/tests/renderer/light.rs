//! Radiance, direction and tone mapping agree with the reference's. Needs a Vulkan device; lavapipe serves.

use std::path::Path;

use crate::common::{CAMERA_Z, RADIUS, SEED, SIZE_PX, Toy, ray, write_exr, write_sky};
use portrait_dataset::background::Backdrop;
use portrait_dataset::linear_image::LinearImage;
use portrait_dataset::rendering::{AntiAliasing, Rendering};
use portrait_dataset::scene::{Background, Scene};
use portrait_dataset::studio::Studio;
use serde_json::{Value, json};

fn radiance(data: &Path, toy: &Toy) -> LinearImage {
    let folder = toy.write(data);
    let scene = Scene::read(&folder.join("scene.json")).unwrap();
    Studio::new(data).unwrap().shoot_radiance(&scene, &format!("{SEED:08}/scene.glb")).unwrap()
}

/// The sphere's points and normals at the pixels well inside it.
fn surface(toy: &Toy) -> Vec<(usize, [f32; 3], [f32; 3])> {
    let mut found = Vec::new();
    for (y, x) in (0..SIZE_PX).flat_map(|y| (0..SIZE_PX).map(move |x| (y, x))) {
        let neighbours = [(-1, 0), (1, 0), (0, -1), (0, 1)];
        let inside = |dx: i32, dy: i32| toy.covers(x.wrapping_add_signed(dx), y.wrapping_add_signed(dy));
        if !toy.covers(x, y) || !neighbours.iter().all(|(dx, dy)| inside(*dx, *dy)) {
            continue;
        }
        let direction = ray(x, y);
        let length = direction.iter().map(|part| part * part).sum::<f32>().sqrt();
        let unit = direction.map(|part| part / length);
        // |o + t u - c| = r with o = (0, 0, CAMERA_Z)
        let from = [-toy.center[0], -toy.center[1], CAMERA_Z - toy.center[2]];
        let half = unit.iter().zip(from).map(|(u, f)| u * f).sum::<f32>();
        let rest = from.iter().map(|part| part * part).sum::<f32>() - RADIUS * RADIUS;
        let t = -half - (half * half - rest).sqrt();
        let point = [unit[0] * t, unit[1] * t, CAMERA_Z + unit[2] * t];
        let normal = [0, 1, 2].map(|axis| (point[axis] - toy.center[axis]) / RADIUS);
        found.push(((y * SIZE_PX + x) as usize, point, normal));
    }
    assert!(found.len() > 50, "the toy sphere is too small to measure");
    found
}

#[test]
fn an_area_light_gives_the_irradiance_of_its_disk() {
    let data = tempfile::tempdir().unwrap();
    let (position, diameter, power) = ([0.6, 0.5, 0.9_f32], 0.4_f32, 10.0_f32);
    let length = position.iter().map(|part| part * part).sum::<f32>().sqrt();
    let direction = position.map(|part| -part / length);
    let toy = Toy {
        lights: json!([{"kind": "area", "name": "Key", "position": position, "direction": direction,
                        "diameter_m": diameter, "power_w": power, "color_linear": [1.0, 1.0, 1.0]}]),
        environment: json!({"file": "environments/sky.exr", "rotation_deg": 0.0, "strength": 0.0}),
        ..Toy::default()
    };
    let image = radiance(data.path(), &toy);
    // Radiance of the disk is power / (pi * area); sum it over the disk for each point of the sphere.
    let side = [direction[2], 0.0, -direction[0]];
    let norm = (side[0] * side[0] + side[2] * side[2]).sqrt();
    let side = side.map(|part| part / norm);
    let up = [
        direction[1] * side[2] - direction[2] * side[1],
        direction[2] * side[0] - direction[0] * side[2],
        direction[0] * side[1] - direction[1] * side[0],
    ];
    let area = std::f32::consts::PI * diameter * diameter / 4.0;
    let disk_radiance = power / (std::f32::consts::PI * area);
    let samples: Vec<[f32; 3]> = (0..400)
        .map(|k| {
            let (r, angle) = (diameter / 2.0 * ((k as f32 + 0.5) / 400.0).sqrt(), 2.399_963_2 * k as f32);
            let (along, across) = (r * angle.cos(), r * angle.sin());
            [0, 1, 2].map(|axis| position[axis] + side[axis] * along + up[axis] * across)
        })
        .collect();
    let (mut found, mut wanted) = (0.0, 0.0);
    for (pixel, point, normal) in surface(&toy) {
        found += image.pixels[pixel][1];
        for sample in &samples {
            let to = [0, 1, 2].map(|axis| sample[axis] - point[axis]);
            let distance_squared = to.iter().map(|part| part * part).sum::<f32>();
            let dot = |a: [f32; 3]| a.iter().zip(to).map(|(a, b)| a * b).sum::<f32>() / distance_squared.sqrt();
            let geometry = dot(normal).max(0.0) * (-dot(direction)).max(0.0) / distance_squared;
            wanted += toy.albedo / std::f32::consts::PI * disk_radiance * geometry * area / 400.0;
        }
    }
    assert!((found / wanted - 1.0).abs() < 0.05, "Bevy {found}, integrated {wanted}, ratio {}", found / wanted);
}

/// Returns Bevy's mean radiance over that of a matte sphere under `irradiance`, a function of point and normal.
fn lambertian_ratio(toy: &Toy, irradiance: impl Fn([f32; 3], [f32; 3]) -> f32) -> f32 {
    let data = tempfile::tempdir().unwrap();
    let image = radiance(data.path(), toy);
    let points = surface(toy);
    let found: f32 = points.iter().map(|(pixel, ..)| image.pixels[*pixel][1]).sum();
    let wanted: f32 =
        points.iter().map(|(_, point, normal)| toy.albedo / std::f32::consts::PI * irradiance(*point, *normal)).sum();
    found / wanted
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn a_sun_gives_its_irradiance_and_a_point_light_its_flux_over_the_sphere() {
    let dark = json!({"file": "environments/sky.exr", "rotation_deg": 0.0, "strength": 0.0});
    let sun = json!([{"kind": "sun", "name": "Key", "direction": [0.0, -0.6, -0.8], "irradiance_w_m2": 3.0,
                      "color_linear": [1.0, 1.0, 1.0]}]);
    let toy = Toy { lights: sun, environment: dark.clone(), ..Toy::default() };
    let ratio = lambertian_ratio(&toy, |_, normal| 3.0 * dot(normal, [0.0, 0.6, 0.8]).max(0.0));
    assert!((ratio - 1.0).abs() < 0.05, "sun: Bevy over the integral is {ratio}");
    let place = [0.3, 0.4, 0.9];
    let point = json!([{"kind": "point", "name": "Key", "position": place, "diameter_m": 0.05, "power_w": 20.0,
                        "color_linear": [1.0, 1.0, 1.0]}]);
    let toy = Toy { lights: point, environment: dark, ..Toy::default() };
    let ratio = lambertian_ratio(&toy, |at, normal| {
        let to = [0, 1, 2].map(|axis| place[axis] - at[axis]);
        let squared = dot(to, to);
        20.0 / (4.0 * std::f32::consts::PI * squared) * (dot(normal, to) / squared.sqrt()).max(0.0)
    });
    assert!((ratio - 1.0).abs() < 0.05, "point light: Bevy over the integral is {ratio}");
}

#[test]
fn lashes_throw_no_shadow_and_other_things_do() {
    let lit = |veil| {
        let toy = Toy {
            lights: json!([{"kind": "sun", "name": "Key", "direction": [0.0, -0.8, -0.6], "irradiance_w_m2": 3.0,
                            "color_linear": [1.0, 1.0, 1.0]}]),
            environment: json!({"file": "environments/sky.exr", "rotation_deg": 0.0, "strength": 0.0}),
            veil,
            ..Toy::default()
        };
        let data = tempfile::tempdir().unwrap();
        let image = radiance(data.path(), &toy);
        surface(&toy).iter().map(|&(pixel, ..)| image.pixels[pixel][1]).sum::<f32>()
    };
    let [free, lashes, cloth] = [None, Some("Lashes"), Some("Cloth")].map(lit);
    assert!((lashes / free - 1.0).abs() < 0.01, "{lashes} behind lashes, {free} without");
    assert!(cloth < 0.5 * free, "{cloth} behind cloth, {free} without");
}

#[test]
fn a_spot_light_is_a_point_light_whose_cone_falls_off_as_gltf_says() {
    let dark = json!({"file": "environments/sky.exr", "rotation_deg": 0.0, "strength": 0.0});
    let (place, power) = ([0.0, 0.0, 0.9_f32], 20.0_f32);
    let (inner, outer) = (0.02_f32, 0.14_f32);
    let spot = json!([{"kind": "spot", "name": "Key", "position": place, "direction": [0.0, 0.0, -1.0], "diameter_m": 0.05,
                       "power_w": power, "color_linear": [1.0, 1.0, 1.0], "inner_angle_rad": inner,
                       "outer_angle_rad": outer}]);
    let toy = Toy { lights: spot, environment: dark, ..Toy::default() };
    let ratio = lambertian_ratio(&toy, |at, normal| {
        let to = [0, 1, 2].map(|axis| place[axis] - at[axis]);
        let squared = dot(to, to);
        let share = ((to[2] / squared.sqrt() - outer.cos()) / (inner.cos() - outer.cos())).clamp(0.0, 1.0).powi(2);
        share * power / (4.0 * std::f32::consts::PI * squared) * (dot(normal, to) / squared.sqrt()).max(0.0)
    });
    // The soft edge lies across the sphere: with another curve between the angles the ratio would be another.
    assert!((ratio - 1.0).abs() < 0.05, "spot light: Bevy over the integral is {ratio}");
}

#[test]
fn ambient_light_shines_as_an_even_sky() {
    let sky = json!({"file": "environments/sky.exr", "rotation_deg": 0.0, "strength": 0.8, "ambient": true});
    let toy = Toy { albedo: 0.4, environment: sky, ..Toy::default() };
    let ratio = lambertian_ratio(&toy, |_, _| 0.8 * std::f32::consts::PI);
    assert!((ratio - 1.0).abs() < 0.03, "ambient light over an even sky is {ratio}");
}

#[test]
fn without_shadows_screen_space_effects_and_sharpening_still_draw_the_sphere() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::new(data.path()).unwrap();
    let toy = Toy::default();
    let folder = toy.write(data.path());
    let mut scene = Scene::read(&folder.join("scene.json")).unwrap();
    let backdrop = Backdrop::read(data.path(), &scene).unwrap();
    let glb = format!("{SEED:08}/scene.glb");
    let plain = Rendering { anti_aliasing: AntiAliasing::None, ..Rendering::default() };
    let effects = [
        Rendering { ssao: true, ..plain },
        Rendering { contact_shadows: true, shadows: false, ..plain },
        Rendering { sharpening: true, ..plain },
    ];
    let mut shoot = |rendering| {
        scene.rendering = rendering;
        studio.shoot(&scene, &glb, &backdrop, &backdrop.behind(&blank())).unwrap().first
    };
    let first = shoot(plain);
    for rendering in effects {
        let other = shoot(rendering);
        let difference: u32 = first.iter().zip(&other).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let mean = difference as f32 / first.len() as f32;
        assert!(mean < 12.0, "{rendering:?}: the images differ by {mean} of 255 on average");
    }
}

#[test]
fn a_sphere_in_a_constant_environment_shines_its_albedo() {
    let data = tempfile::tempdir().unwrap();
    let toy = Toy { albedo: 0.4, ..Toy::default() };
    let image = radiance(data.path(), &toy);
    for (pixel, ..) in surface(&toy) {
        let value = image.pixels[pixel][1];
        assert!((value / 0.4 - 1.0).abs() < 0.02, "pixel {pixel}: {value}, wanted 0.4");
    }
}

#[test]
fn the_environment_turns_by_the_documented_convention() {
    // Bright around u = 0.5, which lies towards +X at rotation 0 and towards -X at 180 degrees.
    for (rotation_deg, sign) in [(0.0, 1.0), (180.0, -1.0), (90.0, 0.0)] {
        let data = tempfile::tempdir().unwrap();
        let toy = Toy {
            environment: json!({"file": "environments/sky.exr", "rotation_deg": rotation_deg, "strength": 1.0}),
            ..Toy::default()
        };
        let folder = toy.write(data.path());
        write_sky(data.path(), |u| if (u - 0.5).abs() < 0.25 { 1.0 } else { 0.0 });
        let scene = Scene::read(&folder.join("scene.json")).unwrap();
        let mut studio = Studio::new(data.path()).unwrap();
        let image = studio.shoot_radiance(&scene, &format!("{SEED:08}/scene.glb")).unwrap();
        let (mut moment, mut total) = (0.0, 0.0);
        for (pixel, _, normal) in surface(&toy) {
            moment += image.pixels[pixel][0] * normal[0];
            total += image.pixels[pixel][0];
        }
        let lean = moment / total;
        if sign == 0.0 {
            // Turned by 90 degrees, the bright half faces the camera.
            assert!(lean.abs() < 0.02 && total / surface(&toy).len() as f32 > 0.35, "{lean}, {total}");
        } else {
            assert!(lean * sign > 0.15, "turned by {rotation_deg} degrees the light leans {lean}");
        }
    }
}

fn blank() -> LinearImage {
    LinearImage { size: [SIZE_PX; 2], pixels: vec![[0.0; 4]; (SIZE_PX * SIZE_PX) as usize] }
}

/// Photographs a scene whose sphere is out of sight; the largest difference between the two images.
fn worst_difference(data: &Path, studio: &mut Studio, scene: &Value) -> u8 {
    let toy = Toy { center: [5.0, 0.0, 0.0], ..Toy::default() };
    let folder = toy.write(data);
    std::fs::write(folder.join("scene.json"), scene.to_string()).unwrap();
    let scene = Scene::read(&folder.join("scene.json")).unwrap();
    let backdrop = Backdrop::read(data, &scene).unwrap();
    let glb = format!("{SEED:08}/scene.glb");
    let shot = studio.shoot(&scene, &glb, &backdrop, &backdrop.behind(&blank())).unwrap();
    assert!(shot.first.iter().any(|value| *value > 10), "the frame is blank");
    assert!(shot.g_buffer.depths_m.iter().all(Option::is_none), "the background is in the G-buffer");
    shot.first.iter().zip(&shot.reference).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn both_images_go_through_the_same_tone_mapping_and_background() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::new(data.path()).unwrap();
    let mut scene = Toy { center: [5.0, 0.0, 0.0], ..Toy::default() }.scene();
    for background in [[[0.02; 3], [0.02; 3]], [[0.7, 0.2, 0.1], [3.0, 4.0, 0.5]]] {
        scene["background"] = json!({"bottom_linear": background[0], "top_linear": background[1]});
        let worst = worst_difference(data.path(), &mut studio, &scene);
        assert!(worst <= 1, "{background:?}: the images differ by {worst} of 255");
    }
    // An image that varies from pixel to pixel shows any shift between the two.
    write_exr(&data.path().join("behind.exr"), [SIZE_PX; 2], |x, y| [x as f32 / 20.0, y as f32 / 9.0, 0.3, 1.0]);
    scene["format"] = json!(2);
    scene["background"] = json!({"kind": "image", "file": "behind.exr"});
    for tone_mapping in ["none", "reinhard", "aces", "agx", "tony_mc_mapface"] {
        scene["rendering"] = json!({"tone_mapping": tone_mapping, "exposure_ev": 0.7});
        let worst = worst_difference(data.path(), &mut studio, &scene);
        assert!(worst <= 1, "{tone_mapping}: the images differ by {worst} of 255");
    }
}

#[test]
fn a_background_of_another_size_is_refused() {
    let data = tempfile::tempdir().unwrap();
    write_exr(&data.path().join("behind.exr"), [3, 2], |_, _| [0.1; 4]);
    let folder = Toy::default().write(data.path());
    let mut scene = Scene::read(&folder.join("scene.json")).unwrap();
    scene.background = Background::Image { file: "behind.exr".into() };
    let message = Backdrop::read(data.path(), &scene).unwrap_err().to_string();
    assert!(message.contains("behind.exr") && message.contains("[3, 2]"), "{message}");
}

#[test]
fn every_anti_aliasing_draws_the_same_sphere() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::new(data.path()).unwrap();
    let toy = Toy::default();
    let folder = toy.write(data.path());
    let mut scene = Scene::read(&folder.join("scene.json")).unwrap();
    let backdrop = Backdrop::read(data.path(), &scene).unwrap();
    let glb = format!("{SEED:08}/scene.glb");
    let mut shoot = |anti_aliasing| {
        scene.rendering.anti_aliasing = anti_aliasing;
        studio.shoot(&scene, &glb, &backdrop, &backdrop.behind(&blank())).unwrap().first
    };
    let plain = shoot(AntiAliasing::None);
    for anti_aliasing in [AntiAliasing::Msaa4, AntiAliasing::Fxaa, AntiAliasing::Smaa, AntiAliasing::Taa] {
        let smooth = shoot(anti_aliasing);
        assert_ne!(plain, smooth, "{anti_aliasing:?} did nothing");
        let difference: u32 = plain.iter().zip(&smooth).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let mean = difference as f32 / plain.len() as f32;
        assert!(mean < 4.0, "{anti_aliasing:?}: the images differ by {mean} of 255 on average");
    }
}

#[test]
fn tone_mapping_keeps_texels_on_their_pixels() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::new(data.path()).unwrap();
    let bright = |index: u32| index == 0 || index == SIZE_PX * 3 + 5 || index == SIZE_PX * SIZE_PX - 1;
    let value = |index: u32| if bright(index) { [1.0, 1.0, 1.0, 1.0] } else { [0.0, 0.0, 0.0, 1.0] };
    let image = LinearImage { size: [SIZE_PX; 2], pixels: (0..SIZE_PX * SIZE_PX).map(value).collect() };
    let shown = studio.tone_map(&image, &Rendering::default()).unwrap();
    for (index, pixel) in (0..).zip(shown.chunks_exact(3)) {
        assert_eq!(pixel[1] > 100, bright(index), "pixel {index}: {pixel:?}");
    }
}
