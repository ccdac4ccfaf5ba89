//! A network with its weights, and the safetensors file that holds both.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use half::f16;
use safetensors::tensor::{SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Graph, Spec, SpecError};

/// Maximum size of a weights file, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;
const FORMAT: &str = "1";
const FORMAT_KEY: &str = "portrait_network.format";
const SPEC_KEY: &str = "portrait_network.spec";
const PROVENANCE_KEY: &str = "portrait_network.provenance";
const RECOMMENDED_KEY: &str = "portrait_network.recommended";

/// A network that can run: a validated spec, finite weights of the right shape, their origin and recommended settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    graph: Graph,
    convs: Vec<ConvWeights>,
    /// Origin of the weights.
    pub provenance: Provenance,
    /// Settings that the maker of the weights recommends.
    pub recommended: Recommended,
}

/// The weights of one convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvWeights {
    /// Weights `[out, in, kernel, kernel]`, row-major.
    pub weight: Vec<f32>,
    /// Biases `[out]`.
    pub bias: Vec<f32>,
}

/// The origin of weights, saved in the file's header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// SHA-256 of the training config, hexadecimal.
    pub config_sha256: String,
    /// Commit of the code that trained them.
    pub commit: String,
    /// Seeds of the training data, for example `0..160`.
    pub data_seeds: String,
    /// Number of training steps.
    pub steps: u64,
    /// Figures on the validation set, by name.
    pub metrics: BTreeMap<String, f64>,
}

/// Settings with which weights look best in their maker's judgement, saved in the file's header. A renderer takes them where its
/// user sets nothing. A file without the entry, and an entry without a field, recommend the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recommended {
    /// Factor of the residual's base layer (broad light and colour), 0–2. Default 1: as the network gives it.
    pub base: f32,
    /// Factor of the residual's detail layer (texture and edges), 0–2. Default 1: as the network gives it.
    pub detail: f32,
}

impl Recommended {
    /// Largest factor of a layer.
    pub const MAX: f32 = 2.0;

    fn check(self) -> Result<Self, WeightsError> {
        for (name, value) in [("base", self.base), ("detail", self.detail)] {
            if !(0.0..=Self::MAX).contains(&value) {
                return Err(WeightsError::Recommended { name, value });
            }
        }
        Ok(self)
    }
}

impl Default for Recommended {
    fn default() -> Self {
        Self { base: 1.0, detail: 1.0 }
    }
}

/// The type in which weights are stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Single precision: 4 bytes each, exact.
    F32,
    /// Half precision: 2 bytes each, rounded to nearest.
    F16,
}

/// An error of reading or writing weights.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened or read. This crate takes bytes; whoever reads the file reports it so.
    #[error("weights file {path}: {source}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file is larger than any network that fits [`crate::Graph`]'s bounds.
    #[error("weights of {found} bytes: expected at most {MAX_FILE_BYTES}; this is no Portrait Realism weights file")]
    TooLarge {
        /// Size found, in bytes.
        found: u64,
    },
    /// The file is no safetensors file, or a truncated one.
    #[error("not a whole safetensors file ({found_bytes} bytes): {source}; copy or export it again")]
    Container {
        /// Size found, in bytes.
        found_bytes: usize,
        /// Error of the reader.
        source: safetensors::SafeTensorError,
    },
    /// The header lacks an entry that `portrait-train export` writes.
    #[error("header has no `{key}`: expected a file written by `portrait-train export`")]
    Metadata {
        /// Name of the entry.
        key: &'static str,
    },
    /// The file was written by another version.
    #[error("weights file format {found:?}: expected {FORMAT:?}; export the weights again with this version")]
    Format {
        /// Version found.
        found: String,
    },
    /// An entry of the header is not the JSON it should be.
    #[error("header entry `{key}` is not valid: {source}")]
    Json {
        /// Name of the entry.
        key: &'static str,
        /// Error of the reader.
        source: serde_json::Error,
    },
    /// A recommended setting is outside its range.
    #[error(
        "recommended `{name}` is {value}: expected 0 to {}, where 1 is the residual as the network gives it",
        Recommended::MAX
    )]
    Recommended {
        /// Name of the setting.
        name: &'static str,
        /// Value found.
        value: f32,
    },
    /// The spec in the header is not a network.
    #[error("the network in the header is not valid: {0}")]
    Spec(#[from] SpecError),
    /// A tensor that the spec names is missing.
    #[error("tensor `{name}` is missing: expected shape {expected:?}")]
    Missing {
        /// Name of the tensor.
        name: String,
        /// Shape of the tensor by the spec.
        expected: Vec<usize>,
    },
    /// A tensor belongs to no layer.
    #[error("tensor `{name}` belongs to no layer of the network in the header")]
    Unexpected {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor has another shape than the spec says.
    #[error("tensor `{name}`: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Shape of the tensor by the spec.
        expected: Vec<usize>,
        /// Shape of the tensor in the file.
        found: Vec<usize>,
    },
    /// A tensor has a type other than F32 and F16.
    #[error("tensor `{name}`: expected F32 or F16, found {found}")]
    Type {
        /// Name of the tensor.
        name: String,
        /// Type of the tensor in the file.
        found: String,
    },
    /// A figure is NaN or infinite, which the file's header cannot hold.
    #[error("metric `{name}` is {value}: expected a finite number, the only ones that the header holds")]
    Metric {
        /// Name of the figure.
        name: String,
        /// Value found.
        value: f64,
    },
    /// A weight is too large for half precision.
    #[error("tensor `{name}` holds {value} at {index}: expected at most ±65504, the largest in f16; write it as f32")]
    Range {
        /// Name of the tensor.
        name: String,
        /// Position in the tensor, in row-major order.
        index: usize,
        /// Value found.
        value: f32,
    },
    /// A weight is NaN or infinite.
    #[error(
        "tensor `{name}` holds {value} at {index}: expected finite numbers; the training run diverged or the file is damaged"
    )]
    NonFinite {
        /// Name of the tensor.
        name: String,
        /// Position in the tensor, in row-major order.
        index: usize,
        /// Value found.
        value: f32,
    },
}

impl Model {
    /// Makes a model from weights in the order of the graph's convolutions, with default recommended settings.
    ///
    /// # Errors
    /// Fails with a tensor that is missing, of another length or not finite.
    pub fn new(graph: Graph, convs: Vec<ConvWeights>, provenance: Provenance) -> Result<Self, WeightsError> {
        let mut given = convs.iter();
        for shape in graph.convs() {
            let expected = vec![shape.out_channels, shape.in_channels, shape.kernel, shape.kernel];
            let name = |part: &str| format!("{}.{part}", shape.name);
            let Some(conv) = given.next() else {
                return Err(WeightsError::Missing { name: name("weight"), expected });
            };
            check(name("weight"), &conv.weight, expected)?;
            check(name("bias"), &conv.bias, vec![shape.out_channels])?;
        }
        if given.next().is_some() {
            return Err(WeightsError::Unexpected { name: format!("convolution {}", graph.convs().count()) });
        }
        Ok(Self { graph, convs, provenance, recommended: Recommended::default() })
    }

    /// Makes a model of He-initialised weights from a seed, for tests, benchmarks and as a place to start.
    pub fn random(graph: Graph, seed: u64) -> Self {
        let mut state = seed;
        // SplitMix64 (Steele et al. 2014), to −1–1.
        let mut uniform = move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
        };
        let convs = graph
            .convs()
            .map(|shape| {
                let bound = (6.0 / (shape.in_channels * shape.kernel * shape.kernel) as f32).sqrt();
                ConvWeights {
                    weight: (0..shape.weight_count()).map(|_| uniform() * bound).collect(),
                    bias: (0..shape.out_channels).map(|_| uniform() * 0.1).collect(),
                }
            })
            .collect();
        Self { graph, convs, provenance: Provenance::default(), recommended: Recommended::default() }
    }

    /// Returns the network.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the weights in the order of [`Graph::convs`].
    pub fn convs(&self) -> &[ConvWeights] {
        &self.convs
    }

    /// Reads a weights file that is in memory.
    ///
    /// # Errors
    /// Fails with the first thing that is missing, truncated, of another shape or type, or not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(WeightsError::TooLarge { found: bytes.len() as u64 });
        }
        let container = |source| WeightsError::Container { found_bytes: bytes.len(), source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(container)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(container)?;
        let entries = header.metadata().clone().unwrap_or_default();
        let entry = |key: &'static str| entries.get(key).ok_or(WeightsError::Metadata { key });
        let format = entry(FORMAT_KEY)?;
        if format != FORMAT {
            return Err(WeightsError::Format { found: format.clone() });
        }
        let json = |key| move |source| WeightsError::Json { key, source };
        let spec: Spec = serde_json::from_str(entry(SPEC_KEY)?).map_err(json(SPEC_KEY))?;
        let provenance = serde_json::from_str(entry(PROVENANCE_KEY)?).map_err(json(PROVENANCE_KEY))?;
        // Files from before the entry existed recommend what was done then.
        let recommended: Recommended = match entries.get(RECOMMENDED_KEY) {
            Some(text) => serde_json::from_str(text).map_err(json(RECOMMENDED_KEY))?,
            None => Recommended::default(),
        };
        let recommended = recommended.check()?;
        let graph = spec.validate()?;

        // Exactly the tensors of the spec, each as the spec says: nothing is guessed from the file.
        let mut wanted = HashSet::new();
        let mut read = |name: String, expected: Vec<usize>| {
            let values = tensor(&tensors, &name, expected)?;
            wanted.insert(name);
            Ok::<_, WeightsError>(values)
        };
        let mut convs = Vec::new();
        for shape in graph.convs() {
            convs.push(ConvWeights {
                weight: read(
                    format!("{}.weight", shape.name),
                    vec![shape.out_channels, shape.in_channels, shape.kernel, shape.kernel],
                )?,
                bias: read(format!("{}.bias", shape.name), vec![shape.out_channels])?,
            });
        }
        if let Some(name) = tensors.names().into_iter().find(|name| !wanted.contains(*name)) {
            return Err(WeightsError::Unexpected { name: name.to_string() });
        }
        Ok(Self { recommended, ..Self::new(graph, convs, provenance)? })
    }

    /// Writes a weights file to memory.
    ///
    /// # Errors
    /// Fails when a figure is not finite, a recommended setting is outside its range, a weight is too large for the type, or the
    /// container cannot be written.
    pub fn to_bytes(&self, dtype: Dtype) -> Result<Vec<u8>, WeightsError> {
        if let Some((name, &value)) = self.provenance.metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(WeightsError::Metric { name: name.clone(), value });
        }
        let recommended = self.recommended.check()?;
        let encode = |name: &str, values: &[f32]| -> Result<Vec<u8>, WeightsError> {
            match dtype {
                Dtype::F32 => Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
                Dtype::F16 => match values.iter().position(|value| !f16::from_f32(*value).is_finite()) {
                    Some(index) => Err(WeightsError::Range { name: name.into(), index, value: values[index] }),
                    None => Ok(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()),
                },
            }
        };
        let stored = match dtype {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F16 => safetensors::Dtype::F16,
        };
        let mut tensors = Vec::new();
        for (shape, conv) in self.graph.convs().zip(&self.convs) {
            let dims = vec![shape.out_channels, shape.in_channels, shape.kernel, shape.kernel];
            for (part, dims, values) in [("weight", dims, &conv.weight), ("bias", vec![shape.out_channels], &conv.bias)]
            {
                let name = format!("{}.{part}", shape.name);
                let bytes = encode(&name, values)?;
                tensors.push((name, dims, bytes));
            }
        }
        let container = |source| WeightsError::Container { found_bytes: 0, source };
        let views = tensors
            .iter()
            .map(|(name, dims, bytes)| Ok((name, TensorView::new(stored, dims.clone(), bytes).map_err(container)?)))
            .collect::<Result<Vec<_>, WeightsError>>()?;
        let json = |key| move |source| WeightsError::Json { key, source };
        let header = HashMap::from([
            (FORMAT_KEY.to_string(), FORMAT.to_string()),
            (SPEC_KEY.to_string(), serde_json::to_string(self.graph.spec()).map_err(json(SPEC_KEY))?),
            (PROVENANCE_KEY.to_string(), serde_json::to_string(&self.provenance).map_err(json(PROVENANCE_KEY))?),
            (RECOMMENDED_KEY.to_string(), serde_json::to_string(&recommended).map_err(json(RECOMMENDED_KEY))?),
        ]);
        safetensors::serialize(views, Some(header)).map_err(container)
    }
}

fn check(name: String, values: &[f32], expected: Vec<usize>) -> Result<(), WeightsError> {
    if values.len() != expected.iter().product::<usize>() {
        return Err(WeightsError::Shape { name, expected, found: vec![values.len()] });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(WeightsError::NonFinite { name, index, value: values[index] }),
        None => Ok(()),
    }
}

fn tensor(tensors: &SafeTensors, name: &str, expected: Vec<usize>) -> Result<Vec<f32>, WeightsError> {
    let Ok(view) = tensors.tensor(name) else {
        return Err(WeightsError::Missing { name: name.into(), expected });
    };
    if view.shape() != expected {
        return Err(WeightsError::Shape { name: name.into(), expected, found: view.shape().to_vec() });
    }
    let bytes = view.data();
    match view.dtype() {
        safetensors::Dtype::F32 => {
            Ok(bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
        }
        safetensors::Dtype::F16 => {
            Ok(bytes.as_chunks::<2>().0.iter().map(|chunk| f16::from_le_bytes(*chunk).to_f32()).collect())
        }
        found => Err(WeightsError::Type { name: name.into(), found: format!("{found:?}") }),
    }
}
