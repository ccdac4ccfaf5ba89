//! The specs that ship.

use crate::{Activation, Layer, Op, Plane, Spec, Upsampling};

const LEAKY: Activation = Activation::LeakyRelu { slope: 0.2 };

impl Spec {
    /// Returns the network that ships for quality: colour, normals and depth in, a U-Net from a half to a sixteenth of the
    /// resolution, residual out. It has 10.7 kMAC per pixel and 653 k parameters.
    pub fn quality() -> Self {
        Self::unet("quality", &[Plane::Color, Plane::Normal, Plane::Depth], &[24, 44, 80, 128])
    }

    /// Returns the network that ships for speed: a narrower [`Spec::quality`] that reads colour alone. It has 3.5 kMAC per pixel
    /// and 196 k parameters.
    pub fn fast() -> Self {
        Self::unet("fast", &[Plane::Color], &[12, 28, 48, 64])
    }

    /// Returns the smallest network that has every part of the shipped ones, for tests and first steps.
    pub fn tiny(inputs: &[Plane]) -> Self {
        Self::unet("tiny", inputs, &[8, 8, 12])
    }

    /// Returns a U-Net with additive skips. `widths` are the channels at 1/2, 1/4, … of the resolution, at least two, each a
    /// multiple of 4.
    ///
    /// # Panics
    /// Panics when `widths` is empty.
    pub fn unet(name: &str, inputs: &[Plane], widths: &[usize]) -> Self {
        let shuffle = Op::Upsample { mode: Upsampling::PixelShuffle };
        let deepest = widths.len() - 1;
        let mut layers =
            vec![Layer::new("unshuffle", Op::SpaceToDepth { factor: 2 }), Layer::conv3x3("enc0", widths[0], 1, LEAKY)];
        for (level, &width) in widths.iter().enumerate().take(deepest).skip(1) {
            layers.push(Layer::conv3x3(&format!("down{level}"), width, 2, LEAKY));
            layers.push(Layer::conv3x3(&format!("enc{level}"), width, 1, LEAKY));
        }
        let bottom = format!("down{deepest}");
        layers.extend([
            Layer::conv3x3(&bottom, widths[deepest], 2, LEAKY),
            Layer::conv3x3("mid0", widths[deepest], 1, LEAKY),
            Layer::conv3x3("mid1", widths[deepest], 1, Activation::None),
            Layer::new("mid_sum", Op::Add).from(&["mid1", &bottom]),
        ]);
        for level in (0..deepest).rev() {
            let up = format!("up{level}");
            layers.extend([
                Layer::conv1x1(&format!("lift{level}"), widths[level] * 4, Activation::None),
                Layer::new(&up, shuffle),
                Layer::new(&format!("skip{level}"), Op::Add).from(&[&up, &format!("enc{level}")]),
                Layer::conv3x3(&format!("dec{level}"), widths[level], 1, LEAKY),
            ]);
        }
        layers.extend([
            Layer::conv3x3("head", 12, 1, Activation::None),
            Layer::new("shuffle", shuffle),
            Layer::new("output", Op::OutputResidual { scale: 0.2 }),
        ]);
        Self { name: name.into(), inputs: inputs.to_vec(), layers }
    }
}
