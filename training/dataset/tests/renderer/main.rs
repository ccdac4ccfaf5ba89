//! Tests of the renderer of first images, in one program: Bevy is linked once. They need a Vulkan device; lavapipe serves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod kills;
mod light;
mod light_groups;
mod pairs;
