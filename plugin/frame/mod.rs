//! One frame in the render world: what is prepared for each camera, and the commands that are recorded.

pub(crate) mod bind;
pub(crate) mod gpu;
pub(crate) mod prepare;
pub(crate) mod record;
pub(crate) mod replace;
pub mod state;
pub(crate) mod uniforms;
pub mod view;
pub(crate) mod warm;
