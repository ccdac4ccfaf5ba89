//! The stages of a region before and after the network. Each stage is one file here and one shader of the same name in
//! `shaders/stages/`: its key, its bind-group layout, its shader definitions and what it binds stand side by side.

pub mod base_layer;
pub(crate) mod bind_groups;
pub mod composite;
pub(crate) mod copy;
pub mod keep_depth;
pub mod pack;
pub mod region_uniform;
pub(crate) mod resources;
pub mod shape;
