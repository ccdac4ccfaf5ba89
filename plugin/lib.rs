//! Makes real-time 3D faces look photographed: after tone mapping, on the GPU, a small convolutional network looks at
//! the part of the frame around each face and adds what it finds missing. No frame is read back.
//!
//! ```no_run
//! use bevy::prelude::*;
//! use bevy_portrait_realism::prelude::*;
//!
//! fn main() {
//!     App::new().add_plugins((DefaultPlugins, PortraitRealismPlugin)).add_systems(Startup, setup).run();
//! }
//!
//! fn setup(mut commands: Commands, assets: Res<AssetServer>) {
//!     commands.spawn((Camera3d::default(), PortraitRealism::default()));
//!     commands.spawn((WorldAssetRoot(assets.load("head.glb#Scene0")), PortraitFace::default()));
//! }
//! ```
//!
//! # Cargo features
//!
//! - `embedded_weights` (default): the weights [`PortraitModel::QUALITY`] and [`PortraitModel::FAST`] are part of the binary.
//!   Without it, set [`PortraitRealism::model`] to weights that the `AssetServer` loads.
//!
//! Of Bevy the plugin asks for what it draws with (`bevy_core_pipeline`, `bevy_anti_alias` and what these need), and works
//! with every further feature, the default ones among them. Watching weights files takes Bevy's `file_watcher`.
//!
//! Words: the *first rendered image* is what the camera shows without the plugin, the *second rendered image* what it
//! shows with it.
//!
//! # Stability
//!
//! What the [`prelude`] and the crate's root name follows semantic versioning. The modules are the effect's own workings, public for
//! tests, benchmarks and the curious: any release may change them.

mod auto_quality;
mod background_motion;
mod bounds;
mod cameras;
mod diagnostics;
mod ends;
pub mod exclusion;
pub mod execute;
mod extract;
mod faces;
pub mod first_use;
mod fusion;
pub mod gpu_state;
mod gpu_timer;
mod guide;
mod kernel_memory;
mod marking;
pub mod model_asset;
mod overlays;
mod pass;
pub mod pipeline;
pub mod plan;
pub mod planes;
mod prepare;
mod quality;
pub mod region;
mod replace;
mod scratch;
mod settings;
pub mod shaders;
mod shaping;
mod support;
pub mod texels;
mod tiers;
mod tuning;
mod uniforms;
pub mod variant;
mod view;
pub mod weight_layout;
mod work;
mod workbench;

use bevy::anti_alias::contrast_adaptive_sharpening::cas;
use bevy::anti_alias::fxaa::fxaa;
use bevy::anti_alias::smaa::smaa;
use bevy::app::{App, First, Last, Plugin, PostUpdate};
use bevy::asset::io::embedded::EmbeddedAssetRegistry;
use bevy::asset::{AssetApp, AssetEventSystems, AssetServer};
use bevy::core_pipeline::core_3d::main_transparent_pass_3d;
use bevy::core_pipeline::schedule::{Core3d, Core3dSystems};
use bevy::core_pipeline::tonemapping::tonemapping;
use bevy::ecs::prelude::*;
use bevy::pbr::main_transmissive_pass_3d;
use bevy::render::extract_component::ExtractComponentPlugin;
use bevy::render::render_asset::RenderAssetPlugin;
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use bevy::render::{ExtractSchedule, GpuResourceAppExt, Render, RenderApp, RenderStartup, RenderSystems};

pub use marking::MarkPortraitFaces;
pub use model_asset::{PortraitModel, PortraitModelLoader};
pub use pass::portrait_realism;
pub use portrait_network;
pub use quality::{PortraitQuality, PortraitStatus, QualityTier};
pub use settings::{PortraitExclude, PortraitFace, PortraitMask, PortraitMaskSpace, PortraitRealism};
pub use support::{PortraitRealismSupported, PortraitUnsupported};
pub use tuning::PortraitKernels;
pub use view::PortraitView;

/// What an application needs.
pub mod prelude {
    pub use crate::{
        MarkPortraitFaces, PortraitExclude, PortraitFace, PortraitMask, PortraitMaskSpace, PortraitModel,
        PortraitQuality, PortraitRealism, PortraitRealismPlugin, PortraitRealismSupported, PortraitRealismSystems,
        PortraitStatus, QualityTier,
    };
}

/// Adds the effect to every camera with [`PortraitRealism`]. Add it after `DefaultPlugins`; without a renderer, or on a device
/// that cannot run it, it does nothing, and [`PortraitRealismSupported`] says why.
pub struct PortraitRealismPlugin;

/// Where the effect stands in the schedule of a 3D camera, [`Core3d`]. Order a pass of your own after it to have the frame
/// with the effect, before it to have the effect include what you draw:
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
    /// Faces are enhanced: after tone mapping, before FXAA, SMAA and contrast adaptive sharpening, and before the UI. Effects
    /// on the scene's light come before tone mapping and are part of what is enhanced: temporal anti-aliasing, motion blur,
    /// bloom, depth of field and vignette.
    Enhance,
}

impl Plugin for PortraitRealismPlugin {
    fn build(&self, app: &mut App) {
        app.register_type::<PortraitRealism>()
            .register_type::<PortraitFace>()
            .register_type::<PortraitExclude>()
            .register_type::<PortraitStatus>()
            .register_type::<MarkPortraitFaces>()
            .insert_resource(PortraitRealismSupported::no_renderer())
            .add_systems(PostUpdate, marking::mark_faces.run_if(marking::scenes_have_changed))
            .add_observer(cameras::remove_status);
        if !app.world().contains_resource::<AssetServer>() {
            return;
        }
        app.init_asset::<PortraitModel>()
            .init_asset_loader::<PortraitModelLoader>()
            .init_resource::<cameras::Resets>()
            .add_systems(First, cameras::clear_resets)
            .add_systems(Last, cameras::note_resets)
            .add_systems(PostUpdate, cameras::equip_cameras.before(AssetEventSystems));

        if app.get_sub_app(RenderApp).is_none() {
            return;
        }
        let world = app.world();
        let shaders =
            shaders::PortraitShaders::load(world.resource::<EmbeddedAssetRegistry>(), world.resource::<AssetServer>());
        app.add_plugins((
            ExtractComponentPlugin::<PortraitRealism>::default(),
            RenderAssetPlugin::<model_asset::PreparedPortraitModel>::default(),
        ));
        diagnostics::register(app);
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app
            .insert_resource(shaders)
            .init_resource::<PortraitKernels>()
            .insert_resource(PortraitRealismSupported::no_renderer())
            .init_resource::<extract::ExtractedFaces>()
            .init_resource::<bounds::MorphReaches>()
            .init_resource::<overlays::DrawnOver>()
            .init_gpu_resource::<exclusion::Exclusions>()
            .init_gpu_resource::<gpu_state::PortraitGpuState>()
            .init_gpu_resource::<pipeline::PortraitPipelineCache>()
            .init_gpu_resource::<first_use::FirstUses>()
            .add_systems(RenderStartup, pipeline::init_portrait_pipelines)
            .add_systems(
                ExtractSchedule,
                (
                    extract::extract_faces.run_if(extract::app_has_meshes),
                    exclusion::extract_exclusions,
                    tiers::report_tiers,
                    support::report_support.run_if(resource_changed::<PortraitRealismSupported>),
                ),
            )
            .add_systems(
                Render,
                (
                    background_motion::remove_stale_pipelines.in_set(RenderSystems::Prepare),
                    overlays::find_overlays.after(RenderSystems::PhaseSort).before(RenderSystems::PrepareResources),
                    (tuning::tune_kernels, prepare::prepare_portrait_views)
                        .chain()
                        .in_set(RenderSystems::PrepareBindGroups),
                )
                    .run_if(resource_exists::<pipeline::PortraitPipelines>),
            )
            .configure_sets(
                Core3d,
                PortraitRealismSystems::Enhance
                    .after(tonemapping)
                    .before(fxaa)
                    .before(smaa)
                    .before(cas)
                    .in_set(Core3dSystems::PostProcess),
            )
            .add_systems(
                Core3d,
                (
                    overlays::keep_depths
                        .after(main_transmissive_pass_3d)
                        .before(main_transparent_pass_3d)
                        .in_set(Core3dSystems::MainPass),
                    portrait_realism.in_set(PortraitRealismSystems::Enhance),
                )
                    .run_if(resource_exists::<pipeline::PortraitPipelines>),
            );
    }

    fn finish(&self, app: &mut App) {
        let kernels = app.world().get_resource::<PortraitKernels>().cloned();
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        let world = render_app.world_mut();
        if let Some(kernels) = kernels {
            world.insert_resource(kernels);
        }
        let (Some(device), Some(adapter)) =
            (world.get_resource::<RenderDevice>(), world.get_resource::<RenderAdapter>())
        else {
            return;
        };
        let supported = PortraitRealismSupported::on(device, adapter);
        world.insert_resource(supported.clone());
        app.insert_resource(supported);
    }
}
