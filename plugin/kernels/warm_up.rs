//! Warm-up, for software rasterisers alone. Their drivers finish compiling a kernel when it is first used, which would hold a frame up. So
//! each kernel is first used on a second device, in the background; the driver keeps on the disk what it has compiled, and finds it there
//! when a frame uses the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bevy::ecs::prelude::*;
use bevy::image::ImageSamplerDescriptor;
use bevy::math::{URect, UVec2};
use bevy::platform::collections::HashSet;
use bevy::render::render_resource::encase::UniformBuffer;
use bevy::render::render_resource::{
    BufferDescriptor, BufferInitDescriptor, BufferUsages, ComputePassDescriptor, Extent3d, TextureDescriptor,
    TextureDimension, TextureFormat, TextureUsages, TextureView, TextureViewDescriptor,
};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use portrait_network::Model;

use crate::inference::executor::Executor;
use crate::inference::layer::LayerKey;
use crate::inference::variant::KernelVariant;
use crate::kernels::workbench::{Background, Workbench};
use crate::pipelines::{PortraitPipelines, StageKey, StagePipelines};
use crate::stages::bind_groups::{BindGroupCache, Binder};
use crate::stages::copy::COPY_STEP_PX;
use crate::stages::region_uniform::RegionUniform;
use crate::stages::resources::{ShapingBuffers, StageResources};
use crate::stages::{base_layer, composite, keep_depth, pack, shape};

/// Size of the input that a network is warmed up with.
const NETWORK_PX: UVec2 = UVec2::splat(64);
/// Sides of a placeholder for a texture whose side is no power of two, and for one whose side is. Drivers compile different code for them.
const SIDES_PX: [u32; 2] = [COPY_STEP_PX, 64];
/// Size of the buffers that stages are warmed up with.
const BUFFER_BYTES: u64 = 16 << 10;

/// The kernels that frames may use, and those that are being warmed up.
#[derive(Resource, Default)]
pub struct WarmUp {
    /// True on devices that need it.
    is_needed: bool,
    warm: HashSet<Warmth>,
    requested: Vec<Request>,
    running: Option<(Vec<Warmth>, Background<()>)>,
}

/// Kernels that a driver compiles together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Warmth {
    Layer(LayerKey),
    Stages(StageKey),
}

/// Kernels that the next thread warms up.
enum Request {
    Network { model: Arc<Model>, variant: KernelVariant, layers: Vec<LayerKey> },
    Stages(Box<StageWarmUp>),
}

impl WarmUp {
    pub(crate) fn new(is_needed: bool) -> Self {
        Self { is_needed, ..Self::default() }
    }

    /// Returns whether a thread is warming up kernels.
    pub fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|(_, thread)| !thread.is_over())
    }

    /// Begins a frame, and takes note of what has been warmed up.
    pub(crate) fn begin_frame(&mut self) {
        self.requested.clear();
        if let Some((warm, _)) = self.running.take_if(|(_, thread)| thread.is_over()) {
            self.warm.extend(warm);
        }
    }

    /// Notes kernels that have been used elsewhere.
    pub(crate) fn add(&mut self, layers: impl IntoIterator<Item = LayerKey>) {
        self.warm.extend(layers.into_iter().map(Warmth::Layer));
    }

    /// Returns whether a frame may use a network's kernels, and requests their warm-up if not.
    pub(crate) fn network(&mut self, network: &Executor) -> bool {
        if !self.is_needed || network.layer_keys().all(|key| self.warm.contains(&Warmth::Layer(key))) {
            return true;
        }
        let wanted: Vec<_> = network.layer_keys().collect();
        if !self.requested.iter().any(|known| matches!(known, Request::Network { layers, .. } if *layers == wanted)) {
            let (model, variant) = (network.weights().model.clone(), network.plan().variant);
            self.requested.push(Request::Network { model, variant, layers: wanted });
        }
        false
    }

    /// Returns whether a frame may use a view's stages.
    pub(crate) fn has_stages(&self, key: StageKey) -> bool {
        !self.is_needed || self.warm.contains(&Warmth::Stages(key))
    }

    /// Requests the warm-up of a view's stages.
    pub(crate) fn request_stages(&mut self, stages: StageWarmUp) {
        if !self.requested.iter().any(|known| matches!(known, Request::Stages(known) if known.key == stages.key)) {
            self.requested.push(Request::Stages(Box::new(stages)));
        }
    }

    /// Starts a thread for what was requested in this frame, unless one is still busy.
    pub(crate) fn start(&mut self, device: &RenderDevice, adapter: &RenderAdapter, pipelines: &PortraitPipelines) {
        if self.requested.is_empty() || self.running.is_some() {
            return;
        }
        let requested = std::mem::take(&mut self.requested);
        let warm = requested.iter().flat_map(|request| match request {
            Request::Network { layers, .. } => layers.iter().copied().map(Warmth::Layer).collect(),
            Request::Stages(stages) => vec![Warmth::Stages(stages.key)],
        });
        let warm: Vec<_> = warm.collect();
        let (device, adapter, pipelines) = (device.clone(), adapter.clone(), pipelines.clone());
        let thread = Background::start("portrait warm-up", move |cancelled| {
            if let Some(mut workbench) = Workbench::new(&device, &adapter, pipelines) {
                requested.iter().for_each(|request| request.run(&mut workbench, cancelled));
            }
        });
        // Without a thread, or a second device, the first frame that uses the kernels is held up.
        match thread {
            Some(thread) => self.running = Some((warm, thread)),
            None => self.warm.extend(warm),
        }
    }
}

impl Request {
    fn run(&self, workbench: &mut Workbench, cancelled: &AtomicBool) {
        let is_cancelled = || cancelled.load(Ordering::Relaxed);
        match self {
            Self::Network { model, variant, .. } => {
                let Some(gpu) = workbench.model(model) else { return };
                let Some(network) = workbench.network(&gpu, *variant, NETWORK_PX) else { return };
                for kernel in (0..network.kernels()).take_while(|_| !is_cancelled()) {
                    workbench.seconds_of(|encoder, cache| network.record_first_use(kernel, encoder, cache));
                }
            }
            Self::Stages(stages) if !is_cancelled() => stages.run(workbench),
            Self::Stages(_) => {}
        }
    }
}

/// A texture as far as a driver's code depends on it, and no larger than needed.
struct Placeholder {
    size: Extent3d,
    format: TextureFormat,
    sample_count: u32,
    mip_level_count: u32,
}

impl Placeholder {
    fn of(view: &TextureView) -> Self {
        let texture = view.texture();
        let side = |side: u32| SIDES_PX[usize::from(side.is_power_of_two())];
        Self {
            size: Extent3d { width: side(texture.width()), height: side(texture.height()), depth_or_array_layers: 1 },
            format: texture.format(),
            sample_count: texture.sample_count(),
            mip_level_count: texture.mip_level_count().min(2),
        }
    }

    fn make(&self, also: TextureUsages, device: &RenderDevice) -> TextureView {
        let multisampled = if self.sample_count > 1 { TextureUsages::RENDER_ATTACHMENT } else { also };
        let texture = device.create_texture(&TextureDescriptor {
            label: Some("portrait warm-up"),
            size: self.size,
            mip_level_count: self.mip_level_count,
            sample_count: self.sample_count,
            dimension: TextureDimension::D2,
            format: self.format,
            usage: TextureUsages::TEXTURE_BINDING | also | multisampled,
            view_formats: &[],
        });
        texture.create_view(&TextureViewDescriptor::default())
    }
}

/// The stages of a view, with all that their code depends on: beside the key the textures, and, where drivers put them into the code, the
/// numbers that shaders branch upon.
pub(crate) struct StageWarmUp {
    key: StageKey,
    region: RegionUniform,
    normals: Option<Placeholder>,
    depths: Placeholder,
    motion_vectors: Placeholder,
    mask: Placeholder,
    final_depths: Placeholder,
}

impl StageWarmUp {
    pub fn new(
        key: StageKey,
        region: RegionUniform,
        normals: Option<&TextureView>,
        [depths, motion_vectors, mask, final_depths]: [&TextureView; 4],
    ) -> Self {
        Self {
            key,
            region,
            normals: normals.map(Placeholder::of),
            depths: Placeholder::of(depths),
            motion_vectors: Placeholder::of(motion_vectors),
            mask: Placeholder::of(mask),
            final_depths: Placeholder::of(final_depths),
        }
    }

    /// Runs one workgroup of each stage, and a few pixels of the composite pass.
    fn run(&self, workbench: &mut Workbench) {
        let key = self.key;
        let Workbench { device, cache, pipelines, pipeline_cache, .. } = workbench;
        let ids = StagePipelines::new(key, cache, pipelines, pipeline_cache);
        cache.process_queue();

        let none = TextureUsages::empty();
        let small = Extent3d { width: COPY_STEP_PX, height: COPY_STEP_PX, depth_or_array_layers: 1 };
        let copy = Placeholder { size: small, format: key.target, sample_count: 1, mip_level_count: 1 };
        let target = copy.make(TextureUsages::RENDER_ATTACHMENT, device);
        let copy = copy.make(none, device);
        let normals = self.normals.as_ref().map(|normals| normals.make(none, device));
        let [depths, motion_vectors, mask, final_depths] =
            [&self.depths, &self.motion_vectors, &self.mask, &self.final_depths]
                .map(|texture| texture.make(none, device));
        // The sampler that Bevy gives images by default.
        let mask_sampler = device.create_sampler(&ImageSamplerDescriptor::linear().as_wgpu());
        let mut bytes = UniformBuffer::new(Vec::new());
        if bytes.write(&self.region).is_err() {
            return;
        }
        let region_uniforms = device.create_buffer_with_data(&BufferInitDescriptor {
            label: Some("portrait warm-up"),
            contents: &bytes.into_inner(),
            usage: BufferUsages::UNIFORM,
        });
        let buffers: [_; 4] = std::array::from_fn(|_| {
            device.create_buffer(&BufferDescriptor {
                label: Some("portrait warm-up"),
                size: BUFFER_BYTES,
                usage: BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        });
        let [read, also_read, written, also_written] = &buffers;
        let shaping = ShapingBuffers { last_residual: also_read, base_layer: also_written, shaped_residual: written };
        let resources = StageResources {
            region_uniforms: &region_uniforms,
            region_copy: &copy,
            input_planes: written,
            residual: read,
            shaping: None,
            guide: also_written,
            normals: normals.as_ref(),
            depths: &depths,
            motion_vectors: &motion_vectors,
            mask: &mask,
            mask_sampler: &mask_sampler,
            excluded_boxes: also_read,
            final_depths: &final_depths,
            opaque_depths: written,
        };
        let mut bind_groups = BindGroupCache::default();
        let mut binder = Binder { device, pipeline_cache: cache, bind_groups: &mut bind_groups };
        let binder = &mut binder;
        let compute = [
            (ids.pack, pack::bind(key.pack, &resources, binder)),
            (ids.base_layer, base_layer::bind(&resources, &shaping, binder)),
            (ids.shape, shape::bind(key.shape(), &resources, &shaping, binder)),
            (ids.keep_depth, keep_depth::bind(key.keep_depth(), &resources, binder)),
        ];
        let composite = composite::bind(key.composite(), &resources, binder);
        workbench.seconds_of(|encoder, cache| {
            for (id, bind_group) in &compute {
                let Some(pipeline) = cache.get_compute_pipeline(*id) else { continue };
                let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bind_group, &[0]);
                pass.dispatch_workgroups(1, 1, 1);
            }
            if let Some(pipeline) = cache.get_render_pipeline(ids.composite) {
                let rect_px = URect::from_corners(UVec2::ZERO, UVec2::splat(COPY_STEP_PX));
                composite::record(pipeline, &composite, 0, &target, rect_px, encoder);
            }
            true
        });
    }
}
