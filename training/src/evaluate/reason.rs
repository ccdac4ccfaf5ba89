//! Why a second image is farther from the reference than the first.
//!
//! The error of each image is split by place (skin, or brows, eyes and lips) and into base and detail layer, as the plugin splits a
//! residual. The part whose mean absolute error rises most is to blame, and what it lacks beside the reference names the fault.

use std::fmt;

use portrait_network::{Recommended, layers};
use serde::Serialize;

use super::summary::SKIN_MASK;
use crate::data::{FACE_MASK, Pair};
use crate::measure::color::luminance;
use crate::measure::sharpness_ratio;

/// Part of the mean absolute luminance error that goes one way from which a base layer is too dark or too bright as a whole.
const ONE_WAY: f64 = 0.5;

/// A part of the face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Skin.
    Skin,
    /// Brows, eyes and lips.
    Features,
}

/// A fault of a part of the second image, beside the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The base layer is too dark.
    TooDark,
    /// The base layer is too bright.
    TooBright,
    /// The base layer has another colour.
    OffColor,
    /// Light and shade of the base layer lie elsewhere.
    Shading,
    /// The detail layer is softer.
    Soft,
    /// The detail layer is as sharp or sharper, but another: noise, or what should not be there.
    WrongDetail,
}

/// Why a second image is worse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// Part of the face to blame.
    pub place: Place,
    /// Fault of that part.
    pub fault: Fault,
    /// Rise of the mean absolute error over the whole face, 0–1, that this layer of this part makes.
    pub l1_rise: f64,
}

/// The two layers of an image's error, `[3, H, W]` each.
struct Error {
    base: Vec<f32>,
    detail: Vec<f32>,
}

impl Reason {
    /// Finds what makes `second` worse than the pair's first image; `None` where the pair shows no face.
    pub fn of(pair: &Pair, second: &[u8]) -> Option<Self> {
        let face = pair.mask.iter().filter(|mask| **mask >= FACE_MASK).count();
        let [before, after] = [&pair.first[..], second].map(|image| Error::of(pair, image));
        let places = [Place::Skin, Place::Features].map(|place| (place, place.pixels(pair)));
        let rises = places.iter().flat_map(|(place, pixels)| {
            let rise = |before: &[f32], after: &[f32]| (size(after, pixels) - size(before, pixels)) / face as f64;
            let layers = [(true, rise(&before.base, &after.base)), (false, rise(&before.detail, &after.detail))];
            layers.map(|(in_base, l1_rise)| (*place, pixels, in_base, l1_rise))
        });
        let (place, pixels, in_base, l1_rise) =
            rises.filter(|(_, pixels, ..)| !pixels.is_empty()).max_by(|a, b| a.3.total_cmp(&b.3))?;
        let fault = if in_base { base_fault(&after.base, pixels) } else { detail_fault(pair, second, place) };
        Some(Self { place, fault, l1_rise })
    }
}

impl Place {
    fn contains(self, mask: u8) -> bool {
        mask >= FACE_MASK && SKIN_MASK.contains(&mask) == (self == Self::Skin)
    }

    fn pixels(self, pair: &Pair) -> Vec<usize> {
        (0..pair.mask.len()).filter(|&at| self.contains(pair.mask[at])).collect()
    }
}

impl Error {
    fn of(pair: &Pair, image: &[u8]) -> Self {
        let pixels = pair.mask.len();
        let difference = |at: usize| {
            let at = at % pixels * 3 + at / pixels;
            (f32::from(image[at]) - f32::from(pair.reference[at])) / 255.0
        };
        let error: Vec<f32> = (0..pixels * 3).map(difference).collect();
        let base = layers::weigh(&error, pair.size_px, pair.size_px, Recommended { base: 1.0, detail: 0.0 });
        let detail = error.iter().zip(&base).map(|(all, base)| all - base).collect();
        Self { base, detail }
    }
}

/// Sums the absolute error of a layer `[3, H, W]` over pixels, the mean over the channels.
fn size(layer: &[f32], pixels: &[usize]) -> f64 {
    let planes = layer.chunks(layer.len() / 3);
    planes.map(|plane| pixels.iter().map(|&at| f64::from(plane[at].abs())).sum::<f64>()).sum::<f64>() / 3.0
}

fn base_fault(base: &[f32], pixels: &[usize]) -> Fault {
    let plane = base.len() / 3;
    let (mut signed, mut gray, mut color) = (0.0, 0.0, 0.0);
    for &at in pixels {
        let error = [0, 1, 2].map(|channel| f64::from(base[channel * plane + at]));
        let light = luminance(error);
        signed += light;
        gray += light.abs();
        color += error.iter().map(|value| (value - light).abs()).sum::<f64>() / 3.0;
    }
    match signed {
        _ if color > gray => Fault::OffColor,
        signed if signed <= -ONE_WAY * gray => Fault::TooDark,
        signed if signed >= ONE_WAY * gray => Fault::TooBright,
        _ => Fault::Shading,
    }
}

fn detail_fault(pair: &Pair, second: &[u8], place: Place) -> Fault {
    let inside = |at: usize| place.contains(pair.mask[at]);
    let soft = sharpness_ratio(second, &pair.reference, pair.size_px, &inside) < 1.0;
    if soft { Fault::Soft } else { Fault::WrongDetail }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let place = match self.place {
            Place::Skin => "skin",
            Place::Features => "brows, eyes and lips",
        };
        let fault = match self.fault {
            Fault::TooDark => "too dark",
            Fault::TooBright => "too bright",
            Fault::OffColor => "off in colour",
            Fault::Shading => "shaded differently",
            Fault::Soft => "too soft",
            Fault::WrongDetail => "wrong detail",
        };
        write!(f, "{place}: {fault}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::toy;

    /// A pair whose first image is perfect, and a second image that is changed where the mask is in a place.
    fn reason(place: Place, change: impl Fn(usize, [u8; 3]) -> [u8; 3]) -> (Place, Fault) {
        let pair = toy::pair(5, 96);
        let pair = Pair { first: pair.reference.clone(), ..pair };
        let pixels = pair.reference.as_chunks::<3>().0.iter().enumerate();
        let second: Vec<u8> = pixels
            .flat_map(|(at, pixel)| if place.contains(pair.mask[at]) { change(at, *pixel) } else { *pixel })
            .collect();
        let reason = Reason::of(&pair, &second).unwrap();
        assert!(reason.l1_rise > 0.0, "{reason:?}");
        (reason.place, reason.fault)
    }

    #[test]
    fn each_fault_is_named_where_it_is() {
        let add = |step: i32| {
            move |_: usize, pixel: [u8; 3]| pixel.map(|value| (i32::from(value) + step).clamp(0, 255) as u8)
        };
        assert_eq!(reason(Place::Skin, add(-30)), (Place::Skin, Fault::TooDark));
        assert_eq!(reason(Place::Skin, add(30)), (Place::Skin, Fault::TooBright));
        let redder = |_: usize, [r, g, b]: [u8; 3]| [r.saturating_add(40), g.saturating_sub(14), b];
        assert_eq!(reason(Place::Skin, redder), (Place::Skin, Fault::OffColor));
        let side = |at: usize, pixel: [u8; 3]| add(if at % 96 < 48 { -30 } else { 30 })(at, pixel);
        assert_eq!(reason(Place::Skin, side), (Place::Skin, Fault::Shading));
        let noise = |at: usize, pixel: [u8; 3]| add(if (at + at / 96).is_multiple_of(2) { -25 } else { 25 })(at, pixel);
        assert_eq!(reason(Place::Skin, noise), (Place::Skin, Fault::WrongDetail));
        assert_eq!(reason(Place::Features, noise), (Place::Features, Fault::WrongDetail));
    }

    #[test]
    fn lost_texture_is_too_soft() {
        let pair = toy::pair(5, 96);
        // The first image has the reference's fine texture; the second one its mean around each pixel.
        let pair = Pair { first: pair.reference.clone(), ..pair };
        let mut second = pair.reference.clone();
        for at in (0..96 * 96).filter(|&at| Place::Skin.contains(pair.mask[at])) {
            for channel in 0..3 {
                let near = [at - 97, at - 96, at - 95, at - 1, at, at + 1, at + 95, at + 96, at + 97];
                second[at * 3 + channel] =
                    (near.map(|near| u32::from(pair.reference[near * 3 + channel])).iter().sum::<u32>() / 9) as u8;
            }
        }
        let reason = Reason::of(&pair, &second).unwrap();
        assert_eq!((reason.place, reason.fault), (Place::Skin, Fault::Soft), "{reason}");
    }

    #[test]
    fn a_picture_without_a_face_has_no_reason() {
        let pair = toy::pair(5, 32);
        let pair = Pair { mask: vec![0; 32 * 32], ..pair };
        assert_eq!(Reason::of(&pair, &pair.reference), None);
    }
}
