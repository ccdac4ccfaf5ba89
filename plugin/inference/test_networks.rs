//! Networks for the tests of this folder.

use portrait_network::{Activation, Layer, Op, Plane, Spec, Upsampling};

/// Describes a network that has every operation, with tensors that several layers read.
pub(crate) fn every_op() -> Spec {
    let none = Activation::None;
    Spec {
        name: "every_op".into(),
        inputs: vec![Plane::Color, Plane::Normal, Plane::Depth],
        layers: vec![
            Layer::new("unshuffle", Op::SpaceToDepth { factor: 4 }),
            Layer::conv3x3("a", 12, 1, none),
            Layer::conv1x1("b", 12, none).from(&["unshuffle"]),
            Layer::conv1x1("c", 12, Activation::Relu).from(&["a"]),
            Layer::new("sum", Op::Add).from(&["a", "b", "c", "a"]),
            Layer::new("joined", Op::Concat).from(&["sum", "b", "a"]),
            Layer::conv3x3("down", 16, 2, none),
            Layer::new("up", Op::Upsample { mode: Upsampling::Nearest }),
            Layer::conv1x1("lift", 48, none),
            Layer::new("shuffle1", Op::Upsample { mode: Upsampling::PixelShuffle }),
            Layer::new("shuffle0", Op::Upsample { mode: Upsampling::PixelShuffle }),
            Layer::new("out", Op::OutputResidual { scale: 0.5 }),
        ],
    }
}
