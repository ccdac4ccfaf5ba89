//! Pairs as other people's tools leave them: read, or refused by name, or told before the first step. Nothing of theirs changes.

use std::fs::File;
use std::path::Path;

use crate::common::{PLANES, Workshop, assert_says, edit, files, write_pairs};
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageEncoder, Rgba, RgbaImage};
use moxcms::ColorProfile;
use portrait_files::config::ConfigFile;
use portrait_files::manifest::Fingerprint;
use portrait_training::internals::read::{check_identities, identity_count, load};
use portrait_training::internals::{DatasetError, Pair};

/// Reads every pair of a workshop.
fn read(workshop: &Workshop) -> Result<Vec<Pair>, DatasetError> {
    load(&workshop.data(), &"0..1000".parse().unwrap(), &PLANES)
}

/// Writes one pair, changes its folder, and reads it.
fn changed(change: impl Fn(&Path)) -> Result<Vec<Pair>, DatasetError> {
    let workshop = Workshop::with_one_pair();
    change(&workshop.one_pair());
    let before = files(&workshop.data());
    let read = read(&workshop);
    assert!(files(&workshop.data()) == before, "reading changed a file");
    read
}

#[test]
fn images_with_transparency_are_refused_and_opaque_alpha_channels_are_not() {
    let plain = changed(|_| {}).unwrap();
    for file in ["first.png", "reference.png", "mask.png", "normal.png", "depth.png"] {
        let with_alpha = |pair: &Path, alpha: u16| {
            edit(&pair.join(file), |image| {
                let mut image = image.into_rgba16();
                image.get_pixel_mut(3, 5).0[3] = alpha;
                image.into()
            });
        };
        assert_eq!(changed(|pair| with_alpha(pair, u16::MAX)).unwrap(), plain, "{file}");
        let error = changed(|pair| with_alpha(pair, 0)).unwrap_err().to_string();
        assert_says(
            &error,
            &[file, "1 of 256 pixels are transparent", "x 3, y 5", "expected an opaque image", "save it"],
        );
    }
}

/// Writes an image of a pair again, with an ICC profile and Exif data.
fn write_with(pair: &Path, file: &str, profile: Option<ColorProfile>, exif: Option<Vec<u8>>) {
    let image = image::open(pair.join(file)).unwrap();
    let mut encoder = PngEncoder::new(File::create(pair.join(file)).unwrap());
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
    }
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).unwrap();
    }
    image.write_with_encoder(encoder).unwrap();
}

#[test]
fn pictures_of_another_colour_space_are_refused_and_profiles_of_srgb_are_not() {
    let plain = changed(|_| {}).unwrap();
    for file in ["first.png", "reference.png"] {
        let srgb = changed(|pair| write_with(pair, file, Some(ColorProfile::new_srgb()), None));
        assert_eq!(srgb.unwrap(), plain);
        for profile in [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb()] {
            let error = changed(|pair| write_with(pair, file, Some(profile.clone()), None)).unwrap_err();
            assert_says(
                &error.to_string(),
                &[file, "colour profile", "of 255", "expected sRGB", "convert the image to sRGB"],
            );
        }
    }
    for file in ["mask.png", "normal.png", "depth.png"] {
        let numbers = changed(|pair| write_with(pair, file, Some(ColorProfile::new_adobe_rgb()), None));
        assert_eq!(numbers.unwrap(), plain, "{file} holds numbers, whatever its profile says");
    }
}

#[test]
fn images_that_their_exif_data_turn_are_refused() {
    let exif = |orientation: u8| {
        let head = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00";
        Some([&head[..], &[orientation], &[0; 6]].concat())
    };
    changed(|pair| write_with(pair, "first.png", None, exif(1))).unwrap();
    let error = changed(|pair| write_with(pair, "first.png", None, exif(3))).unwrap_err();
    assert_says(&error.to_string(), &["first.png", "Exif orientation, Rotate180", "upright", "turn the pixels"]);
}

#[test]
fn masks_are_grey_and_normals_and_depths_have_sixteen_bits() {
    let error = |file: &str, change: fn(DynamicImage) -> DynamicImage| {
        changed(|pair| edit(&pair.join(file), change)).unwrap_err().to_string()
    };
    let red = |image: DynamicImage| {
        image::RgbImage::from_pixel(image.width(), image.height(), image::Rgb([160, 0, 0])).into()
    };
    assert_says(&error("mask.png", red), &["mask.png", "colour, such as [160, 0, 0]", "expected a grey image"]);
    assert_says(&error("normal.png", |image| image.into_rgb8().into()), &["normal.png", "8 bits", "expected 16 bits"]);
    assert_says(&error("normal.png", |image| image.into_luma16().into()), &["normal.png", "a grey image", "as RGB"]);
    assert_says(&error("depth.png", |image| image.into_luma8().into()), &["depth.png", "8 bits", "expected 16 bits"]);
}

#[test]
fn manifests_are_read_in_every_encoding_that_editors_write() {
    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }
    let plain = changed(|_| {}).unwrap();
    let encodings: [fn(&str) -> Vec<u8>; 6] = [
        |text| format!("\u{feff}{text}").into_bytes(),
        |text| utf16(&format!("\u{feff}{text}"), u16::to_le_bytes),
        |text| utf16(&format!("\u{feff}{text}"), u16::to_be_bytes),
        |text| utf16(text, u16::to_le_bytes),
        |text| utf16(text, u16::to_be_bytes),
        |text| text.replace('\n', "\r\n").replace('{', "{\r\n").into_bytes(),
    ];
    for encode in encodings {
        let pairs = changed(|pair| {
            let path = pair.join("pair.json");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, encode(&text)).unwrap();
        });
        assert_eq!(pairs.unwrap(), plain);
        let workshop = Workshop::new();
        let config = workshop.path("config.toml");
        std::fs::write(&config, encode("# Zo\u{eb}, the first\n[run]\nmax_steps = 7\n")).unwrap();
        assert_eq!(ConfigFile::load(&config).unwrap().config().run.max_steps, 7);
    }
}

#[test]
fn manifests_that_cannot_be_read_say_what_they_are_in() {
    let pair_json = r#"{"format":3,"seed":7,"identity":"anna","size_px":16}"#;
    for (content, parts) in [
        // Windows-1252.
        (b"{\"format\":3,\n\"identity\":\"Zo\xeb\"}".to_vec(), vec!["byte 0xEB in line 2", "save the file as UTF-8"]),
        (b"{\\rtf1\\ansi {\\fonttbl}}".to_vec(), vec!["rich text", "plain text"]),
        (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), vec!["Git LFS pointer"]),
        (b"".to_vec(), vec!["an empty file"]),
        (pair_json.replace("\"anna\"", "null").into_bytes(), vec!["identity null", "the person's name"]),
        (pair_json.replace("anna", "  ").into_bytes(), vec!["identity", "the person's name"]),
        (pair_json.replace("\"anna\"", "[1]").into_bytes(), vec!["identity [1]", "the person's name"]),
        (pair_json.replace("16", "16.5").into_bytes(), vec!["16.5", "u32"]),
    ] {
        let error = changed(|pair| std::fs::write(pair.join("pair.json"), &content).unwrap()).unwrap_err();
        assert_says(&error.to_string(), &[&["pair.json"], &parts[..]].concat());
    }
}

#[test]
fn one_person_is_one_person_in_every_case_and_unicode_form() {
    let named = |identity: &str, seed: u64| {
        let workshop = Workshop::with_one_pair();
        let text = format!(r#"{{"format":3,"seed":7,"identity":{identity},"size_px":16}}"#);
        std::fs::write(workshop.one_pair().join("pair.json"), text).unwrap();
        Pair { seed, ..read(&workshop).unwrap().remove(0) }
    };
    for (train, measured) in [
        ("\"Zo\u{eb}\"", "\"Zoe\u{308}\""),
        ("\"anna\"", "\"Anna \""),
        ("\"anna maria\"", "\"anna\u{a0}maria\""),
        ("7", "7.0"),
        ("7", "\"7\""),
    ] {
        let (train, measured) = (named(train, 3), named(measured, 900_002));
        let error = check_identities(std::slice::from_ref(&train), std::slice::from_ref(&measured)).unwrap_err();
        assert_says(&error.to_string(), &["seed 3", "seed 900002"]);
        if train.identity != measured.identity {
            assert_says(&error.to_string(), &[&train.identity, &measured.identity, "case or Unicode form"]);
        }
        assert_eq!(identity_count(&[train, measured]), 1);
    }
    check_identities(&[named("\"Zoe\"", 3)], &[named("\"Zo\u{eb}\"", 900_002)]).unwrap();
}

#[test]
fn files_are_found_in_another_case_and_two_that_differ_by_case_are_not_guessed() {
    let plain = changed(|_| {}).unwrap();
    let rename = |pair: &Path, from: &str, to: &str| std::fs::rename(pair.join(from), pair.join(to)).unwrap();
    for name in ["pair.json", "first.png", "reference.png", "mask.png", "normal.png", "depth.png"] {
        let mut other = name.to_uppercase();
        assert_eq!(changed(|pair| rename(pair, name, &other)).unwrap(), plain, "{other}");
        other = format!("{}{}", &other[..1], &name[1..]);
        assert_eq!(changed(|pair| rename(pair, name, &other)).unwrap(), plain, "{other}");
    }
    let error = changed(|pair| {
        std::fs::copy(pair.join("first.png"), pair.join("FIRST.PNG")).unwrap();
        rename(pair, "first.png", "First.png");
    });
    assert_says(&error.unwrap_err().to_string(), &["first.png", r#"["FIRST.PNG", "First.png"]"#, "keep one of them"]);
}

#[test]
fn a_file_that_is_missing_is_looked_for_under_the_names_that_tools_give() {
    for other in [
        "first.jpg",
        "First.TGA",
        "first.png.png",
        "first (1).png",
        "first copy.png",
        ".first.png.icloud",
        "first.sync-conflict-20260101-101010-ABCDEFG.png",
    ] {
        let error = changed(|pair| std::fs::rename(pair.join("first.png"), pair.join(other)).unwrap()).unwrap_err();
        assert_says(&error.to_string(), &["half a pair", "first.png is missing", other, "under that name"]);
    }
    let error = changed(|pair| std::fs::rename(pair.join("pair.json"), pair.join("pair.json.txt")).unwrap());
    assert_says(&error.unwrap_err().to_string(), &["pair.json is missing", "pair.json.txt"]);
}

#[test]
fn other_formats_under_the_name_of_a_png_are_called_what_they_are() {
    let jpeg = |pair: &Path| {
        let image = image::open(pair.join("first.png")).unwrap().into_rgb8();
        image.save_with_format(pair.join("first.png"), image::ImageFormat::Jpeg).unwrap();
    };
    assert_says(&changed(jpeg).unwrap_err().to_string(), &["first.png", "image/jpeg", "expected image/png", "as PNG"]);
    let empty = |pair: &Path| std::fs::write(pair.join("first.png"), "").unwrap();
    assert_says(&changed(empty).unwrap_err().to_string(), &["first.png", "an empty file", "expected image/png"]);
}

#[test]
fn a_data_folder_without_pairs_says_what_is_there_and_where_pairs_are() {
    let workshop = Workshop::with_one_pair();
    let says = |folder: &Path, parts: &[&str]| {
        let error = load(folder, &"0..10".parse().unwrap(), &PLANES).unwrap_err();
        assert_says(&error.to_string(), parts);
    };
    says(&workshop.path(""), &["has no pair", "there are some in", "data: name that folder"]);
    says(&workshop.one_pair(), &["a pair's own folder: name the folder that holds it"]);
    std::fs::rename(workshop.one_pair(), workshop.data().join("0007")).unwrap();
    says(&workshop.data(), &["0 with other seeds", "not read: \"0007\"", "eight-digit seeds"]);
}

#[test]
fn links_to_folders_of_pairs_are_followed() {
    let workshop = Workshop::new();
    write_pairs(&workshop.path("elsewhere"), 7..8, 16, None);
    std::fs::create_dir(workshop.data()).unwrap();
    std::os::unix::fs::symlink(workshop.path("elsewhere/00000007"), workshop.one_pair()).unwrap();
    assert_eq!(read(&workshop).unwrap().len(), 1);
}

#[test]
fn exchanged_files_are_known_by_what_the_manifest_says_of_them() {
    let error = changed(|pair| {
        let content = |name: &str| std::fs::read(pair.join(name)).unwrap();
        let [first, reference] = ["first.png", "reference.png"].map(content);
        let prints =
            serde_json::json!({"first.png": Fingerprint::of(&first), "reference.png": Fingerprint::of(&reference)});
        let info = serde_json::json!({"format": 3, "seed": 7, "identity": 1, "size_px": 16, "files": prints});
        std::fs::write(pair.join("pair.json"), info.to_string()).unwrap();
        std::fs::write(pair.join("first.png"), reference).unwrap();
        std::fs::write(pair.join("reference.png"), first).unwrap();
    });
    assert_says(
        &error.unwrap_err().to_string(),
        &["00000007", "first.png and reference.png are exchanged", "rename both"],
    );
}

#[test]
fn transparent_pixels_are_not_laid_over_black() {
    // What was read before: the colours of transparent pixels, which no one sees.
    let error = changed(|pair| {
        let image = RgbaImage::from_fn(16, 16, |x, _| Rgba([255, 0, 255, if x < 8 { 0 } else { 255 }]));
        image.save(pair.join("reference.png")).unwrap();
    });
    assert_says(&error.unwrap_err().to_string(), &["reference.png", "128 of 256 pixels are transparent"]);
}
