//! From pairs on disk to training batches: [`read`] loads pairs, [`batch`] cuts varied crops out of them, [`relight`] shows a
//! crop under another light, and [`toy`] makes procedural pairs.

pub mod batch;
pub mod crop;
mod error;
pub mod light_groups;
pub mod looks;
pub mod pair;
pub mod read;
pub mod relight;
pub mod tone_tables;
pub mod toy;

pub use batch::{Batch, BatchTensors, WeightTable, crops, draw_crops, whole};
pub use error::DatasetError;
pub use pair::{FACE_MASK, Pair};
