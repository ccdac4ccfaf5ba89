//! The WGSL files that ship in the library. No other file names them.

use std::path::{Path, PathBuf};

use bevy::asset::io::embedded::EmbeddedAssetRegistry;
use bevy::asset::{AssetId, AssetServer, Handle};
use bevy::ecs::prelude::*;
use bevy::shader::Shader;

use crate::inference::plan::Kernel;
use crate::inference::variant::{KernelVariant, TileRows};

/// A WGSL file that ships inside the library.
#[derive(Clone, Copy, Debug)]
pub struct ShaderFile {
    /// Path below the crate's root.
    pub path: &'static str,
    /// The file's text.
    pub source: &'static str,
}

macro_rules! shader_file {
    ($path:literal) => {
        ShaderFile { path: $path, source: include_str!(concat!("../", $path)) }
    };
}

/// Modules that other shaders import; each comes before the ones that import it.
pub const SHARED: [ShaderFile; 6] = [
    shader_file!("shaders/shared/layout.wgsl"),
    shader_file!("shaders/shared/conv.wgsl"),
    shader_file!("shaders/shared/transfer.wgsl"),
    shader_file!("shaders/shared/region.wgsl"),
    shader_file!("shaders/shared/depths.wgsl"),
    shader_file!("shaders/stages/cover.wgsl"),
];
/// The keep-depth stage.
pub const KEEP_DEPTH: ShaderFile = shader_file!("shaders/stages/keep_depth.wgsl");
/// The pack stage.
pub const PACK: ShaderFile = shader_file!("shaders/stages/pack.wgsl");
/// The base-layer stage.
pub const BASE_LAYER: ShaderFile = shader_file!("shaders/stages/base_layer.wgsl");
/// The shape stage.
pub const SHAPE: ShaderFile = shader_file!("shaders/stages/shape.wgsl");
/// The composite stage.
pub const COMPOSITE: ShaderFile = shader_file!("shaders/stages/composite.wgsl");
/// Convolutions on GPUs.
pub const CONV: ShaderFile = shader_file!("shaders/inference/conv.wgsl");
/// Convolutions by cooperative matrices.
pub const CONV_MATRIX: ShaderFile = shader_file!("shaders/inference/conv_matrix.wgsl");
/// Convolutions on software rasterisers.
pub const CONV_CPU: ShaderFile = shader_file!("shaders/inference/conv_cpu.wgsl");
/// Convolutions on software rasterisers in loops, which compile in a moment.
pub const CONV_SMALL: ShaderFile = shader_file!("shaders/inference/conv_small.wgsl");
/// Space-to-depth and upsampling.
pub const REARRANGE: ShaderFile = shader_file!("shaders/inference/rearrange.wgsl");
/// Concatenation and sum.
pub const JOIN: ShaderFile = shader_file!("shaders/inference/join.wgsl");
/// The shaders of a plan's steps.
const LAYERS: [ShaderFile; 6] = [CONV, CONV_MATRIX, CONV_CPU, CONV_SMALL, REARRANGE, JOIN];

/// Returns the place among [`LAYERS`] of the shader of a plan's step.
fn layer_place(kernel: Kernel, variant: KernelVariant) -> usize {
    match kernel {
        Kernel::Conv { .. } if variant.matrices.is_some() => 1,
        Kernel::Conv { .. } if variant.rows == TileRows::One => 3,
        Kernel::Conv { .. } if variant.reads_textures => 2,
        Kernel::Conv { .. } => 0,
        Kernel::SpaceToDepth | Kernel::PixelShuffle | Kernel::Nearest => 4,
        Kernel::Copy | Kernel::Add | Kernel::Accumulate => 5,
    }
}

/// Returns the shader of a plan's step.
pub fn layer_file(kernel: Kernel, variant: KernelVariant) -> ShaderFile {
    LAYERS[layer_place(kernel, variant)]
}

impl ShaderFile {
    fn asset_path(&self) -> String {
        format!("bevy_portrait_realism/{}", self.path)
    }
}

/// Handles of the shaders. They keep alive what other shaders import and nothing else refers to.
#[derive(Resource, Clone)]
pub struct PortraitShaders {
    pub(crate) keep_depth: Handle<Shader>,
    pub(crate) pack: Handle<Shader>,
    pub(crate) base_layer: Handle<Shader>,
    pub(crate) shape: Handle<Shader>,
    pub(crate) composite: Handle<Shader>,
    layers: [Handle<Shader>; 6],
    shared: [Handle<Shader>; 6],
}

impl PortraitShaders {
    /// Registers the files as embedded assets and starts loading them.
    pub(crate) fn load(registry: &EmbeddedAssetRegistry, server: &AssetServer) -> Self {
        let load = |file: ShaderFile| {
            // The full path is what Bevy's `embedded_watcher` reloads while shaders are being written.
            let full_path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/")).join(file.path);
            registry.insert_asset(full_path, Path::new(&file.asset_path()), file.source.as_bytes());
            server.load(format!("embedded://{}", file.asset_path()))
        };
        Self {
            shared: SHARED.map(load),
            keep_depth: load(KEEP_DEPTH),
            pack: load(PACK),
            base_layer: load(BASE_LAYER),
            shape: load(SHAPE),
            composite: load(COMPOSITE),
            layers: LAYERS.map(load),
        }
    }

    /// Returns the shader of a plan's step.
    pub(crate) fn layer(&self, kernel: Kernel, variant: KernelVariant) -> &Handle<Shader> {
        &self.layers[layer_place(kernel, variant)]
    }

    /// Returns all shaders, for a pipeline cache that Bevy does not fill.
    pub(crate) fn all(&self) -> impl Iterator<Item = (AssetId<Shader>, Shader)> {
        let stages = [
            (&self.keep_depth, KEEP_DEPTH),
            (&self.pack, PACK),
            (&self.base_layer, BASE_LAYER),
            (&self.shape, SHAPE),
            (&self.composite, COMPOSITE),
        ];
        let files = self.shared.iter().zip(SHARED).chain(self.layers.iter().zip(LAYERS)).chain(stages);
        files.map(|(handle, file)| (handle.id(), Shader::from_wgsl(file.source, file.asset_path())))
    }
}
