//! Several workers learn what one worker learns from the same batches, and stop, resume and reject together.

use crate::common::{Workshop, each, step_losses, toy_config_with};
use portrait_files::config::ConfigFile;
use portrait_files::weights;
use portrait_network::Dtype;
use portrait_training::backend::{Training, device};
use portrait_training::internals::{Batch, Rejection, Trainer, Worker};
use portrait_training::{Event, Losses, TrainError, export};

/// Makes a config whose `workers` share batches of 4, and whose critic is in the loss from step 15 on.
fn config(workers: usize, max_steps: u64) -> ConfigFile {
    let workers = workers.to_string();
    toy_config_with(max_steps, 10, &[("workers", &workers), ("warm_up_steps", "15"), ("ramp_steps", "20")])
}

/// Returns the largest difference between two runs' losses at any step, relative to the loss.
fn deviation(found: &[(u64, Losses)], expected: &[(u64, Losses)]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let mut worst = 0.0_f64;
    for ((step, found), (same, expected)) in found.iter().zip(expected) {
        assert_eq!(step, same);
        for (found, expected) in each(found).into_iter().zip(each(expected)) {
            worst = worst.max((found - expected).abs() / expected.abs().max(1e-9));
        }
    }
    worst
}

#[test]
fn workers_have_the_losses_of_one_worker_with_their_whole_batch() {
    let workshop = Workshop::with_pairs(48);
    let (_, events) = workshop.run(&config(1, 50), "one", false).unwrap();
    let expected = step_losses(&events);
    assert_eq!(expected.len(), 50);
    assert!(expected[49].1.adversarial != 0.0 && expected[49].1.adversarial_image_gradient > 0.0);
    for workers in [2, 4] {
        let out = format!("{workers} workers");
        let (summary, events) = workshop.run(&config(workers, 50), &out, false).unwrap();
        let worst = deviation(&step_losses(&events), &expected);
        println!("{workers} workers: largest relative difference of a loss over 50 steps: {worst:.2e}");
        assert!(worst < 0.01, "{worst}");
        assert_eq!((summary.step, summary.rejected), (50, 0));
        assert!(matches!(events[0], Event::Started { workers: told, .. } if told == workers));
    }
}

#[test]
fn a_run_resumes_with_as_many_workers_or_with_others() {
    let workshop = Workshop::with_pairs(48);
    let (_, events) = workshop.run(&config(2, 40), "whole", false).unwrap();
    let whole = step_losses(&events);
    let averaged = |run: &str| {
        let path = workshop.path(&format!("{run}.safetensors"));
        export(&workshop.path(run).join("checkpoints/step_00000040"), &path, Dtype::F32, false).unwrap();
        weights::load(&path).unwrap()
    };
    for (workers, out) in [(2, "same"), (1, "fewer"), (4, "more")] {
        let is_step_25 = |event: &Event| matches!(event, Event::Step { step: 25, .. });
        let (half, _) = workshop.run_until(&config(2, 40), out, false, is_step_25).unwrap();
        assert_eq!(half.step, 25);
        let (_, events) = workshop.run(&config(workers, 40), out, true).unwrap();
        let worst = deviation(&step_losses(&events), &whole[25..]);
        if workers == 2 {
            assert_eq!(step_losses(&events), whole[25..]);
            assert_eq!(averaged("same").convs(), averaged("whole").convs());
        }
        assert!(worst < 0.01, "{workers} workers: {worst}");
    }
}

#[test]
fn workers_that_diverge_end_with_one_error() {
    let workshop = Workshop::with_pairs(48);
    let config = toy_config_with(50, 10, &[("workers", "2"), ("generator_learning_rate", "1e30")]);
    let error = workshop.run(&config, "run", false).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { count: 20, .. }), "{error}");
}

#[test]
fn what_one_worker_must_reject_all_reject() {
    let config = config(2, 10).config().clone();
    let graph = config.graph().unwrap();
    let image = vec![0.5; 3 * 32 * 32];
    let good = Batch { count: 1, side_px: 32, planes: image.clone(), reference: image, weight: vec![1.0; 32 * 32] };
    // Only the second worker's share is damaged.
    let with = |value: f32| {
        let mut share = good.clone();
        share.reference[100] = value;
        [good.clone(), share]
    };
    let (not_finite, too_large) = (with(f32::NAN), with(f32::MAX));
    let work = &|worker: Worker| {
        let device = device();
        let mut trainer = Trainer::<Training>::initial(&config, &graph, &device);
        trainer.worker = worker;
        let before = trainer.generator.weights();
        assert_eq!(trainer.step(&config, |_, worker| not_finite[worker.index()].clone()), Err(Rejection::Batch));
        let rejection = trainer.step(&config, |_, worker| too_large[worker.index()].clone()).unwrap_err();
        assert!(matches!(rejection, Rejection::Loss { .. }), "{rejection}");
        assert_eq!(trainer.generator.weights(), before);
        let losses = trainer.step(&config, |_, _| good.clone()).unwrap();
        (rejection.to_string(), losses, trainer.generator.weights())
    };
    let [first, second] = std::thread::scope(|scope| {
        let threads: Vec<_> = Worker::team(2).map(|worker| scope.spawn(move || work(worker))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>().try_into().unwrap()
    });
    assert_eq!(first, second);
}
