//! Turns a checkpoint into the weights file that the plugin reads, and describes such a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use portrait_files::weights::{self, WeightsFileError};
use portrait_network::{Dtype, Model, Op, Provenance};
use thiserror::Error;

use crate::run::checkpoint::{self, CheckpointError};

/// An error of exporting weights.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The weights cannot be written.
    #[error(transparent)]
    Weights(#[from] WeightsFileError),
}

/// Writes the averaged weights of a checkpoint, or of a run's best one, to `out` and returns the checkpoint used.
///
/// # Errors
/// Fails when there is no checkpoint, or `out` exists and `overwrite` is false.
pub fn export(checkpoint: &Path, out: &Path, dtype: Dtype, overwrite: bool) -> Result<PathBuf, ExportError> {
    let (model, checkpoint) = averaged(checkpoint)?;
    weights::save(&model, out, dtype, overwrite)?;
    Ok(checkpoint)
}

/// Reads the averaged weights of a run's last checkpoint with their provenance, and returns the checkpoint used.
///
/// # Errors
/// Fails when there is no checkpoint.
pub fn last_averaged(run: &Path) -> Result<(Model, PathBuf), ExportError> {
    averaged(&checkpoint::newest(run)?)
}

/// Reads the averaged weights of a checkpoint, or of a run's best one, with their provenance, and returns the checkpoint used.
///
/// # Errors
/// Fails when there is no checkpoint.
pub fn averaged(checkpoint: &Path) -> Result<(Model, PathBuf), ExportError> {
    let checkpoint = checkpoint::find(checkpoint)?;
    let snapshot = checkpoint::snapshot(&checkpoint)?;
    let metrics = snapshot.progress.validation.map_or_else(BTreeMap::new, |validation| {
        BTreeMap::from([
            ("validation_step".into(), validation.step as f64),
            ("validation_weighted_l1".into(), validation.weighted_l1),
            ("validation_face_l1".into(), validation.face_l1),
            ("validation_first_face_l1".into(), validation.first_face_l1),
            ("validation_face_sharpness".into(), validation.face_sharpness),
        ])
    });
    let mut model = snapshot.model;
    model.provenance = Provenance {
        config_sha256: snapshot.config.sha256(),
        commit: snapshot.progress.commit,
        data_seeds: snapshot.config.config().data.train_seeds.to_string(),
        steps: snapshot.step,
        metrics,
    };
    Ok((model, checkpoint))
}

/// Describes a weights file for people: network, layers, cost, provenance and recommended settings.
pub fn describe(model: &Model) -> String {
    let (graph, provenance) = (model.graph(), &model.provenance);
    let spec = graph.spec();
    let mut text = format!("network {}, inputs {:?}\n\n", spec.name, spec.inputs);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:<14} {:<46} {:>9} {:>8} {:>10}", "layer", "operation", "channels", "grid", "parameters");
    for (index, (layer, node)) in spec.layers.iter().zip(graph.nodes()).enumerate() {
        let conv = graph.convs().find(|conv| conv.layer == index);
        let parameters = conv.map_or(0, |conv| conv.weight_count() + conv.out_channels);
        let operation = match layer.op {
            Op::Conv { kernel, stride, activation, .. } => {
                format!("conv {kernel}×{kernel} stride {stride} {activation:?}")
            }
            op => format!("{op:?}"),
        };
        let channels = format!("{}→{}", node.in_channels, node.channels);
        let grid = format!("1/{}", node.downscale);
        let _ = writeln!(text, "{:<14} {operation:<46} {channels:>9} {grid:>8} {parameters:>10}", layer.name);
    }
    let _ = writeln!(
        text,
        "\n{} parameters, {:.0} MAC per pixel, receptive field {} px, alignment {} px",
        graph.parameter_count(),
        graph.macs_per_px(),
        graph.receptive_field_px(),
        graph.alignment_px()
    );
    let known = |text: &str| if text.is_empty() { "unknown".to_string() } else { text.to_string() };
    let _ = writeln!(
        text,
        "trained for {} steps on seeds {}\nconfig sha256 {}\ncommit {}",
        provenance.steps,
        known(&provenance.data_seeds),
        known(&provenance.config_sha256),
        known(&provenance.commit)
    );
    for (name, value) in &provenance.metrics {
        let _ = writeln!(text, "{name} {value}");
    }
    let _ = writeln!(text, "recommended: base {}, detail {}", model.recommended.base, model.recommended.detail);
    text
}
