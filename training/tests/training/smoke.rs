//! From pairs on disk to a weights file, and what happens when a run is interrupted or diverges.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{
    Workshop, evaluation, logged_steps, step_losses, toy_config, toy_config_with, with_line, write_pairs,
};
use portrait_files::config::ConfigFile;
use portrait_files::weights;
use portrait_network::Dtype;
use portrait_training::backend::{Inner, Training, device};
use portrait_training::internals::{Batch, Rejection, Trainer, checkpoint};
use portrait_training::{Event, TrainError, describe, evaluate, export};

#[test]
fn training_lowers_l1_and_its_weights_can_be_exported_evaluated_and_inspected() {
    let workshop = Workshop::with_pairs(48);
    let config = toy_config(100, 20);
    let (summary, events) = workshop.run(&config, "run", false).unwrap();
    assert_eq!((summary.step, summary.converged, summary.rejected), (100, false, 0));
    let validations: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Validated { validation } => Some(*validation),
            _ => None,
        })
        .collect();
    assert_eq!(validations.len(), 5);
    assert!(validations[4].face_l1 < 0.8 * validations[4].first_face_l1, "{validations:?}");
    assert!(workshop.path("run/pictures/step_00000100.png").is_file());
    let kept = std::fs::read_dir(workshop.path("run/checkpoints")).unwrap().count();
    assert!((1..=3).contains(&kept), "{kept} checkpoints");

    let file = workshop.path("toy.safetensors");
    export(&workshop.path("run"), &file, Dtype::F32, false).unwrap();
    let error = export(&workshop.path("run"), &file, Dtype::F32, false).unwrap_err();
    assert!(error.to_string().contains("exists"), "{error}");
    export(&summary.checkpoint, &file, Dtype::F16, true).unwrap();

    let data = [workshop.data()];
    let out = workshop.path("evaluation");
    let options = evaluation(&config, std::slice::from_ref(&file), &data, &out);
    let report = evaluate::<Inner>(&options, &device()).unwrap();
    assert_eq!(report.each.len(), 4);
    let second = report.default_summary();
    let column = report.main();
    assert!(second.mean.face.l1 < column.first.mean.face.l1 && second.gap_closed.l1 > 0.0);
    for rival in [&column.lut, &column.sharpen] {
        assert!(rival.mean.face.l1 < column.first.mean.face.l1);
    }
    assert!(report.table().contains("toy          face"), "{}", report.table());
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    for pointer in [
        "/gap_closed/flip",
        "/gap_closed/l1",
        "/lut_gap_closed/flip",
        "/rivals/lut/l1",
        "/rivals/sharpen/flip",
        "/worse_fraction",
        "/sharpness_ratio",
    ] {
        assert!(json.pointer(pointer).is_some_and(serde_json::Value::is_f64), "{pointer} is not in report.json");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<td>toy<td>"), "the model is not in the page");
    assert!(page.contains("data:image/png;base64,") && !page.contains("://"), "the page needs more than itself");
    let pictures = std::fs::read_dir(&out)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("blind_"));
    assert!(["pairs.png", "before_after.png"].iter().all(|name| out.join(name).is_file()) && pictures.count() == 4);
    let error = evaluate::<Inner>(&options, &device()).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");

    let model = weights::load(&file).unwrap();
    let text = describe(&model);
    for part in [
        "enc0",
        "8280 parameters",
        "receptive field",
        "recommended: base 1, detail 1",
        "100 steps",
        "0..24",
        "validation_face_l1",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(model.provenance.config_sha256, config.sha256());
}

#[test]
fn the_critic_waits_for_its_first_step() {
    let workshop = Workshop::with_pairs(48);
    let (_, events) =
        workshop.run(&toy_config_with(6, 6, &[("warm_up_steps", "5"), ("first_step", "3")]), "run", false).unwrap();
    let learnt: Vec<bool> = step_losses(&events).iter().map(|(_, losses)| losses.critic_gradient > 0.0).collect();
    assert_eq!(learnt, [false, false, false, true, true, true]);
}

#[test]
fn crops_of_192_and_256_pixels_train_on_scenes_of_512_beside_smaller_ones() {
    let workshop = Workshop::new();
    for (seed, size_px) in [(0, 512), (1, 256), (2, 512), (900_000, 512), (900_001, 256)] {
        write_pairs(&workshop.data(), seed..seed + 1, size_px, None);
    }
    for crop_px in ["192", "256"] {
        let changes = [("crop_px", crop_px), ("warm_up_steps", "1"), ("validate_every", "3"), ("picture_every", "3")];
        let (summary, events) = workshop.run(&toy_config_with(3, 3, &changes), crop_px, false).unwrap();
        assert_eq!((summary.step, summary.rejected), (3, 0));
        let losses = step_losses(&events);
        assert!(losses.iter().all(|(_, losses)| losses.l1 > 0.0) && losses[2].1.adversarial_image_gradient > 0.0);
        assert!(workshop.path(crop_px).join("pictures/step_00000003.png").is_file());
    }
}

/// L1, L_G, W and GP at steps 10 and 20 before a run could have two critics or compare features, on Flex at commit `1fa8983`.
const BEFORE: [(u64, [f64; 4]); 2] = [
    (10, [0.068_193_47, -0.015_767_69, 0.002_693_41, 0.001_995_69]),
    (20, [0.085_155_64, 0.012_323_95, 0.018_570_84, 0.066_004_77]),
];

#[test]
fn a_config_without_features_and_with_one_critic_trains_as_it_always_did() {
    let workshop = Workshop::with_pairs(48);
    let config = toy_config_with(20, 20, &[("warm_up_steps", "5"), ("ramp_steps", "5")]);
    let (_, events) = workshop.run(&config, "run", false).unwrap();
    let losses = step_losses(&events);
    for (step, expected) in BEFORE {
        let (_, found) = losses[step as usize - 1];
        let found = [found.l1, found.adversarial, found.wasserstein, found.penalty];
        // Vectors of another width round otherwise.
        let near = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-5 + 1e-3 * expected.abs();
        assert!(found.iter().zip(&expected).all(near), "step {step}: {found:?}, expected {expected:?}");
    }
    let same = |config: &ConfigFile, out: &str| step_losses(&workshop.run(config, out, false).unwrap().1);
    let named =
        with_line(&with_line(&config, "critic", "scales = 1"), "loss", "perceptual = { weight = 0.0, layers = [5] }");
    assert_eq!(same(&named, "named"), losses);
}

#[test]
fn a_resumed_run_repeats_the_uninterrupted_one() {
    let workshop = Workshop::with_pairs(48);
    // The critic has its part in the loss before, at and after the interruption.
    let changes = [("warm_up_steps", "15"), ("ramp_steps", "20"), ("first_step", "8")];
    let config = |max_steps| toy_config_with(max_steps, 10, &changes);
    let (whole, events) = workshop.run(&config(50), "whole", false).unwrap();
    let expected = step_losses(&events);

    let (half, events) = workshop.run(&config(25), "halves", false).unwrap();
    let mut found = step_losses(&events);
    assert_eq!(half.step, 25);
    let (rest, events) = workshop.run(&config(50), "halves", true).unwrap();
    found.extend(step_losses(&events));

    assert_eq!(found.len(), 50);
    assert_eq!(found, expected);
    assert_eq!(rest.best, whole.best);
    let averaged = |run: &str, name: &str| {
        let path = workshop.path(name);
        export(&workshop.path(run).join("checkpoints/step_00000050"), &path, Dtype::F32, false).unwrap();
        weights::load(&path).unwrap()
    };
    assert_eq!(averaged("whole", "a.safetensors").convs(), averaged("halves", "b.safetensors").convs());
}

#[test]
fn a_killed_run_that_is_resumed_has_the_losses_of_one_that_was_not_killed() {
    let workshop = Workshop::with_pairs(48);
    let train = |out: &str, max_steps: u64, more: &[&str]| {
        let config = workshop.path(&format!("{out}_{max_steps}.toml"));
        let changes = [("warm_up_steps", "5"), ("ramp_steps", "20")];
        std::fs::write(&config, toy_config_with(max_steps, 10, &changes).text()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portrait-train"));
        command.arg("train").arg("--config").arg(config).arg("--data").arg(workshop.data());
        command.arg("--out").arg(workshop.path(out)).args(more).stdout(Stdio::null());
        command
    };
    let mut child = train("killed", 1_000_000, &[]).spawn().unwrap();
    let log = workshop.path("killed/metrics.jsonl");
    // Past the checkpoint of step 20 and short of the next one, most likely.
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"step\":23,")) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was not killed");
    let saved = checkpoint::latest(&workshop.path("killed/checkpoints")).unwrap().unwrap();
    let saved = checkpoint::snapshot(&saved).unwrap().step;
    assert!(saved >= 20, "no checkpoint of step 20, but of {saved}");

    let last = saved + 20;
    assert!(train("killed", last, &["--resume"]).status().unwrap().success());
    assert!(train("undisturbed", last, &[]).status().unwrap().success());
    let found = logged_steps(&log);
    assert_eq!(found.len() as u64, last);
    assert_eq!(found, logged_steps(&workshop.path("undisturbed/metrics.jsonl")));
}

#[test]
fn an_interrupted_run_saves_and_goes_on_without_repeating_its_log() {
    let workshop = Workshop::with_pairs(48);
    let is_step_7 = |event: &Event| matches!(event, Event::Step { step: 7, .. });
    let (summary, _) = workshop.run_until(&toy_config(50, 20), "run", false, is_step_7).unwrap();
    assert_eq!((summary.step, summary.converged), (7, false));
    assert!(summary.checkpoint.ends_with("step_00000007") && summary.checkpoint.is_dir());
    workshop.run(&toy_config(12, 20), "run", true).unwrap();
    let log = std::fs::read_to_string(workshop.path("run/metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<u64> =
        lines.iter().filter(|line| line["event"] == "step").map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_step_on_a_batch_with_nan_is_rejected_and_changes_no_weight() {
    let config = toy_config(10, 10).config().clone();
    let mut trainer = Trainer::<Training>::initial(&config, &config.graph().unwrap(), &device());
    let image = vec![0.5; 3 * 32 * 32];
    let good = Batch { count: 1, side_px: 32, planes: image.clone(), reference: image, weight: vec![1.0; 32 * 32] };
    let mut bad = good.clone();
    bad.reference[100] = f32::NAN;
    let before = trainer.generator.weights();
    assert_eq!(trainer.step(&config, |_, _| bad.clone()), Err(Rejection::Batch));
    assert_eq!((trainer.generator.weights(), trainer.step), (before, 0));
    trainer.step(&config, |_, _| good.clone()).unwrap();
    assert_eq!(trainer.step, 1);
}

#[test]
fn a_run_that_diverges_ends_with_an_error_and_reports_each_rejected_step() {
    let workshop = Workshop::with_pairs(48);
    let config = toy_config_with(50, 10, &[("generator_learning_rate", "1e30")]);
    let error = workshop.run(&config, "run", false).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { count: 20, .. }), "{error}");
    let log = std::fs::read_to_string(workshop.path("run/metrics.jsonl")).unwrap();
    assert_eq!(log.matches("\"event\":\"rejected\"").count(), 20);
}

#[test]
fn a_run_that_no_longer_improves_reports_convergence() {
    let workshop = Workshop::with_pairs(48);
    let convergence = "{ smoothing = 2, window = 3, min_improvement = 0.01, min_steps = 10 }";
    let changes = [("generator_learning_rate", "1e-9"), ("validate_every", "2"), ("convergence", convergence)];
    let config = toy_config_with(500, 100, &changes);
    let (summary, _) = workshop.run(&config, "run", false).unwrap();
    assert!(summary.converged && summary.step < 50, "{summary:?}");
    assert!(summary.reason.contains("validation L1"), "{}", summary.reason);
}
