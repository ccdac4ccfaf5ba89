//! Support: whether the effect can run on a device, and if not, what the device lacks.

use bevy::ecs::prelude::*;
use bevy::render::render_resource::{DownlevelFlags, WgpuLimits};
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use thiserror::Error;

use crate::inference::variant::KernelVariant;
use crate::shader_defs::WORKGROUP_SIDE;

/// Storage buffers that a layer binds: two sources, weights and target.
const STORAGE_BUFFERS: u32 = 4;
/// Uniforms with a dynamic offset in one layout: a layer's parameters, or a region.
const DYNAMIC_UNIFORMS: u32 = 1;
/// Textures that the pack stage reads: the region copy, normals and depth.
const TEXTURES: u32 = 3;

/// Says whether the effect can run. The plugin inserts it into the main world and, where there is one, the render world; it
/// is final from the end of [`App::finish`](bevy::app::App::finish) on, so that `Startup` systems can read it, and is
/// brought up to date when Bevy recovers from a lost device.
///
/// Where the effect cannot run, cameras with [`PortraitRealism`](crate::PortraitRealism) show the frame as it is without
/// the plugin, and the reason is logged once.
///
/// ```
/// use bevy::prelude::*;
/// use bevy_portrait_realism::PortraitRealismSupported;
///
/// fn grey_out_the_menu_entry(supported: Res<PortraitRealismSupported>) {
///     if let Some(reason) = supported.reason() {
///         println!("{reason}");
///     }
/// }
/// ```
#[derive(Resource, Clone, Debug, PartialEq, Eq)]
pub struct PortraitRealismSupported(Result<(), PortraitUnsupported>);

impl PortraitRealismSupported {
    /// Returns whether the effect can run.
    pub fn is_supported(&self) -> bool {
        self.0.is_ok()
    }

    /// Returns why the effect cannot run; `None` where it can.
    pub fn reason(&self) -> Option<&PortraitUnsupported> {
        self.0.as_ref().err()
    }

    /// Returns the answer where there is no device.
    pub(crate) const fn no_renderer() -> Self {
        Self(Err(PortraitUnsupported::NoRenderer))
    }

    /// Returns the answer for a device.
    pub(crate) fn on(device: &RenderDevice, adapter: &RenderAdapter) -> Self {
        let flags = adapter.get_downlevel_capabilities().flags;
        Self(missing_flag(flags).or_else(|| too_low(&device.limits())).map_or(Ok(()), Err))
    }
}

/// Names what the effect lacks. The text says what to do about it.
#[derive(Error, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortraitUnsupported {
    /// There is no renderer, or it has no device.
    #[error(
        "there is no renderer: add `PortraitRealismPlugin` after Bevy's `DefaultPlugins`, on a machine with a graphics \
         driver and with `WgpuSettings::backends` set"
    )]
    NoRenderer,
    /// The adapter or its driver lacks an ability.
    #[error(
        "this graphics adapter has no {missing}: choose another backend (Vulkan, DirectX 12, Metal or WebGPU have them, \
         WebGL2 and OpenGL ES 3.0 do not), or update its driver"
    )]
    Adapter {
        /// The ability that it lacks.
        missing: &'static str,
    },
    /// One of the device's limits is too low.
    #[error(
        "the device's limit `{limit}` is {found}, expected at least {needed}: raise it in `WgpuSettings::limits`, and in \
         `WgpuSettings::constrained_limits` if you set it; if the adapter offers no more, choose another one"
    )]
    Limit {
        /// The limit's name in [`WgpuLimits`].
        limit: &'static str,
        /// The device's value.
        found: u32,
        /// The smallest value that the effect runs with.
        needed: u32,
    },
}

fn missing_flag(flags: DownlevelFlags) -> Option<PortraitUnsupported> {
    let needed = [
        (DownlevelFlags::COMPUTE_SHADERS, "compute shaders"),
        (DownlevelFlags::FRAGMENT_STORAGE, "storage buffers in fragment shaders"),
    ];
    let (_, missing) = needed.into_iter().find(|(flag, _)| !flags.contains(*flag))?;
    Some(PortraitUnsupported::Adapter { missing })
}

fn too_low(limits: &WgpuLimits) -> Option<PortraitUnsupported> {
    // The widest workgroup of the family of kernels.
    let invocations = KernelVariant::FAMILY.iter().map(|variant| variant.workgroup).max().unwrap_or(1);
    let square = WORKGROUP_SIDE * WORKGROUP_SIDE;
    let needed = [
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage, STORAGE_BUFFERS),
        (
            "max_dynamic_uniform_buffers_per_pipeline_layout",
            limits.max_dynamic_uniform_buffers_per_pipeline_layout,
            DYNAMIC_UNIFORMS,
        ),
        ("max_sampled_textures_per_shader_stage", limits.max_sampled_textures_per_shader_stage, TEXTURES),
        (
            "max_compute_invocations_per_workgroup",
            limits.max_compute_invocations_per_workgroup,
            invocations.max(square),
        ),
        ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x, invocations),
        ("max_compute_workgroup_size_y", limits.max_compute_workgroup_size_y, WORKGROUP_SIDE),
    ];
    let (limit, found, needed) = needed.into_iter().find(|(_, found, needed)| found < needed)?;
    Some(PortraitUnsupported::Limit { limit, found, needed })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_every_webgpu_device_has_are_enough() {
        assert_eq!(too_low(&WgpuLimits::default()), None);
        assert_eq!(too_low(&WgpuLimits::downlevel_defaults()), None);
    }

    #[test]
    fn a_limit_that_is_too_low_is_named_with_what_is_needed() {
        let limits = WgpuLimits { max_compute_workgroup_size_y: 4, ..WgpuLimits::default() };
        let reason = too_low(&limits).unwrap();
        assert_eq!(
            reason,
            PortraitUnsupported::Limit { limit: "max_compute_workgroup_size_y", found: 4, needed: WORKGROUP_SIDE }
        );
        let text = reason.to_string();
        assert!(text.contains("`max_compute_workgroup_size_y` is 4, expected at least 8"), "{text}");
    }

    #[test]
    fn what_an_adapter_lacks_is_named() {
        assert_eq!(missing_flag(DownlevelFlags::all()), None);
        let reason = missing_flag(DownlevelFlags::all() - DownlevelFlags::COMPUTE_SHADERS).unwrap();
        assert!(reason.to_string().contains("no compute shaders"), "{reason}");
    }
}
