//! What the kernels are specialised for: number formats, and the shape of the work that suits a device.

use bevy::render::render_resource::{DownlevelFlags, WgpuFeatures};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use serde::{Deserialize, Serialize};
use wgpu::DeviceType;

use crate::weight_layout::WeightFormat;

/// Fewest invocations of a subgroup that can share weights: each holds the weights of one input channel at one tap.
const SHARING_LANES: u32 = 8;

/// How values lie between two layers. A convolution adds up in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActivationFormat {
    /// 4 bytes each: as exact as the reference.
    F32,
    /// 2 bytes each, two in a word: half the memory and half the reading. Differs from the reference by up to 1 of 255.
    F16,
}

impl ActivationFormat {
    /// Bytes of one pixel of one plane of four channels.
    pub fn texel_bytes(self) -> u64 {
        match self {
            Self::F32 => 16,
            Self::F16 => 8,
        }
    }
}

/// Height of the pixels that one invocation of a convolution makes.
///
/// More rows read each weight and pixel less often, and need more registers and larger images to fill a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TileRows {
    /// 32 sums an invocation, in loops: slow, but compiled in a moment.
    One,
    /// 64 sums an invocation, for GPUs.
    Two,
    /// 128 sums an invocation, for devices that run on the CPU.
    Four,
}

impl TileRows {
    /// 1, 2 or 4.
    pub fn px(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// Which member of the family of kernels runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelVariant {
    /// How values lie between two layers.
    pub activations: ActivationFormat,
    /// Shape of a convolution's work.
    pub rows: TileRows,
    /// Invocations of a convolution's workgroup, a power of two.
    pub workgroup: u32,
    /// Each lane of a subgroup reads its share of the weights and hands it to the others, instead of all reading all.
    /// Needs subgroup operations and eight lanes or more; pays where every lane's read is a branch of its own, as on
    /// the CPU.
    pub shares_weights: bool,
    /// Buffers are read and written 8 bytes at a time instead of 4. Needs 64-bit integers; pays where every lane's read is a loop
    /// over its words, as on the CPU.
    pub wide_words: bool,
    /// Products are f16, and so are their sums over four channels, which are then added up in f32. Needs f16 arithmetic; pays where
    /// two of them take the time of one in f32, as on most GPUs.
    pub half_products: bool,
}

impl KernelVariant {
    /// Runs on every device, and is as exact as the reference.
    pub const EXACT: Self = Self {
        activations: ActivationFormat::F32,
        rows: TileRows::Two,
        workgroup: 32,
        shares_weights: false,
        wide_words: false,
        half_products: false,
    };
    /// For GPUs.
    pub const HALF: Self = Self { activations: ActivationFormat::F16, ..Self::EXACT };
    /// Compiled in a moment.
    pub const SMALL: Self = Self { rows: TileRows::One, ..Self::HALF };
    const WIDE_GROUPS: Self = Self { workgroup: 64, ..Self::HALF };
    const TALL: Self = Self { rows: TileRows::Four, ..Self::HALF };
    const HALF_PRODUCTS: Self = Self { half_products: true, ..Self::HALF };
    const TALL_HALF_PRODUCTS: Self = Self { half_products: true, ..Self::TALL };
    /// For devices that run on the CPU. A workgroup is one subgroup: a small image leaves no lane idle.
    pub const CPU: Self = Self { workgroup: 8, shares_weights: true, wide_words: true, ..Self::TALL };
    /// All members.
    pub const FAMILY: [Self; 10] = [
        Self::EXACT,
        Self::SMALL,
        Self::HALF,
        Self::WIDE_GROUPS,
        Self::TALL,
        Self::HALF_PRODUCTS,
        Self::TALL_HALF_PRODUCTS,
        Self { shares_weights: false, ..Self::CPU },
        Self { wide_words: false, ..Self::CPU },
        Self::CPU,
    ];

    /// The one that suits a device, as far as can be told without trying.
    pub fn of(device: &RenderDevice, adapter: &RenderAdapter) -> Self {
        let runs = |variant: &Self| variant.missing_on(device, adapter).is_none();
        let suits = |variant: &Self| match runs_on_cpu(adapter) {
            true => variant.rows == TileRows::Four && !variant.half_products,
            false => *variant == Self::HALF,
        };
        Self::FAMILY.into_iter().rev().find(|variant| suits(variant) && runs(variant)).unwrap_or(Self::EXACT)
    }

    /// Those that may be the fastest on a device; [`of`](Self::of) is the first. All keep activations in the same format.
    pub fn candidates(device: &RenderDevice, adapter: &RenderAdapter) -> Vec<Self> {
        let own = Self::of(device, adapter);
        let others: &[Self] = match runs_on_cpu(adapter) {
            true => &[Self::HALF],
            false => &[Self::WIDE_GROUPS, Self::TALL, Self::SMALL, Self::HALF_PRODUCTS, Self::TALL_HALF_PRODUCTS],
        };
        let comparable = others
            .iter()
            .copied()
            .filter(|variant| variant.activations == own.activations && variant.missing_on(device, adapter).is_none());
        std::iter::once(own).chain(comparable).collect()
    }

    /// What a device lacks to run it, if anything.
    pub fn missing_on(self, device: &RenderDevice, adapter: &RenderAdapter) -> Option<&'static str> {
        if self.activations == ActivationFormat::F16 && !reads_f16(adapter) {
            return Some("reading f16 in shaders");
        }
        let subgroups = device.features().contains(WgpuFeatures::SUBGROUP);
        if self.shares_weights && (!subgroups || adapter.get_info().subgroup_min_size < SHARING_LANES) {
            return Some("subgroups of eight invocations or more");
        }
        if self.wide_words && !device.features().contains(WgpuFeatures::SHADER_INT64) {
            return Some("64-bit integers in shaders");
        }
        if self.half_products && !device.features().contains(WgpuFeatures::SHADER_F16) {
            return Some("f16 arithmetic in shaders");
        }
        None
    }

    /// Of `out_tiles` tiles of a convolution's output channels, how many one invocation makes, a divisor: each further one
    /// reads no pixels again, but makes the kernel longer to compile. On a GPU its sums would find no registers. If the last tile
    /// `is_half_empty`, the kernel that makes all of them leaves that half out.
    pub fn tiles(self, kernel: u32, out_tiles: u32, is_half_empty: bool) -> u32 {
        let choices: &[u32] = match (self.rows, kernel, is_half_empty) {
            (TileRows::One | TileRows::Two, _, _) => &[],
            (TileRows::Four, 1, _) => &[4, 2, 3],
            (TileRows::Four, _, true) => &[6, 4, 5, 3, 2],
            (TileRows::Four, _, false) => &[4, 5, 3, 2],
        };
        choices.iter().copied().find(|tiles| out_tiles.is_multiple_of(*tiles)).unwrap_or(1)
    }
}

/// Whether a device runs on the CPU, as lavapipe does.
pub(crate) fn runs_on_cpu(adapter: &RenderAdapter) -> bool {
    adapter.get_info().device_type == DeviceType::Cpu
}

/// Whether a device unpacks f16 in a shader.
pub(crate) fn reads_f16(adapter: &RenderAdapter) -> bool {
    adapter.get_downlevel_capabilities().flags.contains(DownlevelFlags::SHADER_F16_IN_F32)
}

/// Weights in the smallest format that holds them exactly and that a device reads.
pub(crate) fn weight_format(model: &portrait_network::Model, adapter: &RenderAdapter) -> WeightFormat {
    if reads_f16(adapter) { WeightFormat::of(model) } else { WeightFormat::F32 }
}
