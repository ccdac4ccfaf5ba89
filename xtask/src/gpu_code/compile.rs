//! Compiles kernels with RADV for a GPU that is not there, and asks what came of them.
//!
//! Such a device has no memory, so wgpu gives it up. A device and pipelines can be made all the same, and
//! `VK_KHR_pipeline_executable_properties` tells registers, spills, occupancy and the disassembly.

use std::ffi::{CStr, c_char};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ash::{Device, Instance, ext, khr, vk};

use super::kernels::{Binding, Compiled, Kernel};

/// The extensions that the kernels need and wgpu switches on, beside the one that tells what was made.
const EXTENSIONS: [&CStr; 2] = [khr::pipeline_executable_properties::NAME, ext::robustness2::NAME];

/// A device of one GPU family, named by the environment variable `RADV_FORCE_FAMILY`.
pub struct Compiler {
    // Unloads the loader, so it has to be dropped last.
    _entry: ash::Entry,
    instance: Instance,
    device: Device,
    executables: khr::pipeline_executable_properties::Device,
    /// True if the GPU multiplies matrices.
    pub has_matrices: bool,
}

impl Compiler {
    /// Makes the device, with the features that wgpu switches on for the kernels.
    #[allow(unsafe_code)]
    pub fn new() -> Result<Self> {
        // SAFETY: the loader is the one that this process was started with. Every structure that is handed over outlives the call, and
        // the device is made of the first adapter of the instance, with features and extensions that the adapter lists or that every
        // GPU of RADV has.
        unsafe {
            let entry = ash::Entry::load().context("no Vulkan loader")?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let create = vk::InstanceCreateInfo::default().application_info(&application);
            let instance = entry.create_instance(&create, None).context("no Vulkan driver")?;
            let adapter = instance.enumerate_physical_devices()?.into_iter().next().context("no Vulkan device")?;
            let listed = instance.enumerate_device_extension_properties(adapter)?;
            let has = |name: &CStr| listed.iter().any(|found| found.extension_name_as_c_str() == Ok(name));
            for name in EXTENSIONS {
                ensure!(has(name), "the driver lacks {}: is it RADV of Mesa 25.0?", name.to_string_lossy());
            }
            let has_matrices = has(khr::cooperative_matrix::NAME);
            let mut extensions: Vec<*const c_char> = EXTENSIONS.iter().map(|name| name.as_ptr()).collect();
            if has_matrices {
                extensions.push(khr::cooperative_matrix::NAME.as_ptr());
            }
            let core = vk::PhysicalDeviceFeatures::default().shader_int16(true).shader_int64(true);
            let mut vulkan11 = vk::PhysicalDeviceVulkan11Features::default()
                .storage_buffer16_bit_access(true)
                .uniform_and_storage_buffer16_bit_access(true);
            let mut vulkan12 = vk::PhysicalDeviceVulkan12Features::default()
                .shader_float16(true)
                .vulkan_memory_model(true)
                .vulkan_memory_model_device_scope(true);
            let mut vulkan13 = vk::PhysicalDeviceVulkan13Features::default()
                .subgroup_size_control(true)
                .shader_zero_initialize_workgroup_memory(true)
                .robust_image_access(true)
                .maintenance4(true);
            let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default()
                .robust_buffer_access2(true)
                .robust_image_access2(true);
            let mut told =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
            let mut matrices = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
            let core = core.robust_buffer_access(true);
            let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let mut create = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .enabled_features(&core)
                .push_next(&mut vulkan11)
                .push_next(&mut vulkan12)
                .push_next(&mut vulkan13)
                .push_next(&mut robust)
                .push_next(&mut told);
            if has_matrices {
                create = create.push_next(&mut matrices);
            }
            let device = instance.create_device(adapter, &create, None).context("the driver makes no device")?;
            let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Self { _entry: entry, instance, device, executables, has_matrices })
        }
    }

    /// Compiles a kernel of that folder.
    #[allow(unsafe_code)]
    pub fn compile(&self, kernel: &Kernel, folder: &Path) -> Result<Compiled> {
        let path = folder.join(&kernel.file);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let words = ash::util::read_spv(&mut std::io::Cursor::new(bytes)).context("no SPIR-V")?;
        let bindings: Vec<_> = kernel
            .bindings
            .iter()
            .map(|(number, binding)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(*number)
                    .descriptor_type(match binding {
                        Binding::Uniform => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
                        Binding::Storage => vk::DescriptorType::STORAGE_BUFFER,
                    })
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        // SAFETY: the module is naga's, validated before it was written; the layout has the bindings that the module declares. Everything
        // that is made here is destroyed here, and the device is idle: nothing is ever submitted.
        unsafe {
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&words), None)?;
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [self.device.create_descriptor_set_layout(&set, None)?];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&layout, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let create = vk::ComputePipelineCreateInfo::default()
                .flags(
                    vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                        | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
                )
                .stage(stage)
                .layout(layout);
            let pipelines = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None);
            let compiled = match pipelines {
                Ok(pipelines) => {
                    let compiled = self.describe(pipelines[0]);
                    self.device.destroy_pipeline(pipelines[0], None);
                    compiled
                }
                Err((_, error)) => Err(error).context("the driver does not compile it"),
            };
            self.device.destroy_pipeline_layout(layout, None);
            self.device.destroy_descriptor_set_layout(sets[0], None);
            self.device.destroy_shader_module(module, None);
            compiled.with_context(|| kernel.file.clone())
        }
    }

    /// Asks what came of a pipeline of one executable.
    #[allow(unsafe_code)]
    unsafe fn describe(&self, pipeline: vk::Pipeline) -> Result<Compiled> {
        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        let executable = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        // SAFETY: the pipeline is alive, and was made with the flags that these questions need.
        let (properties, statistics, mut texts) = unsafe {
            (
                self.executables.get_pipeline_executable_properties(&info)?,
                self.executables.get_pipeline_executable_statistics(&executable)?,
                self.executables.get_pipeline_executable_internal_representations(&executable)?,
            )
        };
        let [properties] = properties[..] else { bail!("{} executables, one expected", properties.len()) };
        let mut contents: Vec<Vec<u8>> = texts.iter().map(|text| vec![0; text.data_size]).collect();
        for (text, content) in texts.iter_mut().zip(&mut contents) {
            text.p_data = content.as_mut_ptr().cast();
        }
        let mut count = texts.len() as u32;
        // SAFETY: as above, and each text has as many bytes of its own as the driver has just asked for.
        unsafe {
            (self.executables.fp().get_pipeline_executable_internal_representations_khr)(
                self.device.handle(),
                &executable,
                &mut count,
                texts.as_mut_ptr(),
            )
            .result()?;
        }
        let statistics =
            statistics.iter().filter(|statistic| statistic.format == vk::PipelineExecutableStatisticFormatKHR::UINT64);
        let statistics = statistics.map(|statistic| {
            let name = statistic.name_as_c_str()?.to_string_lossy().into_owned();
            // SAFETY: the format says that the value is this field of the union.
            Ok((name, unsafe { statistic.value.u64 }))
        });
        let assembly = texts
            .iter()
            .zip(&contents)
            .find(|(text, _)| text.name_as_c_str().is_ok_and(|name| name.to_string_lossy().contains("ssembl")));
        let (_, assembly) = assembly.context("the driver tells no assembly")?;
        Ok(Compiled {
            wave_size: properties.subgroup_size,
            statistics: statistics.collect::<Result<_, std::ffi::FromBytesUntilNulError>>()?,
            assembly: String::from_utf8_lossy(assembly).trim_end_matches('\0').to_owned(),
        })
    }
}

impl Drop for Compiler {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: nothing was submitted, and all that was made of the device has been destroyed.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}
