//! The single definition of Portrait Realism's network.
//!
//! Everything that runs, trains or stores the network is built from this crate, which knows no Bevy, no wgpu and no
//! Burn: [`Spec`] says what the network *is*, [`Model`] is a spec with weights and provenance (one safetensors
//! file, read from and written to bytes), [`pack`] orders weights for the GPU, [`transfer`] normalises inputs and outputs, [`layers`] tells a residual's base layer from its detail layer,
//! and [`reference`](mod@reference) is the slow, obvious forward pass that referees the others.
//!
//! Tensors are `[C, H, W]` (planar, row-major) `f32` unless said otherwise.

mod graph;
pub mod layers;
pub mod pack;
mod presets;
pub mod reference;
mod spec;
pub mod transfer;
mod weights;

pub use graph::{ConvShape, Graph, MAX_CHANNELS, MAX_DOWNSCALE, MAX_LAYERS, Node, Source, SpecError};
pub use spec::{Activation, Layer, Op, Plane, Spec, Upsampling};
pub use weights::{ConvWeights, Dtype, MAX_FILE_BYTES, Model, Provenance, Recommended, WeightsError};
