//! Reads GPU textures back between two frames: the app is not pipelined, so nothing else uses the device then.

use bevy::asset::Handle;
use bevy::ecs::entity::Entity;
use bevy::ecs::world::World;
use bevy::image::Image;
use bevy::math::{Quat, Vec3};
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::{
    BindGroupEntries, BindGroupLayout, Buffer, BufferDescriptor, BufferUsages, CommandEncoder,
    CommandEncoderDescriptor, ComputePassDescriptor, ComputePipeline, Extent3d, MapMode, PipelineCompilationOptions,
    PollType, RawComputePipelineDescriptor, ShaderModuleDescriptor, ShaderSource, TexelCopyBufferInfo,
    TexelCopyBufferLayout,
};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bevy::render::sync_world::MainEntity;
use bevy::render::texture::GpuImage;

use bevy::core_pipeline::prepass::ViewPrepassTextures;

use crate::error::DatasetError;

const WORKGROUP_PX: u32 = 8;
const G_BUFFER_PIXEL_BYTES: u64 = 16;

/// The normals and depths of Bevy's prepass, `[H, W]`.
#[derive(Clone, Debug)]
pub struct GBuffer {
    /// Unit normals in world space, without meaning where nothing is drawn.
    pub normals: Vec<Vec3>,
    /// Distances along the view axis, in metres; `None` where nothing is drawn.
    pub depths_m: Vec<Option<f32>>,
}

impl GBuffer {
    /// Returns the normals in the camera's space: +X right, +Y up, +Z towards the camera.
    pub fn view_normals(&self, camera_rotation: Quat) -> impl Iterator<Item = Option<Vec3>> {
        let world_to_view = camera_rotation.inverse();
        self.normals.iter().zip(&self.depths_m).map(move |(normal, depth)| depth.map(|_| world_to_view * *normal))
    }
}

fn gpu(world: &World) -> Result<(&RenderDevice, &RenderQueue), DatasetError> {
    let absent =
        || DatasetError::Renderer("there is no GPU device; install a Vulkan driver (Mesa's lavapipe will do)".into());
    Ok((
        world.get_resource::<RenderDevice>().ok_or_else(absent)?,
        world.get_resource::<RenderQueue>().ok_or_else(absent)?,
    ))
}

/// Reads the tightly packed texels of a render target.
pub fn read_target(world: &World, target: &Handle<Image>, texel_bytes: u32) -> Result<Vec<u8>, DatasetError> {
    let (device, queue) = gpu(world)?;
    let image = world.get_resource::<RenderAssets<GpuImage>>().and_then(|images| images.get(target));
    let image = image.ok_or_else(|| DatasetError::Renderer("a render target vanished from the GPU".into()))?;
    let Extent3d { width, height, .. } = image.texture_descriptor.size;
    let row_bytes = (width * texel_bytes) as usize;
    let padded = RenderDevice::align_copy_bytes_per_row(row_bytes);
    let buffer = download_buffer(device, padded as u64 * u64::from(height));
    let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor { label: Some("read render target") });
    let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(padded as u32), rows_per_image: None };
    encoder.copy_texture_to_buffer(
        image.texture.as_image_copy(),
        TexelCopyBufferInfo { buffer: &buffer, layout },
        image.texture_descriptor.size,
    );
    let bytes = submit_and_map(device, queue, encoder, &buffer)?;
    Ok(bytes.chunks_exact(padded).flat_map(|row| &row[..row_bytes]).copied().collect())
}

fn download_buffer(device: &RenderDevice, size: u64) -> Buffer {
    let usage = BufferUsages::COPY_DST | BufferUsages::MAP_READ;
    device.create_buffer(&BufferDescriptor { label: Some("download"), size, usage, mapped_at_creation: false })
}

fn submit_and_map(
    device: &RenderDevice,
    queue: &RenderQueue,
    encoder: CommandEncoder,
    buffer: &Buffer,
) -> Result<Vec<u8>, DatasetError> {
    let failed = |what: String| DatasetError::Renderer(format!("reading back from the GPU failed: {what}"));
    queue.submit([encoder.finish()]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let slice = buffer.slice(..);
    device.map_buffer(&slice, MapMode::Read, move |result| {
        // The receiver outlives this call; if it does not, nobody waits for the answer.
        let _ = sender.send(result);
    });
    device.poll(PollType::wait_indefinitely()).map_err(|error| failed(error.to_string()))?;
    let mapped = receiver.recv().map_err(|error| failed(error.to_string()))?;
    mapped.map_err(|error| failed(error.to_string()))?;
    let bytes = slice.get_mapped_range().to_vec();
    buffer.unmap();
    Ok(bytes)
}

/// A reader of prepass textures.
pub struct GBufferReader {
    pipeline: ComputePipeline,
}

impl GBufferReader {
    /// Compiles the kernel on the render world's device.
    ///
    /// # Errors
    /// Fails when there is no device.
    pub fn new(world: &World) -> Result<Self, DatasetError> {
        let (device, _) = gpu(world)?;
        let module = device.create_and_validate_shader_module(ShaderModuleDescriptor {
            label: Some("g_buffer.wgsl"),
            source: ShaderSource::Wgsl(include_str!("g_buffer.wgsl").into()),
        });
        let pipeline = device.create_compute_pipeline(&RawComputePipelineDescriptor {
            label: Some("copy g-buffer"),
            layout: None,
            module: &module,
            entry_point: Some("copy"),
            compilation_options: PipelineCompilationOptions::default(),
            cache: None,
        });
        Ok(Self { pipeline })
    }

    /// Reads the last prepasses of `camera`, a camera with both prepasses and no multisampling.
    ///
    /// # Errors
    /// Fails when the camera has drawn no prepass.
    pub fn read(&self, world: &mut World, camera: Entity, near_m: f32) -> Result<GBuffer, DatasetError> {
        let mut views = world.query::<(&MainEntity, &ViewPrepassTextures)>();
        let textures = views.iter(world).find(|(main, _)| main.id() == camera).map(|(_, textures)| textures);
        let absent = || DatasetError::Renderer("Bevy drew no normal and depth prepass".into());
        let textures = textures.ok_or_else(absent)?;
        let (normal, depth) = textures.normal_view().zip(textures.depth_view()).ok_or_else(absent)?;
        let (device, queue) = gpu(world)?;
        let Extent3d { width, height, .. } = textures.size;
        let size = u64::from(width) * u64::from(height) * G_BUFFER_PIXEL_BYTES;
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let pixels =
            device.create_buffer(&BufferDescriptor { label: Some("g-buffer"), size, usage, mapped_at_creation: false });
        let layout = BindGroupLayout::from(self.pipeline.get_bind_group_layout(0));
        let entries = BindGroupEntries::sequential((normal, depth, pixels.as_entire_binding()));
        let bind_group = device.create_bind_group("g-buffer", &layout, &entries);
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor { label: Some("g-buffer") });
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &*bind_group, &[]);
        pass.dispatch_workgroups(width.div_ceil(WORKGROUP_PX), height.div_ceil(WORKGROUP_PX), 1);
        drop(pass);
        let download = download_buffer(device, size);
        encoder.copy_buffer_to_buffer(&pixels, 0, &download, 0, size);
        let bytes = submit_and_map(device, queue, encoder, &download)?;
        let float =
            |chunk: &[u8], at: usize| f32::from_le_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]);
        let stored = bytes.chunks_exact(G_BUFFER_PIXEL_BYTES as usize);
        let normals = stored.clone().map(|pixel| {
            let encoded = Vec3::new(float(pixel, 0), float(pixel, 4), float(pixel, 8));
            (encoded * 2.0 - 1.0).normalize_or_zero()
        });
        // Reversed depth with an infinite far plane: depth = near / distance.
        let depths_m =
            stored.clone().map(|pixel| Some(float(pixel, 12)).filter(|depth| *depth > 0.0).map(|d| near_m / d));
        Ok(GBuffer { normals: normals.collect(), depths_m: depths_m.collect() })
    }
}
