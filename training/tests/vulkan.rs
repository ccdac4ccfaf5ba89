//! Training on a Vulkan device finds the losses of the default backend. Only with the feature `vulkan`; on a software
//! rasteriser it takes minutes:
//! `cargo test -p portrait_training --features vulkan --test vulkan -- --nocapture`
#![cfg(all(feature = "vulkan", feature = "flex"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::AtomicBool;

use burn::backend::{Autodiff, Flex, Vulkan};
use burn::tensor::backend::AutodiffBackend;
use common::{Workshop, each, step_losses, toy_config_with};
use portrait_training::{Losses, Start, TrainOptions, train};

const STEPS: u64 = 20;

fn losses<B: AutodiffBackend>(workshop: &Workshop, out: &str) -> Vec<(u64, Losses)> {
    // The critic learns from the start and is heard from step 5 on.
    let config = toy_config_with(STEPS, STEPS, &[("warm_up_steps", "5"), ("ramp_steps", "5")]);
    let (data, out, stop) = (workshop.data(), workshop.path(out), AtomicBool::new(false));
    let options =
        TrainOptions { config: &config, data: &data, out: &out, start: Start::Random, perceptual: None, stop: &stop };
    let mut events = Vec::new();
    train::<B>(&options, &[], &mut |event| events.push(event.clone())).unwrap();
    step_losses(&events)
}

#[test]
fn a_vulkan_device_trains_to_the_losses_of_the_default_backend() {
    let workshop = Workshop::with_pairs(48);
    let expected = losses::<Autodiff<Flex>>(&workshop, "flex");
    let found = losses::<Autodiff<Vulkan>>(&workshop, "vulkan");
    assert_eq!((found.len(), expected.len()), (STEPS as usize, STEPS as usize));
    assert!(expected[19].1.adversarial_image_gradient > 0.0);
    let mut worst = 0.0_f64;
    for ((step, found), (_, expected)) in found.iter().zip(&expected) {
        for (found, expected) in each(found).into_iter().zip(each(expected)) {
            worst = worst.max((found - expected).abs() / expected.abs().max(1e-9));
        }
        println!("step {step}: {found:?}\n{expected:?}");
    }
    println!("largest relative difference of a loss over {STEPS} steps: {worst:.2e}");
    assert!(worst < 0.01, "{worst}");
}
