//! The executor of a plan: its buffers and bind groups on the GPU, and the one function that records its dispatches. The plugin's pass, the
//! tests and the benchmarks all run this.

use std::ops::Range;

use bevy::math::UVec2;
use bevy::render::diagnostic::{DiagnosticsRecorder, RecordDiagnostics};
use bevy::render::render_resource::encase::UniformBuffer;
use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, Buffer, BufferBinding, BufferDescriptor, BufferUsages, CachedComputePipelineId,
    CommandEncoder, ComputePass, ComputePassDescriptor, ComputePipeline, DynamicBindGroupEntries, PipelineCache,
    ShaderType, Texture, TextureViewDescriptor,
};
use bevy::render::renderer::{RenderDevice, RenderQueue};

use crate::inference::layer::{self, LayerKey};
use crate::inference::model::GpuPortraitModel;
use crate::inference::plan::{LayerParams, Plan};
use crate::inference::scratch_memory::ScratchMemory;
use crate::inference::texels::copy_rows;
use crate::pipelines::{ComputeKey, PortraitPipelineCache, PortraitPipelines, Readiness};

/// Scratch buffers grow to multiples of this many pixels a side, so that a face that comes nearer does not allocate in
/// every frame.
const CAPACITY_STEP_PX: u32 = 64;

/// Runs a model's plan, one region after the other, in scratch memory that other networks may share.
pub struct Executor {
    plan: Plan,
    bound: Bound,
    pipelines: Vec<CachedComputePipelineId>,
    /// The first step of each different pipeline.
    warm_up: Vec<usize>,
    params: Params,
    weights: GpuPortraitModel,
}

/// Scratch memory as a network's steps bind it.
struct Bound {
    /// The memory's version.
    version: u64,
    scratch: Vec<Buffer>,
    /// Textures that a step's sources are copied into, if it reads textures.
    textures: Option<[Texture; 2]>,
    bind_groups: Vec<BindGroup>,
}

/// The parameters of every step, once for each slot.
struct Params {
    buffer: Buffer,
    stride: u32,
    /// Padded size that each slot was last written for.
    written: Vec<Option<UVec2>>,
}

impl Executor {
    /// Plans for inputs of up to `network_px` pixels and `slots` regions in one frame, makes room in the scratch memory, and queues the
    /// pipelines. Returns `None` where the device cannot bind buffers of that size.
    pub fn new(
        gpu: &GpuPortraitModel,
        (network_px, slots): (UVec2, usize),
        memory: &mut ScratchMemory,
        device: &RenderDevice,
        cache: &PipelineCache,
        pipelines: &PortraitPipelines,
        pipeline_cache: &mut PortraitPipelineCache,
    ) -> Option<Self> {
        let round_up = |side: u32| side.max(1).next_multiple_of(CAPACITY_STEP_PX);
        let capacity = UVec2::new(round_up(network_px.x), round_up(network_px.y));
        let plan = Plan::new(gpu.model.graph(), capacity, pipelines.variant, gpu.weight_format);
        let largest = plan.buffer_bytes.iter().copied().max().unwrap_or(0);
        if largest > device.limits().max_storage_buffer_binding_size
            || plan.texture_heights.iter().any(|&height| height > device.limits().max_texture_dimension_2d)
            || plan.variant.reads_textures && gpu.weight_texels.is_none()
        {
            return None;
        }
        memory.reserve(&plan, device);
        let params = Params::new(&plan, slots.max(1), device);
        let bound = Bound::new(&plan, &params, gpu, memory, device, cache)?;
        let pipelines: Vec<_> = plan
            .steps
            .iter()
            .map(|step| {
                let key = LayerKey { kernel: step.kernel, variant: plan.variant, weights: gpu.weight_format };
                pipeline_cache.compute(cache, pipelines, ComputeKey::Layer(key))
            })
            .collect();
        let is_first = |&step: &usize| !pipelines[..step].contains(&pipelines[step]);
        let warm_up = (0..pipelines.len()).filter(is_first).collect();
        Some(Self { plan, bound, pipelines, warm_up, params, weights: gpu.clone() })
    }

    /// Binds the scratch memory anew if its buffers were made anew.
    pub(crate) fn keep_up_with(&mut self, memory: &ScratchMemory, device: &RenderDevice, cache: &PipelineCache) {
        if self.bound.version != memory.version()
            && let Some(bound) = Bound::new(&self.plan, &self.params, &self.weights, memory, device, cache)
        {
            self.bound = bound;
        }
    }

    /// Returns whether it runs these weights.
    pub fn runs(&self, gpu: &GpuPortraitModel) -> bool {
        self.weights.weights.id() == gpu.weights.id()
    }

    /// Returns the weights that it runs.
    pub fn weights(&self) -> &GpuPortraitModel {
        &self.weights
    }

    /// Returns the keys of its kernels, step by step.
    pub fn layer_keys(&self) -> impl Iterator<Item = LayerKey> {
        let (variant, weights) = (self.plan.variant, self.weights.weight_format);
        self.plan.steps.iter().map(move |step| LayerKey { kernel: step.kernel, variant, weights })
    }

    /// Returns whether the other one runs every kernel that this one runs.
    pub fn has_no_kernel_beyond(&self, other: &Self) -> bool {
        self.pipelines.iter().all(|pipeline| other.pipelines.contains(pipeline))
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns whether inputs of `network_px` pixels and `slots` regions in one frame fit.
    pub fn fits(&self, network_px: UVec2, slots: usize) -> bool {
        self.plan.fits(network_px) && slots <= self.params.written.len()
    }

    /// Returns how many regions in one frame fit.
    pub fn slots(&self) -> usize {
        self.params.written.len()
    }

    /// Returns the input planes, in the [`Plan::input_layout`].
    pub fn input(&self) -> &Buffer {
        &self.bound.scratch[self.plan.input]
    }

    /// Returns the residual, one plane in the [`Plan::residual_layout`].
    pub fn residual(&self) -> &Buffer {
        &self.bound.scratch[self.plan.residual]
    }

    /// Returns whether all its pipelines can run.
    pub fn readiness(&self, cache: &PipelineCache) -> Readiness {
        let states = self.pipelines.iter().map(|&id| Readiness::of(cache.get_compute_pipeline_state(id)));
        states.fold(Readiness::Ready, Readiness::and)
    }

    /// Writes the parameters of a slot for an input of `network_px` pixels, unless it already has them.
    pub fn write_params(&mut self, slot: usize, network_px: UVec2, queue: &RenderQueue) {
        let padded = self.plan.padded_px(network_px);
        let Some(written) = self.params.written.get_mut(slot).filter(|written| **written != Some(padded)) else {
            return;
        };
        *written = Some(padded);
        let stride = self.params.stride as usize;
        let mut bytes = vec![0; stride * self.plan.steps.len()];
        for (step, target) in self.plan.steps.iter().zip(bytes.chunks_mut(stride)) {
            let mut encoded = UniformBuffer::new(Vec::new());
            // Writing to a vector of bytes cannot fail; if it did, the slot would be all zeros, and nothing would run.
            if encoded.write(&step.params(padded)).is_ok() {
                let encoded: Vec<u8> = encoded.into_inner();
                target[..encoded.len()].copy_from_slice(&encoded);
            }
        }
        queue.write_buffer(&self.params.buffer, (slot * bytes.len()) as u64, &bytes);
    }

    /// Records all steps for an input of `network_px` pixels whose parameters are in `slot`. Returns `false`, and records nothing, until
    /// every pipeline is ready.
    pub fn record(
        &self,
        slot: usize,
        network_px: UVec2,
        encoder: &mut CommandEncoder,
        cache: &PipelineCache,
        diagnostics: Option<&DiagnosticsRecorder>,
    ) -> bool {
        let Some(pipelines) = self.ready_pipelines(cache).filter(|_| self.fits(network_px, slot + 1)) else {
            return false;
        };
        let dispatch =
            |pass: &mut ComputePass, index: usize| self.dispatch(pass, pipelines[index], index, slot, network_px);
        let descriptor = ComputePassDescriptor { label: Some("portrait network"), timestamp_writes: None };
        if diagnostics.is_none() && self.bound.textures.is_none() {
            let mut pass = encoder.begin_compute_pass(&descriptor);
            (0..self.plan.steps.len()).for_each(|index| dispatch(&mut pass, index));
            return true;
        }
        // Time stamps are written and textures are filled between passes, so each step is one of its own where there are any.
        for (index, step) in self.plan.steps.iter().enumerate() {
            let span = diagnostics.time_span(encoder, step.layer().to_owned());
            self.fill_textures(index, network_px, encoder);
            dispatch(&mut encoder.begin_compute_pass(&descriptor), index);
            span.end(encoder);
        }
        true
    }

    /// Returns how many different kernels it runs.
    pub fn kernels(&self) -> usize {
        self.warm_up.len()
    }

    /// Records one workgroup of one of its [`kernels`](Self::kernels): drivers finish compiling when a kernel is first used.
    pub fn record_first_use(&self, kernel: usize, encoder: &mut CommandEncoder, cache: &PipelineCache) -> bool {
        let (Some(pipelines), Some(&step)) = (self.ready_pipelines(cache), self.warm_up.get(kernel)) else {
            return false;
        };
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(pipelines[step]);
        pass.set_bind_group(0, &self.bound.bind_groups[step], &[step as u32 * self.params.stride]);
        pass.dispatch_workgroups(1, 1, 1);
        true
    }

    /// Records some of the steps alone, as [`record`](Self::record) does all of them, for benchmarks.
    pub fn record_steps(
        &self,
        steps: Range<usize>,
        slot: usize,
        network_px: UVec2,
        encoder: &mut CommandEncoder,
        cache: &PipelineCache,
    ) -> bool {
        let Some(pipelines) = self.ready_pipelines(cache).filter(|_| self.fits(network_px, slot + 1)) else {
            return false;
        };
        for index in steps {
            self.fill_textures(index, network_px, encoder);
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            self.dispatch(&mut pass, pipelines[index], index, slot, network_px);
        }
        true
    }

    fn ready_pipelines<'a>(&self, cache: &'a PipelineCache) -> Option<Vec<&'a ComputePipeline>> {
        self.pipelines.iter().map(|&id| cache.get_compute_pipeline(id)).collect()
    }

    /// Copies a step's sources into the textures that it reads.
    fn fill_textures(&self, index: usize, network_px: UVec2, encoder: &mut CommandEncoder) {
        let step = &self.plan.steps[index];
        let rows = step.texture_rows(self.plan.padded_px(network_px));
        for ((texture, rows), source) in self.bound.textures.iter().flatten().zip(rows).zip(step.sources) {
            if rows > 0 {
                copy_rows(&self.bound.scratch[source], rows, texture, encoder);
            }
        }
    }

    fn dispatch(
        &self,
        pass: &mut ComputePass,
        pipeline: &ComputePipeline,
        index: usize,
        slot: usize,
        network_px: UVec2,
    ) {
        let [x, y, z] = self.plan.steps[index].workgroups(self.plan.padded_px(network_px));
        let params_at = (slot * self.plan.steps.len() + index) as u32 * self.params.stride;
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &self.bound.bind_groups[index], &[params_at]);
        pass.dispatch_workgroups(x, y, z);
    }
}

impl Bound {
    /// Binds each step's parameters, weights, sources and target. Returns `None` where weights are missing that the plan's kernels read.
    fn new(
        plan: &Plan,
        params: &Params,
        gpu: &GpuPortraitModel,
        memory: &ScratchMemory,
        device: &RenderDevice,
        cache: &PipelineCache,
    ) -> Option<Self> {
        let weights = match plan.variant.matrices {
            Some(_) => {
                gpu.matrices.as_ref().filter(|(variant, _)| *variant == plan.variant).map(|(_, buffer)| buffer)?
            }
            None => &gpu.weights,
        };
        let (scratch, textures) = (memory.buffers(plan), memory.textures(plan));
        let views = textures
            .as_ref()
            .map(|textures| textures.each_ref().map(|texture| texture.create_view(&TextureViewDescriptor::default())));
        let bind_groups = plan
            .steps
            .iter()
            .map(|step| {
                let params = BufferBinding { buffer: &params.buffer, offset: 0, size: Some(LayerParams::min_size()) };
                let layout = cache.get_bind_group_layout(&layer::layout(step.kernel, plan.variant));
                let target = scratch[step.target].as_entire_binding();
                let textures = views.as_ref().zip(gpu.weight_texels.as_ref());
                match textures.filter(|_| step.kernel.reads_textures(plan.variant)) {
                    Some(([source, added], texels)) => {
                        let entries = BindGroupEntries::sequential((params, source, texels, target, added));
                        device.create_bind_group(step.span.as_str(), &layout, &entries)
                    }
                    None => {
                        let [source, added] = step.sources.map(|source| scratch[source].as_entire_binding());
                        let [weights, biases] = [0; 2].map(|_| weights.as_entire_binding());
                        let entries = DynamicBindGroupEntries::sequential((params, source, weights, target, added));
                        let entries = match step.kernel.reads_halves(plan.variant) {
                            true => entries.extend_sequential((biases,)),
                            false => entries,
                        };
                        device.create_bind_group(step.span.as_str(), &layout, &entries)
                    }
                }
            })
            .collect();
        Some(Self { version: memory.version(), scratch, textures, bind_groups })
    }
}

impl Params {
    fn new(plan: &Plan, slots: usize, device: &RenderDevice) -> Self {
        let alignment = device.limits().min_uniform_buffer_offset_alignment;
        let stride = (LayerParams::min_size().get() as u32).next_multiple_of(alignment);
        let size = u64::from(stride) * (plan.steps.len().max(1) * slots) as u64;
        let buffer = device.create_buffer(&BufferDescriptor {
            label: Some("portrait layer parameters"),
            size,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { buffer, stride, written: vec![None; slots] }
    }
}
