//! Renders the *first rendered image* and its G-buffer with Bevy, pixel for pixel aligned with the path-traced
//! *reference image* that head_studio made, and shows the reference through the same tone mapping.
//!
//! A seed's folder holds a scene (`scene.glb`, `scene.json`, `reference.exr`, `mask.png`, `done.json`); [`pair::make`]
//! adds `first.png`, `reference.png`, `normal.png`, `depth.png`, maybe `light_groups.safetensors`, and, last, `pair.json`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod calibrate;
pub mod cameras;
pub mod claim;
mod environment;
mod error;
pub mod light_groups;
pub mod lights;
pub mod mipmaps;
pub mod pair;
pub mod readback;
pub mod rendering;
pub mod seeds;
pub mod sheet;
pub mod studio;
pub mod tone_tables;
pub mod verify;

pub use error::DatasetError;
pub use portrait_files::{FileError, background, linear_image, manifest, scene};
