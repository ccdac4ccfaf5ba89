//! The family of kernels: number formats, and the shape of the work that suits a device.

use bevy::render::render_resource::{DownlevelFlags, WgpuFeatures};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use serde::{Deserialize, Serialize};
use wgpu::{CooperativeMatrixProperties, CooperativeScalarType, DeviceType};

use crate::inference::weight_layout::WeightFormat;

/// Smallest number of invocations of a subgroup that can share weights: each holds the weights of one input channel at one tap.
const SHARING_LANES: u32 = 8;

/// The format of values between two layers. A convolution adds up in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActivationFormat {
    /// f32: 4 bytes each, as exact as the reference.
    F32,
    /// f16: 2 bytes each, two in a word; half the memory and half the reading. The picture differs from the reference's by up to 1 of 255.
    F16,
}

impl ActivationFormat {
    /// Returns the size of one pixel of one plane of four channels, in bytes.
    pub fn texel_bytes(self) -> u64 {
        match self {
            Self::F32 => 16,
            Self::F16 => 8,
        }
    }
}

/// Rows of pixels that one invocation of a convolution makes.
///
/// More rows read each weight and pixel less often, and need more registers and larger images to fill a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TileRows {
    /// One row: 32 sums an invocation, in loops; slow, but compiled in a moment.
    One,
    /// Two rows: 64 sums an invocation, for GPUs.
    Two,
    /// Four rows: 128 sums an invocation, for software rasterisers.
    Four,
}

impl TileRows {
    /// Returns 1, 2 or 4.
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
    /// 8 × 8, as on Apple's GPUs.
    Eight,
    /// 16 × 16, as on NVIDIA's and AMD's GPUs.
    Sixteen,
}

impl MatrixSide {
    /// Returns 8 or 16.
    pub fn length(self) -> u32 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }
}

/// A member of the family of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelVariant {
    /// Format of values between two layers.
    pub activations: ActivationFormat,
    /// Rows of pixels that one invocation of a convolution makes.
    pub rows: TileRows,
    /// Invocations of a convolution's workgroup, a power of two.
    pub workgroup: u32,
    /// Lets each lane of a subgroup read its share of the weights and hand it to the others, instead of all reading all. It needs subgroup
    /// operations and eight lanes or more, and pays where every lane's read is a branch of its own, as on software rasterisers.
    pub shares_weights: bool,
    /// Makes products and their sums over four channels in f16, which are then added up in f32. It needs f16 arithmetic, and pays where two
    /// f16 operations take the time of one in f32, as on most GPUs.
    pub half_products: bool,
    /// Lets a workgroup read the pixels under its tiles once and keep them for all its invocations. It exists for one row of pixels an
    /// invocation, and pays where caches are slower than workgroup memory.
    pub shares_pixels: bool,
    /// Copies pixels and weights into textures and reads them from there, in f16 that is converted by integer arithmetic; results are written
    /// 8 bytes at a time. It needs subgroup operations and 64-bit integers, and pays where buffer access is serialised per lane but texels
    /// are gathered, as on llvmpipe.
    pub reads_textures: bool,
    /// Lets a subgroup multiply whole matrices of f16 and add up in f32. It needs cooperative matrices of this size, and pays where there are
    /// units for them.
    pub matrices: Option<MatrixSide>,
}

impl KernelVariant {
    /// The variant that runs on every device, as exact as the reference.
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
    /// The variant for GPUs.
    pub const HALF: Self = Self { activations: ActivationFormat::F16, ..Self::EXACT };
    /// A variant that is compiled in a moment.
    pub const SMALL: Self = Self { rows: TileRows::One, ..Self::HALF };
    const CPU_SMALL: Self = Self { reads_textures: true, ..Self::SMALL };
    const WIDE_GROUPS: Self = Self { workgroup: 64, ..Self::HALF };
    const TALL: Self = Self { rows: TileRows::Four, ..Self::HALF };
    const HALF_PRODUCTS: Self = Self { half_products: true, ..Self::HALF };
    const TALL_HALF_PRODUCTS: Self = Self { half_products: true, ..Self::TALL };
    const SHARED_PIXELS: Self = Self { shares_pixels: true, workgroup: 64, ..Self::SMALL };
    const MATRICES_16: Self = Self { matrices: Some(MatrixSide::Sixteen), workgroup: 128, ..Self::TALL_HALF_PRODUCTS };
    /// The variant of matrices for subgroups of 64.
    const MATRICES_16_WIDE: Self = Self { workgroup: 256, ..Self::MATRICES_16 };
    const MATRICES_8: Self = Self { matrices: Some(MatrixSide::Eight), ..Self::MATRICES_16 };
    /// The variant for software rasterisers. A workgroup is one subgroup: a small image leaves no lane idle.
    pub const CPU: Self = Self { workgroup: 8, shares_weights: true, reads_textures: true, ..Self::TALL };
    /// Compiled in a moment on the CPU, the fastest first.
    pub const STAND_INS: [Self; 2] = [Self::CPU_SMALL, Self::SMALL];
    /// All members of the family.
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

    /// Returns the variant that suits a device, as far as can be told without trying.
    pub fn of(device: &RenderDevice, adapter: &RenderAdapter) -> Self {
        let runs = |variant: &Self| variant.missing_on(device, adapter).is_none();
        let suits = |variant: &Self| match runs_on_cpu(adapter) {
            true => variant.rows == TileRows::Four && !variant.half_products,
            false => *variant == Self::HALF,
        };
        Self::FAMILY.into_iter().rev().find(|variant| suits(variant) && runs(variant)).unwrap_or(Self::EXACT)
    }

    /// Returns the variants that may be the fastest on a device; [`of`](Self::of) is the first. All keep activations in the same format.
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

    /// Returns what a device lacks to run it, if anything.
    pub fn missing_on(self, device: &RenderDevice, adapter: &RenderAdapter) -> Option<&'static str> {
        if self.activations == ActivationFormat::F16 && !reads_f16(adapter) {
            return Some("reading f16 in shaders");
        }
        let subgroups = device.features().contains(WgpuFeatures::SUBGROUP);
        if self.shares_weights && (!subgroups || adapter.get_info().subgroup_min_size < SHARING_LANES) {
            return Some("subgroups of eight invocations or more");
        }
        // Only on software rasterisers are the weights in a texture as well.
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

    /// Returns the memory that a workgroup of a convolution keeps at most, in bytes.
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

/// Returns whether a device is a software rasteriser, as llvmpipe is.
pub(crate) fn runs_on_cpu(adapter: &RenderAdapter) -> bool {
    adapter.get_info().device_type == DeviceType::Cpu
}

/// Returns whether a device unpacks f16 in a shader.
pub(crate) fn reads_f16(adapter: &RenderAdapter) -> bool {
    adapter.get_downlevel_capabilities().flags.contains(DownlevelFlags::SHADER_F16_IN_F32)
}

/// Returns the smallest format that holds a model's weights exactly and that a device reads.
pub(crate) fn weight_format(model: &portrait_network::Model, adapter: &RenderAdapter) -> WeightFormat {
    if reads_f16(adapter) { WeightFormat::of(model) } else { WeightFormat::F32 }
}
