//! Own people and game heads, at several sizes, from several data folders, have columns of their own in the report.

use std::path::PathBuf;

use crate::common::{Workshop, evaluation, random_weights, toy_config, write_pairs};
use portrait_training::backend::{Inner, device};
use portrait_training::internals::Pair;
use portrait_training::{EvaluateOptions, Report, Source, evaluate, toy};
use serde_json::Value;

fn closed(report: &Report, source: Source, size_px: usize) -> f64 {
    let pairs = || report.each.iter().filter(|pair| (pair.source, pair.size_px) == (source, size_px));
    let first: f64 = pairs().map(|pair| pair.first.comparison.face.l1).sum();
    1.0 - pairs().map(|pair| pair.models["random"].comparison.face.l1).sum::<f64>() / first
}

#[test]
fn own_people_and_game_heads_have_columns_of_their_own_at_each_size() {
    let workshop = Workshop::new();
    let data = ["train", "games", "own_512", "own"].map(|name| workshop.path(name));
    write_pairs(&data[0], 0..24, 48, None);
    // Seeds may come again in another folder.
    write_pairs(&data[1], 900_000..900_003, 256, Some(("game:hero.glb", "sun")));
    write_pairs(&data[2], 900_000..900_001, 512, Some(("own", "studio")));
    write_pairs(&data[3], 900_000..900_002, 256, Some(("own", "studio")));
    // A first image that is the reference can only get worse.
    let perfect = toy::pair(900_002, 256);
    toy::write(&data[1], &Pair { first: perfect.reference.clone(), ..perfect }).unwrap();
    let (weights, out) = ([random_weights(&workshop)], workshop.path("report"));
    let config = toy_config(1, 1);
    let seeds = Some("900000..900001, 900001..900010".parse().unwrap());
    let options = EvaluateOptions { seeds, ..evaluation(&config, &weights, &data, &out) };
    let report = evaluate::<Inner>(&options, &device()).unwrap();
    let columns: Vec<_> = report.columns.iter().map(|column| (column.source, column.size_px, column.pairs)).collect();
    assert_eq!(columns, [(Source::Own, 256, 2), (Source::Own, 512, 1), (Source::GameHeads, 256, 3)]);

    let json: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let figure = |pointer: &str| json.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}"));
    for (pointer, expected) in [
        ("/gap_closed/l1", closed(&report, Source::Own, 256)),
        ("/game_heads/gap_closed/l1", closed(&report, Source::GameHeads, 256)),
        ("/columns/1/models/random/gap_closed/l1", closed(&report, Source::Own, 512)),
    ] {
        assert!((figure(pointer) - expected).abs() < 1e-9, "{pointer}: {} {expected}", figure(pointer));
    }
    let large = report.each.iter().find(|pair| pair.size_px == 512).unwrap();
    let sharpness = large.models["random"].comparison.face.sharpness;
    assert!((figure("/sharpness_512") - sharpness).abs() < 1e-9, "{sharpness}");
    assert_eq!(json.pointer("/game_heads/sharpness_512"), Some(&Value::Null));
    for pointer in ["/game_heads/gap_closed/flip", "/game_heads/worse_fraction", "/game_heads/sharpness_ratio"] {
        figure(pointer);
    }
    for rival in ["lut", "sharpen"] {
        // The toy's colour cast is a colour grade.
        let [l1, flip] = ["l1", "flip"].map(|of| figure(&format!("/rivals/{rival}/{of}")));
        assert!(l1 > 0.0 && flip > 0.0, "{rival}: {l1} {flip}");
        figure(&format!("/game_heads/rivals/{rival}/flip"));
    }
    assert_eq!((figure("/light_kinds/studio/pairs"), figure("/game_heads/light_kinds/sun/pairs")), (2.0, 3.0));
    assert_eq!(json.pointer("/tone_groups/medium/pairs").and_then(Value::as_u64), Some(2));

    let own = report.each.iter().filter(|pair| (pair.source, pair.size_px) == (Source::Own, 256));
    let eyes: Vec<f64> = own.map(|pair| pair.models["random"].eyes_sharpness.unwrap()).collect();
    assert!((figure("/eyes_sharpness_ratio") - (eyes[0] + eyes[1]) / 2.0).abs() < 1e-9, "the median of two");
    let worse = report.each.iter().filter(|pair| pair.source == Source::GameHeads && pair.worse.is_some()).count();
    let reasons = json.pointer("/game_heads/worse_because").unwrap().as_object().unwrap();
    assert_eq!(reasons.values().map(|pairs| pairs.as_u64().unwrap()).sum::<u64>(), worse as u64);
    assert!(worse > 0 && (figure("/game_heads/worse_fraction") - worse as f64 / 3.0).abs() < 1e-9);

    // Seeds come again, so that a warning names the folder.
    let same = |what: &&String| what.contains("same picture");
    let warning = report.warnings.iter().find(same).unwrap();
    assert!(warning.contains("games: first and reference") && warning.contains("in 1 pair: 00900002"), "{warning}");

    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for part in ["<th>own people, 256²<th>own people, 512²<th>game heads, 256²", "<h2>Game heads, 256²", "<td>sun<td>3"]
    {
        assert!(page.contains(part), "{part} is not in the page");
    }
    assert_eq!(page.matches("The 10 worst").count(), 3);
    for name in ["blind_own_02_00900001.png", "blind_game_heads_03_00900002.png"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    assert!(report.table().contains("game heads, 256²: 3 pairs, 3 identities"), "{}", report.table());
}

#[test]
fn a_folder_that_is_named_twice_and_seeds_that_no_folder_has_are_refused() {
    let workshop = Workshop::new();
    let own = workshop.path("own");
    write_pairs(&own, 0..2, 48, None);
    let error = |data: &[PathBuf]| {
        let (weights, out) = ([random_weights(&workshop)], workshop.path("report"));
        let config = toy_config(1, 1);
        let seeds = Some("5..9".parse().unwrap());
        let options = EvaluateOptions { seeds, ..evaluation(&config, &weights, data, &out) };
        evaluate::<Inner>(&options, &device()).unwrap_err().to_string()
    };
    let twice = error(&[own.clone(), workshop.path("own/../own")]);
    assert!(twice.contains("--data") && twice.contains("different folders"), "{twice}");
    let none = error(&[own]);
    assert!(none.contains("no pair with a seed in 5..9"), "{none}");
}
