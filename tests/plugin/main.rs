//! Tests of the plugin on a real device. Any Vulkan device serves, lavapipe too; without a device the tests fail.
#![allow(clippy::expect_used)]

mod churn;
mod common;
mod composing;
mod controls;
mod counting;
mod edge_cases;
mod exclusion;
mod faces;
mod frame;
mod golden;
mod history;
mod idle;
mod kernel_trial;
mod kernels;
mod log;
mod lost_device;
mod marking;
mod measured;
mod own_head;
mod own_weights;
mod reload;
mod remote;
mod resolution;
mod rigs;
mod scene;
mod scenes;
mod setups;
mod shaders;
mod sight;
mod silence;
mod soak;
mod stage;
mod steady;
mod support;
mod survival;
mod turning;
mod weights;

#[path = "../../examples/common/mod.rs"]
mod examples;
#[path = "../../benches/turning.rs"]
mod turning_head;
