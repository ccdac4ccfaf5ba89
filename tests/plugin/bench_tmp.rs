use std::sync::Arc;
use bevy::prelude::*;
use bevy::render::render_resource::*; use bevy::render::renderer::*;
use portrait_network::*;
use crate::common::*; use crate::kernels::network;
fn cpu_s() -> f64 { let mut t = 0.0; for d in std::fs::read_dir("/proc/self/task").unwrap() { let p = d.unwrap().path().join("schedstat"); if let Ok(s) = std::fs::read_to_string(p) { t += s.split(' ').next().unwrap().parse::<f64>().unwrap_or(0.0) * 1e-9; } } t }
#[test]
fn bench_tmp() {
    let mut app = headless("assets", true);
    for half in [false, true] { for size in [256u32, 512] {
    let mut model = Model::random(Spec::portrait().validate().unwrap(), 1);
    if half { model = Model::from_bytes(&model.to_bytes(Dtype::F16).unwrap()).unwrap(); }
    let model = Arc::new(model);
    let px = UVec2::splat(size);
    let mut net = network(&mut app, &model, px);
    let world = render_world_mut(&mut app);
    let (device, queue, cache) = (world.resource::<RenderDevice>(), world.resource::<RenderQueue>(), world.resource::<PipelineCache>());
    net.write_params(0, px, queue);
    let run = |n: usize| {
        let t = cpu_s();
        for _ in 0..n {
            let mut e = device.create_command_encoder(&CommandEncoderDescriptor::default());
            net.record(0, px, &mut e, cache, None);
            queue.submit([e.finish()]);
            device.poll(PollType::wait_indefinitely()).unwrap();
        }
        (cpu_s() - t) / n as f64 * 1e3 / 2.0
    };
    run(2);
    let best = (0..4).map(|_| run(6)).fold(f64::MAX, f64::min);
    let gflop = model.graph().macs_per_px() * 2.0 * (size * size) as f64 / 1e9;
    println!("half {half} {size}²: {:.2} CPU-ms/2, {:.1} GFLOP/s, scratch {} KiB", best, gflop / best * 1e3, net.plan().scratch_bytes() / 1024);
    } }
}
