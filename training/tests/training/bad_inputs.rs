//! Every input that can be wrong gives an error that says what, where, and what to do.

use std::path::Path;

use crate::common::{PLANES, Workshop, assert_says, evaluation, toy_config, toy_config_with, with_line};
use portrait_files::config::ConfigFile;
use portrait_network::Plane;
use portrait_training::backend::{Inner, device};
use portrait_training::internals::read::load;
use portrait_training::internals::{DatasetError, Pair, checkpoint};
use portrait_training::{EvaluateOptions, PhotographsOptions, evaluate, toy};

/// Writes one pair, damages it, and reads it.
fn damaged(damage: impl Fn(&Path)) -> DatasetError {
    let workshop = Workshop::with_one_pair();
    damage(&workshop.one_pair());
    load(&workshop.data(), &"0..10".parse().unwrap(), &PLANES).unwrap_err()
}

#[test]
fn a_missing_dataset_is_named() {
    let workshop = Workshop::new();
    let error = load(&workshop.data(), &"0..10".parse().unwrap(), &PLANES).unwrap_err();
    assert_says(&error, &["data", "No such file", "portrait-dataset render"]);
}

#[test]
fn an_empty_dataset_names_the_seeds_it_looked_for() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.data()).unwrap();
    let error = load(&workshop.data(), &"3..10".parse().unwrap(), &PLANES).unwrap_err();
    assert_says(&error, &["3..10", "0 with other seeds", "portrait-dataset render"]);
}

#[test]
fn an_unfinished_pair_names_the_missing_file_and_the_seed() {
    for file in ["pair.json", "first.png", "reference.png", "mask.png", "normal.png", "depth.png"] {
        let error = damaged(|pair| std::fs::remove_file(pair.join(file)).unwrap());
        assert_says(&error, &["half a pair", file, "seed 7", "portrait-dataset render"]);
    }
}

#[test]
fn planes_that_the_network_does_not_read_need_not_exist() {
    let workshop = Workshop::with_one_pair();
    for file in ["normal.png", "depth.png"] {
        std::fs::remove_file(workshop.one_pair().join(file)).unwrap();
    }
    assert_eq!(load(&workshop.data(), &"0..10".parse().unwrap(), &[Plane::Color]).unwrap().len(), 1);
}

#[test]
fn an_undecodable_image_is_named() {
    let error = damaged(|pair| std::fs::write(pair.join("reference.png"), b"no image").unwrap());
    assert_says(&error, &["reference.png", "cannot be decoded", "render"]);
    let error = damaged(|pair| {
        let whole = std::fs::read(pair.join("mask.png")).unwrap();
        std::fs::write(pair.join("mask.png"), &whole[..whole.len() / 2]).unwrap();
    });
    assert_says(&error, &["mask.png", "cannot be decoded"]);
}

#[test]
fn an_image_of_another_size_is_named_with_both_sizes() {
    let error = damaged(|pair| image::RgbImage::new(16, 12).save(pair.join("first.png")).unwrap());
    assert_says(&error, &["first.png", "(16, 12)", "16×16"]);
}

#[test]
fn a_wrong_pair_json_is_named() {
    for (text, found) in [
        ("{", "pair.json"),
        (r#"{"format":2,"seed":7,"identity":1,"size_px":16}"#, "format 2"),
        (r#"{"format":3,"seed":8,"identity":1,"size_px":16}"#, "seed 8"),
    ] {
        let error = damaged(|pair| std::fs::write(pair.join("pair.json"), text).unwrap());
        assert_says(&error, &[found, "render the pair again"]);
    }
}

#[test]
fn an_identity_in_both_sets_is_an_error() {
    let workshop = Workshop::with_pairs(48);
    let twin = toy::pair(3, 48);
    toy::write(&workshop.data(), &Pair { seed: 900_002, ..twin }).unwrap();
    let error = workshop.run(&toy_config(5, 5), "run", false).unwrap_err();
    assert_says(&error, &["toy-3", "seed 3", "seed 900002"]);
    assert!(!workshop.path("run").exists(), "a run that cannot start leaves nothing behind");
}

#[test]
fn views_of_one_person_may_be_held_out_but_no_view_may_be_in_both_sets() {
    let workshop = Workshop::with_pairs(48);
    for seed in 900_000..900_004 {
        toy::write(&workshop.data(), &Pair { seed, ..toy::pair(3, 48) }).unwrap();
    }
    let views = |config: &ConfigFile| with_line(config, "data", "held_out = \"views\"");
    workshop.run(&views(&toy_config(2, 2)), "run", false).unwrap();
    let same = toy_config_with(2, 2, &[("validation_seeds", "\"3..4\"")]);
    let error = workshop.run(&views(&same), "same", false).unwrap_err();
    assert_says(&error, &["seed 3", "toy-3", "change the seed ranges"]);
}

#[test]
fn pairs_smaller_than_the_crop_are_an_error() {
    let workshop = Workshop::with_pairs(24);
    let error = workshop.run(&toy_config(5, 5), "run", false).unwrap_err();
    assert_says(&error, &["24 pixels", "crop of 32"]);
}

#[test]
fn a_folder_with_files_needs_resume_and_an_empty_one_cannot_be_resumed() {
    let workshop = Workshop::with_pairs(48);
    let error = workshop.run(&toy_config(5, 5), "run", true).unwrap_err();
    assert_says(&error, &["no checkpoint", "leave out --resume"]);
    workshop.run(&toy_config(2, 5), "run", false).unwrap();
    let error = workshop.run(&toy_config(5, 5), "run", false).unwrap_err();
    assert_says(&error, &["not empty", "--resume"]);
    let other = toy_config_with(5, 5, &[("warm_up_steps", "7")]);
    let error = workshop.run(&other, "run", true).unwrap_err();
    assert_says(&error, &["another config", "step_00000002"]);
}

#[test]
fn a_partial_checkpoint_is_not_taken_for_one() {
    let workshop = Workshop::with_pairs(48);
    let (summary, _) = workshop.run(&toy_config(2, 5), "run", false).unwrap();
    let partial = summary.checkpoint.with_file_name("partial_step_00000009");
    std::fs::create_dir(partial).unwrap();
    std::fs::create_dir(summary.checkpoint.with_file_name("step_00000008")).unwrap();
    assert_eq!(checkpoint::find(&workshop.path("run")).unwrap(), summary.checkpoint);
    assert_eq!(checkpoint::newest(&workshop.path("run")).unwrap(), summary.checkpoint);
    checkpoint::newest(&workshop.path("elsewhere")).unwrap_err();
    let error = checkpoint::find(&workshop.path("elsewhere")).unwrap_err();
    assert_says(&error, &["elsewhere", "no checkpoint"]);
}

#[test]
fn wrong_configs_are_refused() {
    let workshop = Workshop::new();
    let path = workshop.path("config.toml");
    for (text, parts) in [
        ("[data]\ncrop = 3", &["config.toml", "crop"][..]),
        ("[critic]\nconditioned = true", &["config.toml", "conditioned"]),
        ("[data]\ntrain_seeds = \"9..3\"", &["9..3", "0..160"]),
        ("[data]\ntrain_seeds = \"5..1000001\"", &["train_seeds", "seed 1000000", "evaluate"]),
        ("[data]\nvalidation_seeds = \"1000000..1000100\"", &["validation_seeds", "1000000"]),
        ("[data]\ncrop_px = 8", &["data.crop_px", "found 8"]),
        ("[data]\nbatch = 0", &["data.batch", "found 0"]),
        ("[critic]\nchannels = []", &["critic.channels"]),
        ("[critic]\nscales = 3", &["critic.scales", "1 or 2", "found 3"]),
        (
            "[data]\ncrop_px = 48\n[critic]\nscales = 2",
            &["data.crop_px", "twice that with two critic scales", "found 48"],
        ),
        ("[loss]\nsteady_weight = -0.1", &["loss.steady_weight", "found -0.1"]),
        (
            "[data]\ncrop_px = 24\n[critic]\nchannels = [8]\n[loss]\nsteady_weight = 0.1",
            &["data.crop_px", "twice the network's alignment", "found 24"],
        ),
        ("[loss]\nperceptual = { weight = -1.0 }", &["loss.perceptual.weight", "found -1"]),
        ("[loss]\nperceptual = { layers = [] }", &["loss.perceptual.layers", "at least one", "found []"]),
        ("[loss]\nperceptual = { layers = [3, 1] }", &["loss.perceptual.layers", "ascending", "[3, 1]"]),
        ("[loss]\nperceptual = { layers = [18] }", &["loss.perceptual.layers", "0 to 17", "[18]"]),
        ("[loss]\nperceptual = { file = \"x\" }", &["config.toml", "file"]),
        ("[optimizer]\ngenerator_learning_rate = -1.0", &["generator_learning_rate", "-1"]),
        ("[run]\nvalidate_every = 0", &["_every", "at least 1"]),
        ("[run]\nworkers = 0", &["run.workers", "divisor of `data.batch`", "found 0"]),
        ("[run]\nworkers = 3", &["run.workers", "divisor of `data.batch`", "3 for a batch of 4"]),
        ("[network]\npreset = \"tiny\"\ninputs = [\"depth\"]", &["`color` first"]),
        ("[network]\npreset = \"tiny\"\nspec = { name = \"x\", inputs = [\"color\"], layers = [] }", &["either"]),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_says(&ConfigFile::load(&path).unwrap_err(), parts);
    }
    assert_says(&ConfigFile::load(&workshop.path("none.toml")).unwrap_err(), &["none.toml"]);
}

#[test]
fn configs_that_ship_are_valid() {
    for name in ["quality", "quality_steady", "fast", "fast_steady", "toy", "character", "character_toy"] {
        let path = format!("{}/configs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        ConfigFile::load(path.as_ref()).unwrap();
    }
}

#[test]
fn a_whole_spec_can_be_given_in_the_config() {
    let workshop = Workshop::new();
    let path = workshop.path("config.toml");
    let text = r#"
        [network.spec]
        name = "own"
        inputs = ["color", "normal"]
        layers = [
            { name = "only", op = { type = "conv", out_channels = 3, kernel = 3, stride = 1, activation = "none" } },
            { name = "output", op = { type = "output_residual", scale = 0.2 } },
        ]
    "#;
    std::fs::write(&path, text).unwrap();
    assert_eq!(ConfigFile::load(&path).unwrap().config().graph().unwrap().parameter_count(), 3 * 6 * 9 + 3);
}

#[test]
fn evaluating_damaged_weights_is_an_error() {
    let workshop = Workshop::with_pairs(48);
    let weights = workshop.path("weights.safetensors");
    std::fs::write(&weights, [1_u8; 64]).unwrap();
    let config = toy_config(1, 1);
    let (data, out) = ([workshop.data()], workshop.path("out"));
    let options = evaluation(&config, std::slice::from_ref(&weights), &data, &out);
    assert_says(&evaluate::<Inner>(&options, &device()).unwrap_err(), &["safetensors"]);
}

#[test]
fn a_python_tool_that_does_not_run_is_named_before_anything_is_measured() {
    let workshop = Workshop::new();
    let weights = workshop.path("weights.safetensors");
    let config = toy_config(1, 1);
    let (data, out) = ([workshop.data()], workshop.path("out"));
    let error = |likeness: Option<&Path>, photographs: Option<&Path>| {
        let options = EvaluateOptions {
            likeness,
            photographs: photographs.map(|python| PhotographsOptions { folder: &data[0], python }),
            ..evaluation(&config, std::slice::from_ref(&weights), &data, &out)
        };
        evaluate::<Inner>(&options, &device()).unwrap_err()
    };
    let likeness = |python: &Path| error(Some(python), None);
    let photographs = |python: &Path| error(None, Some(python));
    let none = workshop.path("none/python");
    let parts = ["none/python", "No such file", "requirements.txt", "cargo xtask evaluate"];
    assert_says(&likeness(&none), &[&["--likeness"], &parts[..]].concat());
    assert_says(&photographs(&none), &[&["--photographs-python"], &parts[..]].concat());
    // `cat` does not know the option -m, and says so; `true` says nothing and writes nothing.
    let parts = ["exit status", "option -- ", "requirements.txt"];
    assert_says(&likeness("cat".as_ref()), &[&["`cat -m likeness` failed"], &parts[..]].concat());
    assert_says(&photographs("cat".as_ref()), &[&["`cat -m photographs` failed"], &parts[..]].concat());
    assert_says(&likeness("true".as_ref()), &["`true -m likeness`", "No such file", "--likeness expects"]);
    assert_says(
        &photographs("true".as_ref()),
        &["`true -m photographs`", "No such file", "--photographs-python expects"],
    );
    assert!(!out.exists(), "an evaluation that cannot be made leaves nothing behind");
}
