use std::sync::Arc; use std::time::Instant;
use bevy::prelude::*;
use bevy::render::render_resource::*; use bevy::render::renderer::*;
use portrait_network::*;
use crate::common::*; use crate::kernels::network;
#[test]
fn bench_tmp() {
    let mut app = headless("assets", true);
    let size: u32 = std::env::var("BS").ok().and_then(|v| v.parse().ok()).unwrap_or(256);
    let model = Arc::new(Model::random(Spec::portrait().validate().unwrap(), 1));
    let px = UVec2::splat(size);
    let mut net = network(&mut app, &model, px);
    let world = render_world_mut(&mut app);
    let (device, queue, cache) = (world.resource::<RenderDevice>(), world.resource::<RenderQueue>(), world.resource::<PipelineCache>());
    net.write_params(0, px, queue);
    let mut best = f64::MAX;
    for _ in 0..30 {
        let mut e = device.create_command_encoder(&CommandEncoderDescriptor::default());
        assert!(net.record(0, px, &mut e, cache, None));
        let t = Instant::now();
        queue.submit([e.finish()]);
        device.poll(PollType::wait_indefinitely()).unwrap();
        best = best.min(t.elapsed().as_secs_f64());
    }
    let gflop = model.graph().macs_per_px() * 2.0 * (size * size) as f64 / 1e9;
    println!("{size}²: {:.2} ms, {:.1} GFLOP/s, scratch {} KiB", best * 1e3, gflop / best, net.plan().scratch_bytes() / 1024);
    // each step alone
    let feats = device.features();
    println!("{:?} timestamps {}", world.resource::<RenderAdapterInfo>().name, feats.contains(bevy::render::render_resource::WgpuFeatures::TIMESTAMP_QUERY));
    for i in 0..net.plan().steps.len() {
        let mut b = f64::MAX;
        for _ in 0..8 {
            let mut e = device.create_command_encoder(&CommandEncoderDescriptor::default());
            for _ in 0..4 { net.record_step(i, 0, px, &mut e, cache); }
            let t = Instant::now();
            queue.submit([e.finish()]);
            device.poll(PollType::wait_indefinitely()).unwrap();
            b = b.min(t.elapsed().as_secs_f64() / 4.0);
        }
        let s = &net.plan().steps[i];
        println!("{:22} {:?} {:?}->{:?} {:.3} ms", s.span, s.kernel, s.source_grid, s.target_grid, b * 1e3);
    }
}
