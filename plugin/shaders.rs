//! The WGSL files: the only place that names them.

use std::path::{Path, PathBuf};

use bevy::asset::io::embedded::EmbeddedAssetRegistry;
use bevy::asset::{AssetId, AssetServer, Handle};
use bevy::ecs::prelude::*;
use bevy::shader::Shader;

/// A WGSL file that ships inside the library.
#[derive(Clone, Copy, Debug)]
pub struct ShaderFile {
    /// Path below the crate's root.
    pub path: &'static str,
    /// The text.
    pub source: &'static str,
}

macro_rules! shader_file {
    ($path:literal) => {
        ShaderFile { path: $path, source: include_str!(concat!("../", $path)) }
    };
}

/// What kernels import; each before the ones that import it.
pub const LIBRARY: [ShaderFile; 6] = [
    shader_file!("shaders/shared/layout.wgsl"),
    shader_file!("shaders/shared/conv.wgsl"),
    shader_file!("shaders/shared/transfer.wgsl"),
    shader_file!("shaders/shared/region.wgsl"),
    shader_file!("shaders/shared/depths.wgsl"),
    shader_file!("shaders/shared/cover.wgsl"),
];
/// Makes the input planes.
pub const PACK_PLANES: ShaderFile = shader_file!("shaders/pack_planes.wgsl");
/// Convolutions.
pub const CONV: ShaderFile = shader_file!("shaders/conv.wgsl");
/// Convolutions, with cooperative matrices.
pub const CONV_MATRIX: ShaderFile = shader_file!("shaders/conv_matrix.wgsl");
/// Convolutions, in kernels that compile in a moment.
pub const CONV_SMALL: ShaderFile = shader_file!("shaders/conv_small.wgsl");
/// Space-to-depth and upsampling.
pub const REARRANGE: ShaderFile = shader_file!("shaders/rearrange.wgsl");
/// Concatenation and sum.
pub const JOIN: ShaderFile = shader_file!("shaders/join.wgsl");
/// The broad part of the residual.
pub const LIGHT: ShaderFile = shader_file!("shaders/light.wgsl");
/// What the user made of the residual.
pub const SHAPE: ShaderFile = shader_file!("shaders/shape.wgsl");
/// Keeps the scene's depths for a while.
pub const KEEP_DEPTH: ShaderFile = shader_file!("shaders/keep_depth.wgsl");
/// Adds the residual to the frame.
pub const COMPOSITE: ShaderFile = shader_file!("shaders/composite.wgsl");

impl ShaderFile {
    fn asset_path(&self) -> String {
        format!("bevy_portrait_realism/{}", self.path)
    }
}

/// Handles of the shaders. They are kept alive here: the imports have no other user.
#[derive(Resource, Clone)]
pub struct PortraitShaders {
    pub(crate) pack_planes: Handle<Shader>,
    pub(crate) conv: Handle<Shader>,
    pub(crate) conv_matrix: Handle<Shader>,
    pub(crate) conv_small: Handle<Shader>,
    pub(crate) rearrange: Handle<Shader>,
    pub(crate) join: Handle<Shader>,
    pub(crate) light: Handle<Shader>,
    pub(crate) shape: Handle<Shader>,
    pub(crate) keep_depth: Handle<Shader>,
    pub(crate) composite: Handle<Shader>,
    library: [Handle<Shader>; 6],
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
            library: LIBRARY.map(load),
            pack_planes: load(PACK_PLANES),
            conv: load(CONV),
            conv_matrix: load(CONV_MATRIX),
            conv_small: load(CONV_SMALL),
            rearrange: load(REARRANGE),
            join: load(JOIN),
            light: load(LIGHT),
            shape: load(SHAPE),
            keep_depth: load(KEEP_DEPTH),
            composite: load(COMPOSITE),
        }
    }

    /// All of them, for a pipeline cache that Bevy does not fill.
    pub(crate) fn all(&self) -> impl Iterator<Item = (AssetId<Shader>, Shader)> {
        let kernels = [
            (&self.pack_planes, PACK_PLANES),
            (&self.conv, CONV),
            (&self.conv_matrix, CONV_MATRIX),
            (&self.conv_small, CONV_SMALL),
            (&self.rearrange, REARRANGE),
            (&self.join, JOIN),
            (&self.light, LIGHT),
            (&self.shape, SHAPE),
            (&self.keep_depth, KEEP_DEPTH),
            (&self.composite, COMPOSITE),
        ];
        let files = self.library.iter().zip(LIBRARY).chain(kernels);
        files.map(|(handle, file)| (handle.id(), Shader::from_wgsl(file.source, file.asset_path())))
    }
}
