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
//! Words: the *first rendered image* is what the camera shows without the plugin, the *second rendered image* what it
//! shows with it.

mod auto_quality;
mod bounds;
mod cameras;
pub mod exclusion;
pub mod execute;
mod extract;
mod faces;
mod fusion;
pub mod gpu_state;
mod gpu_timer;
mod guide;
mod kernel_memory;
mod marking;
pub mod model_asset;
mod pass;
pub mod pipeline;
pub mod plan;
pub mod planes;
mod prepare;
mod quality;
pub mod region;
mod scratch;
mod settings;
pub mod shaders;
mod shaping;
mod tiers;
mod tuning;
pub mod variant;
pub mod weight_layout;

use bevy::anti_alias::contrast_adaptive_sharpening::cas;
use bevy::anti_alias::fxaa::fxaa;
use bevy::anti_alias::smaa::smaa;
use bevy::app::{App, First, Last, Plugin, PostUpdate};
use bevy::asset::io::embedded::EmbeddedAssetRegistry;
use bevy::asset::{AssetApp, AssetEventSystems, AssetServer};
use bevy::core_pipeline::schedule::{Core3d, Core3dSystems};
use bevy::core_pipeline::tonemapping::tonemapping;
use bevy::ecs::prelude::*;
use bevy::render::extract_component::ExtractComponentPlugin;
use bevy::render::render_asset::RenderAssetPlugin;
use bevy::render::{ExtractSchedule, GpuResourceAppExt, Render, RenderApp, RenderStartup, RenderSystems};

pub use marking::MarkPortraitFaces;
pub use model_asset::{PortraitModel, PortraitModelLoader};
pub use pass::portrait_realism;
pub use prepare::PortraitView;
pub use quality::{PortraitQuality, PortraitStatus, QualityTier};
pub use settings::{PortraitExclude, PortraitFace, PortraitMask, PortraitMaskSpace, PortraitRealism};
pub use tuning::PortraitKernels;

/// What an application needs.
pub mod prelude {
    pub use crate::{
        MarkPortraitFaces, PortraitExclude, PortraitFace, PortraitMask, PortraitMaskSpace, PortraitModel,
        PortraitQuality, PortraitRealism, PortraitRealismPlugin, PortraitStatus, QualityTier,
    };
}

/// Adds the effect to every camera with [`PortraitRealism`]. Add it after `DefaultPlugins`; without a renderer it does
/// nothing.
pub struct PortraitRealismPlugin;

impl Plugin for PortraitRealismPlugin {
    fn build(&self, app: &mut App) {
        app.register_type::<PortraitRealism>()
            .register_type::<PortraitFace>()
            .register_type::<PortraitExclude>()
            .register_type::<PortraitStatus>()
            .register_type::<MarkPortraitFaces>()
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
        let kernels = app.world().get_resource().cloned().unwrap_or_default();
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app
            .insert_resource(shaders)
            .insert_resource::<PortraitKernels>(kernels)
            .init_resource::<extract::ExtractedFaces>()
            .init_resource::<bounds::MorphReaches>()
            .init_gpu_resource::<exclusion::Exclusions>()
            .init_gpu_resource::<gpu_state::PortraitGpuState>()
            .init_gpu_resource::<pipeline::PortraitPipelineCache>()
            .add_systems(RenderStartup, pipeline::init_portrait_pipelines)
            .add_systems(ExtractSchedule, (extract::extract_faces, exclusion::extract_exclusions, tiers::report_tiers))
            .add_systems(
                Render,
                (tuning::tune_kernels, prepare::prepare_portrait_views)
                    .chain()
                    .in_set(RenderSystems::PrepareBindGroups)
                    .run_if(resource_exists::<pipeline::PortraitPipelines>),
            )
            .add_systems(
                Core3d,
                portrait_realism
                    .after(tonemapping)
                    .before(fxaa)
                    .before(smaa)
                    .before(cas)
                    .in_set(Core3dSystems::PostProcess)
                    .run_if(resource_exists::<pipeline::PortraitPipelines>),
            );
    }
}
