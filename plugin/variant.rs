//! What the kernels are specialised for: number formats, and the shape of the work that suits a device.

use bevy::render::render_resource::{DownlevelFlags, WgpuFeatures};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use serde::{Deserialize, Serialize};
use wgpu::{CooperativeMatrixProperties, CooperativeScalarType, DeviceType};

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

/// Width and height of the matrices that a subgroup multiplies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MatrixSide {
    /// 8, as on Apple's GPUs.
    Eight,
    /// 16, as on NVIDIA's and AMD's.
    Sixteen,
}

impl MatrixSide {
    /// 8 or 16.
    pub fn length(self) -> u32 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
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
    /// Products are f16, and so are their sums over four channels, which are then added up in f32. Needs f16 arithmetic; pays where
    /// two of them take the time of one in f32, as on most GPUs.
    pub half_products: bool,
    /// A workgroup reads the pixels under its tiles once and keeps them for all its invocations. With one row of pixels an invocation
    /// alone; pays where caches are slower than workgroup memory.
    pub shares_pixels: bool,
    /// Pixels and weights are copied into textures and read from there, in f16, which is converted by integer arithmetic; what is made is
    /// written 8 bytes at a time. Needs subgroup operations and 64-bit integers; pays where every lane's access to a buffer is a loop of its
    /// own over words, but texels are gathered, as on the CPU.
    pub reads_textures: bool,
    /// A subgroup multiplies whole matrices of f16 and adds up in f32. Needs cooperative matrices of this size; pays where there are
    /// units for them.
    pub matrices: Option<MatrixSide>,
}

impl KernelVariant {
    /// Runs on every device, and is as exact as the reference.
    pub const EXACT: Self = Self {
        activations: ActivationFormat::F32,
        rows: TileRows::Two,
        workgroup: 32,
        shares_weights: false,
        half_products: false,
        shares_pixels: false,
        reads_textures: false,
        matrices: None,
    };
    /// For GPUs.
    pub const HALF: Self = Self { activations: ActivationFormat::F16, ..Self::EXACT };
    /// Compiled in a moment.
    pub const SMALL: Self = Self { rows: TileRows::One, ..Self::HALF };
    const CPU_SMALL: Self = Self { reads_textures: true, ..Self::SMALL };
    const WIDE_GROUPS: Self = Self { workgroup: 64, ..Self::HALF };
    const TALL: Self = Self { rows: TileRows::Four, ..Self::HALF };
    const HALF_PRODUCTS: Self = Self { half_products: true, ..Self::HALF };
    const TALL_HALF_PRODUCTS: Self = Self { half_products: true, ..Self::TALL };
    const SHARED_PIXELS: Self = Self { shares_pixels: true, workgroup: 64, ..Self::SMALL };
    const MATRICES_16: Self = Self { matrices: Some(MatrixSide::Sixteen), workgroup: 128, ..Self::TALL_HALF_PRODUCTS };
    /// For subgroups of 64.
    const MATRICES_16_WIDE: Self = Self { workgroup: 256, ..Self::MATRICES_16 };
    const MATRICES_8: Self = Self { matrices: Some(MatrixSide::Eight), ..Self::MATRICES_16 };
    /// For devices that run on the CPU. A workgroup is one subgroup: a small image leaves no lane idle.
    pub const CPU: Self = Self { workgroup: 8, shares_weights: true, reads_textures: true, ..Self::TALL };
    /// Compiled in a moment on the CPU, the fastest first.
    pub const STAND_INS: [Self; 2] = [Self::CPU_SMALL, Self::SMALL];
    /// All members.
    pub const FAMILY: [Self; 13] = [
        Self::EXACT,
        Self::SMALL,
        Self::HALF,
        Self::WIDE_GROUPS,
        Self::TALL,
        Self::HALF_PRODUCTS,
        Self::TALL_HALF_PRODUCTS,
        Self::SHARED_PIXELS,
        Self::MATRICES_16,
        Self::MATRICES_16_WIDE,
        Self::MATRICES_8,
        Self::CPU_SMALL,
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
            // The others take minutes to compile.
            true => &[Self::CPU_SMALL],
            false => &[
                Self::WIDE_GROUPS,
                Self::TALL,
                Self::SMALL,
                Self::SHARED_PIXELS,
                Self::HALF_PRODUCTS,
                Self::TALL_HALF_PRODUCTS,
                Self::MATRICES_16,
                Self::MATRICES_16_WIDE,
                Self::MATRICES_8,
            ],
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
        // Only there are the weights in a texture as well.
        if self.reads_textures && !(subgroups && runs_on_cpu(adapter)) {
            return Some("a driver that runs on the CPU, with subgroups");
        }
        if self.reads_textures && !device.features().contains(WgpuFeatures::SHADER_INT64) {
            return Some("64-bit integers in shaders");
        }
        if self.half_products && !device.features().contains(WgpuFeatures::SHADER_F16) {
            return Some("f16 arithmetic in shaders");
        }
        if device.limits().max_compute_workgroup_storage_size < self.workgroup_bytes() {
            return Some("workgroup memory of that size");
        }
        let matrices = self.matrices?;
        let side = matrices.length();
        let needed = CooperativeMatrixProperties {
            m_size: side,
            n_size: side,
            k_size: side,
            ab_type: CooperativeScalarType::F16,
            cr_type: CooperativeScalarType::F32,
            saturating_accumulation: false,
        };
        if !device.features().contains(WgpuFeatures::EXPERIMENTAL_COOPERATIVE_MATRIX)
            || !adapter.cooperative_matrix_properties().contains(&needed)
        {
            return Some(match matrices {
                MatrixSide::Eight => "cooperative matrices of 8 × 8 f16 with sums in f32",
                MatrixSide::Sixteen => "cooperative matrices of 16 × 16 f16 with sums in f32",
            });
        }
        if !subgroups || self.workgroup / adapter.get_info().subgroup_max_size.max(1) < self.rows.px() {
            return Some("a subgroup for each row of pixels of a workgroup");
        }
        None
    }

    /// Most memory that a workgroup of a convolution keeps, in bytes.
    pub fn workgroup_bytes(self) -> u32 {
        match (self.matrices, self.shares_pixels) {
            (Some(_), _) => 26 << 10,
            (None, true) => 11 << 10,
            (None, false) => 0,
        }
    }

    /// Of `out_tiles` tiles of a convolution's output channels, how many one invocation makes, a divisor: each further one
    /// reads no pixels again, but makes the kernel longer to compile. On a GPU its sums would find no registers.
    pub fn tiles(self, kernel: u32, out_tiles: u32) -> u32 {
        let choices: &[u32] = match (self.rows, kernel) {
            // The pixels are read once for all of them; of an odd number the last matrix is half empty.
            _ if self.matrices.is_some() => &[6, 4, 2, 5, 3],
            (TileRows::One | TileRows::Two, _) => &[],
            (TileRows::Four, 1) => &[4, 2, 3],
            // Six would be 3 % faster on llvmpipe, and take three times as long to compile.
            (TileRows::Four, _) => &[3, 2],
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
