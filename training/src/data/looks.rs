//! The ranges that light and display are drawn from: head_studio's own, read from the same file.

use std::collections::BTreeMap;

use rand::Rng;
use serde::Deserialize;

/// Content of head_studio's file, from the checkout that this program was built from.
const TEXT: &str = include_str!("../../dataset/head_studio/looks.toml");

/// Ranges from which scenes are lit and shown. `looks.toml` says what each one means.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looks {
    pub light: Light,
    pub background: Background,
    pub display: Display,
}

/// Ranges of the light.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Light {
    pub kinds: BTreeMap<String, f32>,
    pub exposure_jitter: Span,
    pub environment_share: ByKind,
    pub fill_share: Span,
    pub rim_ratio: ByKind,
    pub rim_light_share: f64,
    pub key_kelvin: Span,
    pub fill_kelvin: Span,
    pub rim_kelvin: Span,
    pub neon_share: f64,
}

/// Ranges of a background gradient.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    pub level: Span,
    pub tint: Span,
    pub lower_edge: Span,
}

/// Ranges of exposure and tone mapping.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Display {
    pub tone_mappings: BTreeMap<String, f32>,
    pub exposure_ev: Normal,
}

/// A range from which numbers are drawn evenly.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "[f32; 2]")]
pub struct Span([f32; 2]);

/// A range for each kind of light, and one for all other kinds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ByKind {
    other: Span,
    #[serde(flatten)]
    kinds: BTreeMap<String, Span>,
}

/// A normal distribution around 0 that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    deviation: f32,
    limit: f32,
}

impl Looks {
    /// Reads the file that was built in.
    ///
    /// # Errors
    /// Fails with the entry that is not as it should be.
    pub fn read() -> Result<Self, String> {
        toml::from_str(TEXT).map_err(|error| error.to_string())
    }

    /// Leaves these tone mappers alone in the ranges, or all of them if there are no names.
    ///
    /// # Errors
    /// Fails with the name that is none of a tone mapper.
    pub fn shown_by(mut self, names: &[String]) -> Result<Self, String> {
        let shares = &mut self.display.tone_mappings;
        if let Some(unknown) = names.iter().find(|name| !shares.contains_key(*name)) {
            let known: Vec<&str> = shares.keys().map(String::as_str).collect();
            return Err(format!("expected any of {}, found {unknown}", known.join(", ")));
        }
        if !names.is_empty() {
            shares.iter_mut().filter(|(name, _)| !names.contains(name)).for_each(|(_, share)| *share = 0.0);
        }
        Ok(self)
    }
}

impl TryFrom<[f32; 2]> for Span {
    type Error = String;

    fn try_from(span: [f32; 2]) -> Result<Self, String> {
        let [low, high] = span;
        // An empty range cannot be drawn from.
        let fine = low.is_finite() && high.is_finite() && low <= high;
        if fine { Ok(Self(span)) } else { Err(format!("range {span:?}: expected two numbers, the smaller one first")) }
    }
}

impl Span {
    /// Draws a number of the range.
    pub fn draw(self, rng: &mut impl Rng) -> f32 {
        let Self([low, high]) = self;
        rng.random_range(low..=high)
    }
}

impl ByKind {
    /// Returns the range of a kind of light.
    pub fn of(&self, kind: &str) -> Span {
        self.kinds.get(kind).copied().unwrap_or(self.other)
    }
}

impl Normal {
    /// Draws a number (Box and Muller 1958).
    pub fn draw(self, rng: &mut impl Rng) -> f32 {
        // 1 − u is above 0, so that its logarithm is finite.
        let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
        let turn = std::f32::consts::TAU * rng.random::<f32>();
        (self.deviation * radius * turn.cos()).clamp(-self.limit, self.limit)
    }
}

/// Draws the position of one of several weights, each as often as its share of their sum.
pub fn pick(weights: &[f32], rng: &mut impl Rng) -> usize {
    let mut left = weights.iter().sum::<f32>() * rng.random::<f32>();
    let found = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    found.unwrap_or(weights.len().saturating_sub(1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_shared_file_is_read_and_its_shares_add_up() {
        let looks = Looks::read().unwrap();
        for shares in [&looks.light.kinds, &looks.display.tone_mappings] {
            assert!((shares.values().sum::<f32>() - 1.0).abs() < 1e-6, "{shares:?}");
        }
        assert_eq!(looks.light.environment_share.of("environment"), Span([1.0, 1.0]));
        assert_eq!(looks.light.environment_share.of("below"), Span([0.15, 0.6]));
    }

    #[test]
    fn named_tone_mappers_alone_show_what_is_lit_anew() {
        let shown_by = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
            Looks::read().unwrap().shown_by(&names).map(|looks| looks.display.tone_mappings)
        };
        let all = Looks::read().unwrap().display.tone_mappings;
        assert_eq!(shown_by(&[]), Ok(all.clone()));
        let two = shown_by(&["agx", "none"]).unwrap();
        assert!(
            two.iter()
                .all(|(name, share)| *share == if ["agx", "none"].contains(&&name[..]) { all[name] } else { 0.0 })
        );
        let error = shown_by(&["agx", "filmic"]).unwrap_err();
        assert!(error.contains("aces, agx") && error.contains("found filmic"), "{error}");
    }

    #[test]
    fn ranges_that_cannot_be_drawn_from_are_refused() {
        for span in [[2.0, 1.0], [0.0, f32::NAN], [f32::INFINITY; 2]] {
            assert!(Span::try_from(span).unwrap_err().contains("the smaller one first"));
        }
    }

    #[test]
    fn draws_follow_their_distribution() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let normal = Normal { deviation: 0.4, limit: 1.0 };
        let drawn: Vec<f32> = (0..20_000).map(|_| normal.draw(&mut rng)).collect();
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        let deviation = (drawn.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 20_000.0).sqrt();
        // Cutting off at 2.5 deviations takes 2 % of one.
        assert!(mean.abs() < 0.01 && (deviation - 0.392).abs() < 0.01, "{mean} ± {deviation}");
        assert!(drawn.iter().all(|value| value.abs() <= 1.0));
        let mut counts = [0; 3];
        (0..10_000).for_each(|_| counts[pick(&[0.2, 0.0, 0.8], &mut rng)] += 1);
        assert!((1_850..2_150).contains(&counts[0]) && counts[1] == 0, "{counts:?}");
    }
}
