//! Equips cameras whose effect is on: with the weights that they and the faces name, and with the prepasses that these read.

use bevy::app::App;
use bevy::asset::{AssetId, Assets, Handle};
use bevy::camera::{Camera, NormalizedRenderTarget, RenderTarget};
use bevy::core_pipeline::prepass::{DepthPrepass, MotionVectorPrepass, NormalPrepass};
use bevy::ecs::archetype::Archetypes;
use bevy::ecs::component::Components;
use bevy::ecs::entity::{Entities, EntityHashSet};
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::ecs::system::SystemParam;
use bevy::log::{error_once, info_once};
use bevy::render::view::Msaa;
use portrait_network::Plane;

use crate::api::model::PortraitModel;
use crate::api::settings::{PortraitExclude, PortraitFace, PortraitRealism};
use crate::api::status::PortraitStatus;
use crate::api::support::PortraitRealismSupported;

/// Prepasses that the plugin added to a camera, and takes away again.
#[derive(Component, Clone, Default, PartialEq)]
pub(crate) struct AddedPrepasses {
    normals: bool,
    depth: bool,
    motion: bool,
    /// The weights that they were added for, in order.
    models: Vec<AssetId<PortraitModel>>,
}

impl AddedPrepasses {
    /// Returns whether there are normals, depth and motion vectors among them.
    fn kinds(&self) -> [bool; 3] {
        [self.normals, self.depth, self.motion]
    }
}

/// Which components other components of an entity require.
#[derive(SystemParam)]
pub(crate) struct Requirements<'w> {
    entities: &'w Entities,
    archetypes: &'w Archetypes,
    components: &'w Components,
}

impl Requirements<'_> {
    /// Returns whether another component of the entity requires this one: a prepass that ambient occlusion reads as well is no longer the
    /// plugin's own.
    pub fn require<C: Component>(&self, entity: Entity) -> bool {
        let Some(required) = self.components.component_id::<C>() else { return false };
        let Some(location) = self.entities.get(entity).ok().flatten() else { return false };
        let Some(archetype) = self.archetypes.get(location.archetype_id) else { return false };
        let mut infos = archetype.components().iter().filter_map(|id| self.components.get_info(*id));
        infos.any(|info| info.required_components().iter_ids().any(|id| id == required))
    }
}

/// A camera that has the effect, or had it and still has prepasses of the plugin's.
#[derive(QueryData)]
pub(crate) struct EquippedCamera {
    entity: Entity,
    settings: Option<&'static PortraitRealism>,
    has_normals: Has<NormalPrepass>,
    has_depth: Has<DepthPrepass>,
    has_motion: Has<MotionVectorPrepass>,
    added: Option<&'static AddedPrepasses>,
}

type IsEquipped = Or<(With<PortraitRealism>, With<AddedPrepasses>)>;

/// A camera of any kind.
#[derive(QueryData)]
pub(crate) struct AnyCamera {
    entity: Entity,
    camera: &'static Camera,
    target: &'static RenderTarget,
    msaa: &'static Msaa,
    has_normals: Has<NormalPrepass>,
    has_depth: Has<DepthPrepass>,
    has_motion: Has<MotionVectorPrepass>,
    added: Option<&'static AddedPrepasses>,
}

/// All cameras.
#[derive(SystemParam)]
pub(crate) struct Cameras<'w, 's> {
    any: Query<'w, 's, AnyCamera>,
    equipped: Query<'w, 's, EquippedCamera, IsEquipped>,
}

/// Prepasses of a camera that draws. Bevy makes one texture of each kind for a target, with the samples of one of its cameras, and the app
/// ends where another camera has other samples.
struct Claim {
    camera: Entity,
    /// `None` is the primary window.
    target: Option<NormalizedRenderTarget>,
    msaa: Msaa,
    kinds: [bool; 3],
}

impl Claim {
    /// Returns whether the prepasses of both cameras cannot be drawn in one frame.
    fn excludes(&self, other: &Self) -> bool {
        let share_a_kind = self.kinds.iter().zip(other.kinds).any(|(own, other)| *own && other);
        self.camera != other.camera && self.target == other.target && self.msaa != other.msaa && share_a_kind
    }
}

impl AnyCameraItem<'_, '_> {
    fn claim(&self, kinds: [bool; 3]) -> Claim {
        Claim { camera: self.entity, target: self.target.normalize(None), msaa: *self.msaa, kinds }
    }

    /// Returns the prepasses that the plugin has not added.
    fn own(&self) -> Claim {
        let [normals, depth, motion] = self.added.map(AddedPrepasses::kinds).unwrap_or_default();
        self.claim([self.has_normals && !normals, self.has_depth && !depth, self.has_motion && !motion])
    }
}

/// Adds and removes prepasses, and makes embedded weights an asset when the first camera asks for them. A camera has the prepasses that its
/// settings, its weights and those of faces read for as long as it is enhanced: with them Bevy draws some edges differently, and off has to
/// be the identical frame. Of cameras that cannot have them in one frame, the first is enhanced, and the others are left as they are.
pub(crate) fn equip_cameras(
    mut commands: Commands,
    cameras: Cameras,
    faces: Query<&PortraitFace>,
    excluded: Query<(), With<PortraitExclude>>,
    mut models: ResMut<Assets<PortraitModel>>,
    supported: Res<PortraitRealismSupported>,
    requirements: Requirements,
) {
    let drawing = cameras.any.iter().filter(|camera| camera.camera.is_active);
    let mut claims: Vec<Claim> = drawing.map(|camera| camera.own()).collect();
    // The order of a query changes with the prepasses that its cameras have.
    let mut equipped: Vec<_> = cameras.equipped.iter().collect();
    equipped.sort_unstable_by_key(|camera| camera.entity);
    for camera in equipped {
        let EquippedCameraItem { entity, settings, has_normals, has_depth, has_motion, added } = camera;
        let before = added.cloned().unwrap_or_default();
        let mut needed = AddedPrepasses::default();
        if let Some(settings) = settings.filter(|settings| settings.is_active()) {
            let named: Vec<_> =
                std::iter::once(&settings.model).chain(faces.iter().filter_map(|face| face.model.as_ref())).collect();
            for model in &named {
                if !models.contains(*model) {
                    insert_embedded(model, &mut models);
                }
            }
            let loaded: Vec<_> = named.iter().filter_map(|model| models.get(*model)).collect();
            if loaded.is_empty() || !supported.is_supported() {
                continue;
            }
            let read = |plane| loaded.iter().any(|model| model.graph().spec().inputs.contains(&plane));
            let reads_normals = read(Plane::Normal);
            let reads_depth = read(Plane::Depth) || settings.needs_depth() || !excluded.is_empty();
            let mut named: Vec<_> = named.into_iter().map(Handle::id).collect();
            named.sort();
            named.dedup();
            // Weights that were loaded anew may read less, but the old ones run on for a moment: what they read stays.
            let stays = before.models == named;
            needed.normals = stays && before.normals || reads_normals && (!has_normals || before.normals);
            needed.depth = stays && before.depth || reads_depth && (!has_depth || before.depth);
            needed.motion = settings.keeps_history() && (!has_motion || before.motion);
            needed.models = if needed.normals || needed.depth { named } else { Vec::new() };
        }
        if let Some(camera) = cameras.any.get(entity).ok().filter(|camera| camera.camera.is_active) {
            let claim = camera.claim(needed.kinds());
            let rival = claims.iter().find(|other| claim.excludes(other)).map(|other| other.camera);
            match rival {
                Some(other) => {
                    error_once!(
                        "portrait realism: camera {entity} is left as it is, because it draws on the target of camera {other} with another \
                         `Msaa`, and Bevy's prepasses serve both: give both the same `Msaa` or targets of their own, or use \
                         `PortraitModel::FAST`, which reads no prepass"
                    );
                    needed = AddedPrepasses::default();
                }
                None => claims.push(claim),
            }
        }
        // The app may have taken away what the plugin had added.
        let is_complete = [(needed.normals, has_normals), (needed.depth, has_depth), (needed.motion, has_motion)]
            .into_iter()
            .all(|(needed, has)| has || !needed);
        if needed == before && is_complete {
            continue;
        }
        if needed.normals || needed.depth || needed.motion {
            info_once!(
                "portrait realism: Bevy draws prepasses for the effect, which can change a picture outside of the face as well. Hair \
                 cards with `AlphaMode::AlphaToCoverage` under MSAA, and materials whose main pass moves or discards what their prepass \
                 does not, hide what is behind them: use `AlphaMode::Mask` for cards, and give such a material an `enable_prepass` of \
                 false or a prepass shader of its own. Without MSAA, lit materials take their normals from the prepass, in 10 bits. \
                 Materials and pipelines of other plugins that cannot be made with a prepass end the app. `PortraitModel::FAST` avoids \
                 all of it: without `history`, masks over the face and `PortraitExclude` it reads no prepass"
            );
        }
        // The camera may be despawned in the same frame, so every change is one that may fail.
        let mut camera = commands.entity(entity);
        let requires = [
            requirements.require::<NormalPrepass>(entity),
            requirements.require::<DepthPrepass>(entity),
            requirements.require::<MotionVectorPrepass>(entity),
        ];
        change::<NormalPrepass>(&mut camera, before.normals && !requires[0], needed.normals, has_normals);
        change::<DepthPrepass>(&mut camera, before.depth && !requires[1], needed.depth, has_depth);
        change::<MotionVectorPrepass>(&mut camera, before.motion && !requires[2], needed.motion, has_motion);
        camera.try_insert(needed);
    }
}

fn change<Prepass: Component + Default>(camera: &mut EntityCommands, may_go: bool, needed: bool, has: bool) {
    match (needed, has) {
        (true, false) => _ = camera.try_insert(Prepass::default()),
        (false, true) if may_go => _ = camera.try_remove::<Prepass>(),
        _ => {}
    }
}

/// Makes a prepass that the app inserts where the plugin has added one the app's own, which stays.
pub(crate) fn hand_over_prepasses(app: &mut App) {
    app.add_observer(|inserted: On<Insert, NormalPrepass>, mut cameras: Query<&mut AddedPrepasses>| {
        if let Ok(mut added) = cameras.get_mut(inserted.entity) {
            added.normals = false;
        }
    })
    .add_observer(|inserted: On<Insert, DepthPrepass>, mut cameras: Query<&mut AddedPrepasses>| {
        if let Ok(mut added) = cameras.get_mut(inserted.entity) {
            added.depth = false;
        }
    })
    .add_observer(|inserted: On<Insert, MotionVectorPrepass>, mut cameras: Query<&mut AddedPrepasses>| {
        if let Ok(mut added) = cameras.get_mut(inserted.entity) {
            added.motion = false;
        }
    });
}

/// The cameras whose reset is in the frame that is being drawn.
#[derive(Resource, Default)]
pub(crate) struct Resets(EntityHashSet);

/// Notes the resets that the next frame takes along. Runs before extraction.
pub(crate) fn note_resets(mut resets: ResMut<Resets>, cameras: Query<(Entity, &PortraitRealism)>) {
    resets.0.extend(cameras.iter().filter(|(_, settings)| settings.reset).map(|(camera, _)| camera));
}

/// Sets resets back once they have been extracted: a reset holds for one frame.
pub(crate) fn clear_resets(mut resets: ResMut<Resets>, mut cameras: Query<&mut PortraitRealism>) {
    for camera in resets.0.drain() {
        if let Ok(mut settings) = cameras.get_mut(camera) {
            settings.reset = false;
        }
    }
}

/// Removes a camera's status together with its settings.
pub(crate) fn remove_status(removed: On<Remove, PortraitRealism>, mut commands: Commands) {
    commands.entity(removed.entity).try_remove::<PortraitStatus>();
}

fn insert_embedded(handle: &Handle<PortraitModel>, models: &mut Assets<PortraitModel>) {
    let Some(embedded) = PortraitModel::embedded(handle) else { return };
    match embedded.map(|model| models.insert(handle, model)) {
        Ok(Ok(())) => {}
        Ok(Err(source)) => error_once!("portrait realism: the weights in the binary are not there: {source}"),
        Err(source) => error_once!("portrait realism: the weights in the binary are damaged: {source}"),
    }
}
