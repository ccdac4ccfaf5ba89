//! A Vulkan device, the software one where there is no other, and the layer that says what is done wrong with it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use ash::vk;

use crate::packages;
use crate::plan::Step;
use crate::run::target_folder;

/// The layer's settings, with which a process prints the layer's first message and dies.
const LAYER_SETTINGS: &str = "\
khronos_validation.report_flags = error,warn,perf
khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG,VK_DBG_LAYER_ACTION_BREAK
khronos_validation.log_filename = stdout
";

/// The step that makes sure of a Vulkan device.
pub fn step() -> Step<'static> {
    if !cfg!(target_os = "linux") || device().is_ok() {
        return Step::new("Find a Vulkan device", 0.0, ensure);
    }
    Step::new("Install a Vulkan driver", 1.0, ensure).downloads(60)
}

/// The step that makes sure of Vulkan's validation layer.
pub fn validation_step() -> Step<'static> {
    let ensure = || validation().map(drop);
    if !cfg!(target_os = "linux") || has_validation_layer().unwrap_or(false) {
        return Step::new("Find Vulkan's validation layer", 0.0, ensure);
    }
    Step::new("Install Vulkan's validation layer", 0.5, ensure).downloads(15)
}

/// Makes sure that there is a Vulkan device; installs Mesa's drivers (with lavapipe, the software device) if not.
pub fn ensure() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(()); // Windows and macOS bring DX12 and Metal.
    }
    if let Ok(name) = device() {
        println!("Vulkan device: {name}");
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

/// Makes sure that Vulkan's validation layer is there. A process with the variables that this returns dies at the layer's first
/// message.
pub fn validation() -> Result<Vec<(&'static str, PathBuf)>> {
    if !cfg!(target_os = "linux") {
        println!("Vulkan's validation layer is asked on Linux alone");
        return Ok(Vec::new());
    }
    if !has_validation_layer()? {
        packages::install(
            "Vulkan's validation layer, which the tests run under, was not found",
            &["vulkan-validationlayers"],
            "Vulkan's validation layer (Fedora: vulkan-validation-layers; Arch: vulkan-validation-layers)",
        )?;
        ensure!(has_validation_layer()?, "the loader does not find the validation layer that was installed");
    }
    let settings = target_folder().join("vk_layer_settings.txt");
    fs::create_dir_all(target_folder()).with_context(|| target_folder().display().to_string())?;
    fs::write(&settings, LAYER_SETTINGS).with_context(|| settings.display().to_string())?;
    // wgpu's debug information says that shaders are written in WGSL: layers of before that was a language (1.3.239) object.
    Ok(vec![("WGPU_VALIDATION", "1".into()), ("WGPU_DEBUG", "0".into()), ("VK_LAYER_SETTINGS_PATH", settings)])
}

#[allow(unsafe_code)]
fn has_validation_layer() -> Result<bool> {
    // SAFETY: the loader is the system's own; the layers are listed while it is loaded.
    let layers = unsafe {
        ash::Entry::load().context("no Vulkan loader")?.enumerate_instance_layer_properties().context("no layers")?
    };
    let is_it = |layer: &vk::LayerProperties| layer.layer_name_as_c_str() == Ok(c"VK_LAYER_KHRONOS_validation");
    Ok(layers.iter().any(is_it))
}

/// Returns the name of the first Vulkan device.
#[allow(unsafe_code)]
fn device() -> Result<String> {
    // SAFETY: the loader is the system's own. The instance is created without layers or extensions, used only here, and
    // destroyed before the entry points are unloaded.
    unsafe {
        let entry = ash::Entry::load().context("no Vulkan loader")?;
        let instance = entry.create_instance(&vk::InstanceCreateInfo::default(), None).context("no driver")?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, unsafe_code)]
mod tests {
    use std::process::Command;

    use super::*;

    const DOES_WRONG: &str = "PORTRAIT_DOES_WRONG";

    /// Asks for a queue of priority 2, where 1 is the most.
    fn do_wrong() {
        let layers = [c"VK_LAYER_KHRONOS_validation".as_ptr()];
        // SAFETY: the loader is the system's own, and instance and device are used only here. Drivers clamp a priority.
        unsafe {
            let entry = ash::Entry::load().unwrap();
            let create = vk::InstanceCreateInfo::default().enabled_layer_names(&layers);
            let instance = entry.create_instance(&create, None).unwrap();
            let adapter = instance.enumerate_physical_devices().unwrap()[0];
            let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[2.0])];
            let device =
                instance.create_device(adapter, &vk::DeviceCreateInfo::default().queue_create_infos(&queues), None);
            device.unwrap().destroy_device(None);
            instance.destroy_instance(None);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_does_wrong_dies_and_says_of_what() {
        if std::env::var_os(DOES_WRONG).is_some() {
            return do_wrong();
        }
        // Tests install nothing: nobody sees the question before `sudo`.
        assert!(has_validation_layer().unwrap(), "no validation layer: `cargo xtask test` installs it");
        let test = ["--exact", "vulkan::tests::a_process_that_does_wrong_dies_and_says_of_what", "--nocapture"];
        let output = |variables: Vec<(&str, PathBuf)>| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            let output = child.args(test).env(DOES_WRONG, "1").envs(variables).output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (survived, said) = output(validation().unwrap());
        assert!(!survived && said.contains("VUID-VkDeviceQueueCreateInfo-pQueuePriorities"), "{said}");
    }
}
