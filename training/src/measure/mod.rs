//! Figures of one image against its reference: [`scores`] of closeness, the difference of two colours ([`color`]), how still a
//! clip holds ([`warping`]), and the quick [`validation`] of a run.

pub mod color;
pub mod scores;
pub mod validation;
pub mod warping;

pub use scores::{Comparison, Scores, compare, mean};
pub use validation::{Validation, second_image, validate};
