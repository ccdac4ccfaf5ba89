//! How one network takes over from another, with other weights or other kernels, without a frame in between that is not
//! enhanced.

use bevy::asset::AssetId;
use bevy::math::UVec2;
use bevy::render::render_resource::CommandEncoderDescriptor;

use crate::execute::Network;
use crate::gpu_state::{PortraitGpuState, Successor};
use crate::model_asset::{GpuPortraitModel, PortraitModel};
use crate::pipeline::{ComputeKey, Readiness};
use crate::prepare::Gpu;
use crate::work::Work;

/// Lets networks take over that became ready in the frame before.
pub(crate) fn take_over(state: &mut PortraitGpuState) {
    let PortraitGpuState { networks, successors, .. } = state;
    for (model, next) in successors.extract_if(|_, next| next.is_ready) {
        networks.insert(model, next.network);
    }
}

/// Where a network runs other weights than the ones that were uploaded last, or other kernels than the ones chosen, makes
/// one that will take over. The last steps of compiling its kernels are spread over frames, and the old network goes on
/// meanwhile.
pub(crate) fn replace_networks<'a>(
    state: &mut PortraitGpuState,
    work: &[Work],
    uploaded: impl Fn(AssetId<PortraitModel>) -> Option<&'a GpuPortraitModel>,
    gpu: &mut Gpu,
) {
    let mut models: Vec<_> = work.iter().map(Work::model).collect();
    models.sort();
    models.dedup();
    for model in models {
        let (Some(held), Some(weights)) = (state.networks.get(&model), uploaded(model)) else { continue };
        let variant = gpu.pipelines.variant;
        if held.plan().variant == variant && held.runs(weights) {
            state.successors.remove(&model);
            continue;
        }
        let (size, slots) = (held.plan().capacity_px, held.slots());
        let suits = |next: &Successor| {
            let network = &next.network;
            network.fits(size, slots) && network.plan().variant == variant && network.runs(weights)
        };
        if !state.successors.get(&model).is_some_and(suits) {
            let Gpu { device, cache, pipelines, pipeline_cache, .. } = gpu;
            let network = Network::new(weights, size, slots, device, cache, pipelines, pipeline_cache);
            let Some(network) = network else { continue };
            // Nothing is left to compile where only the numbers changed.
            let used = if network.has_no_kernel_beyond(held) { network.kernels() } else { 0 };
            state.successors.insert(model, Successor { network, used, is_ready: false });
        }
        let packs = work.iter().filter(|work| work.model() == model).map(|work| {
            let key = ComputeKey::Pack(work.pack_key(weights, variant.activations));
            let pack = gpu.pipeline_cache.compute(&gpu.cache, &gpu.pipelines, key);
            Readiness::of(gpu.cache.get_compute_pipeline_state(pack))
        });
        let packs = packs.fold(Readiness::Ready, Readiness::and);
        let Some(next) = state.successors.get_mut(&model) else { continue };
        // Neither waits for the other.
        let are_used = gpu.first_uses.has_network(&next.network);
        if next.network.readiness(&gpu.cache).and(packs) != Readiness::Ready || !are_used {
            continue;
        }
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
