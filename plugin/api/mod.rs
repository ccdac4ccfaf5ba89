//! The interface for game developers: components, assets and resources. Nothing here knows the renderer's resources.

pub(crate) mod kernels;
pub(crate) mod model;
pub(crate) mod plugin;
pub(crate) mod resolution;
pub(crate) mod settings;
pub(crate) mod status;
pub(crate) mod support;
