//! The family of kernels: number formats, and the shape of the work that suits a device.

use bevy::render::render_resource::{DownlevelFlags, WgpuFeatures};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use portrait_network::pack::OUT_TILE;
use serde::{Deserialize, Serialize};
use wgpu::{CooperativeMatrixProperties, CooperativeScalarType, DeviceType};

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

/// Rows of pixels that one invocation of a convolution makes, or a workgroup of one with matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TileRows {
    /// One row: 32 sums an invocation, in loops; slow, but compiled in a moment.
    One,
    /// Two rows: 64 sums an invocation, for GPUs.
    Two,
    /// Four rows: 128 sums an invocation, for software rasterisers; or two rows for each of two subgroups.
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

/// Largest number of matrices of output channels that a subgroup adds up at a time: ten with its two rows of pixels.
const MAX_OUT_MATRICES: u32 = 5;
/// Number of subgroups of a workgroup that multiplies matrices.
const MATRIX_SUBGROUPS: u32 = 2;
/// Number of storage buffers that a kernel binds which multiplies in f16.
const HALF_PRODUCTS_BUFFERS: u32 = 5;

/// A member of the family of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelVariant {
    /// Format of values between two layers.
    pub activations: ActivationFormat,
    /// Rows of pixels that one invocation of a convolution makes.
    pub rows: TileRows,
    /// Invocations of a convolution's workgroup, a power of two. AMD's drivers run 64 as one wave, which RDNA 3 needs for its full rate.
    pub workgroup: u32,
    /// Makes products and their sums over 32 or 36 channels and taps in f16, which are then added up in f32. It needs f16 arithmetic, and
    /// pays where two f16 operations take the time of one in f32.
    pub half_products: bool,
    /// Copies pixels and weights into textures and reads them from there, in f16 that is converted by integer arithmetic; results are written
    /// 8 bytes at a time. It needs subgroup operations and 64-bit integers, and pays where buffer access is serialised per lane but texels
    /// are gathered, as on llvmpipe.
    pub reads_textures: bool,
    /// Lets a subgroup multiply whole matrices of f16 and add up in f32. It needs cooperative matrices of this size, and pays where there are
    /// units for them.
    pub matrices: Option<MatrixSide>,
}

impl KernelVariant {
    /// The variant that runs on every device, as exact as the reference: for GPUs that cannot read f16.
    pub const EXACT: Self = Self {
        activations: ActivationFormat::F32,
        rows: TileRows::Two,
        workgroup: 64,
        half_products: false,
        reads_textures: false,
        matrices: None,
    };
    /// The variant for GPUs.
    pub const HALF: Self = Self { activations: ActivationFormat::F16, ..Self::EXACT };
    /// The variant for GPUs that multiply f16 at twice the rate of f32, such as AMD's RDNA 2 and Intel's.
    pub const HALF_PRODUCTS: Self = Self { half_products: true, ..Self::HALF };
    /// The variant for GPUs with units for matrices, such as NVIDIA's RTX, AMD's RDNA 3 and 4 (16 × 16) and Apple's (8 × 8). Which
    /// matrices and which subgroups, [`fitted`](Self::fitted) finds out.
    pub const MATRICES: Self =
        Self { rows: TileRows::Four, workgroup: 128, matrices: Some(MatrixSide::Sixteen), ..Self::HALF_PRODUCTS };
    /// The variant that stands in on software rasterisers: compiled in a moment.
    pub const CPU_SMALL: Self = Self { rows: TileRows::One, workgroup: 32, reads_textures: true, ..Self::HALF };
    /// The variant for software rasterisers. A workgroup is one subgroup: a small image leaves no lane idle.
    pub const CPU: Self = Self { rows: TileRows::Four, workgroup: 8, ..Self::CPU_SMALL };
    /// All members of the family.
    pub const FAMILY: [Self; 6] =
        [Self::EXACT, Self::HALF, Self::HALF_PRODUCTS, Self::MATRICES, Self::CPU_SMALL, Self::CPU];

    /// Returns the name of a member of the family.
    pub fn name(self) -> &'static str {
        match self {
            Self { matrices: Some(_), .. } => "MATRICES",
            Self { half_products: true, .. } => "HALF_PRODUCTS",
            Self { reads_textures: true, rows: TileRows::One, .. } => "CPU_SMALL",
            Self { reads_textures: true, .. } => "CPU",
            Self { activations: ActivationFormat::F16, .. } => "HALF",
            Self { activations: ActivationFormat::F32, .. } => "EXACT",
        }
    }

    /// Returns it with the matrices that an adapter has and two of the adapter's subgroups; a variant without matrices as it is.
    pub fn fitted(self, adapter: &RenderAdapter) -> Self {
        let sides = [MatrixSide::Sixteen, MatrixSide::Eight];
        match sides.into_iter().find(|side| has_matrices(adapter, *side)).filter(|_| self.matrices.is_some()) {
            Some(side) => {
                let workgroup = MATRIX_SUBGROUPS * adapter.get_info().subgroup_max_size.max(1);
                Self { matrices: Some(side), workgroup, ..self }
            }
            None => self,
        }
    }

    /// Returns the variant that suits a device, as far as can be told without trying.
    pub fn of(device: &RenderDevice, adapter: &RenderAdapter) -> Self {
        let cpu = runs_on_cpu(adapter).then_some(Self::CPU);
        let mut suited = cpu.into_iter().chain([Self::HALF]);
        suited.find(|variant| variant.missing_on(device, adapter).is_none()).unwrap_or(Self::EXACT)
    }

    /// Returns the variants that may be the fastest on a device; [`of`](Self::of) is the first. All keep activations in the same format.
    pub fn candidates(device: &RenderDevice, adapter: &RenderAdapter) -> Vec<Self> {
        let own = Self::of(device, adapter);
        let others: &[Self] = match runs_on_cpu(adapter) {
            // The others take long to compile.
            true => &[Self::CPU_SMALL],
            false => &[Self::HALF_PRODUCTS, Self::MATRICES],
        };
        let comparable = others
            .iter()
            .map(|variant| variant.fitted(adapter))
            .filter(|variant| variant.activations == own.activations && variant.missing_on(device, adapter).is_none());
        std::iter::once(own).chain(comparable).collect()
    }

    /// Returns what a device lacks to run it, if anything.
    pub fn missing_on(self, device: &RenderDevice, adapter: &RenderAdapter) -> Option<&'static str> {
        if self.activations == ActivationFormat::F16 && !reads_f16(adapter) {
            return Some("reading f16 in shaders");
        }
        let subgroups = device.features().contains(WgpuFeatures::SUBGROUP);
        // Only on software rasterisers are the weights in a texture as well. Lanes share them in subgroups.
        let shares = subgroups && adapter.get_info().subgroup_min_size >= SHARING_LANES;
        if self.reads_textures && !(shares && runs_on_cpu(adapter)) {
            return Some("a driver that runs on the CPU, with subgroups of eight invocations or more");
        }
        if self.reads_textures && !device.features().contains(WgpuFeatures::SHADER_INT64) {
            return Some("64-bit integers in shaders");
        }
        if self.half_products && !device.features().contains(WgpuFeatures::SHADER_F16) {
            return Some("f16 arithmetic in shaders");
        }
        if self.half_products && device.limits().max_storage_buffers_per_shader_stage < HALF_PRODUCTS_BUFFERS {
            return Some("five storage buffers in a shader");
        }
        if device.limits().max_compute_workgroup_storage_size < self.workgroup_bytes() {
            return Some("workgroup memory of that size");
        }
        let matrices = self.matrices?;
        if !device.features().contains(WgpuFeatures::EXPERIMENTAL_COOPERATIVE_MATRIX)
            || !has_matrices(adapter, matrices)
        {
            return Some(match matrices {
                MatrixSide::Eight => "cooperative matrices of 8 × 8 f16 with sums in f32",
                MatrixSide::Sixteen => "cooperative matrices of 16 × 16 f16 with sums in f32",
            });
        }
        if !subgroups || self.workgroup / adapter.get_info().subgroup_max_size.max(1) < MATRIX_SUBGROUPS {
            return Some("two subgroups in a workgroup");
        }
        None
    }

    /// Returns the memory that a workgroup of a convolution keeps at most, in bytes.
    pub fn workgroup_bytes(self) -> u32 {
        if self.matrices.is_some() { 10 << 10 } else { 0 }
    }

    /// Number of a convolution's `out_tiles` tiles of channels that one invocation makes, or with matrices a workgroup: each further
    /// one reads no pixels again, but makes the kernel longer to compile. On a GPU its sums would find no registers. With matrices the last
    /// workgroup may have more than are left, elsewhere the number is a divisor.
    pub fn tiles(self, kernel: u32, out_tiles: u32) -> u32 {
        if let Some(side) = self.matrices.map(MatrixSide::length) {
            let matrices = (out_tiles * OUT_TILE as u32).div_ceil(side);
            let of_group = matrices.div_ceil(matrices.div_ceil(MAX_OUT_MATRICES).max(1));
            return of_group * side / OUT_TILE as u32;
        }
        let choices: &[u32] = match (self.rows, kernel) {
            (TileRows::One | TileRows::Two, _) => &[],
            (TileRows::Four, 1) => &[4, 2, 3],
            // Six would be 3 % faster on llvmpipe, and take three times as long to compile.
            (TileRows::Four, _) => &[3, 2],
        };
        choices.iter().copied().find(|tiles| out_tiles.is_multiple_of(*tiles)).unwrap_or(1)
    }
}

/// Returns whether an adapter multiplies matrices of f16 of that size and adds up in f32.
fn has_matrices(adapter: &RenderAdapter, side: MatrixSide) -> bool {
    let side = side.length();
    let needed = CooperativeMatrixProperties {
        m_size: side,
        n_size: side,
        k_size: side,
        ab_type: CooperativeScalarType::F16,
        cr_type: CooperativeScalarType::F32,
        saturating_accumulation: false,
    };
    adapter.cooperative_matrix_properties().contains(&needed)
}

/// Returns whether a device is a software rasteriser, as llvmpipe is.
pub(crate) fn runs_on_cpu(adapter: &RenderAdapter) -> bool {
    adapter.get_info().device_type == DeviceType::Cpu
}

/// Returns whether a device unpacks f16 in a shader.
pub(crate) fn reads_f16(adapter: &RenderAdapter) -> bool {
    adapter.get_downlevel_capabilities().flags.contains(DownlevelFlags::SHADER_F16_IN_F32)
}
