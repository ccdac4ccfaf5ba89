//! Promises that hold for every input, however broken: asserted on each input by the fuzz targets, and on their corpus by
//! `corpus.rs`.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by binaries that each use a part")]

use portrait_network::{Dtype, MAX_CHANNELS, MAX_DOWNSCALE, MAX_LAYERS, Model, Source, Spec};

/// Checks that a weights file is refused in words, or is a model of finite weights and settings in their range that survives
/// being written and read again.
/// Returns whether it is a model.
pub fn weights(content: &[u8]) -> bool {
    match Model::from_bytes(content) {
        Ok(model) => {
            let mut weights = model.convs().iter().flat_map(|conv| conv.weight.iter().chain(&conv.bias));
            assert!(weights.all(|value| value.is_finite()));
            assert!(
                [model.recommended.base, model.recommended.detail].iter().all(|factor| (0.0..=2.0).contains(factor))
            );
            let again = Model::from_bytes(&model.to_bytes(Dtype::F32).unwrap()).unwrap();
            assert_eq!((again.graph(), again.convs()), (model.graph(), model.convs()));
            assert_eq!(again.recommended, model.recommended);
            true
        }
        Err(error) => {
            assert!(error.to_string().len() > 10);
            false
        }
    }
}

/// Checks that a spec in JSON, as it stands in a weights file's header, is refused in words, or is a graph in which every layer
/// reads earlier layers and every number is in its range. Returns whether it is a graph.
pub fn spec(content: &[u8]) -> bool {
    let Ok(spec) = serde_json::from_slice::<Spec>(content) else { return false };
    match spec.validate() {
        Ok(graph) => {
            assert!((1..=MAX_LAYERS).contains(&graph.nodes().len()));
            for (index, node) in graph.nodes().iter().enumerate() {
                assert!((1..=MAX_CHANNELS).contains(&node.channels) && (1..=MAX_DOWNSCALE).contains(&node.downscale));
                assert!(node.sources.iter().all(|source| !matches!(source, Source::Layer(layer) if *layer >= index)));
            }
            assert!(graph.receptive_field_px() >= 1 && graph.macs_per_px().is_finite());
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
            true
        }
        Err(error) => {
            assert!(error.to_string().len() > 10);
            false
        }
    }
}
