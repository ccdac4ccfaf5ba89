//! Drivers that run on the CPU finish compiling a kernel when it is first used, which would hold a frame up. So there each kernel is
//! first used on a device of its own, in the background; the driver keeps on the disk what it has compiled, and finds it there when a
//! frame uses the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bevy::ecs::prelude::*;
use bevy::image::ImageSamplerDescriptor;
use bevy::math::UVec2;
use bevy::platform::collections::HashSet;
use bevy::render::render_resource::encase::UniformBuffer;
use bevy::render::render_resource::{
    BindGroup, BindingResource, BufferBinding, BufferDescriptor, BufferInitDescriptor, BufferUsages, CommandEncoder,
    ComputePassDescriptor, ComputePipeline, Extent3d, LoadOp, Operations, RenderPassColorAttachment,
    RenderPassDescriptor, ShaderType, StoreOp, TextureDescriptor, TextureDimension, TextureFormat, TextureUsages,
    TextureView, TextureViewDescriptor,
};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use portrait_network::Model;

use crate::ends::{
    Binder, CompositeBindings, EndsKey, EndsPipelines, KeepDepthBindings, LightBindings, PackBindings, ShapeBindings,
};
use crate::execute::Network;
use crate::gpu_state::{COPY_STEP_PX, RegionUniform};
use crate::pipeline::{LayerKey, PortraitPipelines};
use crate::variant::KernelVariant;
use crate::view::Bound;
use crate::work::Work;
use crate::workbench::{Background, Workbench};

/// Size of the input that a network is first used with.
const NETWORK_PX: UVec2 = UVec2::splat(64);
/// Side of a texture that is bound for a first use where it is no power of two, and where it is one.
const SIDES_PX: [u32; 2] = [COPY_STEP_PX, 64];
/// Size of a buffer that is bound for a first use.
const BUFFER_BYTES: u64 = 16 << 10;

/// Which kernels have been used, and which are being.
#[derive(Resource, Default)]
pub struct FirstUses {
    /// Whether kernels have to be used in the background before a frame may.
    is_needed: bool,
    over: HashSet<FirstUse>,
    wanted: Vec<Wanted>,
    running: Option<(Vec<FirstUse>, Background<()>)>,
}

/// Kernels that a driver compiles together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum FirstUse {
    Layer(LayerKey),
    Ends(EndsKey),
}

/// What a thread is to use.
enum Wanted {
    Network { model: Arc<Model>, variant: KernelVariant, layers: Vec<LayerKey> },
    Ends(Box<Ends>),
}

impl FirstUses {
    pub(crate) fn new(is_needed: bool) -> Self {
        Self { is_needed, ..Self::default() }
    }

    /// Whether a thread is using kernels.
    pub fn are_running(&self) -> bool {
        self.running.as_ref().is_some_and(|(_, thread)| !thread.is_over())
    }

    /// Takes note of what has been used.
    pub(crate) fn begin_frame(&mut self) {
        self.wanted.clear();
        if let Some((uses, _)) = self.running.take_if(|(_, thread)| thread.is_over()) {
            self.over.extend(uses);
        }
    }

    /// These have been used elsewhere.
    pub(crate) fn add(&mut self, layers: impl IntoIterator<Item = LayerKey>) {
        self.over.extend(layers.into_iter().map(FirstUse::Layer));
    }

    /// Whether a frame may use a network's kernels. If not, they come next.
    pub(crate) fn has_network(&mut self, network: &Network) -> bool {
        if !self.is_needed || network.layer_keys().all(|key| self.over.contains(&FirstUse::Layer(key))) {
            return true;
        }
        let wanted: Vec<_> = network.layer_keys().collect();
        if !self.wanted.iter().any(|known| matches!(known, Wanted::Network { layers, .. } if *layers == wanted)) {
            let (model, variant) = (network.weights().model.clone(), network.plan().variant);
            self.wanted.push(Wanted::Network { model, variant, layers: wanted });
        }
        false
    }

    /// Whether a frame may use the kernels before and after a network.
    pub(crate) fn has_ends(&self, key: EndsKey) -> bool {
        !self.is_needed || self.over.contains(&FirstUse::Ends(key))
    }

    /// They come next.
    pub(crate) fn want_ends(&mut self, work: &Work, bound: &Bound, region: RegionUniform) {
        let key = work.ends_key();
        if self.wanted.iter().any(|known| matches!(known, Wanted::Ends(ends) if ends.key == key)) {
            return;
        }
        self.wanted.push(Wanted::Ends(Box::new(Ends {
            key,
            region,
            normals: work.normals.map(Twin::of),
            depths: Twin::of(&bound.depths),
            motion: Twin::of(&bound.motion),
            mask: Twin::of(&bound.mask.texture_view),
            last_depths: Twin::of(&bound.last_depths),
        })));
    }

    /// Begins with what is wanted, unless a thread is still busy.
    pub(crate) fn start(&mut self, device: &RenderDevice, adapter: &RenderAdapter, pipelines: &PortraitPipelines) {
        if self.wanted.is_empty() || self.running.is_some() {
            return;
        }
        let wanted = std::mem::take(&mut self.wanted);
        let uses = wanted.iter().flat_map(|wanted| match wanted {
            Wanted::Network { layers, .. } => layers.iter().copied().map(FirstUse::Layer).collect(),
            Wanted::Ends(ends) => vec![FirstUse::Ends(ends.key)],
        });
        let uses: Vec<_> = uses.collect();
        let (device, adapter, pipelines) = (device.clone(), adapter.clone(), pipelines.clone());
        let thread = Background::start("portrait first uses", move |cancelled| {
            if let Some(mut workbench) = Workbench::new(&device, &adapter, pipelines) {
                wanted.iter().for_each(|wanted| wanted.use_once(&mut workbench, cancelled));
            }
        });
        // Without a thread, or a device, the first frame that uses them is held up.
        match thread {
            Some(thread) => self.running = Some((uses, thread)),
            None => self.over.extend(uses),
        }
    }
}

impl Wanted {
    fn use_once(&self, workbench: &mut Workbench, cancelled: &AtomicBool) {
        let is_cancelled = || cancelled.load(Ordering::Relaxed);
        match self {
            Self::Network { model, variant, .. } => {
                let Some(gpu) = workbench.model(model) else { return };
                let Some(network) = workbench.network(&gpu, *variant, NETWORK_PX) else { return };
                for kernel in (0..network.kernels()).take_while(|_| !is_cancelled()) {
                    workbench.seconds_of(|encoder, cache| network.record_first_use(kernel, encoder, cache));
                }
            }
            Self::Ends(ends) if !is_cancelled() => ends.use_once(workbench),
            Self::Ends(_) => {}
        }
    }
}

/// A texture, as far as a driver's code depends on it, and no larger than needed.
struct Twin {
    size: Extent3d,
    format: TextureFormat,
    sample_count: u32,
    mip_level_count: u32,
}

impl Twin {
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
            label: Some("portrait first use"),
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

/// The kernels before and after a view's network, and what their code depends on beside the key: textures, and, where drivers put them
/// into the code, the numbers that they branch upon.
struct Ends {
    key: EndsKey,
    region: RegionUniform,
    normals: Option<Twin>,
    depths: Twin,
    motion: Twin,
    mask: Twin,
    last_depths: Twin,
}

impl Ends {
    /// One workgroup each, and a few pixels.
    fn use_once(&self, workbench: &mut Workbench) {
        let Self { key, .. } = self;
        let Workbench { device, cache, pipelines, pipeline_cache, .. } = workbench;
        let ids = EndsPipelines::new(*key, cache, pipelines, pipeline_cache);
        cache.process_queue();
        let binder = Binder { device, cache, pipelines };
        let none = TextureUsages::empty();
        let small = Extent3d { width: COPY_STEP_PX, height: COPY_STEP_PX, depth_or_array_layers: 1 };
        let copy = Twin { size: small, format: key.target, sample_count: 1, mip_level_count: 1 };
        let target = copy.make(TextureUsages::RENDER_ATTACHMENT, device);
        let copy = copy.make(none, device);
        let normals = self.normals.as_ref().map(|normals| normals.make(none, device));
        let [depths, motion, mask, last_depths] =
            [&self.depths, &self.motion, &self.mask, &self.last_depths].map(|twin| twin.make(none, device));
        // As Bevy samples images.
        let mask_sampler = device.create_sampler(&ImageSamplerDescriptor::linear().as_wgpu());
        let mut bytes = UniformBuffer::new(Vec::new());
        if bytes.write(&self.region).is_err() {
            return;
        }
        let region = device.create_buffer_with_data(&BufferInitDescriptor {
            label: Some("portrait first use"),
            contents: &bytes.into_inner(),
            usage: BufferUsages::UNIFORM,
        });
        let region = || {
            BindingResource::Buffer(BufferBinding { buffer: &region, offset: 0, size: Some(RegionUniform::min_size()) })
        };
        let buffers: [_; 4] = std::array::from_fn(|_| {
            device.create_buffer(&BufferDescriptor {
                label: Some("portrait first use"),
                size: BUFFER_BYTES,
                usage: BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        });
        let buffer = |at: usize| buffers[at].as_entire_binding();
        let compute = [
            (
                ids.pack,
                PackBindings {
                    region: region(),
                    copy: &copy,
                    planes: buffer(0),
                    guide: buffer(1),
                    normals: normals.as_ref(),
                    depths: Some(&depths),
                }
                .bind(key.pack, binder),
            ),
            (ids.light, LightBindings { region: region(), residual: buffer(0), light: buffer(1) }.bind(binder)),
            (
                ids.shape,
                ShapeBindings {
                    region: region(),
                    residual: buffer(0),
                    last: buffer(1),
                    shaped: buffer(2),
                    light: buffer(3),
                    motion: &motion,
                    copy: &copy,
                }
                .bind(key.multisampled, binder),
            ),
            (
                ids.keep_depth,
                KeepDepthBindings { region: region(), depths: &last_depths, kept: buffer(0) }
                    .bind(key.multisampled, binder),
            ),
        ];
        let composite = CompositeBindings {
            region: region(),
            copy: &copy,
            residual: buffer(0),
            guide: buffer(1),
            depths: &depths,
            mask: &mask,
            mask_sampler: &mask_sampler,
            boxes: buffer(2),
            last_depths: &last_depths,
            kept_depths: buffer(3),
        };
        let composite = composite.bind(key.multisampled, binder);
        workbench.seconds_of(|encoder, cache| {
            for (id, bind_group) in &compute {
                if let Some(pipeline) = cache.get_compute_pipeline(*id) {
                    dispatch(encoder, pipeline, bind_group);
                }
            }
            if let Some(pipeline) = cache.get_render_pipeline(ids.composite) {
                let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
                    label: Some("portrait first use"),
                    color_attachments: &[Some(RenderPassColorAttachment {
                        view: &target,
                        depth_slice: None,
                        resolve_target: None,
                        ops: Operations { load: LoadOp::Load, store: StoreOp::Store },
                    })],
                    ..Default::default()
                });
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, &composite, &[0]);
                pass.draw(0..3, 0..1);
            }
            true
        });
    }
}

fn dispatch(encoder: &mut CommandEncoder, pipeline: &ComputePipeline, bind_group: &BindGroup) {
    let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, bind_group, &[0]);
    pass.dispatch_workgroups(1, 1, 1);
}
