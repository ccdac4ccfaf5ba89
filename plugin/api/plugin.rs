//! The plugin's name, its place in the frame, and the diagnostics that it fills.

use bevy::diagnostic::DiagnosticPath;
use bevy::ecs::prelude::*;

/// Adds the effect to every camera with [`PortraitRealism`](crate::PortraitRealism). Add it after `DefaultPlugins`. Without a renderer, or
/// on a device that cannot run it, it does nothing, and [`PortraitRealismSupported`](crate::PortraitRealismSupported) says why.
pub struct PortraitRealismPlugin;

impl PortraitRealismPlugin {
    /// `portrait/cpu_ms`: milliseconds of CPU time that the effect takes in a frame, in the render world: preparing and recording, all
    /// cameras together.
    ///
    /// It is measured where the app has Bevy's `RenderDiagnosticsPlugin`. So are the stages of each camera's largest region: copying it
    /// out of the frame, packing the input planes, each layer by its name, shaping and compositing. Bevy writes these as
    /// `render/portrait/<stage>/elapsed_cpu` and `render/portrait/<stage>/elapsed_gpu`, for example
    /// `render/portrait/pack/elapsed_gpu`. While they are measured each layer is a compute pass of its own, which costs a little on some
    /// devices.
    pub const CPU_MS: DiagnosticPath = DiagnosticPath::const_new("portrait/cpu_ms");

    /// `portrait/gpu_ms`: milliseconds that the effect takes on the GPU in a frame, all faces of all cameras together, a few frames late.
    ///
    /// It is measured where the app has Bevy's `RenderDiagnosticsPlugin`, on devices with time stamps between passes (Vulkan and
    /// DirectX 12). It is empty where nothing is enhanced.
    pub const GPU_MS: DiagnosticPath = DiagnosticPath::const_new("portrait/gpu_ms");
}

/// Names the effect's place in the schedule of a 3D camera, [`Core3d`](bevy::core_pipeline::schedule::Core3d). Order a pass of your own
/// after it to have the frame with the effect, before it to have the effect include what you draw:
///
/// ```no_run
/// # use bevy::core_pipeline::schedule::{Core3d, Core3dSystems};
/// # use bevy::core_pipeline::tonemapping::tonemapping;
/// # use bevy::prelude::*;
/// # use bevy::render::RenderApp;
/// # use bevy_portrait_realism::PortraitRealismSystems;
/// # fn film_grain() {}
/// # fn make_up() {}
/// # fn build(app: &mut App) {
/// let render_app = app.sub_app_mut(RenderApp);
/// render_app.add_systems(
///     Core3d,
///     (
///         make_up.after(tonemapping).before(PortraitRealismSystems::Enhance),
///         film_grain.after(PortraitRealismSystems::Enhance),
///     )
///         .in_set(Core3dSystems::PostProcess),
/// );
/// # }
/// ```
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PortraitRealismSystems {
    /// Enhances faces: after tone mapping, before FXAA, SMAA and contrast adaptive sharpening, and before the UI. Effects on the scene's
    /// light come before tone mapping and are part of what is enhanced: temporal anti-aliasing, motion blur, bloom, depth of field and
    /// vignette.
    Enhance,
}
