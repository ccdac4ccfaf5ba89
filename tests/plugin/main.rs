//! The plugin on a real device. Any Vulkan device serves, lavapipe too; without one these tests fail.
#![allow(clippy::expect_used)]

mod churn;
mod common;
mod controls;
mod counting;
mod edge_cases;
mod exclusion;
mod faces;
mod frame;
mod golden;
mod history;
mod idle;
mod kernels;
mod lost_device;
mod marking;
mod measured;
mod quality;
mod reload;
mod remote;
mod scene;
mod setups;
mod shaders;
mod soak;
mod stage;
mod steady;
mod support;
mod survival;
mod tuning;
mod turning;
mod weights;

#[path = "../../examples/common/mod.rs"]
mod examples;
#[path = "../../benches/turning.rs"]
mod turning_head;
