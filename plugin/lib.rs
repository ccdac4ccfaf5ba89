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
//! The *first rendered image* is what the camera shows without the plugin; the *second rendered image* is what it shows with the plugin.
//!
//! # Cargo features
//!
//! - `embedded_weights` (default): the weights [`PortraitModel::QUALITY`] and [`PortraitModel::FAST`] are part of the binary.
//!   Without it, set [`PortraitRealism::model`] to weights that the `AssetServer` loads.
//!
//! The plugin enables the features of Bevy that it draws with (`bevy_core_pipeline`, `bevy_anti_alias` and what these need). It works with
//! every further feature, the default ones among them. Watching weights files takes Bevy's `file_watcher`.
//!
//! # Stability
//!
//! Everything that the [`prelude`] and the crate's root name follows semantic versioning.

mod api;
mod app;
mod auto;
mod diagnostics;
mod extract;
mod frame;
mod inference;
mod kernels;
mod pipelines;
mod region;
mod select;
mod shader_defs;
mod shaders;
mod stages;

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
use bevy::render::{ExtractSchedule, GpuResourceAppExt, Render, RenderApp, RenderPlugin, RenderStartup, RenderSystems};

pub use api::kernels::PortraitKernels;
pub use api::model::{PortraitModel, PortraitModelLoader};
pub use api::plugin::{PortraitRealismPlugin, PortraitRealismSystems};
pub use api::resolution::{PortraitResolution, ResolutionTier};
pub use api::settings::{PortraitExclude, PortraitFace, PortraitMask, PortraitMaskSpace, PortraitRealism};
pub use api::status::PortraitStatus;
pub use api::support::{PortraitRealismSupported, PortraitUnsupported};
pub use app::marking::MarkPortraitFaces;
pub use portrait_network;

/// The names that an application needs.
pub mod prelude {
    pub use crate::{
        MarkPortraitFaces, PortraitExclude, PortraitFace, PortraitMask, PortraitMaskSpace, PortraitModel,
        PortraitRealism, PortraitRealismPlugin, PortraitRealismSupported, PortraitRealismSystems, PortraitResolution,
        PortraitStatus, ResolutionTier,
    };
}

/// The effect's workings, for this repository's tests, benchmarks and examples. Any release may change them.
#[doc(hidden)]
pub mod internals {
    pub use crate::frame::state::PortraitGpuState;
    pub use crate::frame::view::PortraitView;
    pub use crate::inference::executor::Executor;
    pub use crate::inference::layer;
    pub use crate::inference::model::GpuPortraitModel;
    pub use crate::inference::plan::{CONV_TILE_WIDTH_PX, Kernel, LayerParams, Plan, Step};
    pub use crate::inference::scratch_memory::ScratchMemory;
    pub use crate::inference::variant::{ActivationFormat, KernelVariant, MatrixSide};
    pub use crate::inference::weight_layout::WeightFormat;
    pub use crate::kernels::warm_up::WarmUp;
    pub use crate::pipelines::{PortraitPipelineCache, PortraitPipelines, Readiness};
    pub use crate::region::{FaceBounds, Region, box_corners, face_region};
    pub use crate::stages::region_uniform::RegionUniform;
    pub use crate::stages::{base_layer, composite, keep_depth, pack, shape};

    /// The WGSL files.
    pub mod shaders {
        pub use crate::shaders::*;
    }
}

impl Plugin for PortraitRealismPlugin {
    fn build(&self, app: &mut App) {
        app.register_type::<PortraitRealism>()
            .register_type::<PortraitFace>()
            .register_type::<PortraitExclude>()
            .register_type::<PortraitStatus>()
            .register_type::<MarkPortraitFaces>()
            .insert_resource(PortraitRealismSupported::no_renderer())
            .add_systems(PostUpdate, app::marking::mark_faces.run_if(app::marking::scenes_have_changed))
            .add_observer(app::cameras::remove_status);
        if !app.world().contains_resource::<AssetServer>() {
            return;
        }
        app::cameras::hand_over_prepasses(app);
        app.init_asset::<PortraitModel>()
            .init_asset_loader::<PortraitModelLoader>()
            .init_resource::<app::cameras::Resets>()
            .add_systems(First, app::cameras::clear_resets)
            .add_systems(Last, app::cameras::note_resets)
            .add_systems(PostUpdate, app::cameras::equip_cameras.before(AssetEventSystems))
            .add_systems(PostUpdate, app::own_weights::report_missing_weights);

        if app.get_sub_app(RenderApp).is_none() {
            return;
        }
        let world = app.world();
        let shaders =
            shaders::PortraitShaders::load(world.resource::<EmbeddedAssetRegistry>(), world.resource::<AssetServer>());
        app.add_plugins((
            ExtractComponentPlugin::<PortraitRealism>::default(),
            RenderAssetPlugin::<inference::model::PreparedPortraitModel>::default(),
        ));
        diagnostics::register(app);
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app
            .insert_resource(shaders)
            .init_resource::<PortraitKernels>()
            .insert_resource(PortraitRealismSupported::no_renderer())
            .init_resource::<extract::faces::ExtractedFaces>()
            .init_resource::<extract::measure::MeasuredMeshes>()
            .init_resource::<extract::parts::JointUsers>()
            .init_resource::<extract::overlays::OverlaidViews>()
            .init_resource::<extract::canvases::Canvases>()
            .init_gpu_resource::<extract::exclusion::Exclusions>()
            .init_gpu_resource::<frame::state::PortraitGpuState>()
            .init_gpu_resource::<pipelines::PortraitPipelineCache>()
            .init_gpu_resource::<kernels::warm_up::WarmUp>()
            .add_systems(RenderStartup, kernels::start::start)
            .add_systems(
                ExtractSchedule,
                (
                    (
                        extract::parts::keep_up_with_meshes,
                        (extract::faces::extract_faces, extract::exclusion::extract_exclusions),
                    )
                        .chain()
                        .run_if(extract::faces::app_has_meshes),
                    extract::reports::report_status,
                    extract::reports::report_support.run_if(resource_changed::<PortraitRealismSupported>),
                ),
            )
            .add_systems(
                Render,
                (
                    app::bevy_0_19::remove_stale_pipelines.in_set(RenderSystems::Prepare),
                    (extract::overlays::find_overlays, extract::canvases::find_canvases)
                        .after(RenderSystems::PhaseSort)
                        .before(RenderSystems::PrepareResources),
                    (kernels::trial::run_trial, frame::prepare::prepare_portrait_views)
                        .chain()
                        .in_set(RenderSystems::PrepareBindGroups),
                )
                    .run_if(resource_exists::<pipelines::PortraitPipelines>),
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
                    frame::record::keep_depths
                        .after(main_transmissive_pass_3d)
                        .before(main_transparent_pass_3d)
                        .in_set(Core3dSystems::MainPass),
                    frame::record::portrait_realism.in_set(PortraitRealismSystems::Enhance),
                )
                    .run_if(resource_exists::<pipelines::PortraitPipelines>),
            );
    }

    fn finish(&self, app: &mut App) {
        let kernels = app.world().get_resource::<PortraitKernels>().cloned();
        let synchronous = app.get_added_plugins::<RenderPlugin>();
        let synchronous = synchronous.iter().any(|plugin| plugin.synchronous_pipeline_compilation);
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        let world = render_app.world_mut();
        world.insert_resource(kernels::start::CompilesSynchronously(synchronous));
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
