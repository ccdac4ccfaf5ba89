//! A training run: [`train`] starts it, its main loop takes the steps of a [`trainer`], and [`checkpoint`]s keep what it has
//! learnt. [`workers`] let several replicas train as one.

pub mod checkpoint;
mod convergence;
mod error;
mod folder;
mod gradients;
mod ingredients;
mod main_loop;
mod options;
mod report;
mod train;
pub mod trainer;
pub mod workers;

pub use error::TrainError;
pub use options::{Start, TrainOptions};
pub use report::{Event, Losses, Summary};
pub use train::train;
