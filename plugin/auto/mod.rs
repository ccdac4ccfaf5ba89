//! The resolution of each camera: fixed, or as high as a time allows.

pub(crate) mod controller;
pub(crate) mod gpu_timer;
pub(crate) mod tiers;
