//! The controller behind [`PortraitResolution::Auto`](crate::PortraitResolution::Auto): measured milliseconds in, tier out.
//! Pure: it knows neither the GPU nor a clock, and counts time in measurements, about one a frame.
//!
//! The cost of a frame is the median of the last measurements, so single slow frames do not count. The expected cost of another tier is
//! that times (ratio of the network's pixels) ^ exponent. The exponent is 1 until a change of tier has shown the true one: small images do
//! not fill a GPU, and cost more for each pixel.

use crate::api::resolution::ResolutionTier;

/// Number of measurements that the median is taken of.
const WINDOW: usize = 7;
/// Number of medians above the budget, one after the other, until the controller steps down.
const OVERRUNS: u32 = 5;
/// Share of the budget that a higher tier may be expected to take for a step up.
const HEADROOM: f32 = 0.8;
/// Number of measurements, one after the other, for which a higher tier has to be expected to fit until the controller steps up.
const DWELL: u32 = 60;
/// Each step up that had to be taken back doubles the dwell time, up to this.
const MAX_DWELL: u32 = 64 * DWELL;
/// A step up that lasts for this many measurements was right.
const PROBATION: u32 = 600;
/// Range of the exponents. Above 1 are devices whose caches overflow.
const EXPONENTS: std::ops::RangeInclusive<f32> = 0.25..=1.5;
/// Ratio of pixels from which on an exponent can be told from noise.
const MIN_RATIO: f32 = 1.2;

/// The measurement of one frame of one camera.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    /// Milliseconds on the GPU.
    pub ms: f32,
    /// The tier that the frame was drawn with.
    pub tier: ResolutionTier,
    /// Pixels of the network's images of all faces in this frame, for each tier.
    pub network_pixels: [u32; 3],
}

impl Measurement {
    fn pixels(&self, tier: ResolutionTier) -> u32 {
        self.network_pixels[tier as usize]
    }
}

/// Holds a budget by choosing a tier.
#[derive(Clone, Debug)]
pub(crate) struct AutoResolution {
    budget_ms: f32,
    tier: ResolutionTier,
    /// The newest measurements of this tier, in no order.
    window: [Option<Measurement>; WINDOW],
    /// Number of measurements of this tier.
    count: u32,
    overruns: u32,
    /// Number of measurements, one after the other, for which the next tier would have fit.
    fitting: u32,
    dwell: u32,
    stepped_up: bool,
    /// Exponents between a tier and the next one.
    exponents: [f32; 2],
    /// The last tier, its milliseconds and its pixels, until the exponent is known.
    left: Option<(ResolutionTier, f32, f32)>,
}

impl AutoResolution {
    pub fn new(budget_ms: f32) -> Self {
        Self {
            budget_ms,
            tier: ResolutionTier::High,
            window: [None; WINDOW],
            count: 0,
            overruns: 0,
            fitting: 0,
            dwell: DWELL,
            stepped_up: false,
            exponents: [1.0; 2],
            left: None,
        }
    }

    pub fn tier(&self) -> ResolutionTier {
        self.tier
    }

    /// Returns the median of the measurements of this tier.
    pub fn ms(&self) -> Option<f32> {
        self.median(|measurement| measurement.ms)
    }

    /// Sets the budget. A new one is held at once, without the dwell time.
    pub fn set_budget(&mut self, budget_ms: f32) {
        if self.budget_ms.to_bits() != budget_ms.to_bits() {
            self.budget_ms = budget_ms;
            self.dwell = DWELL;
            self.fitting = DWELL;
            self.overruns = 0;
        }
    }

    /// Takes a measurement and chooses anew. Those of another tier, which arrive late, are ignored.
    pub fn record(&mut self, measurement: Measurement) {
        if !(measurement.ms.is_finite() && measurement.ms >= 0.0) || measurement.tier != self.tier {
            return;
        }
        self.window[self.count as usize % WINDOW] = Some(measurement);
        self.count = self.count.saturating_add(1);
        if self.count < WINDOW as u32 {
            return;
        }
        let Some(ms) = self.ms() else { return };
        self.learn(ms, measurement.pixels(self.tier) as f32);
        if self.stepped_up && self.count >= PROBATION {
            (self.stepped_up, self.dwell) = (false, DWELL);
        }
        // Written so that a budget of NaN is exceeded.
        let fits = ms <= self.budget_ms;
        self.overruns = if fits { 0 } else { self.overruns.saturating_add(1) };
        if self.overruns >= OVERRUNS
            && let Some(tier) = self.lower(&measurement)
        {
            if self.stepped_up {
                self.dwell = (self.dwell * 2).min(MAX_DWELL);
            }
            self.step_to(tier, ms, &measurement);
            return;
        }
        let higher = self.higher(&measurement).filter(|_| fits);
        self.fitting = if higher.is_some() { self.fitting.saturating_add(1) } else { 0 };
        if let Some(tier) = higher.filter(|_| self.fitting >= self.dwell) {
            self.step_to(tier, ms, &measurement);
        }
    }

    /// Returns the next tier down that saves anything, or one below that where the next will not do.
    fn lower(&self, now: &Measurement) -> Option<ResolutionTier> {
        let saves = |tier: &&ResolutionTier| **tier < self.tier && now.pixels(**tier) < now.pixels(self.tier);
        let mut lower = ResolutionTier::ALL.iter().rev().filter(saves);
        let next = *lower.next()?;
        let suffices = |tier| self.expected_ms(tier).is_some_and(|ms| ms <= self.budget_ms);
        if suffices(next) { Some(next) } else { lower.next().copied().or(Some(next)) }
    }

    /// Returns the highest tier that shows more than the one below it, and fits.
    fn higher(&self, now: &Measurement) -> Option<ResolutionTier> {
        let steps = ResolutionTier::ALL.windows(2).filter(|step| step[0] >= self.tier);
        let shows_more = steps.filter(|step| now.pixels(step[1]) > now.pixels(step[0])).map(|step| step[1]);
        let fits = |tier: &ResolutionTier| self.expected_ms(*tier).is_some_and(|ms| ms <= HEADROOM * self.budget_ms);
        shows_more.take_while(fits).last()
    }

    /// Returns what the frames in the window would have cost in another tier, in milliseconds.
    fn expected_ms(&self, tier: ResolutionTier) -> Option<f32> {
        self.median(|measurement| {
            let (mut ms, mut at) = (measurement.ms, measurement.tier as usize);
            while at != tier as usize {
                let next = if at < tier as usize { at + 1 } else { at - 1 };
                let [from, to] = [at, next].map(|tier| measurement.network_pixels[tier].max(1) as f32);
                ms *= (to / from).powf(self.exponents[at.min(next)]);
                at = next;
            }
            ms
        })
    }

    fn step_to(&mut self, tier: ResolutionTier, ms: f32, now: &Measurement) {
        self.left = Some((self.tier, ms, now.pixels(self.tier) as f32));
        self.stepped_up = tier > self.tier;
        self.tier = tier;
        self.window = [None; WINDOW];
        (self.count, self.overruns, self.fitting) = (0, 0, 0);
    }

    /// Learns the exponent from the first median after a step.
    fn learn(&mut self, ms: f32, pixels: f32) {
        let Some((left, left_ms, left_pixels)) = self.left.take() else { return };
        let ratio = (left_pixels / pixels).max(pixels / left_pixels);
        let exponent = (left_ms / ms).ln() / (left_pixels / pixels).ln();
        if ratio >= MIN_RATIO && exponent.is_finite() {
            let (low, high) = (left.min(self.tier) as usize, left.max(self.tier) as usize);
            self.exponents[low..high].fill(exponent.clamp(*EXPONENTS.start(), *EXPONENTS.end()));
        }
    }

    fn median(&self, value: impl Fn(&Measurement) -> f32) -> Option<f32> {
        let mut values = [f32::INFINITY; WINDOW];
        let mut count = 0;
        for (slot, measurement) in values.iter_mut().zip(self.window.iter().flatten()) {
            *slot = value(measurement);
            count += 1;
        }
        values[..count].sort_unstable_by(f32::total_cmp);
        values[..count].get(count / 2).copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::api::resolution::ResolutionTier::{High, Low, Medium};

    /// Frames between a measurement and its arrival.
    const LATENCY: usize = 3;

    struct Simulation {
        auto: AutoResolution,
        in_flight: VecDeque<Measurement>,
        random: u32,
        changes: u32,
    }

    impl Simulation {
        fn new(budget_ms: f32) -> Self {
            Self { auto: AutoResolution::new(budget_ms), in_flight: VecDeque::new(), random: 1, changes: 0 }
        }

        /// 0–1.
        fn random(&mut self) -> f32 {
            self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.random >> 8) as f32 / (1 << 24) as f32
        }

        /// Draws frames of a face of `face_px` pixels a side; `cost_ms` of a number of pixels.
        fn run(&mut self, frames: usize, face_px: u32, cost_ms: impl Fn(f32) -> f32) -> ResolutionTier {
            for _ in 0..frames {
                let network_pixels = ResolutionTier::ALL.map(|tier| face_px.min(tier.max_px()).pow(2));
                let tier = self.auto.tier();
                let ms = cost_ms(network_pixels[tier as usize] as f32);
                self.in_flight.push_back(Measurement { ms, tier, network_pixels });
                if self.in_flight.len() > LATENCY {
                    self.auto.record(self.in_flight.pop_front().unwrap());
                }
                self.changes += u32::from(self.auto.tier() != tier);
            }
            self.auto.tier()
        }

        /// As `run`, each frame up to `noise` (a share) cheaper or dearer, one in twenty five times as dear.
        fn run_noisy(
            &mut self,
            frames: usize,
            face_px: u32,
            noise: f32,
            cost_ms: impl Fn(f32) -> f32,
        ) -> ResolutionTier {
            for _ in 0..frames {
                let factor = 1.0 + noise * (2.0 * self.random() - 1.0);
                let factor = if self.random() < 0.05 { 5.0 } else { factor };
                self.run(1, face_px, |pixels| cost_ms(pixels) * factor);
            }
            self.auto.tier()
        }
    }

    /// 4 ms at 512².
    fn proportional(pixels: f32) -> f32 {
        pixels * 4.0 / (512.0 * 512.0)
    }

    #[test]
    fn holds_the_highest_tier_that_fits_and_steps_down_soon() {
        for (budget_ms, expected) in [(5.0, High), (2.0, Medium), (0.5, Low), (0.01, Low)] {
            let mut simulation = Simulation::new(budget_ms);
            assert_eq!(simulation.run(40, 600, proportional), expected, "{budget_ms} ms");
            let changes = simulation.changes;
            assert!(changes <= 1, "{budget_ms} ms: a tier that cannot do is skipped");
            assert_eq!(simulation.run(20_000, 600, proportional), expected, "{budget_ms} ms");
            assert_eq!(simulation.changes, changes, "{budget_ms} ms: stays");
        }
    }

    #[test]
    fn budgets_that_are_none_have_a_fixed_tier() {
        for (budget_ms, expected) in
            [(0.0, Low), (-1.0, Low), (f32::NAN, Low), (f32::NEG_INFINITY, Low), (f32::INFINITY, High)]
        {
            let mut simulation = Simulation::new(budget_ms);
            assert_eq!(simulation.run_noisy(5_000, 600, 0.5, proportional), expected, "{budget_ms}");
            assert!(simulation.changes <= 1, "{budget_ms}: {} changes", simulation.changes);
        }
    }

    #[test]
    fn single_slow_frames_and_noise_change_nothing() {
        let mut simulation = Simulation::new(5.0);
        assert_eq!(simulation.run_noisy(50_000, 600, 0.2, proportional), High);
        assert_eq!(simulation.changes, 0);
    }

    #[test]
    fn a_budget_at_the_very_cost_of_a_tier_does_not_oscillate() {
        // Each tier's cost, a little less and a little more than the budget, and as much as may make it step up.
        for share in [0.7, 0.78, 0.82, 0.97, 1.0, 1.03] {
            for pixels in [512.0_f32 * 512.0, 256.0 * 256.0] {
                let mut simulation = Simulation::new(proportional(pixels) / share);
                simulation.run_noisy(50_000, 600, 0.3, proportional);
                assert!(simulation.changes <= 4, "{share}: {} changes in 50,000 frames", simulation.changes);
            }
        }
    }

    #[test]
    fn load_that_comes_and_goes_steps_down_and_up_once() {
        let mut simulation = Simulation::new(5.0);
        assert_eq!(simulation.run_noisy(300, 600, 0.1, proportional), High);
        assert_eq!(simulation.run_noisy(300, 600, 0.1, |pixels| 3.0 * proportional(pixels)), Medium);
        assert_eq!(simulation.run_noisy(300, 600, 0.1, proportional), Medium, "4 ms is more than 80 % of the budget");
        assert_eq!(simulation.run_noisy(300, 600, 0.1, |pixels| 0.9 * proportional(pixels)), High);
        assert_eq!(simulation.changes, 2);
    }

    #[test]
    fn load_that_comes_with_every_step_up_is_given_up() {
        let mut simulation = Simulation::new(5.0);
        for _ in 0..50_000 {
            // The higher tier costs four times what the pixels let expect, in a way that no exponent can tell.
            let factor = if simulation.auto.tier() == High { 4.0 } else { 0.9 };
            simulation.run(1, 600, |pixels| factor * proportional(pixels));
        }
        assert!(simulation.changes <= 20, "{} changes", simulation.changes);
        assert_eq!(simulation.auto.tier(), Medium);
    }

    #[test]
    fn what_small_images_cost_is_learnt() {
        // Mostly latency: 1 ms of 1.6.
        let latency = |pixels: f32| 1.0 + pixels * 0.6 / (512.0 * 512.0);
        let mut simulation = Simulation::new(1.3);
        assert_eq!(simulation.run(100, 600, latency), Medium);
        assert!(simulation.auto.exponents[1] < 0.5, "{:?}", simulation.auto.exponents);
        // From the pixels alone, High would be expected at 4.2 ms.
        simulation.auto.set_budget(2.5);
        assert_eq!(simulation.run(10, 600, latency), High);
    }

    #[test]
    fn a_new_budget_is_held_at_once() {
        let mut simulation = Simulation::new(100.0);
        assert_eq!(simulation.run(50, 600, proportional), High);
        simulation.auto.set_budget(0.01);
        assert_eq!(simulation.run(25, 600, proportional), Low);
        simulation.run(20, 600, proportional);
        simulation.auto.set_budget(100.0);
        assert_eq!(simulation.run(10, 600, proportional), High);
    }

    #[test]
    fn a_face_that_comes_and_goes_follows_without_needless_steps() {
        let mut simulation = Simulation::new(2.0);
        for round in 0..20 {
            // 4 ms at 512², 2.25 at 384²; 1 at 256².
            for face_px in (64..=512).chain((64..=512).rev()) {
                simulation.run_noisy(2, face_px, 0.1, proportional);
            }
            if round == 9 {
                simulation.changes = 0;
            }
        }
        assert!(simulation.changes <= 20, "{} changes in ten rounds", simulation.changes);
    }

    #[test]
    fn a_tier_that_saves_nothing_is_not_chosen() {
        let mut simulation = Simulation::new(1.0);
        assert_eq!(simulation.run(1_000, 100, |_| 3.0), High, "the face is smaller than every tier");
        assert_eq!(simulation.run(1_000, 200, |_| 3.0), Low, "smaller than two of them");
        assert_eq!(simulation.run(1_000, 100, |_| 0.1), Low, "nothing to win");
        assert_eq!(simulation.run(1_000, 200, |_| 0.1), Medium, "enough for the face");
    }

    #[test]
    fn measurements_that_are_none_are_ignored() {
        let mut auto = AutoResolution::new(1.0);
        for ms in [f32::NAN, f32::INFINITY, -1.0] {
            for _ in 0..100 {
                auto.record(Measurement { ms, tier: High, network_pixels: [1, 2, 3] });
            }
        }
        for _ in 0..100 {
            auto.record(Measurement { ms: 9.0, tier: Low, network_pixels: [1, 2, 3] });
        }
        assert_eq!((auto.tier(), auto.ms()), (High, None));
        for _ in 0..100 {
            auto.record(Measurement { ms: 0.0, tier: High, network_pixels: [0; 3] });
        }
        assert_eq!((auto.tier(), auto.ms()), (High, Some(0.0)));
    }
}
