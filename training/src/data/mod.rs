//! From pairs on disk to training batches: [`read`] loads pairs, [`doubts`] says what is probably wrong with them, [`batch`] cuts
//! varied crops out of them, [`relight`] shows a crop under another light, and [`toy`] makes procedural pairs.

mod alignment;
pub mod batch;
pub mod crop;
mod doubt;
pub mod doubts;
mod encoding;
mod error;
mod exchange;
mod g_buffer;
pub mod light_groups;
mod listing;
pub mod looks;
pub mod pair;
pub mod read;
pub mod relight;
pub mod tone_tables;
pub mod toy;

pub use batch::{Batch, BatchTensors, WeightTable, crops, draw_crops, whole};
pub use error::DatasetError;
pub use pair::{FACE_MASK, Pair};
