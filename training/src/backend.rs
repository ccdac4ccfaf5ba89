//! The Burn backend of the command line: the only file that names one. A Cargo feature selects it.

use burn::backend::Autodiff;
use burn::tensor::backend::{Backend, Device as _, DeviceId, DeviceOps};

/// The backend that runs networks.
#[cfg(feature = "cuda")]
pub type Inner = burn::backend::Cuda;
/// The backend that runs networks.
#[cfg(all(feature = "vulkan", not(feature = "cuda")))]
pub type Inner = burn::backend::Vulkan;
/// The backend that runs networks.
#[cfg(all(feature = "tch", not(any(feature = "cuda", feature = "vulkan"))))]
pub type Inner = burn::backend::LibTorch;
/// The backend that runs networks.
#[cfg(all(feature = "flex", not(any(feature = "cuda", feature = "vulkan", feature = "tch"))))]
pub type Inner = burn::backend::Flex;
#[cfg(not(any(feature = "cuda", feature = "vulkan", feature = "tch", feature = "flex")))]
compile_error!("select a backend: one of the features `flex` (default), `vulkan`, `cuda` and `tch`");

/// The backend that trains networks.
pub type Training = Autodiff<Inner>;

/// The device on which tensors live.
pub type Device = burn::tensor::Device<Inner>;

/// Returns the default device of the backend.
pub fn device() -> Device {
    Device::default()
}

/// Returns the backend's name, for logs.
pub fn name() -> String {
    Inner::name(&device())
}

/// Returns a device for each worker: one GPU after the other, and around again when there are fewer GPUs than workers.
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
