//! Prepasses that the effect alone reads, hidden from the rest of the frame.
//!
//! A camera with a prepass draws another picture than one without. Bevy's opaque pass begins with the prepass's depths, so that whatever a
//! material's prepass draws and its main pass does not hides what is behind it; without MSAA materials take their normals from the
//! prepass, in 10 bits; glass takes depths from it; and a pipeline of somebody else's has to name every prepass in its layout. So the
//! prepasses that the plugin has added are drawn as any others, and nothing else of the frame knows of them:
//!
//! 1. [`hide_keys`] takes them out of the keys that materials are specialised by, and [`restore_keys`] puts them back for Bevy, which
//!    compares the keys of two frames.
//! 2. [`hide_components`] takes Bevy's components away while draw calls are queued, and [`reveal_components`] brings them back.
//! 3. [`hide_textures`] takes the textures away while bind groups are made, and [`reveal_textures`] brings them back.
//! 4. [`clear_depths`] clears the depths that the prepass has drawn, and [`forget_prepasses`] takes away components and textures until the
//!    next frame is extracted.

use bevy::camera::{Camera, Camera3d, Camera3dDepthLoadOp};
use bevy::core_pipeline::prepass::{
    AlphaMask3dPrepass, DeferredPrepass, DepthPrepass, MotionVectorPrepass, NormalPrepass, Opaque3dPrepass,
    OpaqueNoLightmap3dBatchSetKey, ViewPrepassTextures,
};
use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::log::warn_once;
use bevy::pbr::{MeshPipelineKey, ViewKeyCache};
use bevy::platform::collections::HashMap;
use bevy::render::Extract;
use bevy::render::camera::DirtySpecializations;
use bevy::render::render_phase::{BinnedPhaseItem, BinnedRenderPhase, ViewBinnedRenderPhases};
use bevy::render::render_resource::{
    CachedPipelineState, CachedRenderPipelineId, LoadOp, Operations, PipelineCache, RenderPassDepthStencilAttachment,
    RenderPassDescriptor, StoreOp, TextureDescriptor, TextureDimension, TextureView,
};
use bevy::render::renderer::{CurrentView, RenderContext, RenderDevice, ViewQuery};
use bevy::render::sync_world::RenderEntity;
use bevy::render::texture::{ColorAttachment, TextureCache};
use bevy::render::view::{ExtractedView, Msaa, RetainedViewEntity, ViewDepthTexture};

use crate::app::cameras::{AddedPrepasses, Requirements};

/// Kinds of prepasses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds {
    normals: bool,
    depth: bool,
    motion: bool,
}

impl Kinds {
    fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn key_bits(self) -> MeshPipelineKey {
        let mut bits = MeshPipelineKey::empty();
        bits.set(MeshPipelineKey::NORMAL_PREPASS, self.normals);
        bits.set(MeshPipelineKey::DEPTH_PREPASS, self.depth);
        bits.set(MeshPipelineKey::MOTION_VECTOR_PREPASS, self.motion);
        bits
    }
}

/// On a view in the render world: the prepasses that the effect alone reads, and their textures while they are hidden.
#[derive(Component)]
pub(crate) struct HiddenPrepasses {
    kinds: Kinds,
    /// True if the camera has no other prepass, so that the depths that they draw are not its own.
    are_alone: bool,
    normals: Option<ColorAttachment>,
    depths: Option<ColorAttachment>,
    motion_vectors: Option<ColorAttachment>,
}

impl HiddenPrepasses {
    pub fn normals(&self) -> Option<&TextureView> {
        self.normals.as_ref().map(|hidden| &hidden.texture.default_view)
    }

    pub fn depths(&self) -> Option<&TextureView> {
        self.depths.as_ref().map(|hidden| &hidden.texture.default_view)
    }

    pub fn motion_vectors(&self) -> Option<&TextureView> {
        self.motion_vectors.as_ref().map(|hidden| &hidden.texture.default_view)
    }

    /// Takes the textures out of the view's.
    fn take(&mut self, textures: &mut ViewPrepassTextures) {
        let Kinds { normals, depth, motion } = self.kinds;
        self.normals = textures.normal.take_if(|_| normals);
        self.depths = textures.depth.take_if(|_| depth);
        self.motion_vectors = textures.motion_vectors.take_if(|_| motion);
    }

    /// Gives back what was taken.
    fn give_back(&mut self, textures: &mut ViewPrepassTextures) {
        let exchange = |hidden: &mut Option<ColorAttachment>, shown: &mut Option<ColorAttachment>| {
            if hidden.is_some() {
                *shown = hidden.take();
            }
        };
        exchange(&mut self.normals, &mut textures.normal);
        exchange(&mut self.depths, &mut textures.depth);
        exchange(&mut self.motion_vectors, &mut textures.motion_vectors);
    }
}

/// What is remembered from frame to frame of the views with hidden prepasses.
#[derive(Resource, Default)]
pub(crate) struct HiddenViews {
    keys: HashMap<RetainedViewEntity, HiddenKey>,
    /// The views whose hidden prepasses have been drawn with all of their materials, by entity of the render world.
    drawn: EntityHashMap<Kinds>,
}

/// A view's key as Bevy made it, and as materials see it.
#[derive(Clone, Copy)]
struct HiddenKey {
    whole: MeshPipelineKey,
    shown: MeshPipelineKey,
    is_live: bool,
}

impl HiddenViews {
    /// Returns whether Bevy is still compiling materials for a view's hidden prepasses.
    pub fn is_compiling(&self, view: Entity, prepasses: Option<&HiddenPrepasses>) -> bool {
        prepasses.is_some() && !self.drawn.contains_key(&view)
    }
}

/// A camera that the plugin may have added prepasses to.
#[derive(QueryData)]
pub(crate) struct CameraWithPrepasses {
    entity: Entity,
    view: RenderEntity,
    camera: Option<&'static Camera>,
    camera_3d: Option<&'static Camera3d>,
    added: &'static AddedPrepasses,
    has_normals: Has<NormalPrepass>,
    has_depth: Has<DepthPrepass>,
    has_motion: Has<MotionVectorPrepass>,
    is_deferred: Has<DeferredPrepass>,
}

/// Extracts which prepasses of a camera the effect alone reads.
pub(crate) fn extract_prepasses(
    mut commands: Commands,
    cameras: Extract<Query<CameraWithPrepasses>>,
    requirements: Extract<Requirements>,
) {
    for camera in &cameras {
        let CameraWithPrepassesItem { entity, view, added, has_normals, has_depth, has_motion, is_deferred, .. } =
            camera;
        let kinds = Kinds {
            normals: added.normals && has_normals && !requirements.require::<NormalPrepass>(entity),
            depth: added.depth && has_depth && !requirements.require::<DepthPrepass>(entity),
            motion: added.motion && has_motion && !requirements.require::<MotionVectorPrepass>(entity),
        };
        let mut view = commands.entity(view);
        if kinds.is_empty() || !camera.camera.is_some_and(|camera| camera.is_active) {
            view.try_remove::<HiddenPrepasses>();
            continue;
        }
        let has_own = (has_normals && !kinds.normals) || (has_depth && !kinds.depth) || (has_motion && !kinds.motion);
        let loads_depth =
            camera.camera_3d.is_some_and(|camera| matches!(camera.depth_load_op, Camera3dDepthLoadOp::Load));
        if !has_own && (is_deferred || loads_depth) {
            warn_once!(
                "portrait realism: the prepasses that the effect reads may change the picture of camera {entity}, which is deferred or \
                 loads another camera's depths: there Bevy draws the scene on top of their depths, and materials whose main pass \
                 moves or discards what their prepass does not hide what is behind them. `PortraitModel::FAST` reads no prepass"
            );
        }
        view.try_insert(HiddenPrepasses {
            kinds,
            are_alone: !has_own && !is_deferred,
            normals: None,
            depths: None,
            motion_vectors: None,
        });
    }
}

/// Gives Bevy back the keys that it made in the last frame. Runs before Bevy compares the keys with this frame's.
pub(crate) fn restore_keys(hidden: Res<HiddenViews>, keys: Option<ResMut<ViewKeyCache>>) {
    let Some(mut keys) = keys.filter(|_| !hidden.keys.is_empty()) else { return };
    for (view, hidden) in &hidden.keys {
        if let Some(key) = keys.get_mut(view).filter(|key| **key == hidden.shown) {
            *key = hidden.whole;
        }
    }
}

/// Takes the hidden prepasses out of the keys that materials are specialised by. Runs once Bevy has made the keys.
pub(crate) fn hide_keys(
    mut hidden: ResMut<HiddenViews>,
    keys: Option<ResMut<ViewKeyCache>>,
    dirty: Option<ResMut<DirtySpecializations>>,
    views: Query<(&ExtractedView, &HiddenPrepasses)>,
) {
    if hidden.keys.is_empty() && views.is_empty() {
        return;
    }
    let (Some(mut keys), Some(mut dirty)) = (keys, dirty) else { return };
    for (view, prepasses) in &views {
        let view = view.retained_view_entity;
        let Some(key) = keys.get_mut(&view) else { continue };
        let (whole, shown) = (*key, key.difference(prepasses.kinds.key_bits()));
        *key = shown;
        // Bevy notices where its own key changes, and not where a prepass is hidden or shown.
        if hidden.keys.insert(view, HiddenKey { whole, shown, is_live: true }).is_none_or(|last| last.shown != shown) {
            dirty.views.insert(view);
        }
    }
    hidden.keys.retain(|view, hidden| {
        if !hidden.is_live && keys.get(view).is_some_and(|key| *key != hidden.shown) {
            dirty.views.insert(*view);
        }
        std::mem::take(&mut hidden.is_live)
    });
}

/// Takes away Bevy's components while draw calls are queued.
pub(crate) fn hide_components(mut commands: Commands, views: Query<(Entity, &HiddenPrepasses)>) {
    for (view, HiddenPrepasses { kinds, .. }) in &views {
        let mut view = commands.entity(view);
        if kinds.normals {
            view.try_remove::<NormalPrepass>();
        }
        if kinds.depth {
            view.try_remove::<DepthPrepass>();
        }
        if kinds.motion {
            view.try_remove::<MotionVectorPrepass>();
        }
    }
}

/// Brings back Bevy's components, by which it makes textures for the prepasses and draws them.
pub(crate) fn reveal_components(mut commands: Commands, views: Query<(Entity, &HiddenPrepasses)>) {
    for (view, HiddenPrepasses { kinds, .. }) in &views {
        let mut view = commands.entity(view);
        if kinds.normals {
            view.try_insert(NormalPrepass);
        }
        if kinds.depth {
            view.try_insert(DepthPrepass);
        }
        if kinds.motion {
            view.try_insert(MotionVectorPrepass);
        }
    }
}

/// Finds the views whose hidden prepasses Bevy can draw with all of their materials. From then on a material that is new there may be late:
/// the effect does not pause for it.
pub(crate) fn find_drawn_prepasses(
    mut hidden: ResMut<HiddenViews>,
    views: Query<(Entity, &ExtractedView, &HiddenPrepasses)>,
    opaque: Option<Res<ViewBinnedRenderPhases<Opaque3dPrepass>>>,
    masked: Option<Res<ViewBinnedRenderPhases<AlphaMask3dPrepass>>>,
    cache: Res<PipelineCache>,
) {
    hidden.drawn.retain(|view, drawn| views.get(*view).is_ok_and(|(.., prepasses)| prepasses.kinds == *drawn));
    for (entity, view, prepasses) in &views {
        let view = &view.retained_view_entity;
        let (opaque, masked) =
            (opaque.as_ref().and_then(|all| all.get(view)), masked.as_ref().and_then(|all| all.get(view)));
        let mut pipelines =
            opaque.map(pipelines).into_iter().flatten().chain(masked.map(self::pipelines).into_iter().flatten());
        // What does not compile, or has no shader yet, is not waited for: it may stay so for ever.
        let is_compiling = |id| {
            let state = cache.get_render_pipeline_state(id);
            matches!(state, CachedPipelineState::Queued | CachedPipelineState::Creating(_))
        };
        if !pipelines.any(is_compiling) {
            hidden.drawn.insert(entity, prepasses.kinds);
        }
    }
}

fn pipelines<Item>(phase: &BinnedRenderPhase<Item>) -> impl Iterator<Item = CachedRenderPipelineId>
where
    Item: BinnedPhaseItem<BatchSetKey = OpaqueNoLightmap3dBatchSetKey>,
{
    let others = phase.batchable_meshes.keys().chain(phase.unbatchable_meshes.keys()).map(|(set, _)| set);
    phase.multidrawable_meshes.keys().chain(others).map(|set| set.pipeline)
}

/// Gives each view prepass textures with as many samples as the view has. Bevy 0.19 makes one texture for all cameras of a target, with the
/// samples of whichever camera comes first, and wgpu ends the app at the next one's prepass.
pub(crate) fn match_samples(
    mut cache: ResMut<TextureCache>,
    device: Res<RenderDevice>,
    hidden: Query<(), With<HiddenPrepasses>>,
    mut views: Query<(&mut ViewPrepassTextures, &Msaa)>,
) {
    if hidden.is_empty() {
        return;
    }
    for (mut textures, msaa) in &mut views {
        let ViewPrepassTextures { depth, normal, motion_vectors, .. } = &mut *textures;
        for attachment in [depth, normal, motion_vectors].into_iter().flatten() {
            let texture = &attachment.texture.texture;
            if texture.sample_count() == msaa.samples() {
                continue;
            }
            let descriptor = TextureDescriptor {
                label: Some("portrait prepass"),
                size: texture.size(),
                mip_level_count: 1,
                sample_count: msaa.samples(),
                dimension: TextureDimension::D2,
                format: texture.format(),
                usage: texture.usage(),
                view_formats: &[],
            };
            let previous = attachment.previous_frame_texture.is_some().then(|| cache.get(&device, descriptor.clone()));
            let texture = cache.get(&device, descriptor);
            *attachment = ColorAttachment::new(texture, None, previous, Some(wgpu::Color::BLACK));
        }
    }
}

/// Takes away the textures while bind groups are made.
pub(crate) fn hide_textures(mut views: Query<(&mut ViewPrepassTextures, &mut HiddenPrepasses)>) {
    views.iter_mut().for_each(|(mut textures, mut prepasses)| prepasses.take(&mut textures));
}

/// Brings back the textures, for Bevy to draw the prepasses into them.
pub(crate) fn reveal_textures(mut views: Query<(&mut ViewPrepassTextures, &mut HiddenPrepasses)>) {
    views.iter_mut().for_each(|(mut textures, mut prepasses)| prepasses.give_back(&mut textures));
}

/// Clears the depths that hidden prepasses have drawn: the opaque pass begins as it does without them.
pub(crate) fn clear_depths(
    view: ViewQuery<(&HiddenPrepasses, &ViewDepthTexture, &Camera3d), With<ViewPrepassTextures>>,
    mut ctx: RenderContext,
) {
    let (prepasses, depths, camera) = view.into_inner();
    // What another camera has drawn cannot be brought back.
    let (true, Camera3dDepthLoadOp::Clear(empty)) = (prepasses.are_alone, &camera.depth_load_op) else { return };
    ctx.command_encoder().begin_render_pass(&RenderPassDescriptor {
        label: Some("portrait clear depths"),
        color_attachments: &[],
        depth_stencil_attachment: Some(RenderPassDepthStencilAttachment {
            view: depths.view(),
            depth_ops: Some(Operations { load: LoadOp::Clear(*empty), store: StoreOp::Store }),
            stencil_ops: None,
        }),
        ..Default::default()
    });
}

/// Takes away the hidden prepasses for the rest of the frame. The next extraction brings them back.
pub(crate) fn forget_prepasses(world: &mut World) {
    let Some(&CurrentView(view)) = world.get_resource::<CurrentView>() else { return };
    let Ok(mut view) = world.get_entity_mut(view) else { return };
    let Some(kinds) = view.get::<HiddenPrepasses>().map(|prepasses| prepasses.kinds) else { return };
    if let Some(mut textures) = view.get_mut::<ViewPrepassTextures>() {
        textures.normal.take_if(|_| kinds.normals);
        textures.depth.take_if(|_| kinds.depth);
        textures.motion_vectors.take_if(|_| kinds.motion);
    }
    if kinds.normals {
        view.remove::<NormalPrepass>();
    }
    if kinds.depth {
        view.remove::<DepthPrepass>();
    }
    if kinds.motion {
        view.remove::<MotionVectorPrepass>();
    }
}
