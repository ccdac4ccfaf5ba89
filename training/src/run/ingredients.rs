//! The files that a run starts with besides its config and its pairs: weights of another run, and the features that L_P compares.

use std::path::Path;

use portrait_files::config::Config;
use portrait_files::manifest::Fingerprint;
use portrait_files::weights;
use portrait_network::{Graph, Layer, Model, Spec};

use super::checkpoint::Progress;
use super::error::TrainError;
use super::options::{Start, TrainOptions};
use crate::networks::MobileNetWeights;

/// Files that are read before a run begins.
pub struct Ingredients {
    /// Weights to start from, with the SHA-256 of their file, hexadecimal.
    pub init: Option<(Model, String)>,
    /// Weights of the network whose features L_P compares.
    pub perceptual: Option<MobileNetWeights>,
}

impl Ingredients {
    /// Reads what the options name and the config asks for.
    ///
    /// # Errors
    /// Fails when a file cannot be read, the weights are of another network than the config's, or features are asked for and not named.
    pub fn read(options: &TrainOptions, graph: &Graph) -> Result<Self, TrainError> {
        let init = match options.start {
            Start::From(path) => Some(read_init(path, graph)?),
            Start::Random | Start::Resume => None,
        };
        Ok(Self { init, perceptual: read_features(options.perceptual, options.config.config())? })
    }

    /// Checks that a run that goes on compares the features that it has compared so far.
    ///
    /// # Errors
    /// Fails when the file is another one.
    pub fn check_resumed(&self, progress: &Progress, checkpoint: &Path) -> Result<(), TrainError> {
        let found = self.perceptual.as_ref().map(|features| &features.sha256);
        match (&progress.perceptual_sha256, found) {
            (Some(expected), Some(found)) if expected != found => Err(TrainError::OtherFeatures {
                path: checkpoint.into(),
                expected: expected.clone(),
                found: found.clone(),
            }),
            _ => Ok(()),
        }
    }
}

fn read_init(path: &Path, graph: &Graph) -> Result<(Model, String), TrainError> {
    let (content, model) = weights::load_with_content(path)?;
    match difference(graph.spec(), model.graph().spec()) {
        Some(difference) => Err(TrainError::OtherNetwork { path: path.into(), difference }),
        None => Ok((model, Fingerprint::of(&content).sha256)),
    }
}

fn read_features(path: Option<&Path>, config: &Config) -> Result<Option<MobileNetWeights>, TrainError> {
    let perceptual = &config.loss.perceptual;
    if perceptual.weight == 0.0 {
        return Ok(None);
    }
    let path = path.ok_or(TrainError::NoFeatures)?;
    let count = perceptual.layers.last().map_or(0, |last| last + 1);
    Ok(Some(MobileNetWeights::load(path, count)?))
}

/// Says where two networks differ in more than their names.
fn difference(expected: &Spec, found: &Spec) -> Option<String> {
    if expected.inputs != found.inputs {
        return Some(format!("`inputs` is {:?}: expected {:?}", found.inputs, expected.inputs));
    }
    let mut layers = expected.layers.iter().zip(&found.layers);
    if let Some((expected, found)) = layers.find(|(expected, found)| expected != found) {
        let text = |layer: &Layer| serde_json::to_string(layer).unwrap_or_default();
        return Some(format!("layer `{}` is {}: expected {}", found.name, text(found), text(expected)));
    }
    let [expected, found] = [expected.layers.len(), found.layers.len()];
    (expected != found).then(|| format!("it has {found} layers: expected {expected}"))
}
