//! The two networks in Burn: the [`generator`], which makes the *second rendered image*, and its [`critic`]. Both are made of
//! [`conv`]olutions.

pub mod conv;
pub mod critic;
pub mod generator;

pub use conv::values;
pub use critic::Critic;
pub use generator::Generator;
