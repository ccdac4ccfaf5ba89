//! An equirectangular environment as the two cube maps that Bevy lights with, filtered once on the CPU.
//!
//! The convention is head_studio's (`lighting.py`). With `rotation_deg` = r, the direction (x, y, z) sees
//! `u = 0.5 - (atan2(-z, x) + radians(r)) / (2 pi)` modulo 1, `v = acos(y) / pi`, from the top left.
//! The maps are filtered at r = 0; the turn is the light's `rotation`.
//!
//! Bevy's own run-time filter would run again in every frame and samples with noise; this filter integrates over
//! every texel, so that it is exact, deterministic and free afterwards.

use bevy::asset::RenderAssetUsages;
use bevy::image::Image;
use bevy::math::{Quat, Vec3};
use bevy::render::render_resource::{
    Extent3d, TextureDimension, TextureFormat, TextureViewDescriptor, TextureViewDimension,
};
use half::f16;

use crate::linear_image::LinearImage;

/// Edge of the sharpest specular level and of its source, in texels.
const SHARP_PX: usize = 64;
/// Edge of the source of everything blurry, in texels.
const COARSE_PX: usize = 32;
/// Edge of the diffuse map, in texels.
const DIFFUSE_PX: usize = 16;
/// Number of samples along each axis of a source texel.
const SUPERSAMPLES: usize = 4;

/// A texel of a cube map: its direction, its solid angle and its radiance.
struct Texel {
    direction: Vec3,
    solid_angle: f32,
    radiance: Vec3,
}

/// Returns the turn of [`bevy::light::EnvironmentMapLight`] for head_studio's `rotation_deg`.
pub fn rotation(rotation_deg: f32) -> Quat {
    // Bevy looks the map up in the inverse turn of a direction, which adds radians(r) to atan2(-z, x).
    Quat::from_rotation_y(-rotation_deg.to_radians())
}

/// Makes the diffuse and the specular cube map of an equirectangular image.
pub fn filter(image: &LinearImage) -> [Image; 2] {
    let coarse = cube_of(image, COARSE_PX);
    let sharp = cube_of(image, SHARP_PX);
    let diffuse = texel_directions(DIFFUSE_PX).map(|(normal, _)| convolve(&coarse, |direction| direction.dot(normal)));
    let diffuse: Vec<Vec3> = diffuse.collect();
    let level_count = SHARP_PX.ilog2() + 1;
    let levels: Vec<Vec<Vec3>> = (0..level_count)
        .map(|level| specular_level(&sharp, &coarse, level, level as f32 / (level_count - 1) as f32))
        .collect();
    [cube_image(DIFFUSE_PX, &[diffuse]), cube_image(SHARP_PX, &levels)]
}

/// Makes a specular level, whose perceptual roughness Bevy derives from the level's number.
fn specular_level(sharp: &[Texel], coarse: &[Texel], level: u32, perceptual_roughness: f32) -> Vec<Vec3> {
    if level == 0 {
        return sharp.iter().map(|texel| texel.radiance).collect();
    }
    let source = if level == 1 { sharp } else { coarse };
    let alpha = perceptual_roughness * perceptual_roughness;
    // Karis, "Real Shading in Unreal Engine 4" (2013): view = normal = reflection, GGX, weighted by the cosine.
    let weight = |normal: Vec3, direction: Vec3| {
        let cosine = direction.dot(normal);
        if cosine <= 0.0 {
            return 0.0;
        }
        let half_squared = (1.0 + cosine) / 2.0;
        let spread = half_squared * (alpha * alpha - 1.0) + 1.0;
        cosine * alpha * alpha / (spread * spread)
    };
    texel_directions(SHARP_PX >> level)
        .map(|(normal, _)| convolve(source, |direction| weight(normal, direction)))
        .collect()
}

/// Averages radiance by a weight, which counts where it is positive.
fn convolve(source: &[Texel], weight: impl Fn(Vec3) -> f32) -> Vec3 {
    let (mut sum, mut total) = (Vec3::ZERO, 0.0);
    for texel in source {
        let part = weight(texel.direction).max(0.0) * texel.solid_angle;
        sum += texel.radiance * part;
        total += part;
    }
    sum / total.max(1e-12)
}

/// Lists direction and solid angle of each texel, in the order in which a GPU stores a cube.
fn texel_directions(edge: usize) -> impl Iterator<Item = (Vec3, f32)> {
    (0..6 * edge * edge).map(move |index| {
        let (face, row, column) = (index / (edge * edge), index / edge % edge, index % edge);
        let place = |at: usize| (at as f32 + 0.5) / edge as f32 * 2.0 - 1.0;
        let (s, t) = (place(column), place(row));
        let distance_squared = 1.0 + s * s + t * t;
        let solid_angle = 4.0 / (edge * edge) as f32 / (distance_squared * distance_squared.sqrt());
        (world_direction(face, s, t), solid_angle)
    })
}

/// Returns the direction of a place on a cube's face: `s` to the right and `t` down, each −1 to 1.
fn world_direction(face: usize, s: f32, t: f32) -> Vec3 {
    let cube = match face {
        0 => Vec3::new(1.0, -t, -s),
        1 => Vec3::new(-1.0, -t, s),
        2 => Vec3::new(s, 1.0, t),
        3 => Vec3::new(s, -1.0, -t),
        4 => Vec3::new(s, -t, 1.0),
        _ => Vec3::new(-s, -t, -1.0),
    };
    // Cube maps are left-handed: Bevy's shader negates z.
    Vec3::new(cube.x, cube.y, -cube.z).normalize()
}

fn cube_of(image: &LinearImage, edge: usize) -> Vec<Texel> {
    let fine: Vec<Vec3> =
        texel_directions(edge * SUPERSAMPLES).map(|(direction, _)| look_up(image, direction)).collect();
    let fine_edge = edge * SUPERSAMPLES;
    texel_directions(edge)
        .enumerate()
        .map(|(index, (direction, solid_angle))| {
            let (face, row, column) = (index / (edge * edge), index / edge % edge, index % edge);
            let samples = (0..SUPERSAMPLES * SUPERSAMPLES).map(|sample| {
                let (dy, dx) = (sample / SUPERSAMPLES, sample % SUPERSAMPLES);
                fine[(face * fine_edge + row * SUPERSAMPLES + dy) * fine_edge + column * SUPERSAMPLES + dx]
            });
            let radiance = samples.sum::<Vec3>() / (SUPERSAMPLES * SUPERSAMPLES) as f32;
            Texel { direction, solid_angle, radiance }
        })
        .collect()
}

/// Looks a direction up, bilinearly, wrapping around sideways.
fn look_up(image: &LinearImage, direction: Vec3) -> Vec3 {
    use std::f32::consts::{PI, TAU};
    let [width, height] = image.size;
    let u = (0.5 - (-direction.z).atan2(direction.x) / TAU).rem_euclid(1.0);
    let v = direction.y.clamp(-1.0, 1.0).acos() / PI;
    let (x, y) = (u * width as f32 - 0.5, (v * height as f32 - 0.5).clamp(0.0, (height - 1) as f32));
    let (left, top) = (x.floor(), y.floor());
    let texel = |column: f32, row: f32| {
        let column = (column as i64).rem_euclid(i64::from(width)) as usize;
        let row = (row as usize).min(height as usize - 1);
        let [r, g, b, _] = image.pixels[row * width as usize + column];
        Vec3::new(r, g, b)
    };
    let upper = texel(left, top).lerp(texel(left + 1.0, top), x - left);
    let lower = texel(left, top + 1.0).lerp(texel(left + 1.0, top + 1.0), x - left);
    upper.lerp(lower, y - top)
}

/// Makes a cube texture of its levels, each face after face.
fn cube_image(edge: usize, levels: &[Vec<Vec3>]) -> Image {
    let extent = Extent3d { width: edge as u32, height: edge as u32, depth_or_array_layers: 6 };
    let format = TextureFormat::Rgba16Float;
    let mut image = Image::new_uninit(extent, TextureDimension::D2, format, RenderAssetUsages::RENDER_WORLD);
    image.texture_descriptor.mip_level_count = levels.len() as u32;
    image.texture_view_descriptor =
        Some(TextureViewDescriptor { dimension: Some(TextureViewDimension::Cube), ..Default::default() });
    let texels = (0..6).flat_map(|face| {
        levels.iter().flat_map(move |level| {
            let face_texels = level.len() / 6;
            &level[face * face_texels..(face + 1) * face_texels]
        })
    });
    let halves = texels.flat_map(|radiance| [radiance.x, radiance.y, radiance.z, 1.0]);
    image.data = Some(halves.flat_map(|value| f16::from_f32(value.min(65504.0)).to_le_bytes()).collect());
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sky(colour: impl Fn(Vec3) -> f32) -> LinearImage {
        use std::f32::consts::{PI, TAU};
        let (width, height) = (64, 32);
        let pixels = (0..width * height).map(|index| {
            let (u, v) = ((index % width) as f32 + 0.5, (index / width) as f32 + 0.5);
            let (phi, theta) = (TAU * (0.5 - u / width as f32), PI * v / height as f32);
            let value = colour(Vec3::new(phi.cos() * theta.sin(), theta.cos(), -phi.sin() * theta.sin()));
            [value, value, value, 1.0]
        });
        LinearImage { size: [width, height], pixels: pixels.collect() }
    }

    #[test]
    fn texels_cover_the_sphere_once() {
        let total: f32 = texel_directions(16).map(|(_, solid_angle)| solid_angle).sum();
        assert!((total / (4.0 * std::f32::consts::PI) - 1.0).abs() < 0.01, "{total}");
    }

    #[test]
    fn a_constant_sky_stays_constant_in_every_level() {
        for image in filter(&sky(|_| 0.75)) {
            let data = image.data.unwrap();
            for texel in data.chunks_exact(8) {
                let value = f16::from_le_bytes([texel[0], texel[1]]).to_f32();
                assert!((value - 0.75).abs() < 1e-3, "{value}");
            }
        }
    }

    #[test]
    fn looking_up_returns_what_lies_in_that_direction() {
        let image = sky(|direction| 2.0 + direction.x + 0.5 * direction.y + 0.25 * direction.z);
        for direction in [Vec3::X, Vec3::NEG_X, Vec3::Z, Vec3::NEG_Z, Vec3::new(0.6, 0.48, 0.64)] {
            let wanted = 2.0 + direction.x + 0.5 * direction.y + 0.25 * direction.z;
            let found = look_up(&image, direction).x;
            assert!((found - wanted).abs() < 0.02, "{direction}: {found}, wanted {wanted}");
        }
    }
}
