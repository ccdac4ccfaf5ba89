//! The ONNX file, run by tract, against `portrait_network::reference`.
#![allow(clippy::unwrap_used)]

use portrait_network::reference::{Tensor, forward};
use portrait_network::{Activation, Layer, Model, Op, Plane, Spec, Upsampling};
use portrait_onnx::encode;
use tract_onnx::prelude::*;

const PLANE_SETS: [&[Plane]; 4] = [
    &[Plane::Color],
    &[Plane::Color, Plane::Depth],
    &[Plane::Color, Plane::Normal, Plane::Depth],
    &[Plane::Color, Plane::Depth, Plane::Normal],
];

fn assert_agrees(model: &Model, [height, width]: [usize; 2]) {
    let name = &model.graph().spec().name;
    let channels = model.graph().spec().input_channels();
    let planes = Tensor::from_fn(channels, height, width, |c, y, x| {
        let value = ((c * 31 + y * 17 + x * 7) % 23) as f32 / 22.0;
        if c < 3 { value } else { value * 2.0 - 1.0 }
    });
    let expected = forward(model, &planes).unwrap();
    let shape = [1, channels, height, width];
    let runnable = tract_onnx::onnx()
        .model_for_read(&mut encode(model).as_slice())
        .unwrap()
        .with_input_fact(0, f32::fact(shape).into())
        .unwrap()
        .into_optimized()
        .unwrap()
        .into_runnable()
        .unwrap();
    let input = tract_ndarray::Array4::from_shape_vec(shape, planes.data.clone()).unwrap();
    let output = runnable.run(tvec!(input.into_tensor().into())).unwrap();
    let output = output[0].to_plain_array_view::<f32>().unwrap();
    assert_eq!(output.shape(), [1, 3, height, width]);
    let worst = output.iter().zip(&expected.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{name} at {height}×{width}: differs by {worst}");
    let changed = expected.data.iter().zip(&planes.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(changed > 1e-2, "{name}: a change of {changed} proves nothing");
}

/// Makes a network with every operation, factor, stride, kernel, activation and upsampling that a spec can have. The channels
/// of one space-to-depth are put in order by its reader's weights, those of the other by themselves.
fn every_op(inputs: &[Plane]) -> Spec {
    let point = Op::Conv { out_channels: 12, kernel: 1, stride: 2, activation: Activation::None };
    let joined = Layer::new("joined", Op::Concat).from(&["wide", "enc"]);
    Spec {
        name: "every op".into(),
        inputs: inputs.to_vec(),
        layers: vec![
            Layer::new("unshuffle4", Op::SpaceToDepth { factor: 4 }),
            Layer::conv3x3("enc", 8, 1, Activation::Relu),
            Layer::conv3x3("down", 12, 2, Activation::LeakyRelu { slope: 0.1 }),
            Layer::new("down_point", point),
            Layer::new("wider", Op::Upsample { mode: Upsampling::Nearest }),
            Layer::new("wide", Op::Upsample { mode: Upsampling::Nearest }),
            joined,
            Layer::conv1x1("mix", 16, Activation::LeakyRelu { slope: 0.2 }),
            Layer::new("up", Op::Upsample { mode: Upsampling::PixelShuffle }),
            Layer::new("unshuffle2", Op::SpaceToDepth { factor: 2 }).from(&["input"]),
            Layer::conv3x3("skip", 4, 1, Activation::Relu),
            Layer::new("sum", Op::Add).from(&["up", "skip", "up"]),
            Layer::new("beside", Op::Concat).from(&["sum", "unshuffle2"]),
            Layer::conv3x3("head", 12, 1, Activation::None),
            Layer::new("shuffle", Op::Upsample { mode: Upsampling::PixelShuffle }),
            Layer::new("output", Op::OutputResidual { scale: 0.3 }),
        ],
    }
}

#[test]
fn the_onnx_file_agrees_with_the_reference_for_every_operation() {
    for (seed, planes) in PLANE_SETS.into_iter().enumerate() {
        for spec in [every_op(planes), Spec::tiny(planes)] {
            let model = Model::random(spec.validate().unwrap(), seed as u64);
            let align = model.graph().alignment_px();
            for size in [[align, align], [2 * align, 3 * align]] {
                assert_agrees(&model, size);
            }
        }
    }
}

#[test]
fn the_onnx_file_agrees_with_the_reference_on_the_shipped_weights() {
    for name in ["quality", "fast"] {
        let path = format!("{}/../../assets/weights/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        assert_agrees(&Model::from_bytes(&std::fs::read(path).unwrap()).unwrap(), [32, 48]);
    }
}
