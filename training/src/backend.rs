//! The Burn backend of the command line: the only file that names one. A Cargo feature selects it.

use burn::backend::Autodiff;
use burn::tensor::backend::{Backend, Device as _, DeviceId, DeviceOps};

/// Backend that runs networks.
#[cfg(feature = "cuda")]
pub type Inner = burn::backend::Cuda;
/// Backend that runs networks.
#[cfg(all(feature = "vulkan", not(feature = "cuda")))]
pub type Inner = burn::backend::Vulkan;
/// Backend that runs networks.
#[cfg(all(feature = "tch", not(any(feature = "cuda", feature = "vulkan"))))]
pub type Inner = burn::backend::LibTorch;
/// Backend that runs networks.
#[cfg(all(feature = "flex", not(any(feature = "cuda", feature = "vulkan", feature = "tch"))))]
pub type Inner = burn::backend::Flex;
#[cfg(not(any(feature = "cuda", feature = "vulkan", feature = "tch", feature = "flex")))]
compile_error!("select a backend: one of the features `flex` (default), `vulkan`, `cuda` and `tch`");

/// Backend that trains networks.
pub type Training = Autodiff<Inner>;

/// Where tensors live.
pub type Device = burn::tensor::Device<Inner>;

/// The default device of the backend.
pub fn device() -> Device {
    Device::default()
}

/// The backend's name, for logs.
pub fn name() -> String {
    Inner::name(&device())
}

/// A device for each worker: GPU after GPU, and around again when there are fewer.
pub fn devices(workers: usize) -> Vec<Device> {
    // The default device of wgpu stands for no certain GPU; its discrete GPUs are the devices of kind 0.
    let wgpu = cfg!(all(feature = "vulkan", not(feature = "cuda")));
    let kind = if wgpu { 0 } else { device().id().type_id };
    let count = Inner::device_count(kind);
    if workers <= 1 || count == 0 {
        return vec![device(); workers];
    }
    (0..workers).map(|worker| Device::from_id(DeviceId::new(kind, (worker % count) as u16))).collect()
}
