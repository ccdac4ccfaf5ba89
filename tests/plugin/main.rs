//! The plugin on a real device. Any Vulkan device serves, lavapipe too; without one these tests fail.
#![allow(clippy::expect_used)]

mod alone;
mod common;
mod counting;
mod edge_cases;
mod frame;
mod golden;
mod idle;
mod kernels;
mod measured;
mod quality;
mod reload;
mod remote;
mod setups;
mod shaders;
mod stage;
mod steady;
mod support;
mod tuning;
mod weights;
