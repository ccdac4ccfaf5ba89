//! The plugin on a real device. Any Vulkan device serves, lavapipe too; without one these tests fail.

mod common;
mod frame;
mod kernels;
mod shaders;
mod weights;
mod bench_tmp;
