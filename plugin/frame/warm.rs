//! Part of steps 3 and 4 of preparing a frame: whether a frame may use a face's kernels. Only software rasterisers ever say no.

use crate::frame::bind::ViewTextures;
use crate::frame::gpu::Gpu;
use crate::frame::uniforms::region_uniform;
use crate::inference::executor::Executor;
use crate::kernels::warm_up::StageWarmUp;
use crate::pipelines::StageKey;
use crate::select::view_work::{FaceWork, SceneInputs, ViewWork};

/// Returns whether a frame may use a network's kernels and the stages around it for a face, and requests the warm-up of those that it may
/// not use yet.
pub(crate) fn is_warm(
    network: &Executor,
    key: StageKey,
    work: &ViewWork,
    face: &FaceWork,
    scene: &SceneInputs,
    gpu: &mut Gpu,
) -> bool {
    // Both are asked in any case: neither waits for the other.
    let network_is_warm = gpu.warm_up.network(network);
    if gpu.warm_up.has_stages(key) {
        return network_is_warm;
    }
    // Another network may read normals that the camera does not draw yet.
    if key.pack.normal_channel.is_some() && work.normals.is_none() {
        return false;
    }
    let textures = ViewTextures::new(work, scene, gpu);
    gpu.warm_up.request_stages(StageWarmUp::new(
        key,
        region_uniform(work, face, network.plan()),
        work.normals,
        [&textures.depths, &textures.motion_vectors, &textures.mask.texture_view, &textures.final_depths],
    ));
    false
}
