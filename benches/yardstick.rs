//! The yardstick: a U-Net of usual size, which a user would pick instead of our network, run by the same kernels.

use std::rc::Rc;

use anyhow::Result;
use bevy::math::UVec2;
use bevy_portrait_realism::PortraitModel;
use portrait_network::{Activation, Dtype, Layer, Model, Op, Plane, Spec, Upsampling};

use crate::Contender;
use crate::device::BenchDevice;
use crate::network;

/// Channels at half the resolution, as published.
const BASE: usize = 64;
/// Sides of the square regions, pixels.
const SIDES: [u32; 2] = [128, 256];

/// Makes contenders of the yardstick in the device's own variant of the kernels.
pub fn contenders(device: &mut BenchDevice) -> Result<Vec<Contender>> {
    // Weights are rounded to f16, as in weights files: kernels read them at half the cost.
    let random = Model::random(hyper_gan().validate()?, 64).to_bytes(Dtype::F16)?;
    let model = PortraitModel::from(Model::from_bytes(&random)?);
    let variant = device.variant();
    SIDES
        .into_iter()
        .map(|side| {
            let size_px = UVec2::splat(side);
            let network = Rc::new(device.network(&model, size_px, variant)?);
            Ok(network::whole(&format!("base-64 U-Net {side}²"), &model, network, size_px, device.on_cpu))
        })
        .collect()
}

/// Returns the generator of HyPER-GAN (arXiv 2603.10604, `UNetGenerator` of its code) with random weights: 109 kMAC per pixel and
/// 6.35 M parameters, where the original has 117 kMAC and 6.17 M.
///
/// Widths, depth, residual blocks and concatenated skips are the original's. The other layers differ, since a [`Spec`] has no such layers:
/// - no InstanceNorm, which would cost two more passes over each of eleven layers;
/// - 3×3 instead of 4×4 convolutions with stride 2 on the way down;
/// - a convolution and a pixel shuffle instead of each 4×4 transposed convolution on the way up: 3×3, 1×1 and 3×3, which
///   together come nearest to the original's cost;
/// - a residual instead of tanh.
fn hyper_gan() -> Spec {
    let shuffle = |name: &str| Layer::new(name, Op::Upsample { mode: Upsampling::PixelShuffle });
    let (none, relu) = (Activation::None, Activation::Relu);
    let mut layers = vec![
        Layer::conv3x3("down1", BASE, 2, relu),
        Layer::conv3x3("down2", BASE * 2, 2, relu),
        Layer::conv3x3("down3", BASE * 4, 2, relu),
    ];
    let mut before = "down3".to_string();
    for block in 0..4 {
        let (first, second, sum) = (format!("mid{block}_0"), format!("mid{block}_1"), format!("mid{block}"));
        layers.push(Layer::conv3x3(&first, BASE * 4, 1, relu));
        layers.push(Layer::conv3x3(&second, BASE * 4, 1, none));
        layers.push(Layer::new(&sum, Op::Add).from(&[&second, &before]));
        before = sum;
    }
    layers.extend([
        Layer::conv3x3("lift2", BASE * 2 * 4, 1, relu),
        shuffle("up2"),
        Layer::new("skip2", Op::Concat).from(&["up2", "down2"]),
        Layer::conv1x1("lift1", BASE * 4, relu),
        shuffle("up1"),
        Layer::new("skip1", Op::Concat).from(&["up1", "down1"]),
        Layer::conv3x3("head", 3 * 4, 1, none),
        shuffle("up0"),
        Layer::new("output", Op::OutputResidual { scale: 0.2 }),
    ]);
    Spec { name: "base-64 U-Net".into(), inputs: vec![Plane::Color], layers }
}
