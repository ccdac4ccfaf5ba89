//! The maximum that the device can do: multiply-adds and copies that do nothing else.

use bevy::render::render_resource::{
    BindGroup, BindGroupEntries, BufferDescriptor, BufferUsages, ComputePassDescriptor, ComputePipeline,
    PipelineCompilationOptions, RawComputePipelineDescriptor, ShaderModuleDescriptor, ShaderSource,
};
use bevy::render::renderer::RenderDevice;

use crate::Contender;
use crate::device::BenchDevice;
use crate::row::{Row, Work};

/// Number of independent sums of an invocation.
const SUMS: usize = 24;
/// Number of rounds of four multiply-adds to each sum.
const LOOPS: u32 = 500;
/// Number of invocations of the multiply-adds' kernel on a CPU, and on a GPU, whose units have to be filled.
const FMA_INVOCATIONS: [u32; 2] = [64 * 64, 64 << 14];
/// Size of a copy: more than caches hold, less than the smallest binding limit.
const COPY_BYTES: u64 = 64 << 20;

/// Makes the contenders for the device's peak of f32 multiply-adds and for its bandwidth.
pub fn contenders(device: &BenchDevice) -> Vec<Contender> {
    vec![fma(device), copy(device)]
}

fn fma(device: &BenchDevice) -> Contender {
    let mut source = String::from(
        "@group(0) @binding(0) var<storage, read_write> values: array<f32>;\n\
         @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n\
         let x = values[id.x]; let y = values[id.x + 1u];\n",
    );
    let mut add = |line: String| source.extend([line.as_str(), "\n"]);
    (0..SUMS).for_each(|sum| add(format!("var sum{sum} = x + f32({sum});")));
    add(format!("for (var step = 0u; step < {LOOPS}u; step += 1u) {{"));
    for _ in 0..4 {
        (0..SUMS).for_each(|sum| add(format!("sum{sum} = fma(sum{sum}, x, y);")));
    }
    let sums: Vec<String> = (0..SUMS).map(|sum| format!("sum{sum}")).collect();
    add(format!("}}\nvalues[id.x] = {};\n}}", sums.join(" + ")));
    let invocations = FMA_INVOCATIONS[usize::from(!device.on_cpu)];
    let work = Work { multiply_adds: f64::from(invocations) * f64::from(LOOPS * 4) * SUMS as f64, bytes: 0.0 };
    let bytes = u64::from(invocations + 1) * 4;
    contender(device, "multiply-adds alone (peak)", &source, &[bytes], [invocations / 64, 1], work)
}

fn copy(device: &BenchDevice) -> Contender {
    let source = "@group(0) @binding(0) var<storage, read_write> target_texels: array<vec4<f32>>;\n\
         @group(0) @binding(1) var<storage, read_write> texels: array<vec4<f32>>;\n\
         @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n\
         let at = id.x + id.y * 65536u; target_texels[at] = texels[at];\n}";
    let work = Work { multiply_adds: 0.0, bytes: 2.0 * COPY_BYTES as f64 };
    contender(
        device,
        "copies alone (bandwidth)",
        source,
        &[COPY_BYTES; 2],
        [1024, (COPY_BYTES / 16 / 65536) as u32],
        work,
    )
}

fn contender(
    device: &BenchDevice,
    name: &str,
    source: &str,
    buffer_bytes: &[u64],
    [across, down]: [u32; 2],
    work: Work,
) -> Contender {
    let gpu = device.world().resource::<RenderDevice>();
    let pipeline = pipeline(gpu, source);
    let buffers = buffer_bytes.iter().map(|&size| {
        gpu.create_buffer(&BufferDescriptor {
            label: None,
            size,
            usage: BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    });
    let buffers: Vec<_> = buffers.collect();
    let layout = pipeline.get_bind_group_layout(0).into();
    let bind_group: BindGroup = match buffers.as_slice() {
        [one] => gpu.create_bind_group(None, &layout, &BindGroupEntries::single(one.as_entire_binding())),
        [one, two, ..] => {
            let entries = BindGroupEntries::sequential((one.as_entire_binding(), two.as_entire_binding()));
            gpu.create_bind_group(None, &layout, &entries)
        }
        [] => unreachable!("every limit has a buffer"),
    };
    Contender {
        row: Row::new(name, work),
        repeats: 1,
        run: Box::new(move |device| {
            device.submit(|encoder, _| {
                let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
                pass.set_pipeline(&pipeline);
                pass.set_bind_group(0, &bind_group, &[]);
                pass.dispatch_workgroups(across, down, 1);
            });
        }),
    }
}

fn pipeline(gpu: &RenderDevice, source: &str) -> ComputePipeline {
    let module = gpu.create_and_validate_shader_module(ShaderModuleDescriptor {
        label: None,
        source: ShaderSource::Wgsl(source.into()),
    });
    gpu.create_compute_pipeline(&RawComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: PipelineCompilationOptions::default(),
        cache: None,
    })
}
