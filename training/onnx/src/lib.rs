//! The network as an ONNX file, for runtimes other than the plugin: opset 17, 32-bit floats.
//!
//! - Input `planes`, `[1, C, H, W]` in natural units (see [`portrait_network::Plane`]). H and W are free, in multiples of
//!   [`Graph::alignment_px`](portrait_network::Graph::alignment_px): repeat edge pixels to get there, and crop the output.
//! - Output `second`, the *second rendered image* `[1, 3, H, W]`, display-referred sRGB, not clamped.
//!
//! Layers keep their names. The tests run the file and compare it with [`portrait_network::reference`].

mod graph;
mod proto;

pub use graph::encode;
