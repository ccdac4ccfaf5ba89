//! What the kernels are specialised for: number formats, and the shape of the work that suits a device.

use bevy::ecs::prelude::*;
use bevy::log::error;
use bevy::render::render_resource::{DownlevelFlags, WgpuFeatures};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use wgpu_types::DeviceType;

use crate::weight_layout::WeightFormat;

/// Fewest invocations of a subgroup that can share weights: each holds the weights of one input channel at one tap.
const SHARING_LANES: u32 = 8;

/// How values lie between two layers. Sums are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TileRows {
    /// 64 sums an invocation, for GPUs.
    Two,
    /// 128 sums an invocation, for devices that run on the CPU.
    Four,
}

impl TileRows {
    /// 2 or 4.
    pub fn px(self) -> u32 {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// Which kernels run. Insert it before [`PortraitRealismPlugin`](crate::PortraitRealismPlugin) starts, to measure or to compare;
/// the weights and the image stay the same but for rounding. Default: `Auto`.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortraitKernels {
    /// Those that suit the device.
    #[default]
    Auto,
    /// These, of [`KernelVariant::FAMILY`]. A device that cannot run them says so once, and runs those that suit it.
    Only(KernelVariant),
}

impl PortraitKernels {
    /// The variant to run on a device.
    pub(crate) fn choose(self, device: &RenderDevice, adapter: &RenderAdapter) -> KernelVariant {
        let own = KernelVariant::of(device, adapter);
        let Self::Only(wanted) = self else { return own };
        match wanted.missing_on(device, adapter) {
            None => wanted,
            Some(missing) => {
                error!("portrait realism: this device lacks {missing}, which {wanted:?} needs: {own:?} runs instead");
                own
            }
        }
    }
}

/// Which member of the family of kernels runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KernelVariant {
    /// How values lie between two layers.
    pub activations: ActivationFormat,
    /// Shape of a convolution's work.
    pub rows: TileRows,
    /// Each lane of a subgroup reads its share of the weights and hands it to the others, instead of all reading all.
    /// Needs subgroup operations and eight lanes or more; pays where every lane's read is a branch of its own, as on
    /// the CPU.
    pub shares_weights: bool,
    /// Buffers are read and written 8 bytes at a time instead of 4. Needs 64-bit integers; pays where every lane's read is a loop
    /// over its words, as on the CPU.
    pub wide_words: bool,
}

impl KernelVariant {
    /// Runs on every device, and is as exact as the reference.
    pub const EXACT: Self =
        Self { activations: ActivationFormat::F32, rows: TileRows::Two, shares_weights: false, wide_words: false };
    /// For GPUs.
    pub const HALF: Self = Self { activations: ActivationFormat::F16, ..Self::EXACT };
    /// For devices that run on the CPU.
    pub const CPU: Self = Self { rows: TileRows::Four, shares_weights: true, wide_words: true, ..Self::HALF };
    /// All members.
    pub const FAMILY: [Self; 6] = [
        Self::EXACT,
        Self::HALF,
        Self { shares_weights: false, wide_words: false, ..Self::CPU },
        Self { shares_weights: false, ..Self::CPU },
        Self { wide_words: false, ..Self::CPU },
        Self::CPU,
    ];

    /// The one that suits a device.
    pub fn of(device: &RenderDevice, adapter: &RenderAdapter) -> Self {
        let on_cpu = adapter.get_info().device_type == DeviceType::Cpu;
        let suits = |variant: &Self| on_cpu == (variant.rows == TileRows::Four);
        let runs = |variant: &Self| variant.missing_on(device, adapter).is_none();
        let best = Self::FAMILY.into_iter().rev().find(|variant| suits(variant) && runs(variant));
        best.unwrap_or(Self::EXACT)
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
        None
    }

    /// Invocations of a convolution's workgroup. On the CPU one subgroup: a small image leaves no lane idle.
    pub fn workgroup(self) -> u32 {
        match self.rows {
            TileRows::Two => 32,
            TileRows::Four => 8,
        }
    }

    /// Of `out_tiles` tiles of a convolution's output channels, how many one invocation makes, a divisor: each further one
    /// reads no pixels again, but makes the kernel longer to compile. On a GPU its sums would find no registers.
    pub fn tiles(self, kernel: u32, out_tiles: u32) -> u32 {
        let choices: &[u32] = match (self.rows, kernel) {
            (TileRows::Two, _) => &[],
            (TileRows::Four, 1) => &[4, 2, 3],
            (TileRows::Four, _) => &[3, 2],
        };
        choices.iter().copied().find(|tiles| out_tiles.is_multiple_of(*tiles)).unwrap_or(1)
    }
}

/// Whether a device unpacks f16 in a shader.
pub(crate) fn reads_f16(adapter: &RenderAdapter) -> bool {
    adapter.get_downlevel_capabilities().flags.contains(DownlevelFlags::SHADER_F16_IN_F32)
}

/// Weights in the smallest format that holds them exactly and that a device reads.
pub(crate) fn weight_format(model: &portrait_network::Model, adapter: &RenderAdapter) -> WeightFormat {
    if reads_f16(adapter) { WeightFormat::of(model) } else { WeightFormat::F32 }
}
