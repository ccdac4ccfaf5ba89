//! Tells how much a camera draws of an entity: Bevy's own answer, by render layers, visibility and culling.

use bevy::camera::Camera;
use bevy::camera::visibility::{
    InheritedVisibility, NoCpuCulling, RenderLayers, VisibilityClass, VisibilityRange, VisibleEntities,
    VisibleEntityRanges,
};
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryData;
use bevy::ecs::system::SystemParam;

use crate::api::settings::PortraitRealism;

/// A camera with the effect.
#[derive(QueryData)]
pub(crate) struct Viewer {
    pub entity: Entity,
    settings: &'static PortraitRealism,
    layers: Option<&'static RenderLayers>,
    visible: Option<&'static VisibleEntities>,
}

/// How much of an entity a camera shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It is hidden, on other render layers than the camera, or out of its range of distances.
    Hidden,
    /// It is out of the camera's view.
    Culled,
    /// The camera draws it.
    Drawn,
}

/// The components that decide whether an entity is drawn.
#[derive(QueryData)]
pub(crate) struct Seen {
    visibility: Option<&'static InheritedVisibility>,
    layers: Option<&'static RenderLayers>,
    class: Option<&'static VisibilityClass>,
    is_never_checked: Has<NoCpuCulling>,
    has_range: Has<VisibilityRange>,
}

/// The cameras whose effect is on, and what they draw.
#[derive(SystemParam)]
pub(crate) struct Sights<'w, 's> {
    viewers: Query<'w, 's, Viewer, With<Camera>>,
    seen: Query<'w, 's, Seen>,
    ranges: Option<Res<'w, VisibleEntityRanges>>,
}

impl Sights<'_, '_> {
    /// Returns the cameras whose effect is on.
    pub fn viewers(&self) -> Vec<ViewerItem<'_, '_>> {
        self.viewers.iter().filter(|viewer| viewer.settings.is_active()).collect()
    }

    /// Returns how much of the entity itself, without its descendants, the camera shows.
    pub fn of(&self, viewer: &ViewerItem, entity: Entity) -> Sight {
        let Ok(seen) = self.seen.get(entity) else { return Sight::Hidden };
        let is_hidden = seen.visibility.is_some_and(|visibility| !visibility.get());
        // As everywhere in Bevy, no layers are layer 0.
        let shares_layer = seen.layers.unwrap_or_default().intersects(viewer.layers.unwrap_or_default());
        let in_range = |ranges: &VisibleEntityRanges| ranges.entity_is_in_range_of_view(entity, viewer.entity);
        let is_checked = !seen.is_never_checked;
        let is_out_of_range = is_checked && seen.has_range && !self.ranges.as_deref().is_none_or(in_range);
        if is_hidden || !shares_layer || is_out_of_range {
            return Sight::Hidden;
        }
        // Bevy lists what a camera draws by class, each list in order. What has no class is drawn by a renderer that checks nothing.
        let mut classes = seen.class.into_iter().flat_map(|class| class.iter()).filter(|_| is_checked).peekable();
        let is_listed = classes.peek().is_none()
            || viewer
                .visible
                .is_none_or(|visible| classes.any(|class| visible.get(*class).binary_search(&entity).is_ok()));
        if is_listed { Sight::Drawn } else { Sight::Culled }
    }
}
