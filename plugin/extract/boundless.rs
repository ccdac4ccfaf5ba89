//! Warns of faces and exclusions that never get bounds: nothing is found on their account, and nobody would know why.

use bevy::camera::visibility::{NoAutoAabb, NoFrustumCulling};
use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::prelude::*;
use bevy::ecs::system::SystemParam;
use bevy::log::warn;
use bevy::mesh::Mesh3d;

use crate::extract::parts::{JointUsers, Marked, Parts};

/// Number of frames for which something may have no bounds: Bevy adds them a moment later.
const PATIENCE: u32 = 3;

/// The entities that have no bounds, each with the number of frames for which it has had none.
#[derive(Default)]
pub(crate) struct Boundless(EntityHashMap<u32>);

/// Bevy computes no bounds for such a mesh.
type IsUnmeasured = Or<(With<NoFrustumCulling>, With<NoAutoAabb>)>;

/// The queries that tell why an entity has no bounds.
#[derive(SystemParam)]
pub(crate) struct Reasons<'w, 's> {
    names: Query<'w, 's, &'static Name>,
    unmeasured: Query<'w, 's, (), (With<Mesh3d>, IsUnmeasured)>,
}

impl Boundless {
    /// Forgets entities of which the test says that they are marked no more.
    pub fn retain(&mut self, is_marked: impl Fn(Entity) -> bool) {
        self.0.retain(|entity, _| is_marked(*entity));
    }

    /// Takes note of a frame in which an entity has no bounds, and warns once. `component` is the one that marks the entity, `outcome` what
    /// becomes of that.
    pub fn warn(
        &mut self,
        entity: Entity,
        marked: &Marked,
        [component, outcome]: [&str; 2],
        parts: &Parts,
        users: &JointUsers,
        reasons: &Reasons,
    ) {
        let frames = self.0.entry(entity).or_default();
        if *frames >= PATIENCE || !parts.are_there(&marked.family, users) {
            return;
        }
        *frames += 1;
        if *frames == PATIENCE {
            let name =
                reasons.names.get(entity).map_or_else(|_| entity.to_string(), |name| format!("{name} ({entity})"));
            let reason = reasons.of(marked, users);
            warn!(
                "portrait realism: {name} has a `{component}` but no bounds, so {outcome}: {reason}, or give bounds by hand in \
                 `{component}::bounds`"
            );
        }
    }
}

impl Reasons<'_, '_> {
    /// Returns why what is marked has no bounds, and what to do.
    fn of(&self, marked: &Marked, users: &JointUsers) -> &'static str {
        if marked.parts.iter().any(|part| self.unmeasured.contains(part.entity)) {
            "Bevy makes no `Aabb` for a mesh with `NoFrustumCulling` or `NoAutoAabb`. Add an `Aabb` beside its `Mesh3d`"
        } else if !marked.parts.is_empty() {
            "what it draws has no `Aabb`, as particles have none. Add one to the entity that draws"
        } else if marked.family.iter().any(|entity| !users.of(*entity).is_empty()) {
            "it is a joint that moves no vertices, nor do the joints below it. Mark the joint that does, or the mesh"
        } else {
            "neither it nor a descendant draws anything. Mark the entity of a mesh or an ancestor of one"
        }
    }
}
