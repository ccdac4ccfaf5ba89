//! The way from a finished scene to a finished pair: the images, their comparison, and the pairs that are left alone.

use std::io::Cursor;
use std::path::Path;

use bevy::math::{Quat, Vec3};
use image::{ImageBuffer, Luma, Rgb};

use crate::FileError;
use crate::background::Backdrop;
use crate::error::DatasetError;
use crate::light_groups::{self, LIGHT_GROUPS};
use crate::linear_image::LinearImage;
use crate::manifest::{Done, PAIR_FORMAT, Pair};
use crate::readback::GBuffer;
use crate::rendering::Rendering;
use crate::scene::Scene;
use crate::seeds::seed_folder;
use crate::studio::Studio;
use crate::tone_tables;

/// Minimum alpha of a reference pixel that counts as head.
pub const SILHOUETTE_ALPHA: f32 = 0.5;

/// The outcome for a seed.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The pair was there, whole.
    Kept(Pair),
    /// The pair was rendered.
    Made(Pair),
}

/// Reads the finished pair of a seed, if it is there already.
///
/// # Errors
/// Fails when the scene is missing or unfinished.
pub fn finished(data: &Path, seed: u64) -> Result<Option<Pair>, DatasetError> {
    let folder = seed_folder(data, seed);
    Ok(Pair::finished(&folder, &Done::read(&folder)?))
}

/// Makes the pair of a seed, unless it is there already.
///
/// # Errors
/// Fails when the scene is missing or broken, somebody has changed an image of the pair, rendering fails, or a file cannot be
/// written.
pub fn make(studio: &mut Studio, data: &Path, seed: u64) -> Result<Outcome, DatasetError> {
    let folder = seed_folder(data, seed);
    let done = Done::read(&folder)?;
    if let Some(pair) = Pair::finished(&folder, &done) {
        return Ok(Outcome::Kept(pair));
    }
    if let Some(path) = Pair::retouched(&folder, &done) {
        return Err(FileError::Retouched(path).into());
    }
    done.check(&folder)?;
    let scene = Scene::read(&folder.join("scene.json"))?;
    let reference = read_reference(&folder, &scene)?;
    let backdrop = Backdrop::read(data, &scene)?;
    let shown = backdrop.behind(&reference.brighter(scene.rendering.gain()));
    let shot = studio.shoot(&scene, &format!("{seed:08}/scene.glb"), &backdrop, &shown)?;
    let rotation = Quat::from_array(scene.camera.rotation_xyzw).normalize();
    let size_px = scene.size_px;
    let mut images = vec![
        ("first.png", png::<Rgb<u8>>(&folder, size_px, shot.first)?),
        ("reference.png", png::<Rgb<u8>>(&folder, size_px, shot.reference)?),
        ("normal.png", png::<Rgb<u16>>(&folder, size_px, encode_normals(&shot.g_buffer, rotation))?),
        ("depth.png", png::<Luma<u16>>(&folder, size_px, encode_depths(&shot.g_buffer, &scene))?),
    ];
    if let Some((groups, first)) = scene.light_groups.as_ref().zip(shot.light_groups) {
        let unexposed = Scene { rendering: Rendering::default(), ..scene.clone() };
        let backdrop = Backdrop::read(data, &unexposed)?;
        let content = light_groups::encode(&folder, &scene, groups, &first, &reference, &backdrop)?;
        images.push((LIGHT_GROUPS, content));
        tone_tables::ensure(studio, data)?;
    } else {
        // What is left of a scene that had light groups would be trained on.
        let stale = folder.join(LIGHT_GROUPS);
        if let Err(error) = std::fs::remove_file(&stale)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(FileError::io(stale)(error).into());
        }
    }
    let pair = Pair {
        format: PAIR_FORMAT,
        seed,
        identity: scene.identity,
        size_px,
        rendering: scene.rendering,
        silhouette_iou: silhouette_iou(shot.g_buffer.depths_m.iter().map(Option::is_some), &reference),
        files: Default::default(),
        inputs: Default::default(),
    };
    Ok(Outcome::Made(pair.write(&folder, &images, &done)?))
}

/// The reference as head_studio left it, premultiplied, of the size the scene says.
///
/// # Errors
/// Fails when the file is not OpenEXR, or of another size.
pub fn read_reference(folder: &Path, scene: &Scene) -> Result<LinearImage, DatasetError> {
    Ok(LinearImage::read_exr(&folder.join("reference.exr"), scene.size())?)
}

/// Intersection over union of what Bevy drew and what covers the reference; 1 where both are empty.
pub fn silhouette_iou(drawn: impl Iterator<Item = bool>, reference: &LinearImage) -> f32 {
    let (mut both, mut either) = (0_u32, 0_u32);
    for (drawn, pixel) in drawn.zip(&reference.pixels) {
        let covered = pixel[3] >= SILHOUETTE_ALPHA;
        both += u32::from(drawn && covered);
        either += u32::from(drawn || covered);
    }
    if either == 0 { 1.0 } else { both as f32 / either as f32 }
}

/// −1 to 1 as 0 to 65535.
fn encode(value: f32) -> u16 {
    ((value.clamp(-1.0, 1.0) * 0.5 + 0.5) * 65535.0 + 0.5) as u16
}

/// Encodes normals as `[H, W] RGB u16`: view-space normal · 0.5 + 0.5, the zero vector where nothing is drawn.
fn encode_normals(g_buffer: &GBuffer, camera_rotation: Quat) -> Vec<u16> {
    let normals = g_buffer.view_normals(camera_rotation);
    normals.flat_map(|normal| normal.unwrap_or(Vec3::ZERO).to_array().map(encode)).collect()
}

/// Encodes depths as `[H, W] u16`: distance in front of the face's centre, in lengths of the face's half diagonal; −1 where
/// nothing is drawn.
fn encode_depths(g_buffer: &GBuffer, scene: &Scene) -> Vec<u16> {
    let forward = Quat::from_array(scene.camera.rotation_xyzw).normalize() * Vec3::NEG_Z;
    let middle_m = (Vec3::from(scene.face.center) - Vec3::from(scene.camera.position)).dot(forward);
    let unit_m = Vec3::from(scene.face.half_extents).length();
    let relative = |depth: &Option<f32>| depth.map_or(-1.0, |depth_m| (middle_m - depth_m) / unit_m);
    g_buffer.depths_m.iter().map(|depth| encode(relative(depth))).collect()
}

fn png<P>(folder: &Path, size_px: u32, samples: Vec<P::Subpixel>) -> Result<Vec<u8>, DatasetError>
where
    P: image::PixelWithColorType,
    [P::Subpixel]: image::EncodableLayout,
{
    let refuse = |what: String| DatasetError::Renderer(format!("{}: {what}", folder.display()));
    let buffer: Option<ImageBuffer<P, Vec<P::Subpixel>>> = ImageBuffer::from_raw(size_px, size_px, samples);
    let buffer = buffer.ok_or_else(|| refuse(format!("fewer pixels than {size_px} x {size_px} came back")))?;
    let mut content = Cursor::new(Vec::new());
    buffer.write_to(&mut content, image::ImageFormat::Png).map_err(|error| refuse(error.to_string()))?;
    Ok(content.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silhouettes_are_compared_by_intersection_over_union() {
        let pixels = [1.0, 0.6, 0.4, 0.0].map(|alpha| [0.0, 0.0, 0.0, alpha]).to_vec();
        let reference = LinearImage { size: [4, 1], pixels };
        let iou = |drawn: [bool; 4]| silhouette_iou(drawn.into_iter(), &reference);
        assert_eq!(iou([true, true, false, false]), 1.0);
        assert_eq!(iou([true, false, true, false]), 1.0 / 3.0);
    }

    #[test]
    fn encoded_values_span_sixteen_bits() {
        assert_eq!([-2.0, -1.0, 0.0, 1.0].map(encode), [0, 0, 32768, 65535]);
    }
}
