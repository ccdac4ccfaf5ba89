//! Says which faces are left as they are because weights of their own cannot be loaded.

use bevy::asset::{AssetId, AssetServer, Assets, LoadState};
use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::name::NameOrEntity;
use bevy::ecs::prelude::*;
use bevy::log::error;

use crate::api::model::PortraitModel;
use crate::api::settings::PortraitFace;

/// Logs once for each face, by its name, that its weights cannot be loaded. Weights that cannot be loaded *again* are still there, and the
/// face keeps them.
pub(crate) fn report_missing_weights(
    faces: Query<(NameOrEntity, &PortraitFace)>,
    models: Res<Assets<PortraitModel>>,
    assets: Res<AssetServer>,
    mut reported: Local<EntityHashMap<AssetId<PortraitModel>>>,
) {
    reported.retain(|&entity, _| faces.contains(entity));
    for (name, face) in &faces {
        let Some(model) = face.model.as_ref().filter(|model| !models.contains(*model)) else { continue };
        let LoadState::Failed(reason) = assets.load_state(model) else { continue };
        if reported.insert(name.entity, model.id()) != Some(model.id()) {
            error!(
                "portrait realism: {name} is left as it is, because its `PortraitFace::model` cannot be loaded: {reason}"
            );
        }
    }
}
