//! Weights on the GPU: prepared once for each model and shared by every camera that uses it.

use std::sync::Arc;

use bevy::asset::{AssetId, RenderAssetUsages};
use bevy::ecs::system::SystemParamItem;
use bevy::ecs::system::lifetimeless::SRes;
use bevy::log::error;
use bevy::render::render_asset::{PrepareAssetError, RenderAsset};
use bevy::render::render_resource::{
    Buffer, BufferInitDescriptor, BufferUsages, TextureDataOrder, TextureView, TextureViewDescriptor,
};
use bevy::render::renderer::{RenderAdapter, RenderDevice, RenderQueue};
use portrait_network::Model;

use crate::api::model::PortraitModel;
use crate::api::support::PortraitRealismSupported;
use crate::inference::texels::{ROW_BYTES, texture_descriptor, texture_height, texture_rows};
use crate::inference::variant::{KernelVariant, reads_f16};
use crate::inference::weight_layout::{WeightFormat, pack_matrices, pack_weights};

/// A model on the GPU.
#[derive(Clone)]
pub struct GpuPortraitModel {
    /// The network and its weights on the CPU.
    pub model: Arc<Model>,
    /// All weights and biases in the order of `pack_weights`.
    pub weights: Buffer,
    /// The weights as texels, where kernels read textures.
    pub weight_texels: Option<TextureView>,
    /// Weights and biases in the order of `pack_matrices`, where kernels multiply matrices, and the variant that they are for.
    pub matrices: Option<(KernelVariant, Buffer)>,
    /// How the weights are stored.
    pub weight_format: WeightFormat,
}

impl GpuPortraitModel {
    /// Uploads the weights. `None` where the device cannot bind a buffer of that size.
    pub fn new(model: Arc<Model>, device: &RenderDevice, adapter: &RenderAdapter, queue: &RenderQueue) -> Option<Self> {
        // The smallest format that holds the weights exactly and that the device reads.
        let weight_format = if reads_f16(adapter) { WeightFormat::of(&model) } else { WeightFormat::F32 };
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
        let upload = |contents: &[u8]| {
            device.create_buffer_with_data(&BufferInitDescriptor {
                label: Some("portrait weights"),
                contents,
                usage: BufferUsages::STORAGE,
            })
        };
        let weights = upload(bytes);
        let with_matrices = KernelVariant::MATRICES.fitted(adapter);
        let matrices = with_matrices
            .missing_on(device, adapter)
            .is_none()
            .then(|| (with_matrices, upload(bytemuck::cast_slice(&pack_matrices(&model, with_matrices)))));
        let weight_texels = KernelVariant::CPU.missing_on(device, adapter).is_none().then(|| {
            let height = texture_height(texture_rows(packed.len() as u64 * 4));
            packed.resize(height as usize * ROW_BYTES as usize / 4, 0);
            let descriptor = texture_descriptor("portrait weights", height);
            let bytes = bytemuck::cast_slice(&packed);
            let texture = device.create_texture_with_data(queue, &descriptor, TextureDataOrder::LayerMajor, bytes);
            texture.create_view(&TextureViewDescriptor::default())
        });
        Some(Self { model, weights, weight_texels, matrices, weight_format })
    }
}

/// A [`PortraitModel`] in the render world; empty where the device cannot hold it.
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
