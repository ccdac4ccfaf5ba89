//! The kernels as the benchmark program writes them (`benches/spirv.rs`), and what a compiler makes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A kernel of the shipped networks, in a file of SPIR-V.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Name of the variant, as in `KernelVariant::FAMILY`.
    pub variant: String,
    /// Kernel size, stride and what it does beside the convolution, for people.
    pub shape: String,
    /// File beside the list.
    pub file: String,
    /// Bindings by number.
    pub bindings: Vec<(u32, Binding)>,
    /// True if it multiplies matrices.
    pub matrices: bool,
    /// Layers that run it.
    pub layers: Vec<Layer>,
}

/// The kind of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// Uniform buffer with a dynamic offset.
    Uniform,
    /// Storage buffer.
    Storage,
}

/// A layer of a network at 256².
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Name of the network.
    pub network: String,
    /// Name of the layer.
    pub name: String,
    /// Place among the layers of all networks.
    pub place: usize,
    /// Multiply-adds that the layer needs, for each invocation.
    pub useful: f64,
    /// Multiply-adds that an invocation makes, those for channels that fill up a block included.
    pub made: f64,
    /// Number of turns of the loop around the loop of the multiply-adds, if there is one.
    pub outer_turns: f64,
}

/// The code that a driver made of a kernel, with its figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compiled {
    /// Lanes of a wave.
    pub wave_size: u32,
    /// The driver's own figures.
    pub statistics: BTreeMap<String, u64>,
    /// The disassembly.
    pub assembly: String,
}
