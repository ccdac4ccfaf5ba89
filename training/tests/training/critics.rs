//! A critic at two scales: what the second one sees, how hard it pulls, and that a run with one critic is what it was.

use crate::common::{Workshop, step_losses, toy_config, toy_config_with, with_line};
use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};
use portrait_files::config::{ConfigFile, Penalty};
use portrait_training::backend::{Inner, Training, device};
use portrait_training::internals::{Batch, Trainer, gradient_penalty, values};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE_PX: usize = 32;
const COUNT: usize = 2;

/// A critic that is heard at once, at this number of scales.
fn config(scales: usize) -> ConfigFile {
    let heard = toy_config_with(30, 10, &[("warm_up_steps", "0"), ("ramp_steps", "0"), ("channels", "[8]")]);
    with_line(&heard, "critic", &format!("scales = {scales}"))
}

fn batch() -> Batch {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut image = || (0..COUNT * 3 * SIDE_PX * SIDE_PX).map(|_| rng.random()).collect::<Vec<f32>>();
    let (planes, reference) = (image(), image());
    Batch { count: COUNT, side_px: SIDE_PX, planes, reference, weight: vec![1.0; COUNT * SIDE_PX * SIDE_PX] }
}

/// Makes an image of the means of 2×2 pixels, in plain Rust.
fn halved(images: &[f32]) -> Tensor<Inner, 4> {
    let half = SIDE_PX / 2;
    let mut values = Vec::new();
    for plane in images.chunks(SIDE_PX * SIDE_PX) {
        for at in 0..half * half {
            let corner = at / half * 2 * SIDE_PX + at % half * 2;
            values.push([0, 1, SIDE_PX, SIDE_PX + 1].map(|step| plane[corner + step]).iter().sum::<f32>() / 4.0);
        }
    }
    Tensor::from_data(TensorData::new(values, [COUNT, 3, half, half]), &device())
}

fn number(tensor: Tensor<Inner, 1>) -> f64 {
    f64::from(values(tensor)[0])
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-4 * expected.abs(), "{found}, expected {expected}");
}

#[test]
fn the_second_critic_sees_halved_images_and_has_a_penalty_of_its_own() {
    let config = config(2).config().clone();
    let mut trainer = Trainer::<Training>::initial(&config, &config.graph().unwrap(), &device());
    assert_eq!(trainer.critics.len(), 2);
    let batch = batch();
    fn image(values: &[f32]) -> Tensor<Inner, 4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [COUNT, 3, SIDE_PX, SIDE_PX]), &device())
    }
    let second = values(trainer.generator.valid().forward(image(&batch.planes)));
    let critics = trainer.critics.clone();
    let mut rng = trainer.rng.clone();
    let mix: Vec<f32> = (0..COUNT).map(|_| rng.random()).collect();
    let losses = trainer.step(&config, |_, _| batch.clone()).unwrap();

    let between: Vec<f32> = second
        .iter()
        .zip(&batch.reference)
        .enumerate()
        .map(|(at, (second, reference))| second + (reference - second) * mix[at / (3 * SIDE_PX * SIDE_PX)])
        .collect();
    let found = [[losses.wasserstein, losses.penalty], [losses.half_wasserstein, losses.half_penalty]];
    for ((critic, seen), [wasserstein, penalty]) in critics.iter().zip([image, halved]).zip(found) {
        let score = |images: &[f32]| number(critic.network.valid().forward(seen(images)).mean());
        assert_near(wasserstein, score(&second) - score(&batch.reference));
        let expected = gradient_penalty(&critic.network, seen(&between), Penalty::Rms);
        assert_near(penalty, number(expected.inner()));
    }
    // Both have moved.
    for (before, after) in critics.iter().zip(&trainer.critics) {
        let score = |critic: &portrait_training::internals::Critic<Training>| {
            let side = Tensor::<Inner, 4>::full([1, 3, 16, 16], 0.5, &device());
            values(critic.valid().forward(side))
        };
        assert_ne!(score(&before.network), score(&after.network));
    }
}

#[test]
fn each_scale_pulls_by_its_share_in_one_unit() {
    // An even image looks the same at half its width.
    let even = Batch { planes: vec![0.5; COUNT * 3 * SIDE_PX * SIDE_PX], ..batch() };
    let losses = |scales: usize| {
        let mut config = config(scales).config().clone();
        // The critics move before they are heard: by as good as nothing.
        config.optimizer.critic_learning_rate = 1e-12;
        let mut trainer = Trainer::<Training>::initial(&config, &config.graph().unwrap(), &device());
        if let [first, half] = &mut trainer.critics[..] {
            half.network = first.network.clone();
        }
        (trainer.critics.len(), trainer.step(&config, |_, _| even.clone()).unwrap())
    };
    let ((one, alone), (two, both)) = (losses(1), losses(2));
    assert_eq!((one, two), (1, 2));
    // The first critic is drawn first: it is the same one.
    assert_near(both.adversarial_image_gradient, alone.adversarial_image_gradient / 2.0);
    assert_eq!(both.wasserstein, alone.wasserstein);
    assert_eq!((alone.half_wasserstein, alone.half_penalty, alone.half_adversarial_image_gradient), (0.0, 0.0, 0.0));
    // √N·‖∇‖ is the same at half width and for what becomes of it at full width, so that the same critic pulls alike, but for the
    // images' edges.
    let ratio = both.half_adversarial_image_gradient / both.adversarial_image_gradient;
    assert!((0.6..1.6).contains(&ratio), "{ratio}");
}

#[test]
fn runs_with_two_critics_resume_exactly() {
    let workshop = Workshop::with_pairs(48);
    let config = |max_steps| {
        with_line(
            &toy_config_with(max_steps, 5, &[("warm_up_steps", "3"), ("channels", "[8]")]),
            "critic",
            "scales = 2",
        )
    };
    let (_, events) = workshop.run(&config(20), "whole", false).unwrap();
    workshop.run(&config(10), "halves", false).unwrap();
    assert!(workshop.path("halves/checkpoints/step_00000010/half_critic.mpk").is_file());
    let (_, rest) = workshop.run(&config(20), "halves", true).unwrap();
    let whole = step_losses(&events);
    assert!(whole.iter().all(|(_, losses)| losses.half_penalty > 0.0));
    assert!(whole.last().unwrap().1.half_adversarial_image_gradient > 0.0);
    assert_eq!(step_losses(&rest), whole[10..]);
    let other =
        with_line(&toy_config_with(20, 5, &[("warm_up_steps", "3"), ("channels", "[8]")]), "critic", "scales = 1");
    assert!(workshop.run(&other, "halves", true).unwrap_err().to_string().contains("another config"));
}

#[test]
fn a_checkpoint_of_one_critic_has_the_files_that_it_had() {
    let workshop = Workshop::with_pairs(48);
    let (summary, _) = workshop.run(&toy_config(2, 5), "run", false).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(summary.checkpoint)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "average.safetensors",
            "config.toml",
            "critic.mpk",
            "critic_adam.mpk",
            "generator.mpk",
            "generator_adam.mpk",
            "state.json"
        ]
    );
}
