//! Extraction from the main world into the render world, and the reports that go back.

pub(crate) mod boundless;
pub(crate) mod cameras;
pub(crate) mod canvases;
pub(crate) mod exclusion;
pub(crate) mod faces;
pub(crate) mod measure;
pub(crate) mod overlays;
pub(crate) mod parts;
pub(crate) mod reports;
pub(crate) mod scene;
pub(crate) mod scene_roots;
pub(crate) mod sight;
