//! Pairs that are probably wrong are told before the first step, with the numbers, and the run goes on.

use crate::common::{Workshop, assert_says, edit, evaluation, files, toy_config};
use image::DynamicImage;
use portrait_files::config::ConfigFile;
use portrait_training::backend::{Inner, device};
use portrait_training::evaluate;
use portrait_training::internals::read::load;
use serde_json::Value;

/// Returns the warnings of a short run, which has to go to its end and to leave the pairs as they are.
fn warnings_of_run(workshop: &Workshop, config: &ConfigFile) -> Vec<String> {
    let before = files(&workshop.data());
    let (summary, _) = workshop.run(config, "run", false).unwrap();
    assert_eq!(summary.step, 1);
    assert!(files(&workshop.data()) == before, "the run changed a file of the data set");
    let log = std::fs::read_to_string(workshop.path("run/metrics.jsonl")).unwrap();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first_step = events.iter().position(|event| event["event"] == "step").unwrap();
    let warnings = |events: &[Value]| {
        let warned = events.iter().filter(|event| event["event"] == "warned");
        warned.map(|event| event["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(warnings(&events[first_step..]).is_empty(), "warnings come before the first step");
    warnings(&events)
}

#[test]
fn what_systems_leave_in_folders_is_passed_over_in_silence() {
    let workshop = Workshop::with_pairs(48);
    let quiet = [".DS_Store", "Thumbs.db", "desktop.ini", "._00000003", ".directory", "Icon\r"];
    for folder in [workshop.data(), workshop.data().join("00000003"), workshop.path("run")] {
        std::fs::create_dir_all(&folder).unwrap();
        quiet.iter().for_each(|name| std::fs::write(folder.join(name), "x").unwrap());
    }
    for name in ["._first.png", "._pair.json", "first.png~", "first.psd", ".first.png.swp"] {
        std::fs::write(workshop.data().join("00000003").join(name), "x").unwrap();
    }
    for name in ["__MACOSX/00000005", ".00000009", ".Trashes/00000006", "@eaDir", ".git", "environments"] {
        std::fs::create_dir_all(workshop.data().join(name)).unwrap();
    }
    // A new run's folder that somebody has looked into is still new.
    assert_eq!(warnings_of_run(&workshop, &toy_config(1, 5)), Vec::<String>::new());
    assert!(quiet.iter().all(|name| std::fs::read(workshop.path("run").join(name)).unwrap() == b"x"));
}

#[test]
fn folders_that_only_look_like_seeds_are_told_and_not_read() {
    let workshop = Workshop::with_pairs(48);
    let strays = ["00000003 (copy)", "+0000004", "12abc", "0001", "000000005", "00000006~", "Copy of 00000003"];
    for name in strays {
        std::fs::create_dir(workshop.data().join(name)).unwrap();
    }
    std::fs::create_dir(workshop.data().join("anna")).unwrap();
    std::fs::write(workshop.data().join("anna/First.PNG"), "").unwrap();
    std::fs::write(workshop.data().join("00000100"), "a file").unwrap();
    std::os::unix::fs::symlink("nowhere", workshop.data().join("00000101")).unwrap();
    assert_eq!(load(&workshop.data(), &"0..1000".parse().unwrap(), &[]).unwrap().len(), 24);
    let warnings = warnings_of_run(&workshop, &toy_config(1, 5));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_says(&warnings[0], &["looks like a pair and was not read, 10 in all", "+0000004", "eight digits", "rename"]);
}

#[test]
fn pairs_in_order_are_trained_on_without_a_warning() {
    for side in [48, 64] {
        assert_eq!(warnings_of_run(&Workshop::with_pairs(side), &toy_config(1, 5)), Vec::<String>::new());
    }
}

#[test]
fn flipped_shifted_and_exchanged_pairs_are_told_with_their_numbers_before_the_first_step() {
    let workshop = Workshop::with_pairs(64);
    let path = |seed: u64, name: &str| workshop.data().join(format!("{seed:08}/{name}.png"));
    edit(&path(2, "reference"), |image| image.fliph());
    edit(&path(3, "first"), |image| image.flipv());
    edit(&path(4, "reference"), |image| image.rotate90());
    // By three pixels to the right and one up.
    let shift = |image: DynamicImage| -> DynamicImage {
        let image = image.into_rgb8();
        let at = |x: u32, y: u32| *image.get_pixel(x.saturating_sub(3), (y + 1).min(63));
        image::RgbImage::from_fn(64, 64, at).into()
    };
    edit(&path(900_001, "reference"), shift);
    let (first, reference) = (path(6, "first"), path(6, "reference"));
    let between = workshop.path("between.png");
    std::fs::rename(&first, &between).unwrap();
    std::fs::rename(&reference, &first).unwrap();
    std::fs::rename(&between, &reference).unwrap();
    std::fs::copy(path(8, "reference"), path(8, "first")).unwrap();
    std::fs::copy(path(9, "first"), path(10, "first")).unwrap();
    std::fs::copy(path(9, "reference"), path(10, "reference")).unwrap();
    std::fs::copy(path(9, "mask"), path(10, "mask")).unwrap();
    edit(&path(11, "mask"), |image| image::GrayImage::new(image.width(), image.height()).into());

    let warnings = warnings_of_run(&workshop, &toy_config(1, 5));
    let of = |word: &str| {
        warnings.iter().find(|text| text.contains(word)).unwrap_or_else(|| panic!("{word}: {warnings:#?}"))
    };
    let flipped = of("looks flipped");
    let parts = [
        "in 3 pairs",
        "00000002 is mirrored, left to right",
        "00000003 is flipped upside down",
        "00000004 is turned by 90° clockwise",
    ];
    assert_says(flipped, &parts);
    assert_says(of("looks shifted"), &["in 1 pair", "00900001 by ", "px right", "px up", "correlation", "in place"]);
    assert_says(
        of("look exchanged"),
        &["in 1 pair", "00000006 is", "times as sharp", "levels of 255", "first.png is the game's"],
    );
    assert_says(of("are the same picture"), &["in 1 pair", "00000008"]);
    assert_says(of("another pair's"), &["00000009 = 00000010"]);
    assert_says(of("mask has no face"), &["00000011, whose highest value is 0"]);
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
}

#[test]
fn images_that_do_not_belong_to_each_other_are_told() {
    let workshop = Workshop::with_pairs(64);
    let noise = |x: u32, y: u32| {
        let mixed = (x * 7919 + y * 104_729 + x * x * y).wrapping_mul(2_654_435_761);
        image::Rgb([((mixed ^ (mixed >> 15)) >> 13) as u8; 3])
    };
    edit(&workshop.data().join("00000012/reference.png"), |_| image::RgbImage::from_fn(64, 64, noise).into());
    let warnings = warnings_of_run(&workshop, &toy_config(1, 5)).join("\n");
    assert_says(&warnings, &["hardly show the same details in 1 pair: 00000012 (correlation", "belong to each other"]);
}

#[test]
fn masks_normals_and_depths_that_do_not_fit_the_first_image_are_told() {
    let workshop = Workshop::with_pairs(64);
    let path = |seed: u64, name: &str| workshop.data().join(format!("{seed:08}/{name}.png"));
    edit(&path(2, "mask"), |image| image.flipv());
    edit(&path(3, "normal"), |image| image.fliph());
    edit(&path(4, "depth"), |image| image.rotate180());
    // Green down, as DirectX has it.
    edit(&path(5, "normal"), |image| {
        let mut image = image.into_rgb16();
        image.pixels_mut().for_each(|pixel| pixel.0[1] = 65_535 - pixel.0[1]);
        image.into()
    });
    edit(&path(6, "depth"), |image| {
        let mut image = image.into_luma16();
        image.pixels_mut().filter(|pixel| pixel.0[0] > 0).for_each(|pixel| pixel.0[0] = 65_535 - pixel.0[0]);
        image.into()
    });
    let config = workshop.path("planes.toml");
    let text = std::fs::read_to_string(crate::common::TOY_CONFIG).unwrap().replace("max_steps = 100", "max_steps = 1");
    let inputs = "preset = \"tiny\"\ninputs = [\"color\", \"normal\", \"depth\"]";
    std::fs::write(&config, text.replace("preset = \"tiny\"", inputs)).unwrap();
    let warnings = warnings_of_run(&workshop, &ConfigFile::load(&config).unwrap());
    let of = |word: &str| {
        warnings.iter().find(|text| text.contains(word)).unwrap_or_else(|| panic!("{word}: {warnings:#?}"))
    };
    assert_says(
        of("an image looks flipped"),
        &["00000002/mask.png is flipped upside down", "00000003/normal.png is mirrored"],
    );
    assert_says(of("an image looks flipped"), &["00000004/depth.png is turned by 180°"]);
    assert_says(of("mirrored in y (green)"), &["in 1 pair: 00000005", "invert green"]);
    assert_says(of("depths look inverted"), &["00000006"]);
}

#[test]
fn palettes_and_files_that_differ_by_case_alone_are_told() {
    let workshop = Workshop::with_pairs(64);
    let posterised = |image: DynamicImage| -> DynamicImage {
        let mut image = image.into_rgb8();
        image.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| value & 0xe0));
        image.into()
    };
    edit(&workshop.data().join("00000002/reference.png"), posterised);
    let pair = workshop.data().join("00000003");
    std::fs::copy(pair.join("first.png"), pair.join("First.PNG")).unwrap();
    let warnings = warnings_of_run(&workshop, &toy_config(1, 5)).join("\n");
    assert_says(&warnings, &["at most 256 colours in 1 pair: 00000002 in reference.png"]);
    assert_says(&warnings, &["differ by case alone in 1 pair: 00000003 has [\"First.PNG\"] beside first.png"]);
}

#[test]
fn an_evaluation_tells_the_same() {
    let workshop = Workshop::with_pairs(48);
    edit(&workshop.data().join("00900002/reference.png"), |image| image.flipv());
    let (summary, _) = workshop.run(&toy_config(1, 1), "run", false).unwrap();
    let weights = workshop.path("toy.safetensors");
    portrait_training::export(&summary.checkpoint, &weights, portrait_network::Dtype::F32, false).unwrap();
    let (config, data, out) = (toy_config(1, 1), [workshop.data()], workshop.path("out"));
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join(".DS_Store"), "x").unwrap();
    let options = evaluation(&config, std::slice::from_ref(&weights), &data, &out);
    evaluate::<Inner>(&options, &device()).unwrap();
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let warnings = written["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_says(&warnings[0].as_str().unwrap(), &["looks flipped", "00900002 is flipped upside down"]);
    assert_says(&std::fs::read_to_string(out.join("report.html")).unwrap(), &["00900002 is flipped upside down"]);
}
