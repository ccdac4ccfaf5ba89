//! A Vulkan device, the software one where there is no other.

use anyhow::{Context, Result, bail};

use crate::packages;

/// Makes sure that there is a Vulkan device; installs Mesa's drivers (with lavapipe, the software device) if not.
pub fn ensure() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(()); // Windows and macOS bring DX12 and Metal.
    }
    if device().is_ok() {
        return Ok(());
    }
    packages::install(
        "No usable Vulkan driver was found",
        &["libvulkan1", "mesa-vulkan-drivers"],
        "the Vulkan loader and a driver (Fedora: vulkan-loader mesa-vulkan-drivers; Arch: vulkan-icd-loader \
         vulkan-swrast; or your GPU vendor's)",
    )?;
    match device() {
        Ok(name) => {
            println!("Vulkan device: {name}");
            Ok(())
        }
        Err(error) => bail!("Vulkan still does not work after installing mesa-vulkan-drivers: {error:#}"),
    }
}

/// The first Vulkan device's name.
#[allow(unsafe_code)]
fn device() -> Result<String> {
    // SAFETY: the loader is the system's own. The instance is created without layers or extensions, used only here, and
    // destroyed before the entry points are unloaded.
    unsafe {
        let entry = ash::Entry::load().context("no Vulkan loader")?;
        let instance = entry.create_instance(&ash::vk::InstanceCreateInfo::default(), None).context("no driver")?;
        let names = instance.enumerate_physical_devices().map(|devices| {
            let name = |device| {
                instance
                    .get_physical_device_properties(device)
                    .device_name_as_c_str()
                    .ok()
                    .map(|name| name.to_string_lossy().into_owned())
            };
            devices.into_iter().find_map(name)
        });
        instance.destroy_instance(None);
        names.context("devices cannot be listed")?.context("the driver has no device")
    }
}
