//! Measures weights on pairs that they were not trained on, beside three peers: doing nothing, a colour grade ([`lut`]), and a tone
//! curve with sharpening ([`sharpen`]); and shows them to judges as blind pairs.

mod blind;
mod evaluation;
mod facts;
mod html;
mod likeness;
mod lut;
mod measured;
mod options;
mod photographs;
mod reason;
mod report;
mod sharpen;
mod summary;
mod tool;

pub use blind::{BlindError, BlindOptions, BlindScores, SourceScore, blind, unseal};
pub use evaluation::evaluate;
pub use facts::Source;
pub use options::{EvaluateError, EvaluateOptions};
pub use photographs::PhotographsOptions;
pub use report::{Column, Report};
