//! Shows a crop of a scene under another light, drawn from head_studio's own ranges ([`super::looks`]).

use half::f16;
use rand::Rng;

use super::crop::Crop;
use super::light_groups::LightGroups;
use super::looks::pick;

/// Group of the surroundings.
const ENVIRONMENT: &str = "environment";
/// Lamp that models the face.
const KEY: &str = "key";
/// Lamp that lightens the key's shadows. A sun or a point light has none beside it.
const FILL: &str = "fill";
/// Lamp from behind, which adds nothing to the face's exposure; also the kind of light in which it is strong.
const RIM: &str = "rim";
/// Share of the scenes with surroundings that show them behind the head.
const SURROUNDINGS_SEEN: f64 = 0.5;
/// Range of the colour temperature of the surroundings' light, in kelvins, and how much of its tint they take.
const SURROUNDINGS_KELVIN: [f32; 2] = [3000.0, 8000.0];
const SURROUNDINGS_TINT: f32 = 0.3;
/// Weights of relative luminance in linear Rec.709 (ITU-R BT.709).
const LUMINANCE: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// Both images of a relit crop, display-referred sRGB 0–1, `[3, S, S]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Relit {
    /// *First rendered image*.
    pub first: Vec<f32>,
    /// *Reference image*.
    pub reference: Vec<f32>,
}

/// One way to light and show a scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Factor on each colour channel of each group.
    weights: Vec<[f32; 3]>,
    /// Linear colour at the upper and the lower edge of the image; `None` where the surroundings are seen.
    gradient: Option<[[f32; 3]; 2]>,
    /// Factor on the whole image.
    exposure: f32,
    /// Index of the tone mapper.
    tone_mapping: usize,
}

impl LightGroups {
    /// Draws another light for the scene, whose lamps stand where they stand.
    pub fn draw_look(&self, rng: &mut impl Rng) -> Look {
        let (light, background, display) = (&self.looks.light, &self.looks.background, &self.looks.display);
        let shares: Vec<f32> = light.kinds.values().copied().collect();
        let kind = light.kinds.keys().nth(pick(&shares, rng)).map_or("", String::as_str);

        // How the face's irradiance is shared out.
        let on_face = self.groups.iter().filter(|group| group.name != RIM).map(|group| group.irradiance);
        let wanted = on_face.sum::<f32>() * light.exposure_jitter.draw(rng);
        let surroundings = light.environment_share.of(kind).draw(rng);
        let lamps = wanted * (1.0 - surroundings);
        let has_fill = self.groups.iter().any(|group| group.name == FILL);
        let fill = if has_fill { light.fill_share.draw(rng) } else { 0.0 };
        let has_rim = kind == RIM || rng.random_bool(light.rim_light_share);
        let rim = if has_rim { light.rim_ratio.of(kind).draw(rng) } else { 0.0 };
        let neon = rng.random_bool(light.neon_share);

        let weights = self.groups.iter().map(|group| {
            let (irradiance, color) = match group.name.as_str() {
                ENVIRONMENT => {
                    let [low, high] = SURROUNDINGS_KELVIN;
                    let color = black_body(rng.random_range(low..high)).map(|value| value.powf(SURROUNDINGS_TINT));
                    (wanted * surroundings, color)
                }
                KEY => (lamps * (1.0 - fill), black_body(light.key_kelvin.draw(rng))),
                name => {
                    let kelvin = if name == RIM { light.rim_kelvin } else { light.fill_kelvin };
                    let color = black_body(kelvin.draw(rng));
                    // Squares of even draws leave one or two channels dark now and then: a saturated hue.
                    let color =
                        if neon { color.map(|value| value * rng.random_range(0.05..1.0_f32).powi(2)) } else { color };
                    (if name == RIM { lamps * (1.0 - fill) * rim } else { lamps * fill }, color)
                }
            };
            of_luminance_one(color).map(|value| value * irradiance / group.irradiance)
        });
        let weights = weights.collect();

        // Drawn in any case, so that as many random numbers are drawn for a scene with surroundings as for one without.
        let level = background.level.draw(rng);
        let top = [(); 3].map(|()| level * background.tint.draw(rng));
        let lower_edge = background.lower_edge.draw(rng);
        let seen = rng.random_bool(SURROUNDINGS_SEEN) && self.background.is_some();
        Look {
            weights,
            gradient: (!seen).then_some([top, top.map(|value| value * lower_edge)]),
            exposure: display.exposure_ev.draw(rng).exp2(),
            tone_mapping: pick(&self.tone_tables.weights(&display.tone_mappings), rng),
        }
    }

    /// Shows both images of a crop of a scene that is `width` pixels wide.
    pub fn relight(&self, look: &Look, crop: &Crop, width: usize) -> Relit {
        let [first, reference] = [0, 1].map(|side| self.show(look, crop, width, side));
        Relit { first, reference }
    }

    /// Shows one image of a crop, `[3, S, S]`; `side` is 0 for the first image and 1 for the reference.
    fn show(&self, look: &Look, crop: &Crop, width: usize, side: usize) -> Vec<f32> {
        let surroundings = self.groups.iter().position(|group| group.name == ENVIRONMENT);
        let behind_weight = surroundings.map_or([1.0; 3], |at| look.weights[at]);
        let plane = crop.side_px * crop.side_px;
        let mut image = vec![0.0; 3 * plane];
        for (to, at) in crop.pixels(width).enumerate() {
            let uncovered = self.uncovered[side][at].to_f32();
            let down = (at / width) as f32 / width as f32;
            let linear: [f32; 3] = std::array::from_fn(|channel| {
                let value = |values: &[f16]| values[at * 3 + channel].to_f32();
                let behind = match (&look.gradient, &self.background) {
                    (None, Some(image)) => value(image) * behind_weight[channel],
                    (Some([top, bottom]), _) => top[channel] + (bottom[channel] - top[channel]) * down,
                    (None, None) => 0.0,
                };
                let lit = self.groups.iter().zip(&look.weights);
                let head: f32 = lit.map(|(group, weight)| value(&group.images[side]) * weight[channel]).sum();
                (head + uncovered * behind) * look.exposure
            });
            let shown = self.tone_tables.look_up(look.tone_mapping, linear);
            (0..3).for_each(|channel| image[channel * plane + to] = shown[channel]);
        }
        image
    }
}

/// Returns the linear colour of a black body of 2,000 K to 40,000 K (Tanner Helland's fit, as in head_studio's `lighting.py`).
fn black_body(kelvin: f32) -> [f32; 3] {
    let t = kelvin / 100.0;
    let encoded = if t <= 66.0 {
        [1.0, 0.39 * t.ln() - 0.6318, if t < 66.0 { 0.5432 * (t - 10.0).ln() - 1.1962 } else { 1.0 }]
    } else {
        [1.2929 * (t - 60.0).powf(-0.1332), 1.1299 * (t - 60.0).powf(-0.0755), 1.0]
    };
    encoded.map(|value| value.clamp(0.0, 1.0).powf(2.2))
}

/// Scales a linear colour to a luminance of one.
fn of_luminance_one(color: [f32; 3]) -> [f32; 3] {
    let luminance: f32 = color.iter().zip(LUMINANCE).map(|(value, weight)| value * weight).sum();
    color.map(|value| value / luminance)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::light_groups::tests::groups;
    use super::*;

    fn look(weights: [f32; 2]) -> Look {
        // In the order of the names: environment, key.
        let weights = weights.map(|weight| [weight, 2.0 * weight, 0.0]).to_vec();
        Look { weights, gradient: Some([[0.5; 3]; 2]), exposure: 0.5, tone_mapping: 0 }
    }

    #[test]
    fn groups_add_up_over_the_background_in_linear_light() {
        let crop = Crop { x: 1, y: 1, ..Crop::whole(2) };
        let shown = |weights: [f32; 2], side: usize| groups().show(&look(weights), &crop, 4, side);
        let expect = |found: Vec<f32>, wanted: [f32; 3]| {
            let wanted = wanted.iter().flat_map(|value| [*value; 4]);
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.01), "{found:?}");
        };
        expect(shown([1.0, 1.0], 0), [0.1875, 0.375, 0.0]);
        expect(shown([0.0, 1.0], 0), [0.125, 0.25, 0.0]);
        expect(shown([1.0, 1.0], 1), [0.5, 0.75, 0.25]);
    }

    #[test]
    fn draws_differ_and_keep_the_exposure_of_the_face() {
        let groups = groups();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let looks: Vec<Look> = (0..500).map(|_| groups.draw_look(&mut rng)).collect();
        assert!(looks.windows(2).all(|pair| pair[0] != pair[1]));
        let luminance = |w: &[f32; 3]| w.iter().zip(LUMINANCE).map(|(value, weight)| value * weight).sum::<f32>();
        let total = |look: &Look| look.weights.iter().map(luminance).sum::<f32>();
        assert!(looks.iter().map(total).all(|total| (1.69..2.31).contains(&total)));
        assert!(looks.iter().flat_map(|look| &look.weights).flatten().all(|value| value.is_finite() && *value >= 0.0));
    }

    #[test]
    fn black_bodies_have_the_colours_of_head_studio() {
        // From `kelvin_to_linear` of `lighting.py`.
        for (kelvin, wanted) in [
            (2700.0, [1.99982, 0.78459, 0.18971]),
            (5000.0, [1.22472, 0.95689, 0.76536]),
            (8000.0, [0.91825, 0.99852, 1.25537]),
        ] {
            let found = of_luminance_one(black_body(kelvin));
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4), "{kelvin} K: {found:?}");
        }
    }
}
