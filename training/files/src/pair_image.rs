//! The PNG images of a pair, which any tool may have written: only what means to the network what it means to the eye is taken.
//!
//! | content | accepted | refused |
//! |---|---|---|
//! | all | 1 to 16 bits, palettes, interlacing, an alpha channel that is opaque everywhere | transparency, an Exif orientation, animations |
//! | [`Content::Shown`] | no colour information, or one that says sRGB in whichever way | any other colour space |
//! | [`Content::Mask`] | grey, also as RGB | colour |
//! | [`Content::Normal`] | 16-bit RGB | 8 bits, grey |
//! | [`Content::Depth`] | 16 bits, grey, also as RGB | 8 bits, colour |
//!
//! Masks, normals and depths are numbers: what their files say of colour is not looked at.

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, guess_format};
use moxcms::{ColorProfile, DataColorSpace, Layout, ProfileText, RenderingIntent, TransformOptions};

use crate::pixels::{self, DecodeError, Format, Size};
use crate::sniff::kind_of;

/// Maximum change by a profile that is sRGB in effect, in levels of 255: tables of tone curves differ by rounding.
const MAX_PROFILE_CHANGE: u8 = 2;
/// PNG's number for the gamma of sRGB, 1/2.2, and the deviation that rounding explains.
const SRGB_GAMMA: (u32, u32) = (45_455, 500);
/// PNG's numbers for white, red, green and blue of sRGB, x and y each, and the deviation that rounding explains.
const SRGB_CHROMATICITIES: [u32; 8] = [31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000];
const CHROMATICITY_TOLERANCE: u32 = 500;
/// Maximum difference between the channels of a grey pixel, in levels of 65535: two of 255.
const MAX_TINT: u16 = 514;

/// The content of a pair's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A picture for the eye: first or reference image.
    Shown,
    /// Importance of each pixel.
    Mask,
    /// Normals in view space.
    Normal,
    /// Depths.
    Depth,
}

/// Decodes a pair's image that is in memory.
///
/// # Errors
/// Fails when the image is no PNG, as [`pixels::decode`] does, and when it holds what the network would take for something else.
pub fn decode(file: &[u8], content: Content, size: Size) -> Result<DynamicImage, DecodeError> {
    if guess_format(file).ok() != Some(ImageFormat::Png) {
        let found = kind_of(file).unwrap_or("no image that is known");
        return Err(DecodeError::Header { expected: "image/png".into(), found: found.into() });
    }
    let mut decoder = pixels::decoder(file, Format::Png, size)?;
    let profile = decoder.icc_profile()?;
    let image = DynamicImage::from_decoder(decoder)?;
    check_one_upright_picture(file)?;
    check_opaque(&image)?;
    let channel_bits = image.color().bits_per_pixel() / u16::from(image.color().channel_count());
    match content {
        Content::Shown => check_srgb(file, profile.as_deref())?,
        Content::Mask => check_gray(&image)?,
        Content::Normal | Content::Depth if channel_bits < 16 => {
            return refuse(
                format!("{channel_bits} bits a channel"),
                "16 bits, since surfaces get steps from fewer",
                "export it as 16-bit PNG",
            );
        }
        Content::Normal if !image.color().has_color() => {
            return refuse("a grey image".into(), "normals in red, green and blue", "export it as RGB");
        }
        Content::Depth => check_gray(&image)?,
        Content::Normal => {}
    }
    Ok(image)
}

fn refuse<T>(found: String, expected: &'static str, mend: &'static str) -> Result<T, DecodeError> {
    Err(DecodeError::Content { found, expected, mend })
}

/// Finds a chunk of a PNG by its type, wherever it stands: tools add some behind the pixels, where decoders do not look.
fn chunk<'a>(file: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = file.get(8..)?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (found, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        if found == kind {
            return after.get(..length);
        }
        // A checksum follows the data.
        rest = after.get(length.checked_add(4)?..)?;
    }
}

/// Reads the numbers of 32 bits that a chunk holds.
fn numbers(chunk: &[u8]) -> Vec<u32> {
    chunk.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect()
}

fn check_one_upright_picture(file: &[u8]) -> Result<(), DecodeError> {
    if chunk(file, b"acTL").is_some() {
        return refuse("an animation".into(), "one picture", "save its frame alone");
    }
    match chunk(file, b"eXIf").and_then(Orientation::from_exif_chunk) {
        None | Some(Orientation::NoTransforms) => Ok(()),
        Some(turned) => refuse(
            format!("an Exif orientation, {turned:?}, which some programs obey and others do not"),
            "pixels that are upright as they are",
            "turn the pixels in an image editor and save without the Exif orientation",
        ),
    }
}

fn check_opaque(image: &DynamicImage) -> Result<(), DecodeError> {
    let (alphas, opaque): (Vec<u16>, u16) = match image {
        DynamicImage::ImageLumaA8(image) => (image.pixels().map(|pixel| pixel.0[1].into()).collect(), 255),
        DynamicImage::ImageRgba8(image) => (image.pixels().map(|pixel| pixel.0[3].into()).collect(), 255),
        DynamicImage::ImageLumaA16(image) => (image.pixels().map(|pixel| pixel.0[1]).collect(), u16::MAX),
        DynamicImage::ImageRgba16(image) => (image.pixels().map(|pixel| pixel.0[3]).collect(), u16::MAX),
        _ => return Ok(()),
    };
    let Some(first) = alphas.iter().position(|&alpha| alpha < opaque) else { return Ok(()) };
    let count = alphas.iter().filter(|&&alpha| alpha < opaque).count();
    let (x, y) = (first % image.width() as usize, first / image.width() as usize);
    let total = alphas.len();
    refuse(
        format!(
            "{count} of {total} pixels are transparent, the first at x {x}, y {y} with alpha {} of {opaque}",
            alphas[first]
        ),
        "an opaque image, since the network sees no alpha",
        "lay it over its background and save it without an alpha channel",
    )
}

fn check_gray(image: &DynamicImage) -> Result<(), DecodeError> {
    if !image.color().has_color() {
        return Ok(());
    }
    let rgb = image.to_rgb16();
    let tint = |[r, g, b]: [u16; 3]| r.max(g).max(b) - r.min(g).min(b);
    match rgb.enumerate_pixels().find(|(_, _, pixel)| tint(pixel.0) > MAX_TINT) {
        None => Ok(()),
        Some((x, y, pixel)) => {
            let color = pixel.0.map(|value| f32::from(value) / 257.0);
            refuse(
                format!("colour, such as {color:.0?} of 255 at x {x}, y {y}"),
                "a grey image, whose values are numbers",
                "export it as grey, with the values of the table in docs/train_a_look.md",
            )
        }
    }
}

/// Checks that a picture is sRGB, by the most precise of what its file says (PNG, third edition, 4.3).
fn check_srgb(file: &[u8], profile: Option<&[u8]>) -> Result<(), DecodeError> {
    let other = |found: String| {
        refuse(
            found,
            "sRGB, as the game shows it",
            "convert the image to sRGB (not: assign sRGB) and save it with that profile or none",
        )
    };
    let video = chunk(file, b"cICP");
    if let Some(video) = video {
        // BT.709's primaries, sRGB's curve, RGB, the whole range.
        return if video == [1, 13, 0, 1] { Ok(()) } else { other(format!("the video colour space {video:?} (cICP)")) };
    }
    if chunk(file, b"iCCP").is_some() {
        let read = profile.ok_or_else(|| "it is damaged".to_owned()).and_then(measure);
        return match read {
            Ok((_, change)) if change <= MAX_PROFILE_CHANGE => Ok(()),
            Ok((name, change)) => other(format!(
                "the colour profile {name:?}, in which colours differ from sRGB by up to {change} of 255"
            )),
            Err(what) => other(format!("a colour profile that cannot be read: {what}")),
        };
    }
    if chunk(file, b"sRGB").is_some() {
        return Ok(());
    }
    let gamma = chunk(file, b"gAMA").map(numbers).unwrap_or_default();
    if let Some(&gamma) = gamma.first()
        && gamma.abs_diff(SRGB_GAMMA.0) > SRGB_GAMMA.1
    {
        return other(format!("a gamma of 1/{:.2} (gAMA)", 1e5 / f64::from(gamma.max(1))));
    }
    let primaries = chunk(file, b"cHRM").map(numbers).unwrap_or_default();
    if primaries.iter().zip(SRGB_CHROMATICITIES).any(|(found, srgb)| found.abs_diff(srgb) > CHROMATICITY_TOLERANCE) {
        let found: Vec<f64> = primaries.iter().map(|value| f64::from(*value) / 1e5).collect();
        return other(format!("other primaries, {found:?} (cHRM: white, red, green, blue)"));
    }
    Ok(())
}

/// Measures by how much a colour profile changes colours on their way to sRGB, in levels of 255, and returns its name as well.
fn measure(profile: &[u8]) -> Result<(String, u8), String> {
    let profile = ColorProfile::new_from_slice(profile).map_err(|error| error.to_string())?;
    let name = match &profile.description {
        Some(ProfileText::PlainString(name)) => name.clone(),
        Some(ProfileText::Localizable(names)) => names.first().map(|name| name.value.clone()).unwrap_or_default(),
        Some(ProfileText::Description(name)) => name.ascii_string.clone(),
        None => String::new(),
    };
    // Six steps of each channel, or every grey.
    let steps = || (0..=255_u8).step_by(51);
    let (layout, samples): (_, Vec<[u8; 3]>) = match profile.color_space {
        DataColorSpace::Rgb => {
            let colors = steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| [r, g, b])));
            (Layout::Rgb, colors.collect())
        }
        DataColorSpace::Gray => (Layout::Gray, (0..=255).map(|gray| [gray; 3]).collect()),
        other => return Err(format!("it is for {other:?}")),
    };
    let source: Vec<u8> = match layout {
        Layout::Gray => samples.iter().map(|sample| sample[0]).collect(),
        _ => samples.as_flattened().to_vec(),
    };
    let options = TransformOptions { rendering_intent: RenderingIntent::RelativeColorimetric, ..Default::default() };
    let srgb = ColorProfile::new_srgb();
    let mut shown = vec![0; samples.len() * 3];
    profile
        .create_transform_8bit(layout, &srgb, Layout::Rgb, options)
        .and_then(|transform| transform.transform(&source, &mut shown))
        .map_err(|error| error.to_string())?;
    let changes = shown.iter().zip(samples.as_flattened()).map(|(shown, value)| shown.abs_diff(*value));
    // A profile's name may be long, and comes from the file.
    Ok((name.chars().take(60).collect(), changes.max().unwrap_or_default()))
}
