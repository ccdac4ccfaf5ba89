//! Trains the weights of Portrait Realism.
//!
//! A weight's journey is the order of the rooms: `data` reads pairs of *first rendered image* and *reference image* and cuts
//! varied crops out of them; `networks` holds the generator, built from [`portrait_network::Spec`], and its critic; `losses`
//! judges the *second rendered image*; `run` trains ([`train`]); `measure` has the figures of single images, and `evaluate`
//! those of whole data sets ([`evaluate`]) and pairs for judges ([`blind`]); `export` writes the weights file that the plugin
//! reads ([`export`]).
//!
//! Everything is generic over Burn's backend; [`backend`] names the one that the command line uses.

pub mod backend;
mod commit;
mod data;
mod evaluate;
mod export;
mod losses;
mod measure;
mod networks;
mod picture;
mod run;

pub use data::toy;
pub use evaluate::{
    BlindError, BlindOptions, BlindScores, Column, EvaluateError, EvaluateOptions, PhotographsOptions, Report, Source,
    SourceScore, blind, evaluate, unseal,
};
pub use export::{ExportError, averaged, describe, export, last_averaged};
pub use networks::Generator;
pub use run::{Event, Losses, Start, Summary, TrainError, TrainOptions, train};

/// Items that this crate's tests look into. They change without notice.
#[doc(hidden)]
pub mod internals {
    pub use crate::data::{Batch, DatasetError, Pair, read};
    pub use crate::losses::{gradient_penalty, penalty_of, perceptual_loss};
    pub use crate::measure::Validation;
    pub use crate::networks::{Critic, MobileNet, MobileNetWeights, values};
    pub use crate::run::checkpoint;
    pub use crate::run::trainer::{Rejection, Trainer};
    pub use crate::run::workers::Worker;
}
