//! A network and a size → ordered dispatches and the scratch memory they share. Pure data: no GPU.
//!
//! Made once for a capacity, a plan runs at every smaller size: the size of a dispatch and the parameters it reads are
//! computed by [`Step::workgroups`] and [`Step::params`].

use bevy::math::UVec2;
use bevy::render::render_resource::ShaderType;
use portrait_network::pack::{OutOrder, vec4_planes};
use portrait_network::{Graph, Op, Source, Upsampling};

use crate::fusion::{epilogues, input_is_unshuffled};
use crate::planes::PlaneLayout;
use crate::scratch::Scratch;
use crate::texels::{ROW_BYTES, texture_height, texture_rows};
use crate::variant::{ActivationFormat, KernelVariant, MatrixSide};
use crate::weight_layout::{WeightFormat, weight_offsets};

/// Width and height of a workgroup of every kernel but the convolution.
pub const WORKGROUP_SIDE: u32 = 8;
/// Before a layer's name in what is measured or labelled.
const SPAN_PREFIX: &str = "portrait/";
/// Width of the pixels that one invocation of a convolution makes; the kernel is unrolled for it.
pub const CONV_TILE_WIDTH_PX: u32 = 4;
/// Most tiles of a workgroup that lie side by side.
const MOST_TILES_ACROSS: u32 = 8;

/// A shader, specialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Convolution with bias and activation.
    Conv {
        /// 1 or 3.
        kernel: u32,
        /// 1 or 2.
        stride: u32,
        /// Whether channels become pixels before they are stored.
        shuffles: bool,
        /// Whether a tensor is added before they are stored.
        adds: bool,
        /// Tiles of output channels that one invocation makes.
        tiles: u32,
        /// Planes of the target, where a kernel that knows them has less to do: half of its last tile is none.
        known_planes: Option<u32>,
    },
    /// Pixels to channels.
    SpaceToDepth,
    /// Channels to pixels.
    PixelShuffle,
    /// Each pixel four times.
    Nearest,
    /// A source to its place in the target.
    Copy,
    /// Sum of two sources.
    Add,
    /// A further source on top of the target.
    Accumulate,
}

impl Kernel {
    /// Whether its sources and weights are textures.
    pub fn reads_textures(self, variant: KernelVariant) -> bool {
        variant.reads_textures && matches!(self, Self::Conv { .. })
    }

    /// Whether it reads a second source.
    fn reads_both(self) -> bool {
        matches!(self, Self::Add | Self::Conv { adds: true, .. })
    }
}

/// One tensor, [`PlaneLayout`] of `H / downscale`, `W / downscale` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Planes of four channels.
    pub planes: u32,
    /// One pixel of it covers `downscale`² pixels of the network's input.
    pub downscale: u32,
}

impl Grid {
    pub(crate) fn new(channels: usize, downscale: usize) -> Self {
        Self { planes: vec4_planes(channels) as u32, downscale: downscale as u32 }
    }

    fn size_px(&self, padded_px: UVec2) -> UVec2 {
        padded_px / self.downscale
    }

    /// Size in bytes when the network's padded input has `padded_px` pixels.
    pub fn bytes(&self, padded_px: UVec2, format: ActivationFormat) -> u64 {
        let layout = PlaneLayout { size_px: self.size_px(padded_px) };
        u64::from(self.planes) * layout.plane_texels() * format.texel_bytes()
    }
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Layer that it belongs to, as a span: `portrait/<layer>`.
    pub span: String,
    /// The shader.
    pub kernel: Kernel,
    /// Scratch buffers it reads; the second one is the first again, unless the kernel adds it.
    pub sources: [usize; 2],
    /// Scratch buffer it writes.
    pub target: usize,
    /// Shape of the sources.
    pub source_grid: Grid,
    /// Shape of the target, whole.
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

/// What a kernel reads as `layer` (WGSL: `LayerParams` in `shaders/shared/layout.wgsl`).
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
    /// The layer's name.
    pub fn layer(&self) -> &str {
        self.span.strip_prefix(SPAN_PREFIX).unwrap_or(&self.span)
    }

    /// What the kernel has to know when the network's padded input has `padded_px` pixels.
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

    /// A convolution's tiles in all, across and down.
    fn tiles(&self, padded_px: UVec2) -> UVec2 {
        let shrink = if matches!(self.kernel, Kernel::Conv { shuffles: true, .. }) { 2 } else { 1 };
        let size = self.target_grid.size_px(padded_px) / shrink;
        let width = self.variant.matrices.map_or(CONV_TILE_WIDTH_PX, MatrixSide::length);
        UVec2::new(size.x.div_ceil(width), size.y.div_ceil(self.variant.rows.px()))
    }

    /// How many of a workgroup's tiles lie side by side: a narrow image leaves no invocation idle.
    fn tiles_across(&self, padded_px: UVec2) -> u32 {
        self.tiles(padded_px).x.next_power_of_two().min(MOST_TILES_ACROSS).min(self.variant.workgroup)
    }

    /// Rows of the textures that its source and what it adds are copied into when the network's padded input has `padded_px` pixels;
    /// zero where it reads buffers.
    pub fn texture_rows(&self, padded_px: UVec2) -> [u32; 2] {
        let rows = |grid: Grid| texture_rows(grid.bytes(padded_px, self.variant.activations));
        match self.kernel.reads_textures(self.variant) {
            true => [rows(self.source_grid), if self.kernel.reads_both() { rows(self.target_grid) } else { 0 }],
            false => [0; 2],
        }
    }

    /// Workgroups to dispatch when the network's padded input has `padded_px` pixels.
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

/// One invocation for each texel of one plane of `size_px` pixels and its border.
fn texel_workgroups(size_px: UVec2) -> [u32; 3] {
    let side = |pixels: u32| (pixels + 2).div_ceil(WORKGROUP_SIDE);
    [side(size_px.x), side(size_px.y), 1]
}

/// Everything a network does on the GPU between its input planes and its residual.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Dispatches, in order.
    pub steps: Vec<Step>,
    /// Size of each scratch buffer in bytes; tensors that are never alive together share one.
    pub buffer_bytes: Vec<u64>,
    /// Rows of the textures that steps copy their source and what they add into; zero where none reads textures.
    pub texture_heights: [u32; 2],
    /// Scratch buffer of the input planes.
    pub input: usize,
    /// Scratch buffer of the residual, one plane.
    pub residual: usize,
    /// Size in display-referred sRGB of a residual of 1.
    pub residual_scale: f32,
    /// Largest padded input it can run at, in pixels.
    pub capacity_px: UVec2,
    /// The kernels that it is for.
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
        let mut weights = weight_offsets(graph, format).into_iter();
        let mut steps = Vec::new();
        let mut output = (scratch.input, 1.0);
        let epilogues = epilogues(graph);
        let input_is_unshuffled = input_is_unshuffled(graph);
        for (index, (layer, node)) in graph.spec().layers.iter().zip(graph.nodes()).enumerate() {
            let Some(epilogue) = epilogues[index] else {
                scratch.release_after(index);
                continue;
            };
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
                            known_planes: (is_half_empty && tiles == out_tiles).then_some(planes),
                        },
                        sources: [first, added.unwrap_or(first)],
                        tile_groups: out_tiles / tiles,
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
        // Whole rows are copied.
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

    /// How the network's padded input lies in its buffer.
    pub fn input_layout(&self, network_px: UVec2) -> PlaneLayout {
        PlaneLayout { size_px: self.padded_px(network_px) / if self.input_is_unshuffled { 2 } else { 1 } }
    }

    /// How the residual lies in its buffer.
    pub fn residual_layout(&self, network_px: UVec2) -> PlaneLayout {
        PlaneLayout { size_px: self.padded_px(network_px) }
    }

    /// Workgroups of the kernel that makes the input planes of `network_px` pixels.
    pub fn pack_workgroups(&self, network_px: UVec2) -> [u32; 3] {
        texel_workgroups(self.input_layout(network_px).size_px)
    }

    /// The network's grid for an input of `network_px` pixels: filled up to its alignment.
    pub fn padded_px(&self, network_px: UVec2) -> UVec2 {
        pad(network_px, self.alignment_px)
    }

    /// Whether the plan's buffers hold an input of `network_px` pixels.
    pub fn fits(&self, network_px: UVec2) -> bool {
        self.padded_px(network_px).cmple(self.capacity_px).all()
    }

    /// All scratch buffers and textures together, in bytes.
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
#[path = "../network/tests/random_spec/mod.rs"]
mod random_spec;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub(crate) mod tests;
