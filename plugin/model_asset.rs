//! Weights as a Bevy asset: loaded from `.safetensors` files, reloaded when the file changes.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use bevy::asset::io::Reader;
use bevy::asset::{Asset, AssetId, AssetLoader, Handle, LoadContext, RenderAssetUsages, uuid_handle};
use bevy::ecs::system::SystemParamItem;
use bevy::ecs::system::lifetimeless::SRes;
use bevy::log::error;
use bevy::reflect::TypePath;
use bevy::render::render_asset::{PrepareAssetError, RenderAsset};
use bevy::render::render_resource::{
    Buffer, BufferInitDescriptor, BufferUsages, TextureDataOrder, TextureView, TextureViewDescriptor,
};
use bevy::render::renderer::{RenderAdapter, RenderDevice, RenderQueue};
use bevy::tasks::futures_lite::AsyncReadExt;
use portrait_network::{MAX_FILE_BYTES, Model, WeightsError};

use crate::support::PortraitRealismSupported;
use crate::texels::{ROW_BYTES, texture_descriptor, texture_height, texture_rows};
use crate::variant::{KernelVariant, weight_format};
use crate::weight_layout::{WeightFormat, pack_weights};

/// A network with its weights. Load it with the `AssetServer` from a `.safetensors` file written by
/// `portrait-train export`, or insert a [`Model`] into `Assets<PortraitModel>`.
#[derive(Asset, TypePath, Clone, Debug)]
pub struct PortraitModel(pub Arc<Model>);

impl PortraitModel {
    /// The weights for quality, at `Handle::default()`: they read colour, normals and depth, 10.7 kMAC per pixel. In the binary
    /// with the cargo feature `embedded_weights`.
    pub const QUALITY: Handle<Self> = Handle::Uuid(AssetId::<Self>::DEFAULT_UUID, PhantomData);

    /// The weights for speed: they read colour alone and need no prepass, 3.5 kMAC per pixel. In the binary with the cargo
    /// feature `embedded_weights`.
    pub const FAST: Handle<Self> = uuid_handle!("5f0c2c64-6a3e-4b56-9a0e-2f1d7f6f2f0a");

    /// The weights at [`PortraitModel::QUALITY`].
    ///
    /// # Errors
    /// When the file that was compiled in is damaged.
    #[cfg(feature = "embedded_weights")]
    pub fn quality() -> Result<Self, WeightsError> {
        Model::from_bytes(include_bytes!("../assets/weights/quality.safetensors")).map(Self::from)
    }

    /// The weights at [`PortraitModel::FAST`].
    ///
    /// # Errors
    /// When the file that was compiled in is damaged.
    #[cfg(feature = "embedded_weights")]
    pub fn fast() -> Result<Self, WeightsError> {
        Model::from_bytes(include_bytes!("../assets/weights/fast.safetensors")).map(Self::from)
    }

    /// The weights that belong at `handle`, if they are in the binary.
    #[cfg(feature = "embedded_weights")]
    pub(crate) fn embedded(handle: &Handle<Self>) -> Option<Result<Self, WeightsError>> {
        match handle {
            handle if *handle == Self::QUALITY => Some(Self::quality()),
            handle if *handle == Self::FAST => Some(Self::fast()),
            _ => None,
        }
    }

    #[cfg(not(feature = "embedded_weights"))]
    pub(crate) fn embedded(_: &Handle<Self>) -> Option<Result<Self, WeightsError>> {
        None
    }
}

impl From<Model> for PortraitModel {
    fn from(model: Model) -> Self {
        Self(Arc::new(model))
    }
}

impl Deref for PortraitModel {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.0
    }
}

/// Loads [`PortraitModel`] from `.safetensors` files.
#[derive(Default, TypePath)]
pub struct PortraitModelLoader;

impl AssetLoader for PortraitModelLoader {
    type Asset = PortraitModel;
    type Settings = ();
    type Error = WeightsError;

    async fn load(
        &self,
        reader: &mut dyn Reader,
        _settings: &(),
        load_context: &mut LoadContext<'_>,
    ) -> Result<PortraitModel, WeightsError> {
        // One byte more than allowed is enough to know that the file is too large; a stream may have no end.
        let mut bytes = Vec::new();
        let read = reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).await;
        read.map_err(|source| WeightsError::Io { path: load_context.path().path().to_path_buf(), source })?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(WeightsError::TooLarge { found: bytes.len() as u64 });
        }
        Model::from_bytes(&bytes).map(PortraitModel::from)
    }

    fn extensions(&self) -> &[&str] {
        &["safetensors"]
    }
}

/// A model on the GPU: what every camera that uses it shares.
#[derive(Clone)]
pub struct GpuPortraitModel {
    /// The network.
    pub model: Arc<Model>,
    /// All weights and biases in the order of [`pack_weights`].
    pub weights: Buffer,
    /// The same as texels, where a kernel reads them.
    pub weight_texels: Option<TextureView>,
    /// How the weights are stored.
    pub weight_format: WeightFormat,
}

impl GpuPortraitModel {
    /// Uploads the weights. `None` where the device cannot bind a buffer of that size.
    pub fn new(model: Arc<Model>, device: &RenderDevice, adapter: &RenderAdapter, queue: &RenderQueue) -> Option<Self> {
        let weight_format = weight_format(&model, adapter);
        let mut packed = pack_weights(&model, weight_format);
        let bytes: &[u8] = bytemuck::cast_slice(&packed);
        let limit = device.limits().max_storage_buffer_binding_size;
        if bytes.len() as u64 > limit {
            error!(
                "portrait realism: {} bytes of weights, but this device binds at most {limit}: choose a smaller network",
                bytes.len()
            );
            return None;
        }
        let weights = device.create_buffer_with_data(&BufferInitDescriptor {
            label: Some("portrait weights"),
            contents: bytes,
            usage: BufferUsages::STORAGE,
        });
        let weight_texels = KernelVariant::CPU.missing_on(device, adapter).is_none().then(|| {
            let height = texture_height(texture_rows(packed.len() as u64 * 4));
            packed.resize(height as usize * ROW_BYTES as usize / 4, 0);
            let descriptor = texture_descriptor("portrait weights", height);
            let bytes = bytemuck::cast_slice(&packed);
            let texture = device.create_texture_with_data(queue, &descriptor, TextureDataOrder::LayerMajor, bytes);
            texture.create_view(&TextureViewDescriptor::default())
        });
        Some(Self { model, weights, weight_texels, weight_format })
    }
}

/// What the render world keeps for each [`PortraitModel`]; empty where the device cannot hold it.
pub struct PreparedPortraitModel(pub(crate) Option<GpuPortraitModel>);

impl RenderAsset for PreparedPortraitModel {
    type SourceAsset = PortraitModel;
    type Param = (SRes<RenderDevice>, SRes<RenderAdapter>, SRes<RenderQueue>, SRes<PortraitRealismSupported>);

    fn asset_usage(_: &PortraitModel) -> RenderAssetUsages {
        RenderAssetUsages::MAIN_WORLD | RenderAssetUsages::RENDER_WORLD
    }

    fn prepare_asset(
        source: PortraitModel,
        _: AssetId<PortraitModel>,
        (device, adapter, queue, supported): &mut SystemParamItem<Self::Param>,
        _: Option<&Self>,
    ) -> Result<Self, PrepareAssetError<PortraitModel>> {
        let gpu = supported.is_supported().then(|| GpuPortraitModel::new(source.0, device, adapter, queue));
        Ok(Self(gpu.flatten()))
    }
}
