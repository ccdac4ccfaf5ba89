//! Cameras, from the main world into the render world.

use bevy::camera::Camera;
use bevy::ecs::prelude::*;
use bevy::ecs::query::QueryItem;
use bevy::render::extract_component::ExtractComponent;
use bevy::render::sync_component::SyncComponent;

use crate::api::settings::PortraitRealism;
use crate::frame::view::PortraitView;

impl SyncComponent for PortraitRealism {
    /// Settings and work of the frame go together when a camera loses the effect.
    type Target = (Self, PortraitView);
}

impl ExtractComponent for PortraitRealism {
    type QueryData = &'static Self;
    type QueryFilter = With<Camera>;
    type Out = Self;

    fn extract_component(settings: QueryItem<'_, '_, Self::QueryData>) -> Option<Self> {
        Some(settings.clone())
    }
}
