//! Features of MobileNetV2 as a loss: the network against a plain one with batch norms, the loss, and runs that use it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{Workshop, step_losses, toy_config, with_line};
use burn::backend::Flex;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use portrait_files::config::ConfigFile;
use portrait_files::manifest::Fingerprint;
use portrait_training::backend::{Inner, Training, device};
use portrait_training::internals::{Batch, MobileNet, MobileNetWeights, Trainer, checkpoint, perceptual_loss, values};
use portrait_training::{Event, Start, TrainError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

/// torchvision's blocks 1 to 17: expansion, input channels, output channels, stride.
const BLOCKS: [[usize; 4]; 17] = [
    [1, 32, 16, 1],
    [6, 16, 24, 2],
    [6, 24, 24, 1],
    [6, 24, 32, 2],
    [6, 32, 32, 1],
    [6, 32, 32, 1],
    [6, 32, 64, 2],
    [6, 64, 64, 1],
    [6, 64, 64, 1],
    [6, 64, 64, 1],
    [6, 64, 96, 1],
    [6, 96, 96, 1],
    [6, 96, 96, 1],
    [6, 96, 160, 2],
    [6, 160, 160, 1],
    [6, 160, 160, 1],
    [6, 160, 320, 1],
];

/// Tensors by name, each with its shape.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Makes random tensors with torchvision's names and shapes, up to a block.
fn random(blocks: usize) -> Tensors {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut tensors = Tensors::new();
    let mut put = |conv: String, norm: String, shape: [usize; 4]| {
        let bound = (3.0 / (shape[1] * shape[2] * shape[3]) as f32).sqrt();
        let mut draw =
            |count: usize, from: f32, to: f32| (0..count).map(|_| rng.random_range(from..to)).collect::<Vec<f32>>();
        let count: usize = shape.iter().product();
        tensors.insert(format!("{conv}.weight"), (shape.to_vec(), draw(count, -bound, bound)));
        for (part, [from, to]) in
            [("weight", [0.5, 1.5]), ("bias", [-0.5, 0.5]), ("running_mean", [-0.3, 0.3]), ("running_var", [0.2, 2.0])]
        {
            tensors.insert(format!("{norm}.{part}"), (vec![shape[0]], draw(shape[0], from, to)));
        }
    };
    put("features.0.0".into(), "features.0.1".into(), [32, 3, 3, 3]);
    for (index, [expansion, input, output, _]) in BLOCKS.into_iter().enumerate().take(blocks) {
        let name = |rest: &str| format!("features.{}.conv.{rest}", index + 1);
        let wide = input * expansion;
        if expansion == 1 {
            put(name("0.0"), name("0.1"), [wide, 1, 3, 3]);
            put(name("1"), name("2"), [output, wide, 1, 1]);
        } else {
            put(name("0.0"), name("0.1"), [wide, input, 1, 1]);
            put(name("1.0"), name("1.1"), [wide, 1, 3, 3]);
            put(name("2"), name("3"), [output, wide, 1, 1]);
        }
    }
    tensors
}

fn write(tensors: &Tensors, path: &Path) {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| (name, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views =
        bytes.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    std::fs::write(path, serialize(views, None).unwrap()).unwrap();
}

/// Writes a file of features up to a block.
fn features(workshop: &Workshop, name: &str, blocks: usize) -> std::path::PathBuf {
    let path = workshop.path(name);
    write(&random(blocks), &path);
    path
}

fn images(count: usize, height: usize, width: usize, seed: u64) -> Tensor<Flex, 4> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pixels: Vec<f32> = (0..count * 3 * height * width).map(|_| rng.random()).collect();
    Tensor::from_data(TensorData::new(pixels, [count, 3, height, width]), &Default::default())
}

/// The network with its batch norms as they are: the features of every layer.
fn unfolded(tensors: &Tensors, image: Tensor<Flex, 4>) -> Vec<Tensor<Flex, 4>> {
    let device = image.device();
    let tensor = |name: String| {
        let (shape, values) = &tensors[&name];
        Tensor::<Flex, 1>::from_floats(values.as_slice(), &device).reshape(match shape[..] {
            [a, b, c, d] => [a, b, c, d],
            _ => [1, shape[0], 1, 1],
        })
    };
    let apply = |x: Tensor<Flex, 4>, conv: String, norm: String, stride: usize, bounded: bool| {
        let weight = tensor(format!("{conv}.weight"));
        let [_, per_group, kernel, _] = weight.dims();
        let groups = x.dims()[1] / per_group;
        let options = ConvOptions::new([stride; 2], [(kernel - 1) / 2; 2], [1; 2], groups);
        let part = |name: &str| tensor(format!("{norm}.{name}"));
        let normal = (conv2d(x, weight, None, options) - part("running_mean")) / (part("running_var") + 1e-5).sqrt();
        let result = normal * part("weight") + part("bias");
        if bounded { result.clamp(0.0, 6.0) } else { result }
    };
    let of_channels = |values: [f32; 3]| Tensor::<Flex, 1>::from_floats(values, &device).reshape([1, 3, 1, 1]);
    let normal = (image - of_channels([0.485, 0.456, 0.406])) / of_channels([0.229, 0.224, 0.225]);
    let mut features = vec![apply(normal, "features.0.0".into(), "features.0.1".into(), 2, true)];
    for (index, [expansion, input, output, stride]) in BLOCKS.into_iter().enumerate() {
        let name = |rest: &str| format!("features.{}.conv.{rest}", index + 1);
        let before = features.last().unwrap().clone();
        let result = if expansion == 1 {
            let each = apply(before.clone(), name("0.0"), name("0.1"), stride, true);
            apply(each, name("1"), name("2"), 1, false)
        } else {
            let wide = apply(before.clone(), name("0.0"), name("0.1"), 1, true);
            let each = apply(wide, name("1.0"), name("1.1"), stride, true);
            apply(each, name("2"), name("3"), 1, false)
        };
        features.push(if stride == 1 && input == output { before + result } else { result });
    }
    features
}

#[test]
fn the_folded_network_has_the_features_of_the_one_with_batch_norms_in_every_layer() {
    let workshop = Workshop::new();
    let tensors = random(17);
    let path = workshop.path("features.safetensors");
    write(&tensors, &path);
    let weights = MobileNetWeights::load(&path, 18).unwrap();
    let image = images(2, 40, 33, 1);
    let layers: Vec<usize> = (0..18).collect();
    let found = MobileNet::<Flex>::new(&weights, &Default::default()).features(image.clone(), &layers);
    let expected = unfolded(&tensors, image);
    assert_eq!((found.len(), expected.len()), (18, 18));
    for (layer, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        assert_eq!(found.dims(), expected.dims(), "layer {layer}");
        let (found, expected) = (values(found), values(expected));
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let error = found.iter().zip(&expected).fold(0.0_f32, |error, (a, b)| error.max((a - b).abs()));
        assert!(largest > 0.1 && error < 1e-4 * largest, "layer {layer}: {error} of {largest}");
    }
    // Fewer layers are the same layers.
    let few = MobileNetWeights::load(&path, 4).unwrap();
    assert_eq!(few.layers, weights.layers[..4]);
    assert_eq!(weights.sha256, Fingerprint::of(&std::fs::read(&path).unwrap()).sha256);
}

#[test]
fn the_loss_is_zero_for_equal_images_and_the_mean_of_the_images_of_a_batch() {
    let workshop = Workshop::new();
    let weights = MobileNetWeights::load(&features(&workshop, "features.safetensors", 3), 4).unwrap();
    let network = MobileNet::<Flex>::new(&weights, &Default::default());
    let (second, reference) = (images(2, 24, 24, 1), images(2, 24, 24, 2));
    let even = Tensor::<Flex, 4>::ones([2, 1, 24, 24], &Default::default());
    let loss = |layers: &[usize], second: &Tensor<Flex, 4>, weight: &Tensor<Flex, 4>| {
        values(perceptual_loss(&network, layers, second.clone(), reference.clone(), weight.clone()))[0]
    };
    assert_eq!(loss(&[0, 1, 3], &reference, &even), 0.0);
    let [whole, one, three] = [&[1, 3][..], &[1], &[3]].map(|layers| loss(layers, &second, &even));
    assert!(one > 0.1 && three > 0.1 && (whole - (one + three) / 2.0).abs() < 1e-5, "{one}, {three}, {whole}");
    // The weight counts where it lies, at every layer's own size.
    assert!((loss(&[1, 3], &second, &(even.clone() * 2.0)) - 2.0 * whole).abs() < 1e-5);
    let upper =
        even.clone().slice_assign([0..2, 0..1, 12..24, 0..24], Tensor::zeros([2, 1, 12, 24], &Default::default()));
    let below =
        second.clone().slice_assign([0..2, 0..3, 0..12, 0..24], reference.clone().slice([0..2, 0..3, 0..12, 0..24]));
    assert!(loss(&[0], &below, &upper) < 0.1 * loss(&[0], &below, &even));
    let each: Vec<f32> = (0..2)
        .map(|at| {
            let of = |tensor: &Tensor<Flex, 4>| tensor.clone().narrow(0, at, 1);
            values(perceptual_loss(&network, &[1, 3], of(&second), of(&reference), of(&even)))[0]
        })
        .collect();
    assert!((whole - (each[0] + each[1]) / 2.0).abs() < 1e-5, "{whole} of {each:?}");
}

/// A config in which L_P is the only loss that pulls.
fn only_features() -> ConfigFile {
    let config = with_line(&toy_config(10, 5), "loss", "l1_weight = 0.0");
    with_line(&with_line(&config, "loss", "adv_weight = 0.0"), "loss", "perceptual = { weight = 0.1, layers = [1, 3] }")
}

#[test]
fn features_alone_move_the_generator_and_lower_the_loss() {
    let workshop = Workshop::new();
    let weights = MobileNetWeights::load(&features(&workshop, "features.safetensors", 3), 4).unwrap();
    let config = only_features().config().clone();
    let mut trainer = Trainer::<Training>::initial(&config, &config.graph().unwrap(), &device());
    trainer.perceptual = Some(MobileNet::new(&weights, &device()));
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let planes: Vec<f32> = (0..3 * 32 * 32).map(|_| rng.random()).collect();
    let reference = planes.iter().map(|value| value * 0.5).collect();
    let batch = Batch { count: 1, side_px: 32, planes, reference, weight: vec![1.0; 32 * 32] };
    let before = trainer.generator.weights();
    let losses: Vec<_> = (0..60).map(|_| trainer.step(&config, |_, _| batch.clone()).unwrap()).collect();
    assert_ne!(trainer.generator.weights(), before);
    let (first, last) = (losses[0], losses[59]);
    assert!(last.perceptual < 0.97 * first.perceptual, "{} to {}", first.perceptual, last.perceptual);
    assert!(first.perceptual_image_gradient > 0.0 && first.generator_gradient > 0.0);
    assert_eq!((first.l1_image_gradient, first.adversarial_image_gradient), (0.0, 0.0));
    // The features are those of the weights, as they were.
    let image = Tensor::<Inner, 4>::full([1, 3, 16, 16], 0.3, &device());
    let seen = trainer.perceptual.unwrap().features(Tensor::from_inner(image.clone()), &[3]).remove(0);
    assert_eq!(values(seen), values(MobileNet::<Inner>::new(&weights, &device()).features(image, &[3]).remove(0)));
}

#[test]
fn trainers_that_run_at_once_learn_what_each_learns_alone() {
    let workshop = Workshop::new();
    let weights = MobileNetWeights::load(&features(&workshop, "features.safetensors", 3), 4).unwrap();
    let config = only_features().config().clone();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let planes: Vec<f32> = (0..3 * 16 * 16).map(|_| rng.random()).collect();
    let reference = planes.iter().map(|value| value * 0.5).collect();
    let batch = Batch { count: 1, side_px: 16, planes, reference, weight: vec![1.0; 16 * 16] };
    let learnt = || {
        let mut trainer = Trainer::<Training>::initial(&config, &config.graph().unwrap(), &device());
        trainer.perceptual = Some(MobileNet::new(&weights, &device()));
        for _ in 0..100 {
            trainer.step(&config, |_, _| batch.clone()).unwrap();
        }
        trainer.generator.weights()
    };
    let alone = learnt();
    std::thread::scope(|scope| {
        let at_once: Vec<_> = (0..8).map(|_| scope.spawn(learnt)).collect();
        for thread in at_once {
            assert!(thread.join().unwrap() == alone, "a gradient was lost");
        }
    });
}

#[test]
fn a_run_records_its_features_and_goes_on_with_no_others() {
    let workshop = Workshop::with_pairs(48);
    let file = features(&workshop, "features.safetensors", 3);
    let config = only_features();
    let is_step_4 = |event: &Event| matches!(event, Event::Step { step: 4, .. });
    let (_, whole) = workshop.run_from(&config, "whole", Start::Random, Some(&file), |_| false).unwrap();
    let (half, events) = workshop.run_from(&config, "halves", Start::Random, Some(&file), is_step_4).unwrap();
    let sha256 = Fingerprint::of(&std::fs::read(&file).unwrap()).sha256;
    assert!(matches!(&events[0], Event::Started { perceptual_sha256: Some(found), .. } if *found == sha256));
    assert_eq!(checkpoint::snapshot(&half.checkpoint).unwrap().progress.perceptual_sha256, Some(sha256.clone()));

    let other = workshop.path("other.safetensors");
    let mut tensors = random(3);
    tensors.get_mut("features.0.0.weight").unwrap().1[0] += 0.1;
    write(&tensors, &other);
    let error = workshop.run_from(&config, "halves", Start::Resume, Some(&other), |_| false).unwrap_err();
    assert!(matches!(error, TrainError::OtherFeatures { .. }) && error.to_string().contains(&sha256), "{error}");
    let error = workshop.run_from(&config, "halves", Start::Resume, None, |_| false).unwrap_err();
    assert!(matches!(error, TrainError::NoFeatures), "{error}");
    let (_, rest) = workshop.run_from(&config, "halves", Start::Resume, Some(&file), |_| false).unwrap();
    assert_eq!(step_losses(&rest), step_losses(&whole)[4..]);
}

#[test]
fn missing_and_damaged_features_name_the_file_and_the_command() {
    let workshop = Workshop::with_pairs(48);
    let refused = |file: Option<&Path>, parts: &[&str]| {
        let error = workshop.run_from(&only_features(), "run", Start::Random, file, |_| false).unwrap_err().to_string();
        for part in [parts, &["cargo xtask perceptual --out FILE"][..]].concat() {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
        assert!(!workshop.path("run").exists(), "a run that cannot start leaves nothing behind");
    };
    refused(None, &["loss.perceptual.weight", "--perceptual FILE"]);
    let path = workshop.path("features.safetensors");
    refused(Some(&path), &["features.safetensors", "No such file"]);
    std::fs::write(&path, "no features").unwrap();
    refused(Some(&path), &["not a whole safetensors file"]);
    let changed = |change: &dyn Fn(&mut Tensors), parts: &[&str]| {
        let mut tensors = random(3);
        change(&mut tensors);
        write(&tensors, &path);
        refused(Some(&path), parts);
    };
    changed(
        &|tensors: &mut Tensors| drop(tensors.remove("features.3.conv.2.weight")),
        &["no tensor `features.3.conv.2.weight`"],
    );
    changed(
        &|tensors: &mut Tensors| tensors.get_mut("features.0.1.bias").unwrap().0 = vec![4, 8],
        &["`features.0.1.bias` is F32 [4, 8]: expected F32 [32]"],
    );
    changed(
        &|tensors: &mut Tensors| tensors.get_mut("features.1.conv.0.1.running_var").unwrap().1[3] = -1.0,
        &["`features.1.conv.0.1.running_var` holds -1: expected numbers from 0"],
    );
    changed(
        &|tensors: &mut Tensors| tensors.get_mut("features.1.conv.1.weight").unwrap().1[3] = f32::NAN,
        &["`features.1.conv.1.weight` holds NaN: expected finite numbers"],
    );
    // A file that nothing asks for is not read.
    workshop.run_from(&toy_config(2, 5), "plain", Start::Random, Some(&path), |_| false).unwrap();
}
