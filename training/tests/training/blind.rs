//! Blind pairs from pictures to scores.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Workshop, random_weights, toy_config, write_pairs};
use image::imageops;
use portrait_training::backend::{Inner, device};
use portrait_training::{BlindError, BlindOptions, Source, blind, toy, unseal};
use serde_json::{Value, json};

const SIDE: u32 = 48;
const OWN: std::ops::Range<u64> = 900_000..900_005;
const GAMES: std::ops::Range<u64> = 900_100..900_104;

/// A workshop with pairs of both sources, and weights.
fn workshop() -> (Workshop, PathBuf) {
    let workshop = Workshop::new();
    for (seeds, source) in [(OWN, "own"), (GAMES, "game:hero.glb")] {
        write_pairs(&workshop.data(), seeds, SIDE as usize, Some((source, "sun")));
    }
    let weights = random_weights(&workshop);
    (workshop, weights)
}

fn make(workshop: &Workshop, weights: &Path, out: &str, shuffle_seed: u64) -> Result<usize, BlindError> {
    let (data, out) = ([workshop.data()], workshop.path(out));
    let config = toy_config(1, 1);
    let seeds = Some("900000..900200".parse().unwrap());
    let options = BlindOptions { weights, data: &data, out: &out, config: config.config(), seeds, shuffle_seed };
    blind::<Inner>(&options, &device())
}

/// Finds the side of the second image of every picture by its pixels: the other side is a toy pair's first image.
fn sides_of_second(folder: &Path) -> Vec<(u64, &'static str)> {
    let firsts: Vec<(u64, Vec<u8>)> =
        OWN.chain(GAMES).map(|seed| (seed, toy::pair(seed, SIDE as usize).first)).collect();
    (1..=9)
        .map(|number| {
            let picture = image::open(folder.join(format!("pair_{number:03}.png"))).unwrap().into_rgb8();
            let side = |x: u32| imageops::crop_imm(&picture, x, 0, SIDE, SIDE).to_image().into_raw();
            let first = |image: &[u8]| firsts.iter().find(|(_, first)| first == image).map(|(seed, _)| *seed);
            let (left, right) = (side(0), side(picture.width() - SIDE));
            match (first(&left), first(&right)) {
                (Some(seed), None) => (seed, "right"),
                (None, Some(seed)) => (seed, "left"),
                both => panic!("pair {number}: first images {both:?}"),
            }
        })
        .collect()
}

/// Writes a file of answers to both questions.
fn answer(workshop: &Workshop, set: &str, name: &str, side: impl Fn(usize) -> &'static str) -> PathBuf {
    let key = std::fs::read_to_string(workshop.path(set).join("key.sealed")).unwrap();
    let id = key.split(['.', ' ']).find(|word| word.len() == 16).unwrap();
    let answers: serde_json::Map<String, Value> = (1..=9)
        .map(|number: usize| (number.to_string(), json!({ "photograph": side(number), "ship": side(number) })))
        .collect();
    let path = workshop.path(name);
    let content = json!({ "format": 1, "set": id, "judge": name, "answers": answers });
    std::fs::write(&path, content.to_string()).unwrap();
    path
}

#[test]
fn answers_that_always_take_the_second_image_or_always_the_left_one_score_as_such() {
    let (workshop, weights) = workshop();
    assert_eq!(make(&workshop, &weights, "set", 7).unwrap(), 9);
    let folder = workshop.path("set");
    let sides = sides_of_second(&folder);
    let mut seeds: Vec<u64> = sides.iter().map(|(seed, _)| *seed).collect();
    assert!(!seeds.is_sorted(), "the order gives the pairs away: {seeds:?}");
    seeds.sort();
    assert_eq!(seeds, OWN.chain(GAMES).collect::<Vec<_>>(), "each pair once");

    let always_second = answer(&workshop, "set", "second.json", |number| sides[number - 1].1);
    let scores = unseal(&folder, std::slice::from_ref(&always_second)).unwrap();
    for (source, pairs) in [(Source::Own, 5), (Source::GameHeads, 4)] {
        let score = &scores.sources[&source];
        assert_eq!((score.pairs, score.photograph, score.ship), (pairs, Some(1.0), Some(1.0)));
        // Wilson's interval of n of n begins at n / (n + 1.96²).
        let [low, high] = score.ship_interval.unwrap();
        let count = pairs as f64;
        assert!(
            (low - count / (count + 1.959_964_f64.powi(2))).abs() < 1e-9 && (high - 1.0).abs() < 1e-9,
            "{low} {high}"
        );
    }

    let always_left = answer(&workshop, "set", "left.json", |_| "left");
    let scores = unseal(&folder, std::slice::from_ref(&always_left)).unwrap();
    let left = |range: std::ops::Range<u64>| {
        sides.iter().filter(|(seed, side)| range.contains(seed) && *side == "left").count() as f64
    };
    let shares = [Source::Own, Source::GameHeads].map(|source| scores.sources[&source].photograph.unwrap());
    assert_eq!(shares, [left(OWN) / 5.0, left(GAMES) / 4.0]);
    assert_eq!(shares, [0.6, 0.5], "sides are balanced");

    let both = unseal(&folder, &[always_left, always_second]).unwrap();
    assert_eq!((both.files, both.sources[&Source::GameHeads].photograph), (2, Some(0.75)));
}

#[test]
fn pictures_page_and_key_do_not_say_which_is_which_and_the_seed_repeats_them() {
    let (workshop, weights) = workshop();
    for (out, seed) in [("a", 1), ("same", 1), ("other", 2)] {
        make(&workshop, &weights, out, seed).unwrap();
    }
    let read = |set: &str, name: &str| std::fs::read(workshop.path(set).join(name)).unwrap();
    for name in ["pair_001.png", "pair_009.png", "index.html", "key.sealed"] {
        assert_eq!(read("a", name), read("same", name), "{name}");
    }
    assert_ne!(sides_of_second(&workshop.path("a")), sides_of_second(&workshop.path("other")));
    let page = String::from_utf8(read("a", "index.html")).unwrap();
    assert_eq!(page.matches("\"data:image/png;base64,").count(), 9);
    assert!(!page.contains("://") && !page.contains("@SET@") && !page.contains("@PICTURES@"), "the page needs more");
    let key = String::from_utf8(read("a", "key.sealed")).unwrap();
    for word in ["left", "right", "900000", "game"] {
        assert!(!key.contains(word), "{word} can be read in the key");
    }
}

#[test]
fn sets_are_not_overwritten_and_people_who_were_trained_on_are_not_shown() {
    let (workshop, weights) = workshop();
    make(&workshop, &weights, "set", 1).unwrap();
    let before = std::fs::read(workshop.path("set/pair_001.png")).unwrap();
    let error = make(&workshop, &weights, "set", 2).unwrap_err().to_string();
    assert!(error.contains("never overwritten") && error.contains("set"), "{error}");
    assert_eq!(std::fs::read(workshop.path("set/pair_001.png")).unwrap(), before);

    // A training pair of the same person.
    let pair = toy::pair(OWN.start, SIDE as usize);
    toy::write(&workshop.data(), &portrait_training::internals::Pair { seed: 3, ..pair }).unwrap();
    let error = make(&workshop, &weights, "learnt", 1).unwrap_err().to_string();
    assert!(error.contains("identity toy-900000") && !workshop.path("learnt").exists(), "{error}");
}

#[test]
fn damaged_and_foreign_answers_are_refused_by_name() {
    let (workshop, weights) = workshop();
    make(&workshop, &weights, "set", 1).unwrap();
    make(&workshop, &weights, "other", 2).unwrap();
    let folder = workshop.path("set");
    let refuse = |files: &[PathBuf], parts: &[&str]| {
        let error = unseal(&folder, files).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    };
    let good = answer(&workshop, "set", "good.json", |_| "left");
    let foreign = answer(&workshop, "other", "foreign.json", |_| "left");
    refuse(&[good.clone(), foreign], &["--answers", "foreign.json", "answers to the set", "expected"]);
    let whole = std::fs::read_to_string(&good).unwrap();
    let damaged = workshop.path("damaged.json");
    std::fs::write(&damaged, &whole[..whole.len() - 1]).unwrap();
    refuse(&[damaged], &["damaged.json", "EOF", "docs/reports.md"]);
    refuse(&[workshop.path("none.json")], &["none.json", "No such file"]);
    let copy = workshop.path("copy.json");
    std::fs::copy(&good, &copy).unwrap();
    refuse(&[good.clone(), copy], &["copy.json", "counts once"]);
    let key = std::fs::read_to_string(folder.join("key.sealed")).unwrap();
    std::fs::write(folder.join("key.sealed"), &key[..key.len() - 41]).unwrap();
    refuse(&[good], &["key.sealed", "damaged"]);
}

#[test]
fn the_command_makes_pairs_scores_answers_and_adds_the_scores_to_the_report_of_the_same_weights() {
    let (workshop, weights) = workshop();
    let run = |arguments: &[&str], paths: &[(&str, &Path)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portrait-train"));
        command.arg("evaluate").args(arguments);
        for (name, path) in paths {
            command.arg(name).arg(path);
        }
        let output = command.output().unwrap();
        (output.status.success(), [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat())
    };
    let (set, report, data) = (workshop.path("set"), workshop.path("report"), workshop.data());
    let made = [("--weights", &*weights), ("--data", &*data), ("--blind", &*set)];
    let (fine, text) = run(&["--seeds", "900000..900200"], &made);
    assert!(fine && text.contains("9 blind pairs"), "{text}");
    let answers = answer(&workshop, "set", "left.json", |_| "left");
    let unsealing = [("--unseal", &*set), ("--answers", &*answers)];
    let (fine, text) = run(&[], &unsealing);
    assert!(fine && text.contains("own people") && text.contains("60.0 %"), "{text}");

    // A report of other weights is left as it is.
    let sha256 = unseal(&set, std::slice::from_ref(&answers)).unwrap().sha256;
    let of = |sha256: &str| json!({ "default_model": "random", "models": { "random": { "sha256": sha256 } } });
    std::fs::create_dir(&report).unwrap();
    let write = |sha256: &str| std::fs::write(report.join("report.json"), of(sha256).to_string()).unwrap();
    let with_report = [unsealing[0], unsealing[1], ("--out", &*report)];
    write("00");
    let (fine, text) = run(&[], &with_report);
    assert!(!fine && text.contains("whose pictures were judged") && text.contains(&sha256), "{text}");
    write(&sha256);
    assert!(run(&[], &with_report).0);
    let json: Value = serde_json::from_slice(&std::fs::read(report.join("report.json")).unwrap()).unwrap();
    for (pointer, share) in [
        ("/blind/own/photograph", 0.6),
        ("/blind/own/ship", 0.6),
        ("/blind/game_heads/photograph", 0.5),
        ("/blind/game_heads/ship", 0.5),
    ] {
        assert_eq!(json.pointer(pointer).and_then(Value::as_f64), Some(share), "{pointer}");
    }
    assert_eq!(json["models"]["random"]["sha256"], sha256);
    let (fine, text) = run(&[], &with_report);
    assert!(!fine && text.contains("--overwrite"), "{text}");
    assert!(run(&["--overwrite"], &with_report).0);
    let (fine, text) = run(&[], &[("--weights", &*weights), ("--data", &*data)]);
    assert!(!fine && text.contains("--out"), "{text}");
}
