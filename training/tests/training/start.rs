//! A run that starts from the weights of another one.

use std::process::Command;

use crate::common::{Workshop, step_losses, toy_config};
use portrait_files::manifest::Fingerprint;
use portrait_files::weights;
use portrait_network::{Activation, Dtype, Model, Op, Plane, Spec};
use portrait_training::internals::checkpoint;
use portrait_training::{Event, Start, TrainError, export};

/// Trains for 20 steps and exports the weights as `weights.safetensors`.
fn trained(workshop: &Workshop) {
    workshop.run(&toy_config(20, 20), "before", false).unwrap();
    export(&workshop.path("before"), &workshop.path("weights.safetensors"), Dtype::F32, false).unwrap();
}

#[test]
fn a_run_starts_from_weights_and_its_log_and_checkpoints_hold_their_hash() {
    let workshop = Workshop::with_pairs(48);
    trained(&workshop);
    let file = workshop.path("weights.safetensors");
    let config = toy_config(10, 5);
    let (_, events) = workshop.run_from(&config, "run", Start::From(&file), None, |_| false).unwrap();
    let sha256 = Fingerprint::of(&std::fs::read(&file).unwrap()).sha256;
    assert!(
        matches!(&events[0], Event::Started { init_sha256: Some(found), .. } if *found == sha256),
        "{:?}",
        events[0]
    );
    let log = std::fs::read_to_string(workshop.path("run/metrics.jsonl")).unwrap();
    assert!(log.lines().next().unwrap().contains(&format!("\"init_sha256\":\"{sha256}\"")));
    for step in ["step_00000005", "step_00000010"] {
        let saved = checkpoint::snapshot(&workshop.path("run/checkpoints").join(step)).unwrap();
        assert_eq!(saved.progress.init_sha256.as_ref(), Some(&sha256));
    }

    // The same crops, which weights that have learnt do better on than random ones.
    let (_, random) = workshop.run(&config, "random", false).unwrap();
    let first = |events: &[Event]| step_losses(events)[0].1.l1;
    assert!(first(&events) < 0.9 * first(&random), "{} and {}", first(&events), first(&random));
    assert!(matches!(&random[0], Event::Started { init_sha256: None, .. }));
    let log = std::fs::read_to_string(workshop.path("random/metrics.jsonl")).unwrap();
    assert!(!log.contains("sha256"), "what a run does not start from is not in its log");
}

#[test]
fn a_run_from_weights_that_ends_before_its_first_step_resumes_from_them() {
    let workshop = Workshop::with_pairs(48);
    trained(&workshop);
    let file = workshop.path("weights.safetensors");
    let config = toy_config(10, 100);
    let (_, events) = workshop.run_from(&config, "whole", Start::From(&file), None, |_| false).unwrap();
    let started = |event: &Event| matches!(event, Event::Started { .. });
    let (summary, _) = workshop.run_from(&config, "halves", Start::From(&file), None, started).unwrap();
    assert_eq!(summary.step, 0);
    let model = checkpoint::snapshot(&summary.checkpoint).unwrap().model;
    assert_eq!(model.convs(), weights::load(&file).unwrap().convs());
    std::fs::remove_file(&file).unwrap();
    let (_, rest) = workshop.run(&config, "halves", true).unwrap();
    assert_eq!(step_losses(&rest), step_losses(&events));
    assert!(matches!(&rest[0], Event::Started { init_sha256: Some(_), .. }), "{:?}", rest[0]);
}

#[test]
fn a_run_from_weights_that_is_killed_in_its_first_steps_has_them_in_a_checkpoint() {
    let workshop = Workshop::with_pairs(48);
    trained(&workshop);
    let config = workshop.path("config.toml");
    std::fs::write(&config, toy_config(1_000_000, 1_000_000).text()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portrait-train"));
    command.arg("train").arg("--config").arg(config).arg("--data").arg(workshop.data());
    command.arg("--out").arg(workshop.path("run")).arg("--init").arg(workshop.path("weights.safetensors"));
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let log = workshop.path("run/metrics.jsonl");
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"step\":1,")) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let saved = checkpoint::newest(&workshop.path("run")).unwrap();
    let model = checkpoint::snapshot(&saved).unwrap().model;
    assert_eq!(model.convs(), weights::load(&workshop.path("weights.safetensors")).unwrap().convs());
}

#[test]
fn weights_of_another_network_are_refused_by_name_and_those_of_another_label_are_not() {
    let workshop = Workshop::with_pairs(48);
    let file = workshop.path("other.safetensors");
    let error = |spec: Spec| {
        weights::save(&Model::random(spec.validate().unwrap(), 1), &file, Dtype::F32, true).unwrap();
        let error = workshop.run_from(&toy_config(2, 2), "run", Start::From(&file), None, |_| false).unwrap_err();
        assert!(matches!(error, TrainError::OtherNetwork { .. }), "{error}");
        assert!(!workshop.path("run").exists(), "a run that cannot start leaves nothing behind");
        let text = error.to_string();
        assert!(text.contains("other.safetensors") && text.contains("change `network`"), "{text}");
        text
    };
    let tiny = || Spec::tiny(&[Plane::Color]);
    let text = error(Spec::tiny(&[Plane::Color, Plane::Depth]));
    assert!(text.contains("`inputs` is [Color, Depth]: expected [Color]"), "{text}");
    let mut activated = tiny();
    for layer in &mut activated.layers {
        if let Op::Conv { activation, .. } = &mut layer.op {
            *activation = Activation::Relu;
        }
    }
    let text = error(activated);
    let part = r#"layer `enc0` is {"name":"enc0","#;
    assert!(text.contains(part) && text.contains(r#""relu""#) && text.contains(r#"expected {"name":"enc0""#), "{text}");
    let mut scaled = tiny();
    scaled.layers.last_mut().unwrap().op = Op::OutputResidual { scale: 0.125 };
    let text = error(scaled);
    assert!(text.contains("layer `output`") && text.contains("0.125") && text.contains("expected"), "{text}");

    let mut labelled = tiny();
    labelled.name = "mine".into();
    weights::save(&Model::random(labelled.validate().unwrap(), 1), &file, Dtype::F32, true).unwrap();
    workshop.run_from(&toy_config(2, 2), "run", Start::From(&file), None, |_| false).unwrap();
    let error =
        workshop.run_from(&toy_config(2, 2), "none", Start::From(&workshop.path("none.safetensors")), None, |_| false);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("none.safetensors"), "{text}");
}

#[test]
fn resume_and_init_exclude_each_other() {
    let arguments =
        ["train", "--config", "a.toml", "--data", "data", "--out", "out", "--resume", "--init", "b.safetensors"];
    let output = Command::new(env!("CARGO_BIN_EXE_portrait-train")).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("cannot be used with"), "{text}");
    assert!(text.contains("--resume") && text.contains("--init"), "{text}");
}
