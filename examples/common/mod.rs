//! What the examples share: how they start, and the demo scene. Nothing here is needed to use the plugin.
// Each example uses another part.
#![allow(dead_code)]

pub mod demo;
pub mod measured;
pub mod start;
pub mod windowless;
