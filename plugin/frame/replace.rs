//! Swaps in a network with other weights or other kernels, without a frame in between that is not enhanced.

use bevy::math::UVec2;
use bevy::render::render_resource::CommandEncoderDescriptor;

use crate::frame::gpu::Gpu;
use crate::frame::state::{PortraitGpuState, Successor};
use crate::frame::warm::is_warm;
use crate::inference::executor::Executor;
use crate::pipelines::{ComputeKey, Readiness};
use crate::select::view_work::{SceneInputs, ViewWork};

/// Swaps in the networks that became ready in the frame before.
pub(crate) fn swap_in_successors(state: &mut PortraitGpuState) {
    let PortraitGpuState { networks, successors, .. } = state;
    for (model, next) in successors.extract_if(|_, next| next.is_ready) {
        networks.insert(model, next.network);
    }
}

/// Makes a successor for each network that runs other weights than were uploaded last, or other kernels than were chosen. The last steps
/// of compiling its kernels are spread over frames, and the old network goes on meanwhile.
pub(crate) fn prepare_successors(state: &mut PortraitGpuState, work: &[ViewWork], scene: &SceneInputs, gpu: &mut Gpu) {
    let faces = work.iter().flat_map(|work| work.faces.iter().map(move |face| (work, face)));
    let mut models: Vec<_> = faces.clone().map(|(_, face)| face.visible.model).collect();
    models.sort();
    models.dedup();
    for model in models {
        let (Some(held), Some(weights)) = (state.networks.get(&model), scene.uploaded(model)) else { continue };
        let variant = gpu.pipelines.variant;
        if held.plan().variant == variant && held.runs(weights) {
            state.successors.remove(&model);
            continue;
        }
        // A successor that was begun for other weights, kernels or sizes is begun anew.
        let (size, slots) = (held.plan().capacity_px, held.slots());
        let suits = |next: &Successor| {
            let network = &next.network;
            network.fits(size, slots) && network.plan().variant == variant && network.runs(weights)
        };
        if !state.successors.get(&model).is_some_and(suits) {
            let Gpu { device, cache, pipelines, pipeline_cache, .. } = gpu;
            let room = (size, slots);
            let network = Executor::new(weights, room, &mut state.scratch, device, cache, pipelines, pipeline_cache);
            let Some(network) = network else { continue };
            // Nothing is left to compile where only the numbers changed.
            let used = if network.has_no_kernel_beyond(held) { network.kernels() } else { 0 };
            state.successors.insert(model, Successor { network, used, is_ready: false });
        }
        let Some(next) = state.successors.get_mut(&model) else { continue };
        // Its input planes may be made by another kernel than those of the network before it. All faces are asked in any case: none waits
        // for another.
        let mut readiness = next.network.readiness(&gpu.cache);
        let mut all_warm = true;
        for (work, face) in faces.clone().filter(|(_, face)| face.visible.model == model) {
            let key = work.stage_key(weights);
            let pack = gpu.pipeline_cache.compute(&gpu.cache, &gpu.pipelines, ComputeKey::Pack(key.pack));
            readiness = readiness.and(Readiness::of(gpu.cache.get_compute_pipeline_state(pack)));
            all_warm &= is_warm(&next.network, key, work, face, scene, gpu);
        }
        if readiness != Readiness::Ready || !all_warm {
            continue;
        }
        // Drivers finish compiling a kernel when it is first used: one kernel a frame, on a single workgroup.
        if next.used < next.network.kernels() {
            next.network.write_params(0, UVec2::ONE, &gpu.queue);
            let mut encoder = gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
            next.network.record_first_use(next.used, &mut encoder, &gpu.cache);
            gpu.queue.submit([encoder.finish()]);
            next.used += 1;
        } else {
            next.is_ready = true;
        }
    }
}
