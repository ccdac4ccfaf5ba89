//! `kill -9` at random moments, a full disk, and two runs in one folder: what has a final name is whole, no checkpoint is
//! lost, and a resumed run learns what an undisturbed one learns, bit for bit.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::common::{Workshop, logged_steps, toy_config, toy_config_with};
use portrait_files::config::ConfigFile;
use portrait_files::weights;
use portrait_network::{Dtype, Model, Spec};
use portrait_training::backend::{Training, device};
use portrait_training::internals::checkpoint;
use portrait_training::{Event, export};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TRAINING_KILLS: usize = 35;
const EXPORT_KILLS: usize = 20;
/// More steps than a test takes.
const ENDLESS: u64 = 1_000_000;

/// The real command line.
fn portrait_train(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portrait-train"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The command, allowed to write files of at most 64 blocks: a disk that is full, for whoever writes more.
fn on_a_full_disk(command: &Command) -> Output {
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]).arg(command.get_program());
    limited.args(command.get_args()).output().unwrap()
}

/// Checkpoints at every step, and a critic that is heard.
fn busy_config(max_steps: u64, checkpoint_every: u64) -> ConfigFile {
    let changes = [("warm_up_steps", "5"), ("ramp_steps", "20"), ("validate_every", "7"), ("picture_every", "3")];
    toy_config_with(max_steps, checkpoint_every, &changes)
}

fn train(workshop: &Workshop, config: &ConfigFile, out: &str, resume: bool) -> Command {
    let path = workshop.path(&format!("{out}.toml"));
    std::fs::write(&path, config.text()).unwrap();
    let mut command = portrait_train(&["train", "--config"]);
    command.arg(path).arg("--data").arg(workshop.data()).arg("--out").arg(workshop.path(out));
    command.args(resume.then_some("--resume"));
    command
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it ended before it was killed");
}

/// Waits until the log of a run has a step.
fn await_step(child: &mut Child, run: &Path, step: u64) {
    let entry = format!("\"step\":{step},");
    while !std::fs::read_to_string(run.join("metrics.jsonl")).is_ok_and(|text| text.contains(&entry)) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        sleep(Duration::from_millis(5));
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Loads everything in a run's folder that has a final name. The newest checkpoint's step, 0 without any.
fn check_whole(run: &Path, config: &ConfigFile) -> u64 {
    let graph = config.config().graph().unwrap();
    for folder in entries(&run.join("checkpoints")) {
        if name(&folder).starts_with("step_") {
            let whole = checkpoint::resume::<Training>(&folder, config.config(), &graph, &device());
            let (trainer, _) = whole.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(name(&folder), format!("step_{:08}", trainer.step));
        }
    }
    for picture in entries(&run.join("pictures")).iter().filter(|path| !name(path).starts_with('.')) {
        image::open(picture).unwrap();
    }
    match checkpoint::latest(&run.join("checkpoints")).unwrap() {
        Some(newest) => {
            let file = run.with_extension("safetensors");
            export(run, &file, Dtype::F16, true).unwrap();
            weights::load(&file).unwrap();
            checkpoint::snapshot(&newest).unwrap().step
        }
        None => 0,
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_learns_what_an_undisturbed_one_learns() {
    let workshop = Workshop::with_pairs(48);
    let (run, endless) = (workshop.path("run"), busy_config(ENDLESS, 1));
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mut newest, mut while_writing) = (0, 0);
    for round in 0..TRAINING_KILLS {
        let mut child = train(&workshop, &endless, "run", round > 0).spawn().unwrap();
        // Every fourth is killed while it starts, the others while they learn and write.
        if round == 0 || !round.is_multiple_of(4) {
            await_step(&mut child, &run, newest + 1);
        }
        sleep(Duration::from_millis(rng.random_range(0..250)));
        kill(child);
        let partial = |path: &PathBuf| name(path).starts_with("partial_");
        while_writing += usize::from(entries(&run.join("checkpoints")).iter().any(partial));
        let step = check_whole(&run, &endless);
        assert!(step >= newest, "the checkpoint of step {newest} was lost: the newest is of step {step}");
        newest = step;
    }
    println!("{TRAINING_KILLS} kills, {while_writing} of them in a checkpoint; {newest} steps");
    assert!(while_writing > 0 && newest > 0, "no kill met a checkpoint in the making");

    let last = newest + 3;
    assert!(train(&workshop, &busy_config(last, 1), "run", true).status().unwrap().success());
    assert!(train(&workshop, &busy_config(last, ENDLESS), "undisturbed", false).status().unwrap().success());
    let found = logged_steps(&run.join("metrics.jsonl"));
    assert_eq!(found.len() as u64, last);
    assert_eq!(found, logged_steps(&workshop.path("undisturbed/metrics.jsonl")));
    let average = |run: &str| {
        let checkpoint = workshop.path(run).join(format!("checkpoints/step_{last:08}/average.safetensors"));
        weights::load(&checkpoint).unwrap()
    };
    assert_eq!(average("run").convs(), average("undisturbed").convs());
    let left = [entries(&run), entries(&run.join("checkpoints")), entries(&run.join("pictures"))].concat();
    let left: Vec<_> = left.iter().map(|path| name(path)).filter(|name| name.contains("part")).collect();
    assert!(left.is_empty(), "what killed runs left is still there: {left:?}");
}

#[test]
fn an_export_that_is_killed_leaves_the_old_files_or_the_new_ones() {
    let workshop = Workshop::new();
    let folder = workshop.path("weights");
    std::fs::create_dir(&folder).unwrap();
    let model = Model::random(Spec::quality().validate().unwrap(), 1);
    let (from, out, onnx) =
        (workshop.path("from.safetensors"), folder.join("out.safetensors"), folder.join("out.onnx"));
    weights::save(&model, &from, Dtype::F32, false).unwrap();
    let whole = [Dtype::F16, Dtype::F32].map(|dtype| Model::from_bytes(&model.to_bytes(dtype).unwrap()).unwrap());
    let graph = portrait_onnx::encode(&model);
    let command = |dtype: &str| {
        let mut command = portrait_train(&["export", "--overwrite", "--dtype", dtype, "--weights"]);
        command.arg(&from).arg("--out").arg(&out).arg("--onnx").arg(&onnx);
        command
    };
    let begin = std::time::Instant::now();
    assert!(command("f16").status().unwrap().success());
    let life_ms = begin.elapsed().as_millis() as u64;
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut abandoned = 0;
    for round in 0..EXPORT_KILLS {
        let mut child = command(["f16", "f32"][round % 2]).spawn().unwrap();
        sleep(Duration::from_millis(rng.random_range(0..=life_ms)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(whole.contains(&weights::load(&out).unwrap()), "neither the old weights nor the new ones");
        assert!(std::fs::read(&onnx).unwrap() == graph, "half an ONNX file");
        abandoned += usize::from(entries(&folder).len() > 2);
    }
    println!("{EXPORT_KILLS} kills, {abandoned} left a part");
    assert!(command("f32").status().unwrap().success());
    assert!(weights::load(&out).unwrap() == whole[1]);
    assert_eq!(entries(&folder).len(), 2, "what killed exports left is still there: {:?}", entries(&folder));
}

#[test]
fn a_full_disk_ends_a_run_with_a_clear_error_and_harms_nothing() {
    let workshop = Workshop::with_pairs(48);
    let run = workshop.path("run");
    assert!(train(&workshop, &busy_config(3, 1), "run", false).status().unwrap().success());
    let file = workshop.path("whole.safetensors");
    let mut exported = portrait_train(&["export", "--overwrite", "--dtype", "f32", "--checkpoint"]);
    exported.arg(&run).arg("--out").arg(&file);
    assert!(exported.status().unwrap().success());
    // Larger than what the full disk still takes.
    let large = workshop.path("large.safetensors");
    let model = Model::random(Spec::quality().validate().unwrap(), 1);
    weights::save(&model, &large, Dtype::F32, false).unwrap();
    let mut export_large = portrait_train(&["export", "--overwrite", "--weights"]);
    export_large.arg(&large).arg("--out").arg(&file);

    let before = std::fs::read(&file).unwrap();
    for (command, written) in [
        (train(&workshop, &busy_config(6, 1), "run", true), "partial_step_00000004/generator"),
        (export_large, "whole.safetensors"),
    ] {
        let output = on_a_full_disk(&command);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in [written, "disk is full", "make room", "run the same command again"] {
            assert!(text.contains(part), "`{part}` is not in\n{text}");
        }
    }
    assert!(std::fs::read(&file).unwrap() == before, "the weights are not what they were");
    assert_eq!(entries(&run.join("checkpoints")).iter().filter(|path| name(path).starts_with("partial")).count(), 0);
    assert_eq!(check_whole(&run, &busy_config(3, 1)), 3);

    assert!(train(&workshop, &busy_config(6, 1), "run", true).status().unwrap().success());
    assert!(train(&workshop, &busy_config(6, 1), "undisturbed", false).status().unwrap().success());
    let steps = logged_steps(&run.join("metrics.jsonl"));
    assert_eq!((steps.len(), steps), (6, logged_steps(&workshop.path("undisturbed/metrics.jsonl"))));
}

#[test]
fn a_second_run_in_the_folder_refuses_until_the_first_one_is_gone() {
    let workshop = Workshop::with_pairs(48);
    let run = workshop.path("run");
    let mut first = train(&workshop, &toy_config(ENDLESS, ENDLESS), "run", false).spawn().unwrap();
    await_step(&mut first, &run, 2);
    for resume in [false, true] {
        let second = train(&workshop, &toy_config(ENDLESS, ENDLESS), "run", resume).output().unwrap();
        let text = String::from_utf8_lossy(&second.stderr);
        assert!(!second.status.success(), "two runs in one folder");
        for part in ["another run", run.to_str().unwrap(), "wait for its end", "another folder"] {
            assert!(text.contains(part), "`{part}` is not in\n{text}");
        }
    }
    assert!(first.try_wait().unwrap().is_none(), "the second run ended the first one");
    kill(first);
    // It had no checkpoint yet: the run begins again.
    let (summary, _) = workshop.run(&toy_config(4, 20), "run", true).unwrap();
    assert_eq!((summary.step, logged_steps(&run.join("metrics.jsonl")).len()), (4, 4));
}

#[test]
fn lines_that_a_killed_run_wrote_in_part_are_dropped_and_told() {
    let workshop = Workshop::with_pairs(48);
    workshop.run(&toy_config(2, 20), "run", false).unwrap();
    let log = workshop.path("run/metrics.jsonl");
    let mut content = std::fs::read(&log).unwrap();
    content.extend_from_slice("{\"event\":\"step\",\"step\":2,\"reason\":\"½".as_bytes());
    // In the middle of a character.
    content.pop();
    std::fs::write(&log, content).unwrap();
    let (_, events) = workshop.run(&toy_config(4, 20), "run", true).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Repaired { step: 2, lines: 1 })), "{events:?}");
    let (_, events) = workshop.run(&toy_config(5, 20), "run", true).unwrap();
    assert!(!events.iter().any(|event| matches!(event, Event::Repaired { .. })), "{events:?}");
    assert_eq!(logged_steps(&log).len(), 5);
}
