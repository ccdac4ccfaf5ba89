//! A device of its own with the plugin's shaders, for what would hold a frame up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use bevy::log::warn;
use bevy::math::UVec2;
use bevy::render::render_resource::{CommandEncoder, CommandEncoderDescriptor, PipelineCache, PollType, WgpuFeatures};
use bevy::render::renderer::{RenderAdapter, RenderDevice, RenderQueue, WgpuWrapper};
use portrait_network::Model;

use crate::execute::Network;
use crate::model_asset::GpuPortraitModel;
use crate::pipeline::{PortraitPipelineCache, PortraitPipelines, Readiness};
use crate::variant::KernelVariant;

/// What the device has beyond the least, where the renderer's has it.
const FEATURES: WgpuFeatures =
    WgpuFeatures::SUBGROUP.union(WgpuFeatures::SHADER_INT64).union(WgpuFeatures::SHADER_F16).union(MATRICES);
const MATRICES: WgpuFeatures = WgpuFeatures::EXPERIMENTAL_COOPERATIVE_MATRIX;

/// The device, and a pipeline cache that Bevy does not fill.
pub(crate) struct Workbench {
    pub device: RenderDevice,
    pub queue: RenderQueue,
    pub cache: PipelineCache,
    pub pipelines: PortraitPipelines,
    pub pipeline_cache: PortraitPipelineCache,
    adapter: RenderAdapter,
    /// Whether the device has complained.
    failed: Arc<AtomicBool>,
}

impl Workbench {
    /// On the adapter of the renderer's device; `None`, with a warning, where there is no second one.
    #[allow(unsafe_code)]
    pub fn new(of: &RenderDevice, adapter: &RenderAdapter, pipelines: PortraitPipelines) -> Option<Self> {
        let features = of.features() & FEATURES;
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("portrait workbench"),
            required_features: features,
            required_limits: of.limits(),
            experimental_features: match features.contains(MATRICES) {
                // SAFETY: it is the one experimental feature among them, and whoever made the renderer's device has taken its risk.
                true => unsafe { wgpu::ExperimentalFeatures::enabled() },
                false => wgpu::ExperimentalFeatures::disabled(),
            },
            ..Default::default()
        });
        let (device, queue) = match bevy::tasks::block_on(request) {
            Ok(made) => made,
            Err(error) => {
                warn!(
                    "portrait realism: no second device for kernels ({error}): those that suit the adapter run, and a frame may wait for them"
                );
                return None;
            }
        };
        let failed = Arc::new(AtomicBool::new(false));
        let complaint = failed.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            complaint.store(true, Ordering::Relaxed);
            warn!("portrait realism: while kernels were tried: {error}");
        }));
        let device = RenderDevice::from(device);
        let mut cache = PipelineCache::new(device.clone(), adapter.clone(), true);
        for (id, shader) in pipelines.shaders.all() {
            cache.set_shader(id, shader);
        }
        let queue = RenderQueue(Arc::new(WgpuWrapper::new(queue)));
        let (adapter, pipeline_cache) = (adapter.clone(), PortraitPipelineCache::default());
        Some(Self { device, queue, cache, pipelines, pipeline_cache, adapter, failed })
    }

    /// Uploads the weights.
    pub fn model(&self, model: &Arc<Model>) -> Option<GpuPortraitModel> {
        GpuPortraitModel::new(model.clone(), &self.device, &self.adapter, &self.queue)
    }

    /// A network for inputs of `network_px` pixels, ready to run.
    pub fn network(&mut self, gpu: &GpuPortraitModel, variant: KernelVariant, network_px: UVec2) -> Option<Network> {
        self.pipelines.variant = variant;
        let Self { device, cache, pipelines, pipeline_cache, .. } = self;
        let mut network = Network::new(gpu, network_px, 1, device, cache, pipelines, pipeline_cache)?;
        network.write_params(0, network_px, &self.queue);
        self.cache.process_queue();
        (network.readiness(&self.cache) == Readiness::Ready).then_some(network)
    }

    /// Whether the device has complained since this was asked last: then what was measured means nothing.
    pub fn take_failure(&self) -> bool {
        self.failed.swap(false, Ordering::Relaxed)
    }

    /// Wall time until the device has done it; endless if it cannot.
    pub fn seconds_of(&self, record: impl FnOnce(&mut CommandEncoder, &PipelineCache) -> bool) -> f64 {
        let mut encoder = self.device.create_command_encoder(&CommandEncoderDescriptor::default());
        if !record(&mut encoder, &self.cache) {
            return f64::INFINITY;
        }
        let started = Instant::now();
        self.queue.submit([encoder.finish()]);
        match self.device.poll(PollType::wait_indefinitely()) {
            Ok(_) => started.elapsed().as_secs_f64(),
            Err(_) => f64::INFINITY,
        }
    }
}

/// A thread that ends early when this is dropped.
pub(crate) struct Background<T> {
    thread: Option<JoinHandle<T>>,
    cancelled: Arc<AtomicBool>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts `work`, which asks now and then whether it is cancelled. `None` where the system has no thread for it.
    pub fn start(name: &str, work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Option<Self> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let seen = cancelled.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || work(&seen)).ok()?;
        Some(Self { thread: Some(thread), cancelled })
    }
}

impl<T> Background<T> {
    /// Whether it has come to its end.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The outcome, once there is one; `Some(None)` if it panicked.
    pub fn outcome(&mut self) -> Option<Option<T>> {
        let thread = self.thread.take_if(|thread| thread.is_finished())?;
        Some(thread.join().ok())
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        // A process must not end while its driver compiles.
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}
