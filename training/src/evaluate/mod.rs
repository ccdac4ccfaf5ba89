//! Measures weights on pairs that they were not trained on, beside two peers: doing nothing and a colour grade ([`lut`]).

mod evaluation;
mod html;
mod likeness;
mod lut;
mod measured;
mod options;
mod photographs;
mod report;
mod summary;
mod tool;

pub use evaluation::evaluate;
pub use options::{EvaluateError, EvaluateOptions};
pub use photographs::PhotographsOptions;
pub use report::Report;
