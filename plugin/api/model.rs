//! Weights as a Bevy asset: loaded from `.safetensors` files, reloaded when the file changes.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use bevy::asset::io::Reader;
use bevy::asset::{Asset, AssetId, AssetLoader, Handle, LoadContext, uuid_handle};
use bevy::reflect::TypePath;
use bevy::tasks::futures_lite::AsyncReadExt;
use portrait_network::{MAX_FILE_BYTES, Model, WeightsError};

/// A network with its weights, as an asset. Load it with the `AssetServer` from a `.safetensors` file written by
/// `portrait-train export`, or insert a [`Model`] into `Assets<PortraitModel>`.
#[derive(Asset, TypePath, Clone, Debug)]
pub struct PortraitModel(pub Arc<Model>);

impl PortraitModel {
    /// Handle of the weights for quality, which is `Handle::default()`: they read colour, normals and depth, and take 10.7 kMAC a pixel.
    /// They are in the binary with the cargo feature `embedded_weights`.
    pub const QUALITY: Handle<Self> = Handle::Uuid(AssetId::<Self>::DEFAULT_UUID, PhantomData);

    /// Handle of the weights for speed: they read colour alone, need no prepass, and take 3.5 kMAC a pixel. They are in the binary with
    /// the cargo feature `embedded_weights`.
    pub const FAST: Handle<Self> = uuid_handle!("5f0c2c64-6a3e-4b56-9a0e-2f1d7f6f2f0a");

    /// Returns the weights that belong at [`PortraitModel::QUALITY`].
    ///
    /// # Errors
    /// Returns an error if the file that was compiled in is damaged.
    #[cfg(feature = "embedded_weights")]
    pub fn quality() -> Result<Self, WeightsError> {
        Model::from_bytes(include_bytes!("../../assets/weights/quality.safetensors")).map(Self::from)
    }

    /// Returns the weights that belong at [`PortraitModel::FAST`].
    ///
    /// # Errors
    /// Returns an error if the file that was compiled in is damaged.
    #[cfg(feature = "embedded_weights")]
    pub fn fast() -> Result<Self, WeightsError> {
        Model::from_bytes(include_bytes!("../../assets/weights/fast.safetensors")).map(Self::from)
    }

    /// Returns the weights that belong at `handle`, if they are in the binary.
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
