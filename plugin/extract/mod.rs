//! Extraction from the main world into the render world, and the reports that go back.

pub(crate) mod bounds;
pub(crate) mod cameras;
pub(crate) mod canvases;
pub(crate) mod exclusion;
pub(crate) mod faces;
pub(crate) mod overlays;
pub(crate) mod prepasses;
pub(crate) mod reports;
