//! A second device with the plugin's shaders, for work that would hold a frame up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use bevy::log::warn;
use bevy::math::UVec2;
use bevy::render::render_resource::{CommandEncoder, CommandEncoderDescriptor, PipelineCache, PollType, WgpuFeatures};
use bevy::render::renderer::{RenderAdapter, RenderDevice, RenderQueue, WgpuWrapper};
use portrait_network::Model;

use crate::inference::executor::Executor;
use crate::inference::model::GpuPortraitModel;
use crate::inference::scratch_memory::ScratchMemory;
use crate::inference::variant::KernelVariant;
use crate::pipelines::{PortraitPipelineCache, PortraitPipelines, Readiness};

/// Features that the second device has where the renderer's has them.
const FEATURES: WgpuFeatures =
    WgpuFeatures::SUBGROUP.union(WgpuFeatures::SHADER_INT64).union(WgpuFeatures::SHADER_F16).union(MATRICES);
const MATRICES: WgpuFeatures = WgpuFeatures::EXPERIMENTAL_COOPERATIVE_MATRIX;

/// The second device, and a pipeline cache that Bevy does not fill.
pub(crate) struct Workbench {
    pub device: RenderDevice,
    pub queue: RenderQueue,
    pub cache: PipelineCache,
    pub pipelines: PortraitPipelines,
    pub pipeline_cache: PortraitPipelineCache,
    adapter: RenderAdapter,
    /// True if the device has reported an error since [`Workbench::take_failure`] asked last.
    failed: Arc<AtomicBool>,
}

impl Workbench {
    /// Makes a second device on the renderer's adapter. Returns `None`, with a warning, where the adapter gives none.
    #[allow(unsafe_code)]
    pub fn new(of: &RenderDevice, adapter: &RenderAdapter, pipelines: PortraitPipelines) -> Option<Self> {
        let features = of.features() & FEATURES;
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("portrait workbench"),
            required_features: features,
            required_limits: of.limits(),
            experimental_features: match features.contains(MATRICES) {
                // SAFETY: cooperative matrices are the one experimental feature among them, and the app has accepted their risk when it made
                // the renderer's device.
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

    /// Makes a network for inputs of `network_px` pixels, ready to run.
    pub fn network(&mut self, gpu: &GpuPortraitModel, variant: KernelVariant, network_px: UVec2) -> Option<Executor> {
        self.pipelines.variant = variant;
        let Self { device, cache, pipelines, pipeline_cache, .. } = self;
        let mut memory = ScratchMemory::default();
        let mut network = Executor::new(gpu, (network_px, 1), &mut memory, device, cache, pipelines, pipeline_cache)?;
        network.write_params(0, network_px, &self.queue);
        self.cache.process_queue();
        (network.readiness(&self.cache) == Readiness::Ready).then_some(network)
    }

    /// Returns whether the device has reported an error since the last call: then what was measured means nothing.
    pub fn take_failure(&self) -> bool {
        self.failed.swap(false, Ordering::Relaxed)
    }

    /// Records commands, runs them, and returns the wall time until the device has done them, in seconds; infinity if it cannot.
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
    /// Starts `work`, which asks now and then whether it is cancelled. Returns `None` where the system gives no thread.
    pub fn start(name: &str, work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Option<Self> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let seen = cancelled.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || work(&seen)).ok()?;
        Some(Self { thread: Some(thread), cancelled })
    }
}

impl<T> Background<T> {
    /// Returns whether the thread has come to its end.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Takes the outcome, once there is one: `Some(None)` if the thread panicked.
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
