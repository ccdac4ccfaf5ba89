//! The plugin on a real device. Any Vulkan device serves, lavapipe too; without one these tests fail.
#![allow(clippy::expect_used)]

mod common;
mod controls;
mod counting;
mod edge_cases;
mod exclusion;
mod faces;
mod frame;
mod golden;
mod history;
mod kernels;
mod marking;
mod quality;
mod scene;
mod shaders;
mod stage;
mod steady;
mod tuning;
mod weights;
