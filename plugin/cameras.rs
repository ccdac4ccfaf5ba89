//! What a camera with the effect switched on needs: its weights, and the prepasses that they read.

use bevy::asset::{AssetId, Assets};
use bevy::core_pipeline::prepass::{DepthPrepass, NormalPrepass};
use bevy::ecs::prelude::*;
use bevy::log::error_once;
use portrait_network::Plane;

use crate::model_asset::PortraitModel;
use crate::quality::PortraitStatus;
use crate::settings::PortraitRealism;
use crate::support::PortraitRealismSupported;

/// Prepasses that the plugin added to a camera, and takes away again.
#[derive(Component, Clone, Copy, Default, PartialEq)]
pub(crate) struct AddedPrepasses {
    normals: bool,
    depth: bool,
    /// For these weights.
    model: Option<AssetId<PortraitModel>>,
}

type CameraQuery =
    (Entity, Option<&'static PortraitRealism>, Has<NormalPrepass>, Has<DepthPrepass>, Option<&'static AddedPrepasses>);

type CameraFilter = Or<(With<PortraitRealism>, With<AddedPrepasses>)>;

/// Weights inside the binary become an asset when the first camera asks for them. A camera has the prepasses that its weights
/// read for as long as it is enhanced: with them Bevy draws some edges differently, and off has to be the identical frame.
pub(crate) fn equip_cameras(
    mut commands: Commands,
    cameras: Query<CameraQuery, CameraFilter>,
    mut models: ResMut<Assets<PortraitModel>>,
    supported: Res<PortraitRealismSupported>,
) {
    for (camera, settings, has_normals, has_depth, added) in cameras {
        let before = added.copied().unwrap_or_default();
        let mut needed = AddedPrepasses::default();
        if let Some(settings) = settings.filter(|settings| settings.is_active()) {
            if !models.contains(&settings.model) {
                insert_embedded(settings, &mut models);
            }
            let Some(model) = models.get(&settings.model).filter(|_| supported.is_supported()) else { continue };
            let inputs = &model.graph().spec().inputs;
            // Weights that were loaded anew and read less do not end what the old ones read, which run on for a moment.
            let keeps = before.model == Some(settings.model.id());
            let needs = |plane, has: bool, added: bool| keeps && added || inputs.contains(&plane) && (!has || added);
            needed.normals = needs(Plane::Normal, has_normals, before.normals);
            needed.depth = needs(Plane::Depth, has_depth, before.depth);
            needed.model = (needed.normals || needed.depth).then_some(settings.model.id());
        }
        if needed == before {
            continue;
        }
        let mut camera = commands.entity(camera);
        match (before.normals, needed.normals) {
            (false, true) => _ = camera.insert(NormalPrepass),
            (true, false) => _ = camera.remove::<NormalPrepass>(),
            _ => {}
        }
        match (before.depth, needed.depth) {
            (false, true) => _ = camera.insert(DepthPrepass),
            (true, false) => _ = camera.remove::<DepthPrepass>(),
            _ => {}
        }
        camera.insert(needed);
    }
}

/// The status goes with the component that it is about.
pub(crate) fn remove_status(removed: On<Remove, PortraitRealism>, mut commands: Commands) {
    commands.entity(removed.entity).try_remove::<PortraitStatus>();
}

fn insert_embedded(settings: &PortraitRealism, models: &mut Assets<PortraitModel>) {
    let Some(embedded) = PortraitModel::embedded(&settings.model) else { return };
    match embedded.map(|model| models.insert(&settings.model, model)) {
        Ok(Ok(())) => {}
        Ok(Err(source)) => error_once!("portrait realism: the weights in the binary are not there: {source}"),
        Err(source) => error_once!("portrait realism: the weights in the binary are damaged: {source}"),
    }
}
