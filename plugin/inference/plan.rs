//! The plan of a network at a size: ordered dispatches and the scratch memory that they share. Pure data, without a GPU.
//!
//! Made once for a capacity, a plan runs at every smaller size: the size of a dispatch and the parameters it reads are
//! computed by [`Step::workgroups`] and [`Step::params`].

use bevy::math::UVec2;
use bevy::render::render_resource::ShaderType;
use portrait_network::pack::{OutOrder, vec4_planes};
use portrait_network::{Graph, Op, Source, Upsampling};

use crate::inference::fusion::{epilogues, input_is_unshuffled};
use crate::inference::planes::{Grid, PlaneLayout};
use crate::inference::scratch::Scratch;
use crate::inference::texels::{ROW_BYTES, texture_height, texture_rows};
use crate::inference::variant::{KernelVariant, MatrixSide};
use crate::inference::weight_layout::{WeightFormat, weight_offsets};
use crate::shader_defs::WORKGROUP_SIDE;

/// Prefix of a layer's name in time spans and labels.
const SPAN_PREFIX: &str = "portrait/";
/// Width of the pixels that one invocation of a convolution makes; the kernel is unrolled for it.
pub const CONV_TILE_WIDTH_PX: u32 = 4;
/// Largest number of a workgroup's tiles that lie side by side.
const MAX_TILES_ACROSS: u32 = 8;

/// The operation of a step, as far as its shader is specialised for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Convolution with bias and activation.
    Conv {
        /// Width and height of the kernel: 1 or 3.
        kernel: u32,
        /// Distance of the output's pixels in the input: 1 or 2.
        stride: u32,
        /// True if channels become pixels (pixel shuffle) before they are stored.
        shuffles: bool,
        /// True if a second tensor is added before the result is stored.
        adds: bool,
        /// Tiles of eight output channels that one invocation makes, or with matrices a workgroup.
        tiles: u32,
        /// Planes of the target, where half of the last tile is empty and a kernel that knows it has less to do.
        known_planes: Option<u32>,
    },
    /// Turns pixels into channels.
    SpaceToDepth,
    /// Turns channels into pixels.
    PixelShuffle,
    /// Repeats each pixel four times.
    Nearest,
    /// Copies a source to its place in the target.
    Copy,
    /// Adds two sources.
    Add,
    /// Adds a further source to the target.
    Accumulate,
}

impl Kernel {
    /// Returns whether its sources and weights are textures.
    pub fn reads_textures(self, variant: KernelVariant) -> bool {
        variant.reads_textures && matches!(self, Self::Conv { .. })
    }

    /// Returns whether its pixels and weights are read as f16, and its biases apart from the weights.
    pub fn reads_halves(self, variant: KernelVariant) -> bool {
        variant.half_products && matches!(self, Self::Conv { .. })
    }

    /// Returns whether it reads a second source.
    fn reads_both(self) -> bool {
        matches!(self, Self::Add | Self::Conv { adds: true, .. })
    }
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Time span of the layer that it belongs to: `portrait/<layer>`.
    pub span: String,
    /// The operation.
    pub kernel: Kernel,
    /// Scratch buffers that it reads. The second repeats the first unless the kernel adds it.
    pub sources: [usize; 2],
    /// Scratch buffer that it writes.
    pub target: usize,
    /// Shape of the sources.
    pub source_grid: Grid,
    /// Shape of the whole target.
    pub target_grid: Grid,
    source_channels: u32,
    target_channels: u32,
    /// Groups of tiles of a convolution's output channels.
    tile_groups: u32,
    first_plane: u32,
    factor: u32,
    pub(crate) weight_at: u32,
    pub(crate) bias_at: u32,
    negative_slope: f32,
    variant: KernelVariant,
}

/// Parameters of a step (WGSL: `LayerParams` in `shaders/shared/layout.wgsl`).
#[derive(Clone, Copy, Debug, PartialEq, ShaderType)]
pub struct LayerParams {
    source_size_px: UVec2,
    target_size_px: UVec2,
    source_planes: u32,
    target_planes: u32,
    first_plane: u32,
    source_channels: u32,
    target_channels: u32,
    factor: u32,
    weight_at: u32,
    bias_at: u32,
    negative_slope: f32,
    tiles_across: u32,
}

impl Step {
    /// Returns the layer's name.
    pub fn layer(&self) -> &str {
        self.span.strip_prefix(SPAN_PREFIX).unwrap_or(&self.span)
    }

    /// Returns the step's parameters when the network's padded input has `padded_px` pixels.
    pub fn params(&self, padded_px: UVec2) -> LayerParams {
        LayerParams {
            source_size_px: self.source_grid.size_px(padded_px),
            target_size_px: self.target_grid.size_px(padded_px),
            source_planes: self.source_grid.planes,
            target_planes: self.target_grid.planes,
            first_plane: self.first_plane,
            source_channels: self.source_channels,
            target_channels: self.target_channels,
            factor: self.factor,
            weight_at: self.weight_at,
            bias_at: self.bias_at,
            negative_slope: self.negative_slope,
            tiles_across: self.tiles_across(padded_px),
        }
    }

    /// Returns how many tiles a convolution has, across and down.
    fn tiles(&self, padded_px: UVec2) -> UVec2 {
        let shrink = if matches!(self.kernel, Kernel::Conv { shuffles: true, .. }) { 2 } else { 1 };
        let size = self.target_grid.size_px(padded_px) / shrink;
        let width = self.variant.matrices.map_or(CONV_TILE_WIDTH_PX, MatrixSide::length);
        UVec2::new(size.x.div_ceil(width), size.y.div_ceil(self.variant.rows.px()))
    }

    /// Returns how many of a workgroup's tiles lie side by side, so that a narrow image leaves no invocation idle.
    fn tiles_across(&self, padded_px: UVec2) -> u32 {
        self.tiles(padded_px).x.next_power_of_two().min(MAX_TILES_ACROSS).min(self.variant.workgroup)
    }

    /// Returns the rows of the textures that its two sources are copied into when the network's padded input has `padded_px` pixels; zero
    /// where it reads buffers.
    pub fn texture_rows(&self, padded_px: UVec2) -> [u32; 2] {
        let rows = |grid: Grid| texture_rows(grid.bytes(padded_px, self.variant.activations));
        match self.kernel.reads_textures(self.variant) {
            true => [rows(self.source_grid), if self.kernel.reads_both() { rows(self.target_grid) } else { 0 }],
            false => [0; 2],
        }
    }

    /// Returns the workgroups to dispatch when the network's padded input has `padded_px` pixels.
    pub fn workgroups(&self, padded_px: UVec2) -> [u32; 3] {
        let planes = match self.kernel {
            Kernel::Conv { .. } => {
                let (tiles, across) = (self.tiles(padded_px), self.tiles_across(padded_px));
                // With matrices a workgroup makes one tile.
                let of_group = match self.variant.matrices {
                    Some(_) => UVec2::ONE,
                    None => UVec2::new(across, self.variant.workgroup / across),
                };
                return [tiles.x.div_ceil(of_group.x), tiles.y.div_ceil(of_group.y), self.tile_groups];
            }
            Kernel::SpaceToDepth | Kernel::PixelShuffle | Kernel::Nearest => self.target_grid.planes,
            Kernel::Copy | Kernel::Add | Kernel::Accumulate => self.source_grid.planes,
        };
        let [x, y, _] = texel_workgroups(self.target_grid.size_px(padded_px));
        [x, y, planes]
    }
}

/// Returns workgroups with one invocation for each texel of one plane of `size_px` pixels and its border.
fn texel_workgroups(size_px: UVec2) -> [u32; 3] {
    let side = |pixels: u32| (pixels + 2).div_ceil(WORKGROUP_SIDE);
    [side(size_px.x), side(size_px.y), 1]
}

/// The dispatches between a network's input planes and its residual, and their scratch memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The dispatches, in order.
    pub steps: Vec<Step>,
    /// Size of each scratch buffer in bytes; tensors that are never alive together share one.
    pub buffer_bytes: Vec<u64>,
    /// Rows of the textures that the steps' two sources are copied into; zero where no step reads textures.
    pub texture_heights: [u32; 2],
    /// Scratch buffer of the input planes.
    pub input: usize,
    /// Scratch buffer of the residual, one plane.
    pub residual: usize,
    /// Size in display-referred sRGB of a residual of 1.
    pub residual_scale: f32,
    /// Largest padded input it can run at, in pixels.
    pub capacity_px: UVec2,
    /// The kernels that it is made for.
    pub variant: KernelVariant,
    /// Whether the input planes are made in the order of a first space-to-depth layer of factor 2, channel `c·4 + dy·2 + dx`.
    pub input_is_unshuffled: bool,
    alignment_px: u32,
}

impl Plan {
    /// Plans a network for inputs of up to `capacity_px` pixels.
    pub fn new(graph: &Graph, capacity_px: UVec2, variant: KernelVariant, format: WeightFormat) -> Self {
        let alignment_px = graph.alignment_px() as u32;
        let capacity_px = pad(capacity_px, alignment_px);
        let mut scratch = Scratch::new(graph, capacity_px, variant.activations);
        let mut weights = weight_offsets(graph, format, variant).into_iter();
        let mut steps = Vec::new();
        let mut output = (scratch.input, 1.0);
        let epilogues = epilogues(graph);
        let input_is_unshuffled = input_is_unshuffled(graph);
        for (index, (layer, node)) in graph.spec().layers.iter().zip(graph.nodes()).enumerate() {
            // A layer that an earlier convolution has taken in is done already.
            let Some(epilogue) = epilogues[index] else {
                scratch.release_after(index);
                continue;
            };
            // The pack stage makes this layer's tensor in place of the input planes.
            if index == 0 && input_is_unshuffled {
                scratch.place_on_input(index);
                continue;
            }
            let sources: Vec<(usize, Grid, usize)> =
                node.sources.iter().map(|&source| scratch.tensor(source)).collect();
            let (first, source_grid, source_channels) = sources[0];
            if let Op::OutputResidual { scale } = layer.op {
                output = (first, scale);
                continue;
            }
            // The step writes the tensor of the last layer that it takes in.
            let out_channels = node.channels;
            let node = &graph.nodes()[epilogue.makes];
            let target_grid = Grid::new(node.channels, node.downscale);
            let target = scratch.allocate(epilogue.makes, target_grid);
            let base = Step {
                span: format!("{SPAN_PREFIX}{}", layer.name),
                kernel: Kernel::Copy,
                sources: [first; 2],
                target,
                source_grid,
                target_grid,
                source_channels: source_channels as u32,
                target_channels: node.channels as u32,
                tile_groups: 0,
                first_plane: 0,
                factor: 1,
                weight_at: 0,
                bias_at: 0,
                negative_slope: 1.0,
                variant,
            };
            match layer.op {
                Op::Conv { kernel, stride, activation, .. } => {
                    let (weight_at, bias_at) = weights.next().unwrap_or_default();
                    let order = if epilogue.shuffles { OutOrder::Shuffled } else { OutOrder::Natural };
                    let out_tiles = order.tiles(out_channels) as u32;
                    let planes = vec4_planes(out_channels) as u32;
                    let is_half_empty = order == OutOrder::Natural && !planes.is_multiple_of(2);
                    let tiles = variant.tiles(kernel as u32, out_tiles);
                    let added = epilogue.adds.map(|other| scratch.tensor(Source::Layer(other)).0);
                    steps.push(Step {
                        kernel: Kernel::Conv {
                            kernel: kernel as u32,
                            stride: stride as u32,
                            shuffles: epilogue.shuffles,
                            adds: added.is_some(),
                            tiles,
                            known_planes: (is_half_empty && tiles >= out_tiles).then_some(planes),
                        },
                        sources: [first, added.unwrap_or(first)],
                        tile_groups: out_tiles.div_ceil(tiles),
                        weight_at,
                        bias_at,
                        negative_slope: activation.negative_slope(),
                        ..base
                    });
                }
                Op::SpaceToDepth { factor } => {
                    steps.push(Step { kernel: Kernel::SpaceToDepth, factor: factor as u32, ..base });
                }
                Op::Upsample { mode: Upsampling::PixelShuffle } => {
                    steps.push(Step { kernel: Kernel::PixelShuffle, ..base });
                }
                Op::Upsample { mode: Upsampling::Nearest } => steps.push(Step { kernel: Kernel::Nearest, ..base }),
                // One copy for each source: sources differ in their number of planes.
                Op::Concat => {
                    let mut first_plane = 0;
                    for (source, source_grid, channels) in sources {
                        steps.push(Step {
                            sources: [source; 2],
                            source_grid,
                            source_channels: channels as u32,
                            first_plane,
                            ..base.clone()
                        });
                        first_plane += source_grid.planes;
                    }
                }
                Op::Add => {
                    let second = sources[1].0;
                    steps.push(Step { kernel: Kernel::Add, sources: [first, second], ..base.clone() });
                    for &(source, ..) in &sources[2..] {
                        steps.push(Step { kernel: Kernel::Accumulate, sources: [source; 2], ..base.clone() });
                    }
                }
                Op::OutputResidual { .. } => {}
            }
            scratch.release_after(index);
        }
        let rows = steps.iter().map(|step| step.texture_rows(capacity_px));
        let rows = rows.fold([0; 2], |most: [u32; 2], rows| [most[0].max(rows[0]), most[1].max(rows[1])]);
        // Copies into textures take whole rows, so buffers that are copied from are whole rows as well.
        let granule = if variant.reads_textures { u64::from(ROW_BYTES) } else { 1 };
        Self {
            steps,
            buffer_bytes: scratch.buffer_bytes.iter().map(|bytes| bytes.next_multiple_of(granule)).collect(),
            texture_heights: if variant.reads_textures { rows.map(texture_height) } else { [0; 2] },
            input: scratch.input,
            residual: output.0,
            residual_scale: output.1,
            capacity_px,
            variant,
            input_is_unshuffled,
            alignment_px,
        }
    }

    /// Returns how the network's padded input lies in its buffer.
    pub fn input_layout(&self, network_px: UVec2) -> PlaneLayout {
        PlaneLayout { size_px: self.padded_px(network_px) / if self.input_is_unshuffled { 2 } else { 1 } }
    }

    /// Returns how the residual lies in its buffer.
    pub fn residual_layout(&self, network_px: UVec2) -> PlaneLayout {
        PlaneLayout { size_px: self.padded_px(network_px) }
    }

    /// Returns the workgroups of the pack stage for `network_px` pixels.
    pub fn pack_workgroups(&self, network_px: UVec2) -> [u32; 3] {
        texel_workgroups(self.input_layout(network_px).size_px)
    }

    /// Returns `network_px` filled up to the network's alignment.
    pub fn padded_px(&self, network_px: UVec2) -> UVec2 {
        pad(network_px, self.alignment_px)
    }

    /// Returns whether the plan's buffers hold an input of `network_px` pixels.
    pub fn fits(&self, network_px: UVec2) -> bool {
        self.padded_px(network_px).cmple(self.capacity_px).all()
    }

    /// Returns the size of all scratch buffers and textures together, in bytes.
    pub fn scratch_bytes(&self) -> u64 {
        let rows: u32 = self.texture_heights.iter().sum();
        self.buffer_bytes.iter().sum::<u64>() + u64::from(rows) * u64::from(ROW_BYTES)
    }
}

fn pad(size_px: UVec2, alignment_px: u32) -> UVec2 {
    let side = |side: u32| side.max(1).next_multiple_of(alignment_px);
    UVec2::new(side(size_px.x), side(size_px.y))
}

#[cfg(test)]
#[path = "../../network/tests/random_spec/mod.rs"]
mod random_spec;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
