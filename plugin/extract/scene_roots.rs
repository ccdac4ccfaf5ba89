//! Entities below which Bevy spawns a scene. Their components are found by name, so that the plugin needs neither scenes nor a loader.

use bevy::ecs::prelude::*;
use bevy::ecs::system::SystemParam;

/// The components of Bevy 0.19 that have a scene spawned below their entity.
const ROOT_TYPES: [&str; 3] = [
    "bevy_world_serialization::components::WorldAssetRoot",
    "bevy_world_serialization::components::DynamicWorldRoot",
    "bevy_scene::scene_patch::ScenePatchInstance",
];

/// Recognises the roots of scenes.
#[derive(SystemParam)]
pub(crate) struct SceneRoots<'w, 's> {
    types: Res<'w, AppTypeRegistry>,
    entities: Query<'w, 's, EntityRef<'static>>,
}

impl SceneRoots<'_, '_> {
    /// Returns whether a scene is, or will be, spawned below the entity.
    pub fn has_scene(&self, entity: Entity) -> bool {
        let Ok(entity) = self.entities.get(entity) else { return false };
        let types = self.types.read();
        ROOT_TYPES.iter().any(|path| {
            let component = types.get_with_type_path(path).and_then(|it| it.data::<ReflectComponent>());
            component.is_some_and(|component| component.reflect(entity).is_some())
        })
    }
}
