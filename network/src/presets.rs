//! Specs that ship.

use crate::{Activation, Layer, Op, Plane, Spec, Upsampling};

const LEAKY: Activation = Activation::LeakyRelu { slope: 0.2 };

impl Spec {
    /// The default network: colour in, a U-Net at a half, a quarter and an eighth of the resolution, residual out.
    /// 8.9 kMAC per pixel, 287 k parameters.
    pub fn portrait() -> Self {
        Self::unet("portrait", &[Plane::Color], [20, 48, 96])
    }

    /// The smallest network that has every part of [`Spec::portrait`], for tests and first steps.
    pub fn tiny(inputs: &[Plane]) -> Self {
        Self::unet("tiny", inputs, [8, 8, 12])
    }

    /// A three-level U-Net with additive skips. `widths` are the channels at 1/2, 1/4 and 1/8 of the resolution, each
    /// a multiple of 4.
    pub fn unet(name: &str, inputs: &[Plane], widths: [usize; 3]) -> Self {
        let [half, quarter, eighth] = widths;
        let shuffle = Op::Upsample { mode: Upsampling::PixelShuffle };
        Self {
            name: name.into(),
            inputs: inputs.to_vec(),
            layers: vec![
                Layer::new("unshuffle", Op::SpaceToDepth { factor: 2 }),
                Layer::conv3x3("enc0", half, 1, LEAKY),
                Layer::conv3x3("down1", quarter, 2, LEAKY),
                Layer::conv3x3("enc1", quarter, 1, LEAKY),
                Layer::conv3x3("down2", eighth, 2, LEAKY),
                Layer::conv3x3("mid0", eighth, 1, LEAKY),
                Layer::conv3x3("mid1", eighth, 1, Activation::None),
                Layer::new("mid_sum", Op::Add).from(&["mid1", "down2"]),
                Layer::conv1x1("lift1", quarter * 4, Activation::None),
                Layer::new("up1", shuffle),
                Layer::new("skip1", Op::Add).from(&["up1", "enc1"]),
                Layer::conv3x3("dec1", quarter, 1, LEAKY),
                Layer::conv1x1("lift0", half * 4, Activation::None),
                Layer::new("up0", shuffle),
                Layer::new("skip0", Op::Add).from(&["up0", "enc0"]),
                Layer::conv3x3("dec0", half, 1, LEAKY),
                Layer::conv3x3("head", 12, 1, Activation::None),
                Layer::new("shuffle", shuffle),
                Layer::new("output", Op::OutputResidual { scale: 0.2 }),
            ],
        }
    }
}
