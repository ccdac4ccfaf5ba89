//! The code that examples share, for their start and the demo scene. Nothing in it is needed to use the plugin.
// Each example uses only a part of this module.
#![allow(dead_code)]

pub mod demo;
pub mod measured;
pub mod start;
pub mod windowless;
