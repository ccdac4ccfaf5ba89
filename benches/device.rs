//! A headless app with the plugin, and the clock that measures its device.

use std::num::NonZero;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bevy::ecs::system::SystemState;
use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::render_resource::{CommandEncoder, CommandEncoderDescriptor, PipelineCache, PollType};
use bevy::render::renderer::{RenderAdapterInfo, RenderDevice, RenderQueue};
use bevy::render::{RenderApp, RenderPlugin};
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_portrait_realism::internals::Executor;
use bevy_portrait_realism::internals::GpuPortraitModel;
use bevy_portrait_realism::internals::KernelVariant;
use bevy_portrait_realism::internals::{PortraitPipelineCache, PortraitPipelines, Readiness, ScratchMemory};
use bevy_portrait_realism::prelude::*;
use cpu_time::ProcessTime;
use wgpu::DeviceType;

/// Maximum time that shaders may take to compile.
const PATIENCE: Duration = Duration::from_secs(120);

/// Names the vector instructions that a driver which compiles for the CPU can use; figures depend on them.
fn vector_instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vl") {
        return ", AVX-512";
    } else if is_x86_feature_detected!("avx2") {
        return ", AVX2";
    }
    ""
}

/// The device that Bevy chose, with the plugin's kernels.
pub struct BenchDevice {
    app: App,
    /// Name and driver of the device, for people.
    pub name: String,
    /// True for a device that runs on the CPU.
    pub on_cpu: bool,
    /// Number of threads that share the work of a device on the CPU.
    pub threads: usize,
}

impl BenchDevice {
    /// Starts the renderer.
    pub fn new() -> Result<Self> {
        let mut app = App::new();
        app.add_plugins(
            DefaultPlugins
                .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
                .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
                .disable::<WinitPlugin>()
                .disable::<LogPlugin>()
                .disable::<PipelinedRenderingPlugin>(),
        )
        .add_plugins(PortraitRealismPlugin);
        app.finish();
        app.cleanup();
        app.update();
        let world = app.sub_app(RenderApp).world();
        let adapter =
            world.get_resource::<RenderAdapterInfo>().context("no graphics device: install a Vulkan driver")?;
        let on_cpu = adapter.device_type == DeviceType::Cpu;
        let vectors = if on_cpu { vector_instructions() } else { "" };
        let name = format!("{}, {} {}{vectors}", adapter.name, adapter.driver, adapter.driver_info);
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self { app, name, on_cpu, threads })
    }

    /// Returns the render world.
    pub fn world(&self) -> &World {
        self.app.sub_app(RenderApp).world()
    }

    /// Returns the variant of the kernels that the plugin chose.
    pub fn variant(&self) -> KernelVariant {
        self.world().resource::<PortraitPipelines>().variant
    }

    /// Returns the variants that the device runs, without the ones that stand in.
    pub fn variants(&self) -> Vec<KernelVariant> {
        let world = self.world();
        let fitted = KernelVariant::FAMILY.map(|variant| variant.fitted(world.resource()));
        let runs = |variant: &KernelVariant| variant.missing_on(world.resource(), world.resource()).is_none();
        fitted.into_iter().filter(|variant| *variant != KernelVariant::CPU_SMALL).filter(runs).collect()
    }

    /// Makes a network that is ready to run regions of `size_px` pixels with a variant of the kernels.
    pub fn network(&mut self, model: &PortraitModel, size_px: UVec2, variant: KernelVariant) -> Result<Executor> {
        let world = self.app.sub_app_mut(RenderApp).world_mut();
        let own = std::mem::replace(&mut world.resource_mut::<PortraitPipelines>().variant, variant);
        let gpu = GpuPortraitModel::new(model.0.clone(), world.resource(), world.resource(), world.resource());
        let gpu = gpu.context("the weights do not fit this device")?;
        let mut params = SystemState::<(
            Res<RenderDevice>,
            Res<RenderQueue>,
            Res<PipelineCache>,
            Res<PortraitPipelines>,
            ResMut<PortraitPipelineCache>,
        )>::new(world);
        let network = {
            let (device, queue, cache, pipelines, mut pipeline_cache) = params.get_mut(world)?;
            let (mut memory, room) = (ScratchMemory::default(), (size_px, 1));
            let network = Executor::new(&gpu, room, &mut memory, &device, &cache, &pipelines, &mut pipeline_cache);
            let mut network = network.context("the planes do not fit this device")?;
            network.write_params(0, size_px, &queue);
            network
        };
        world.resource_mut::<PortraitPipelines>().variant = own;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.app.update();
            match network.readiness(self.world().resource::<PipelineCache>()) {
                Readiness::Ready => return Ok(network),
                Readiness::Failed => bail!("a kernel does not compile"),
                Readiness::Compiling => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        bail!("kernels are still being compiled after {PATIENCE:?}")
    }

    /// Records commands, submits them and waits until they are done.
    pub fn submit(&self, record: impl FnOnce(&mut CommandEncoder, &PipelineCache)) {
        let (device, queue) = (self.world().resource::<RenderDevice>(), self.world().resource::<RenderQueue>());
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
        record(&mut encoder, self.world().resource::<PipelineCache>());
        queue.submit([encoder.finish()]);
        assert!(device.poll(PollType::wait_indefinitely()).is_ok(), "the device is gone");
    }

    /// Returns the seconds that the work takes: CPU time divided by the number of threads on the CPU, wall time on a GPU.
    pub fn seconds_of(&self, work: impl FnOnce()) -> f64 {
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        work();
        if self.on_cpu { cpu.elapsed().as_secs_f64() / self.threads as f64 } else { wall.elapsed().as_secs_f64() }
    }
}
