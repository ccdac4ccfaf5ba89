//! The referee itself, against sums done by hand.
#![allow(clippy::unwrap_used)]

use portrait_network::reference::{self, InputError, Tensor};
use portrait_network::{Activation, ConvWeights, Layer, Model, Op, Plane, Provenance, Spec, Upsampling};

fn image(height: usize, width: usize) -> Tensor {
    Tensor::from_fn(3, height, width, |c, y, x| ((c * 5 + y * 3 + x * 2) % 11) as f32 / 10.0)
}

fn spec(layers: Vec<Layer>) -> Spec {
    Spec { name: "test".into(), inputs: vec![Plane::Color], layers }
}

#[test]
fn conv3x3_is_the_sum_over_its_neighbours_with_zeros_around() {
    let layers =
        vec![Layer::conv3x3("c", 3, 1, Activation::None), Layer::new("output", Op::OutputResidual { scale: 1.0 })];
    let graph = spec(layers).validate().unwrap();
    // Output channel 0 sums the 3×3 neighbourhood of channel 1; the others are their bias.
    let mut weight = vec![0.0; 3 * 3 * 9];
    weight[9..18].fill(1.0);
    let model =
        Model::new(graph, vec![ConvWeights { weight, bias: vec![0.0, 0.5, -0.5] }], Provenance::default()).unwrap();
    let image = image(3, 4);
    let output = reference::forward(&model, &image).unwrap();
    for y in 0..3_usize {
        for x in 0..4_usize {
            let mut sum = 0.0;
            for sy in y.saturating_sub(1)..(y + 2).min(3) {
                for sx in x.saturating_sub(1)..(x + 2).min(4) {
                    sum += image.at(1, sy, sx) * 2.0 - 1.0;
                }
            }
            assert!((output.at(0, y, x) - (image.at(0, y, x) + sum)).abs() < 1e-5);
            assert!((output.at(1, y, x) - (image.at(1, y, x) + 0.5)).abs() < 1e-6);
            assert!((output.at(2, y, x) - (image.at(2, y, x) - 0.5)).abs() < 1e-6);
        }
    }
}

#[test]
fn shuffle_undoes_unshuffle_on_odd_sizes() {
    let layers = vec![
        Layer::new("down", Op::SpaceToDepth { factor: 4 }),
        Layer::new("up1", Op::Upsample { mode: Upsampling::PixelShuffle }),
        Layer::new("up2", Op::Upsample { mode: Upsampling::PixelShuffle }),
        Layer::new("output", Op::OutputResidual { scale: 0.5 }),
    ];
    // Two shuffles by 2 undo one by 4 only up to the order within the 4×4 block, so compare block sums.
    let model = Model::random(spec(layers).validate().unwrap(), 1);
    let image = image(8, 12);
    let output = reference::forward(&model, &image).unwrap();
    for c in 0..3 {
        for block_y in 0..2 {
            for block_x in 0..3 {
                let sum = |value: &dyn Fn(usize, usize) -> f32| -> f32 {
                    (0..16).map(|i| value(block_y * 4 + i / 4, block_x * 4 + i % 4)).sum()
                };
                let residual = sum(&|y, x| (output.at(c, y, x) - image.at(c, y, x)) * 2.0);
                assert!((residual - sum(&|y, x| image.at(c, y, x) * 2.0 - 1.0)).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn odd_sizes_are_padded_by_their_edge_and_cropped() {
    let model = Model::random(Spec::tiny(&[Plane::Color]).validate().unwrap(), 5);
    let small = image(13, 9);
    let padded = Tensor::from_fn(3, 16, 16, |c, y, x| small.at(c, y.min(12), x.min(8)));
    let expected = reference::forward(&model, &padded).unwrap();
    let output = reference::forward(&model, &small).unwrap();
    assert_eq!((output.height, output.width), (13, 9));
    for c in 0..3 {
        for y in 0..13 {
            for x in 0..9 {
                assert_eq!(output.at(c, y, x), expected.at(c, y, x));
            }
        }
    }
}

#[test]
fn planes_that_do_not_fit_are_refused() {
    let model = Model::random(Spec::tiny(&[Plane::Color, Plane::Depth]).validate().unwrap(), 5);
    assert!(matches!(reference::forward(&model, &image(4, 4)), Err(InputError::Shape { expected_channels: 4, .. })));
    let empty = Tensor::zeros(4, 0, 4);
    assert!(reference::forward(&model, &empty).is_err());
}
