//! Scratch memory of a plan: tensors that are never alive together share a buffer. Pure data, without a GPU.

use bevy::math::UVec2;
use portrait_network::{Graph, Source};

use crate::inference::fusion::input_is_unshuffled;
use crate::inference::planes::Grid;
use crate::inference::variant::ActivationFormat;

/// Gives each tensor a buffer, and takes it back after its last reader.
pub(crate) struct Scratch<'a> {
    graph: &'a Graph,
    capacity_px: UVec2,
    format: ActivationFormat,
    pub buffer_bytes: Vec<u64>,
    free: Vec<usize>,
    /// Buffer of the input planes.
    pub input: usize,
    /// Buffer of each layer's tensor, if the tensor has one of its own.
    placed: Vec<Option<usize>>,
    /// The last layer that reads the input planes.
    input_last_read: usize,
    /// The last layer that reads each layer's tensor.
    last_read: Vec<usize>,
}

impl<'a> Scratch<'a> {
    pub fn new(graph: &'a Graph, capacity_px: UVec2, format: ActivationFormat) -> Self {
        let layers = graph.nodes().len();
        // A tensor that nothing reads still has to exist while it is written.
        let mut last_read: Vec<usize> = (0..layers).collect();
        let mut input_last_read = 0;
        for (index, node) in graph.nodes().iter().enumerate() {
            for source in &node.sources {
                match *source {
                    Source::Input => input_last_read = index,
                    Source::Layer(layer) => last_read[layer] = index,
                }
            }
        }
        let input_grid = input_grid(graph);
        Self {
            graph,
            capacity_px,
            format,
            buffer_bytes: vec![input_grid.bytes(capacity_px, format)],
            free: Vec::new(),
            input: 0,
            placed: vec![None; layers],
            input_last_read,
            last_read,
        }
    }

    /// Returns buffer, shape and channels of a source.
    pub fn tensor(&self, source: Source) -> (usize, Grid, usize) {
        let (buffer, grid, channels) = match source {
            Source::Input => {
                let channels = self.graph.spec().input_channels();
                (Some(self.input), Grid::new(channels, 1), channels)
            }
            Source::Layer(layer) => {
                let node = &self.graph.nodes()[layer];
                (self.placed[layer], Grid::new(node.channels, node.downscale), node.channels)
            }
        };
        // Every layer but the ones that a convolution takes in has a buffer, and nothing else reads those.
        debug_assert!(buffer.is_some(), "{source:?}");
        (buffer.unwrap_or(self.input), grid, channels)
    }

    /// Returns the free buffer that wastes least, else the one that has to grow least, else a new one.
    pub fn allocate(&mut self, layer: usize, grid: Grid) -> usize {
        let bytes = grid.bytes(self.capacity_px, self.format);
        let size = |&at: &usize| self.buffer_bytes[self.free[at]];
        let fitting = (0..self.free.len()).filter(|at| size(at) >= bytes).min_by_key(size);
        let chosen = fitting.or_else(|| (0..self.free.len()).max_by_key(size));
        let buffer = match chosen {
            Some(at) => self.free.swap_remove(at),
            None => {
                self.buffer_bytes.push(0);
                self.buffer_bytes.len() - 1
            }
        };
        self.buffer_bytes[buffer] = self.buffer_bytes[buffer].max(bytes);
        self.placed[layer] = Some(buffer);
        buffer
    }

    /// Places the first layer's tensor on the input planes themselves.
    pub fn place_on_input(&mut self, layer: usize) {
        self.placed[layer] = Some(self.input);
        // Given back with that layer's tensor.
        self.input_last_read = usize::MAX;
    }

    /// Frees the buffers of tensors that no layer after this one reads.
    pub fn release_after(&mut self, layer: usize) {
        if self.input_last_read == layer {
            self.free.push(self.input);
        }
        let done = (0..=layer).filter(|&made| self.last_read[made] == layer).filter_map(|made| self.placed[made]);
        self.free.extend(done);
    }
}

/// Returns the shape of the input planes; if they are made in the order of a first space-to-depth layer, that of the layer's tensor.
fn input_grid(graph: &Graph) -> Grid {
    match graph.nodes().first().filter(|_| input_is_unshuffled(graph)) {
        Some(node) => Grid::new(node.channels, node.downscale),
        None => Grid::new(graph.spec().input_channels(), 1),
    }
}
