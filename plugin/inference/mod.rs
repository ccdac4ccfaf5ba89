//! The network on the GPU: from a graph to a plan, and from a plan to dispatches.

pub mod executor;
pub(crate) mod fusion;
pub mod layer;
pub mod model;
pub mod plan;
pub mod planes;
mod scratch;
pub mod scratch_memory;
#[cfg(test)]
mod test_networks;
pub mod texels;
pub mod variant;
pub mod weight_layout;
