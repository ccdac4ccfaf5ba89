//! The two networks in Burn: the [`generator`], which makes the *second rendered image*, and its [`critic`]. Both are made of
//! [`conv`]olutions. A third one, [`mobilenet`], is not trained: its features are compared.

pub mod conv;
pub mod critic;
pub mod generator;
pub mod mobilenet;
pub mod mobilenet_file;

pub use conv::values;
pub use critic::Critic;
pub use generator::Generator;
pub use mobilenet::MobileNet;
pub use mobilenet_file::{MobileNetError, MobileNetWeights};
