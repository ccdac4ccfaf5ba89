//! The kernels of a plan's steps: what they depend on, what they bind and what their shaders are told.

use bevy::render::render_resource::binding_types::{
    storage_buffer_read_only_sized, storage_buffer_sized, texture_2d, uniform_buffer,
};
use bevy::render::render_resource::{
    BindGroupLayoutDescriptor, DynamicBindGroupLayoutEntries, ShaderStages, TextureSampleType,
};
use bevy::shader::ShaderDefVal;
use portrait_network::pack::OUT_TILE;

use crate::inference::plan::{Kernel, LayerParams};
use crate::inference::texels::TEXTURE_WIDTH;
use crate::inference::variant::{ActivationFormat, KernelVariant, MatrixSide};
use crate::inference::weight_layout::WeightFormat;
use crate::shader_defs::{activation_def, define, workgroup_side};

/// Key that the kernel of a step is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerKey {
    /// The operation.
    pub kernel: Kernel,
    /// The member of the family of kernels.
    pub variant: KernelVariant,
    /// How the weights are stored.
    pub weights: WeightFormat,
}

/// Declares what a step's kernel binds: parameters, source, weights, target, second source, and the
/// weights again for the biases where weights are read as f16.
pub(crate) fn layout(kernel: Kernel, variant: KernelVariant) -> BindGroupLayoutDescriptor {
    let entries = if kernel.reads_textures(variant) {
        DynamicBindGroupLayoutEntries::sequential(
            ShaderStages::COMPUTE,
            (
                uniform_buffer::<LayerParams>(true),
                texture_2d(TextureSampleType::Uint),
                texture_2d(TextureSampleType::Uint),
                storage_buffer_sized(false, None),
                texture_2d(TextureSampleType::Uint),
            ),
        )
    } else {
        let entries = DynamicBindGroupLayoutEntries::sequential(
            ShaderStages::COMPUTE,
            (
                uniform_buffer::<LayerParams>(true),
                storage_buffer_read_only_sized(false, None),
                storage_buffer_read_only_sized(false, None),
                storage_buffer_sized(false, None),
                storage_buffer_read_only_sized(false, None),
            ),
        );
        match kernel.reads_halves(variant) {
            // Biases are f32 in the same buffer.
            true => entries.extend_sequential((storage_buffer_read_only_sized(false, None),)),
            false => entries,
        }
    };
    BindGroupLayoutDescriptor::new("portrait layer", &entries)
}

/// Defines a step's kernel.
pub fn shader_defs(key: LayerKey) -> Vec<ShaderDefVal> {
    let LayerKey { kernel, variant, weights } = key;
    let mut defs = vec![workgroup_side()];
    defs.extend(activation_def(variant.activations));
    match kernel {
        Kernel::Conv { kernel, stride, shuffles, adds, tiles, known_planes } => {
            let rows = variant.rows.px();
            defs.extend([
                define("TILE_ROWS", rows),
                define("PATCH_ROWS", if kernel == 1 { rows } else { (rows - 1) * stride + kernel }),
                define("KERNEL", kernel),
                define("STRIDE", stride),
                define("OUT_TILE", OUT_TILE as u32),
                define("OUT_TILES", tiles),
                define("CONV_WORKGROUP", variant.workgroup),
            ]);
            defs.extend((weights == WeightFormat::F16).then(|| "HALF_WEIGHTS".into()));
            defs.extend(shuffles.then(|| "SHUFFLES".into()));
            defs.extend(adds.then(|| "ADDS".into()));
            defs.extend(known_planes.map(|planes| define("TARGET_PLANES", planes)));
            if variant.reads_textures {
                defs.extend(["READS_TEXTURES".into(), define("TEXTURE_WIDTH", TEXTURE_WIDTH)]);
            }
            defs.extend(variant.half_products.then(|| "HALF_PRODUCTS".into()));
            let is_half = variant.activations == ActivationFormat::F16;
            // A block of 16 bytes is two texels, unless they are read as f16.
            defs.extend((is_half && !variant.half_products).then(|| "BLOCKS_OF_TWO".into()));
            if let Some(side) = variant.matrices.map(MatrixSide::length) {
                defs.extend([define("MATRIX", side), define("OUT_MATRICES", tiles * OUT_TILE as u32 / side)]);
            }
        }
        Kernel::SpaceToDepth => defs.push("SPACE_TO_DEPTH".into()),
        Kernel::PixelShuffle => defs.push("PIXEL_SHUFFLE".into()),
        Kernel::Nearest => defs.push("NEAREST".into()),
        Kernel::Copy => defs.push("COPY".into()),
        Kernel::Add => defs.push("ADD".into()),
        Kernel::Accumulate => defs.push("ACCUMULATE".into()),
    }
    defs
}
