//! Which kernels run, and how a device comes to have compiled them before a frame uses them.

pub(crate) mod memory;
pub(crate) mod start;
pub(crate) mod trial;
pub mod warm_up;
pub(crate) mod workbench;
