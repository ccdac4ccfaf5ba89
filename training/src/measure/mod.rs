//! Figures of one image against its reference: [`scores`] of closeness, the difference of two colours ([`color`]), where the
//! [`eyes`] are, how still a clip holds ([`warping`]), the [`frame`] that both read, and the quick [`validation`] of a run.

pub mod color;
pub mod eyes;
pub mod frame;
pub mod scores;
pub mod validation;
pub mod warping;

pub use scores::{Comparison, Scores, compare, mean, sharpness_ratio};
pub use validation::{Validation, second_image, validate};
