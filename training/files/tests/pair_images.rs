//! Images as artists' tools write them: what means to the network what it means to the eye is taken, the rest refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::DynamicImage;
use moxcms::ColorProfile;
use portrait_files::pair_image::{Content, decode};
use portrait_files::pixels::{DecodeError, Size};

/// Width and height of the images, in pixels.
const SIDE_PX: u32 = 8;
const SIZE: Size = Size::Edge { px: SIDE_PX, said_by: "pair.json" };
const ALL: [Content; 4] = [Content::Shown, Content::Mask, Content::Normal, Content::Depth];
/// PNG's numbers of colour types.
const GRAY: u8 = 0;
const RGB: u8 = 2;
const PALETTE: u8 = 3;
const GRAY_ALPHA: u8 = 4;
const RGBA: u8 = 6;

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = crc32fast::Hasher::new();
    sum.update(kind);
    sum.update(data);
    [&(data.len() as u32).to_be_bytes(), &kind[..], data, &sum.finalize().to_be_bytes()].concat()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Makes a PNG of equal pixels, with chunks before and behind the pixels.
fn png(color: u8, bits: u8, pixel: &[u8], before: &[Vec<u8>], behind: &[Vec<u8>]) -> Vec<u8> {
    let side = SIDE_PX.to_be_bytes();
    let header = chunk(b"IHDR", &[&side[..], &side, &[bits, color, 0, 0, 0]].concat());
    // A byte of few bits holds several pixels.
    let row = [vec![0], pixel.repeat(SIDE_PX as usize * usize::from(bits.min(8)) / 8)].concat();
    let pixels = chunk(b"IDAT", &zlib(&row.repeat(SIDE_PX as usize)));
    let parts = [b"\x89PNG\r\n\x1a\n".to_vec(), header, before.concat(), pixels, behind.concat(), chunk(b"IEND", b"")];
    parts.concat()
}

fn rgb(before: &[Vec<u8>]) -> Vec<u8> {
    png(RGB, 8, &[200, 100, 50], before, &[])
}

fn refused(file: &[u8], content: Content) -> String {
    decode(file, content, SIZE).expect_err("it was accepted").to_string()
}

#[track_caller]
fn assert_refused(file: &[u8], content: Content, parts: &[&str]) {
    let error = refused(file, content);
    for part in parts {
        assert!(error.contains(part), "{content:?}: {part:?} is not in: {error}");
    }
}

fn icc(profile: &ColorProfile) -> Vec<u8> {
    chunk(b"iCCP", &[b"any name\0\0".to_vec(), zlib(&profile.encode().unwrap())].concat())
}

fn numbers(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

#[test]
fn transparency_is_refused_in_every_form_and_an_opaque_alpha_channel_is_taken() {
    let palette = chunk(b"PLTE", &[200, 100, 50, 0, 0, 0]);
    let half = [0x80, 0x00];
    for transparent in [
        png(RGBA, 8, &[200, 100, 50, 254], &[], &[]),
        png(RGBA, 16, &[200, 200, 100, 100, 50, 50, 255, 254], &[], &[]),
        png(GRAY_ALPHA, 8, &[160, 0], &[], &[]),
        png(GRAY_ALPHA, 16, &[half, half].concat(), &[], &[]),
        // A palette with alphas, and a colour that means nothing.
        png(PALETTE, 8, &[0], &[palette.clone(), chunk(b"tRNS", &[7])], &[]),
        png(RGB, 8, &[200, 100, 50], &[chunk(b"tRNS", &[0, 200, 0, 100, 0, 50])], &[]),
        png(GRAY, 8, &[160], &[chunk(b"tRNS", &[0, 160])], &[]),
    ] {
        for content in ALL {
            let parts =
                ["64 of 64 pixels are transparent", "x 0, y 0", "expected an opaque image", "without an alpha channel"];
            assert_refused(&transparent, content, &parts);
        }
    }
    for opaque in [
        png(RGBA, 8, &[200, 100, 50, 255], &[], &[]),
        png(RGBA, 16, &[200, 200, 100, 100, 50, 50, 255, 255], &[], &[]),
        png(PALETTE, 8, &[0], &[palette, chunk(b"tRNS", &[255, 0])], &[]),
        png(RGB, 8, &[200, 100, 50], &[chunk(b"tRNS", &[0, 1, 0, 2, 0, 3])], &[]),
        png(RGB, 16, &[200, 200, 100, 100, 50, 50], &[], &[]),
    ] {
        let pixel = decode(&opaque, Content::Shown, SIZE).unwrap().into_rgb8().get_pixel(3, 3).0;
        assert_eq!(pixel, [200, 100, 50]);
    }
}

#[test]
fn pictures_that_say_srgb_in_whichever_way_are_taken() {
    let srgb = [31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000];
    for before in [
        vec![],
        vec![chunk(b"sRGB", &[0])],
        vec![chunk(b"gAMA", &numbers(&[45_455]))],
        vec![chunk(b"gAMA", &numbers(&[45_454])), chunk(b"cHRM", &numbers(&srgb))],
        // What is more precise counts.
        vec![chunk(b"gAMA", &numbers(&[100_000])), chunk(b"sRGB", &[0])],
        vec![chunk(b"gAMA", &numbers(&[55_555])), icc(&ColorProfile::new_srgb())],
        vec![chunk(b"cICP", &[1, 13, 0, 1])],
    ] {
        let image = decode(&rgb(&before), Content::Shown, SIZE).unwrap();
        assert_eq!(image.into_rgb8().get_pixel(0, 0).0, [200, 100, 50]);
    }
}

#[test]
fn pictures_of_other_colour_spaces_are_refused_with_what_they_are() {
    let p3 = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000];
    let mend = ["expected sRGB", "convert the image to sRGB"];
    for (before, part) in [
        (chunk(b"gAMA", &numbers(&[100_000])), "a gamma of 1/1.00"),
        (chunk(b"gAMA", &numbers(&[55_556])), "a gamma of 1/1.80"),
        (chunk(b"cHRM", &numbers(&p3)), "other primaries"),
        (icc(&ColorProfile::new_display_p3()), "differ from sRGB by up to"),
        (icc(&ColorProfile::new_adobe_rgb()), "differ from sRGB by up to"),
        (icc(&ColorProfile::new_pro_photo_rgb()), "differ from sRGB by up to"),
        (icc(&ColorProfile::new_aces_cg_linear()), "differ from sRGB by up to"),
        (chunk(b"iCCP", b"any name\0\0no zlib"), "cannot be read"),
        (chunk(b"iCCP", &[b"any name\0\0".to_vec(), zlib(&[0; 200])].concat()), "cannot be read"),
        // BT.2020 with the curve of HDR10.
        (chunk(b"cICP", &[9, 16, 0, 1]), "video colour space [9, 16, 0, 1]"),
    ] {
        assert_refused(&rgb(&[before]), Content::Shown, &[&[part], &mend[..]].concat());
    }
    let gray = |gamma| png(GRAY, 8, &[160], &[icc(&ColorProfile::new_gray_with_gamma(gamma))], &[]);
    assert_refused(&gray(1.8), Content::Shown, &["differ from sRGB by up to"]);
    // Photoshop's grey has a profile; in a mask its values are numbers.
    for gamma in [1.0, 1.8] {
        assert_eq!(decode(&gray(gamma), Content::Mask, SIZE).unwrap().into_luma8().get_pixel(0, 0).0, [160]);
    }
}

#[test]
fn masks_normals_and_depths_are_numbers_in_enough_bits() {
    let gray8 = png(GRAY, 8, &[160], &[], &[]);
    let gray16 = png(GRAY, 16, &[0x80, 0], &[], &[]);
    let rgb16 = png(RGB, 16, &[0x80, 0, 0x80, 0, 0xff, 0xff], &[], &[]);
    let gray_as_rgb = png(RGB, 8, &[160; 3], &[], &[]);
    let gray16_as_rgb = png(RGB, 16, &[0x80, 0, 0x80, 0, 0x80, 0], &[], &[]);
    let two_values = png(GRAY, 1, &[0xff], &[], &[]);
    let accepted = |file: &[u8], content| decode(file, content, SIZE).unwrap();
    assert_eq!(accepted(&gray8, Content::Mask), accepted(&gray_as_rgb, Content::Mask).into_luma8().into());
    assert!(matches!(accepted(&two_values, Content::Mask), DynamicImage::ImageLuma8(_)));
    assert_eq!(accepted(&gray16, Content::Depth), accepted(&gray16_as_rgb, Content::Depth).into_luma16().into());
    accepted(&rgb16, Content::Normal);
    for (file, content, part) in [
        (&rgb(&[]), Content::Mask, "colour, such as [200, 100, 50] of 255 at x 0, y 0"),
        (&rgb16, Content::Depth, "colour"),
        (&gray8, Content::Depth, "8 bits a channel: expected 16 bits"),
        (&rgb(&[]), Content::Normal, "8 bits a channel: expected 16 bits"),
        (&gray16, Content::Normal, "a grey image: expected normals"),
    ] {
        assert_refused(file, content, &[part, "export it as"]);
    }
}

#[test]
fn pictures_that_are_turned_by_their_metadata_or_move_are_refused() {
    let exif = |orientation: u8| {
        let head = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00";
        chunk(b"eXIf", &[&head[..], &[orientation], &[0; 6]].concat())
    };
    for file in [rgb(&[exif(6)]), png(RGB, 8, &[200, 100, 50], &[], &[exif(6)])] {
        assert_refused(&file, Content::Shown, &["Exif orientation, Rotate90", "turn the pixels"]);
    }
    decode(&rgb(&[exif(1)]), Content::Shown, SIZE).unwrap();
    let moving = rgb(&[chunk(b"acTL", &numbers(&[2, 0]))]);
    assert_refused(&moving, Content::Shown, &["an animation: expected one picture"]);
}

#[test]
fn files_that_are_no_png_are_called_what_they_are() {
    for (file, part) in [
        (&b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"[..], "image/jpeg"),
        (b"RIFF\x20\0\0\0WEBPVP8L", "image/webp"),
        (b"II*\0", "image/tiff"),
        (b"8BPS\0\x01", "a Photoshop document"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "macOS's companion"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"", "an empty file"),
    ] {
        for content in ALL {
            assert_refused(file, content, &[part, "expected image/png"]);
        }
    }
    let size = decode(&rgb(&[]), Content::Shown, Size::Edge { px: 9, said_by: "pair.json" });
    assert!(matches!(size, Err(DecodeError::Size { found: [8, 8] })));
}
