//! L_S, which steadies the network's residual while a face moves.

use crate::common::{Workshop, each, step_losses, toy_config, toy_config_with, with_line};
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use portrait_files::config::ConfigFile;
use portrait_training::Generator;
use portrait_training::backend::{Inner, Training, device};
use portrait_training::internals::{Batch, Trainer, values};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Returns the mean absolute difference between what a network makes of an image [3, 48, 48] and what it makes of parts of it alone, whose
/// corners lie 1 to 3 pixels off the image's.
fn unsteadiness(generator: &Generator<Inner>, image: &Tensor<Inner, 4>) -> f32 {
    let whole = generator.forward(image.clone());
    let of_part = |at: usize| {
        let part = |image: Tensor<Inner, 4>| image.narrow(2, at, 32).narrow(3, at, 32);
        values((generator.forward(part(image.clone())) - part(whole.clone())).abs().mean())[0]
    };
    (1..4).map(of_part).sum::<f32>() / 3.0
}

#[test]
fn a_network_that_is_held_steady_makes_the_same_of_a_face_wherever_it_lies() {
    let config = with_line(&toy_config(10, 5), "loss", "l1_weight = 0.0");
    let config = with_line(&with_line(&config, "loss", "adv_weight = 0.0"), "loss", "steady_weight = 1.0");
    let config = config.config().clone();
    let mut trainer = Trainer::<Training>::initial(&config, &config.graph().unwrap(), &device());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let planes: Vec<f32> = (0..3 * 48 * 48).map(|_| rng.random()).collect();
    let batch = Batch { count: 1, side_px: 48, reference: planes.clone(), planes, weight: vec![1.0; 48 * 48] };
    let image = batch.tensors::<Inner>(&device()).planes;
    let before = unsteadiness(&trainer.generator.valid(), &image);
    let losses: Vec<_> = (0..60).map(|_| trainer.step(&config, |_, _| batch.clone()).unwrap()).collect();
    let after = unsteadiness(&trainer.generator.valid(), &image);
    println!("unsteadiness {before:.5} to {after:.5}, L_S {:.5} to {:.5}", losses[0].steady, losses[59].steady);
    assert!(before > 0.0 && after < 0.7 * before, "{before} to {after}");
    assert!(losses.iter().all(|losses| losses.steady > 0.0));
    // It pulls at two images, and at nothing else.
    assert!(losses.iter().all(|losses| losses.generator_gradient > 0.0 && losses.l1_image_gradient == 0.0));
}

#[test]
fn workers_draw_the_same_move_as_one_worker_and_a_weight_of_0_costs_nothing() {
    let workshop = Workshop::with_pairs(48);
    let config = |workers: &str, weight: &str| {
        with_line(&toy_config_with(12, 6, &[("workers", workers)]), "loss", &format!("steady_weight = {weight}"))
    };
    let losses = |config: &ConfigFile, out: &str| step_losses(&workshop.run(config, out, false).unwrap().1);
    let one = losses(&config("1", "0.2"), "one");
    for ((_, found), (_, expected)) in losses(&config("2", "0.2"), "two").iter().zip(&one) {
        assert!(expected.steady > 0.0);
        assert!((found.steady - expected.steady).abs() < 0.01 * expected.steady, "{found:?}, not {expected:?}");
    }
    let (off, without) = (losses(&config("1", "0.0"), "off"), losses(&toy_config(12, 6), "without"));
    assert_eq!(off, without);
    assert!(off.iter().all(|(_, losses)| losses.steady == 0.0));
    assert_ne!(off.iter().map(|it| each(&it.1)).next_back(), one.iter().map(|it| each(&it.1)).next_back());
}
