//! Trains the weights of Portrait Realism.
//!
//! The journey of a weight: [`dataset`] reads pairs of *first rendered image* and *reference image*, [`batch`] cuts
//! and varies them ([`light_groups`] lights them anew), [`train`](mod@train) fits the generator of [`model`] (built from [`portrait_network::Spec`]) with
//! the losses of [`loss`] and the critic of [`critic`], [`evaluate`](mod@evaluate) measures the *second rendered
//! image*, and [`export`] writes the weights file that the plugin reads.
//!
//! [`workers`] lets several replicas train as one. Everything is generic over Burn's backend; [`backend`] names the one
//! that the command line uses.

pub mod backend;
pub mod batch;
pub mod checkpoint;
pub mod conv;
pub mod convergence;
pub mod critic;
pub mod dataset;
pub mod evaluate;
pub mod export;
pub mod flip_loss;
pub mod light_groups;
pub mod loss;
pub mod lut;
pub mod metrics;
pub mod model;
pub mod picture;
pub mod report;
mod run_folder;
pub mod tone_tables;
pub mod toy;
pub mod train;
pub mod trainer;
pub mod validate;
pub mod workers;

pub use portrait_files::{config, seeds};
