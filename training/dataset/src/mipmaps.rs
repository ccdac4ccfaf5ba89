//! Mip levels for the textures of a glTF file. Bevy makes none for PNG and JPEG, and pores sparkle without.

use bevy::asset::Assets;
use bevy::image::{Image, ImageAddressMode, ImageFilterMode, ImageSampler, ImageSamplerDescriptor};
use bevy::material::AlphaMode;
use bevy::pbr::StandardMaterial;
use bevy::render::render_resource::TextureFormat;
use portrait_network::transfer::{srgb_decode, srgb_encode};

/// The meaning of a texel, so that a mean of texels is taken in the right space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TexelKind {
    /// Colour encoded with the sRGB curve; alpha is linear.
    Srgb,
    /// Number in each channel.
    Linear,
    /// Unit vector, encoded n·0.5 + 0.5 in red, green, blue.
    Normal,
}

/// Maximum factor on alpha.
const SCALE_LIMIT: f32 = 4.0;
/// Number of halvings of the range in which the factor on alpha lies.
const SCALE_STEPS: usize = 10;

/// Adds all mip levels to the textures of a material. The alpha of a masked material keeps as much of it in every level.
pub fn add_to_material(material: &mut StandardMaterial, images: &mut Assets<Image>) {
    let cutoff = match material.alpha_mode {
        AlphaMode::Mask(cutoff) => Some(cutoff),
        _ => None,
    };
    let textures = [
        (&material.base_color_texture, TexelKind::Srgb),
        (&material.metallic_roughness_texture, TexelKind::Linear),
        (&material.normal_map_texture, TexelKind::Normal),
    ];
    for (texture, kind) in textures {
        if let Some(mut image) = texture.as_ref().and_then(|texture| images.get_mut(texture)) {
            let added = add_mip_levels(&mut image, kind);
            if let Some(cutoff) = cutoff.filter(|_| added && kind == TexelKind::Srgb) {
                keep_coverage(&mut image, cutoff);
            }
        }
    }
}

/// Scales the alpha of every level so that as many texels pass the cut-off as in the first (Castaño 2010, "Computing Alpha
/// Mipmaps"). Thin parts of distant cards would vanish otherwise.
fn keep_coverage(image: &mut Image, cutoff: f32) {
    let (mut width, mut height, mut start) = (image.width() as usize, image.height() as usize, 0);
    let Some(data) = &mut image.data else { return };
    let covered = |texels: &[u8], scale: f32| {
        let passing = texels.chunks_exact(4).filter(|texel| f32::from(texel[3]) * scale >= cutoff * 255.0).count();
        passing as f32 / (texels.len() / 4).max(1) as f32
    };
    let wanted = covered(&data[..width * height * 4], 1.0);
    while width > 1 || height > 1 {
        start += width * height * 4;
        (width, height) = ((width / 2).max(1), (height / 2).max(1));
        let level = &mut data[start..start + width * height * 4];
        let (mut low, mut high) = (0.0, SCALE_LIMIT);
        for _ in 0..SCALE_STEPS {
            let middle = (low + high) / 2.0;
            if covered(level, middle) < wanted { low = middle } else { high = middle }
        }
        level.chunks_exact_mut(4).for_each(|texel| texel[3] = (f32::from(texel[3]) * high + 0.5).min(255.0) as u8);
    }
}

/// Adds all mip levels to an 8-bit RGBA texture and filters it trilinearly. Returns false for a texture of another format or with
/// mip levels of its own.
pub fn add_mip_levels(image: &mut Image, kind: TexelKind) -> bool {
    let fitting = matches!(image.texture_descriptor.format, TextureFormat::Rgba8Unorm | TextureFormat::Rgba8UnormSrgb);
    let size = image.size();
    if !fitting || image.texture_descriptor.mip_level_count > 1 || size.min_element() < 1 {
        return false;
    }
    let Some(data) = &mut image.data else { return false };
    let averager = Averager::new(kind);
    let (mut width, mut height, mut start, mut levels) = (size.x as usize, size.y as usize, 0, 1);
    while width > 1 || height > 1 {
        let level = averager.halve(&data[start..], width, height);
        start += width * height * 4;
        (width, height) = ((width / 2).max(1), (height / 2).max(1));
        data.extend_from_slice(&level);
        levels += 1;
    }
    image.texture_descriptor.mip_level_count = levels;
    image.sampler = ImageSampler::Descriptor(trilinear(&image.sampler));
    true
}

/// Makes a sampler that filters between mip levels, without anisotropy: with it, llvmpipe (Mesa 22.3) takes the smallest
/// level in scattered blocks of 2 × 2 pixels, which puts dark specks on a face.
fn trilinear(sampler: &ImageSampler) -> ImageSamplerDescriptor {
    let (u, v) = match sampler {
        ImageSampler::Descriptor(given) => (given.address_mode_u, given.address_mode_v),
        ImageSampler::Default => (ImageAddressMode::Repeat, ImageAddressMode::Repeat),
    };
    ImageSamplerDescriptor {
        address_mode_u: u,
        address_mode_v: v,
        mag_filter: ImageFilterMode::Linear,
        min_filter: ImageFilterMode::Linear,
        mipmap_filter: ImageFilterMode::Linear,
        ..Default::default()
    }
}

/// Averages four texels of one kind.
struct Averager {
    kind: TexelKind,
    decode: [f32; 256],
    encode: Vec<u8>,
}

/// Number of entries of the table from linear to sRGB: fine enough that the darkest steps stay apart.
const ENCODE_STEPS: usize = 8192;

impl Averager {
    fn new(kind: TexelKind) -> Self {
        let decode = std::array::from_fn(|value| srgb_decode(value as f32 / 255.0));
        let encode = |step| (srgb_encode(step as f32 / ENCODE_STEPS as f32) * 255.0 + 0.5) as u8;
        Self { kind, decode, encode: (0..=ENCODE_STEPS).map(encode).collect() }
    }

    /// Makes the next level. The last row and column of an odd size are dropped, as GPUs address levels.
    fn halve(&self, texels: &[u8], width: usize, height: usize) -> Vec<u8> {
        let (out_width, out_height) = ((width / 2).max(1), (height / 2).max(1));
        let mut out = Vec::with_capacity(out_width * out_height * 4);
        for row in 0..out_height {
            for column in 0..out_width {
                let texel = |dx: usize, dy: usize| {
                    let at = ((2 * row + dy).min(height - 1) * width + (2 * column + dx).min(width - 1)) * 4;
                    [texels[at], texels[at + 1], texels[at + 2], texels[at + 3]]
                };
                out.extend_from_slice(&self.mean([texel(0, 0), texel(1, 0), texel(0, 1), texel(1, 1)]));
            }
        }
        out
    }

    fn mean(&self, texels: [[u8; 4]; 4]) -> [u8; 4] {
        let plain = |c: usize| ((texels.iter().map(|texel| u32::from(texel[c])).sum::<u32>() + 2) / 4) as u8;
        match self.kind {
            TexelKind::Linear => std::array::from_fn(plain),
            TexelKind::Srgb => {
                let colour = |c: usize| {
                    let sum: f32 = texels.iter().map(|texel| self.decode[usize::from(texel[c])]).sum();
                    self.encode[(sum / 4.0 * ENCODE_STEPS as f32 + 0.5) as usize]
                };
                [colour(0), colour(1), colour(2), plain(3)]
            }
            TexelKind::Normal => {
                let sum: [f32; 3] =
                    std::array::from_fn(|c| texels.iter().map(|texel| f32::from(texel[c]) - 127.5).sum::<f32>());
                let length = sum.iter().map(|part| part * part).sum::<f32>().sqrt().max(1e-6);
                let [x, y, z] = sum.map(|part| (part / length * 127.5 + 128.0) as u8);
                [x, y, z, plain(3)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::asset::RenderAssetUsages;
    use bevy::render::render_resource::{Extent3d, TextureDimension};

    fn texture(width: u32, height: u32, texels: Vec<u8>) -> Image {
        let extent = Extent3d { width, height, depth_or_array_layers: 1 };
        Image::new(extent, TextureDimension::D2, texels, TextureFormat::Rgba8Unorm, RenderAssetUsages::default())
    }

    #[test]
    fn black_and_white_average_in_linear_light() {
        let mut image = texture(2, 1, vec![0, 0, 0, 255, 255, 255, 255, 255]);
        assert!(add_mip_levels(&mut image, TexelKind::Srgb));
        assert_eq!(&image.data.unwrap()[8..], [188, 188, 188, 255]);
    }

    #[test]
    fn normals_stay_unit_vectors() {
        let mut image = texture(2, 1, vec![218, 128, 218, 255, 37, 128, 218, 255]);
        assert!(add_mip_levels(&mut image, TexelKind::Normal));
        let data = image.data.unwrap();
        let length: f32 = data[8..11].iter().map(|part| (f32::from(*part) / 127.5 - 1.0).powi(2)).sum();
        assert!((length - 1.0).abs() < 0.02, "{:?}", &data[8..]);
    }

    #[test]
    fn cut_off_texels_stay_as_many_in_every_level() {
        // A thin line: one texel in four.
        let texels = (0..256).flat_map(|index| [90, 90, 90, if index % 4 == 0 { 255 } else { 0 }]).collect();
        let mut image = texture(16, 16, texels);
        add_mip_levels(&mut image, TexelKind::Srgb);
        keep_coverage(&mut image, 0.5);
        let data = image.data.unwrap();
        let covered = data[1024..1024 + 256].chunks_exact(4).filter(|texel| texel[3] >= 128).count();
        assert!(covered > 0, "a thin line vanished from the first smaller level");
    }

    #[test]
    fn an_odd_texture_gets_every_level_down_to_one_texel() {
        let mut image = texture(5, 3, vec![100; 60]);
        assert!(add_mip_levels(&mut image, TexelKind::Linear));
        assert_eq!(image.texture_descriptor.mip_level_count, 3);
        assert_eq!(image.data.unwrap(), vec![100; (15 + 2 + 1) * 4]);
    }
}
