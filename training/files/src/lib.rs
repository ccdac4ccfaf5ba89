//! The files between head_studio, `portrait_dataset` and `portrait_training`: scenes, pairs, their images, weights, and the
//! configs of training runs.
//!
//! Such files come from other machines and other people. Nothing here trusts one: sizes are bounded before memory is
//! asked for, a name in a manifest stays within its folder, every number is in its range, and whatever is wrong is an
//! error that names the file, what was expected and what was found. The crate knows no Bevy and no Burn, so that all of it
//! can be fuzzed (`fuzz/`).
//!
//! The general tools for files live here too, once: [`bounded`] reading, [`atomic`] writing, and the [`lock`] of a folder.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod atomic;
pub mod background;
pub mod bounded;
pub mod config;
mod error;
pub mod folder;
pub mod linear_image;
pub mod lock;
pub mod manifest;
pub mod name;
pub mod pair_image;
pub mod pixels;
pub mod rendering;
pub mod scene;
pub mod seeds;
mod sniff;
pub mod text;
pub mod weights;

pub use error::FileError;
