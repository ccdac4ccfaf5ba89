//! Tests of the trainer, in one program: Burn is compiled and linked once. Those that measure memory (`hostile`) or need a GPU (`vulkan`) are
//! programs of their own.
#![allow(clippy::unwrap_used)]

mod bad_inputs;
mod blind;
mod columns;
mod critics;
mod doubtful_pairs;
mod export;
mod kills;
mod networks;
mod other_tools;
mod perceptual;
mod smoke;
mod start;
mod steady;
mod workers;

#[path = "../common/mod.rs"]
mod common;
