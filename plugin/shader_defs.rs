//! The shader definitions and layout entries that kernels of every kind share: the one place where a size or a format of Rust becomes a
//! name in WGSL.

use bevy::render::render_resource::binding_types::{
    texture_2d, texture_2d_multisampled, texture_depth_2d, texture_depth_2d_multisampled,
};
use bevy::render::render_resource::{BindGroupLayoutEntryBuilder, TextureSampleType};
use bevy::shader::ShaderDefVal;

use crate::inference::variant::ActivationFormat;

/// Width and height of a workgroup of every kernel but the convolutions, in invocations (WGSL: `WORKGROUP_SIDE`).
pub const WORKGROUP_SIDE: u32 = 8;

/// Defines an unsigned number.
pub(crate) fn define(name: &str, value: u32) -> ShaderDefVal {
    ShaderDefVal::UInt(name.into(), value)
}

/// Defines [`WORKGROUP_SIDE`].
pub(crate) fn workgroup_side() -> ShaderDefVal {
    define("WORKGROUP_SIDE", WORKGROUP_SIDE)
}

/// Defines `HALF_ACTIVATIONS` where activations are stored as f16.
pub(crate) fn activation_def(format: ActivationFormat) -> Option<ShaderDefVal> {
    (format == ActivationFormat::F16).then(|| "HALF_ACTIVATIONS".into())
}

/// Defines `MULTISAMPLED` where the camera's prepass textures are.
pub(crate) fn multisampled_def(multisampled: bool) -> Option<ShaderDefVal> {
    multisampled.then(|| "MULTISAMPLED".into())
}

/// Declares a colour texture that is read texel by texel.
pub(crate) fn texel_texture(multisampled: bool) -> BindGroupLayoutEntryBuilder {
    let sample = TextureSampleType::Float { filterable: false };
    if multisampled { texture_2d_multisampled(sample) } else { texture_2d(sample) }
}

/// Declares a depth texture.
pub(crate) fn depth_texture(multisampled: bool) -> BindGroupLayoutEntryBuilder {
    if multisampled { texture_depth_2d_multisampled() } else { texture_depth_2d() }
}
