//! Heads that are mirrored, and cameras that see them in a mirror.

use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;

use crate::setups::twins::Twins;
use crate::stage::{SIZE, assert_inside, changed};

#[test]
fn mirrored_and_negatively_scaled_heads_are_enhanced() {
    let mut twins = Twins::new(Msaa::Off, ());
    for scale in [Vec3::new(-1.0, 1.0, 1.0), Vec3::new(1.0, -1.0, 1.0), Vec3::new(-1.0, -1.0, -1.0)] {
        twins.app.world_mut().entity_mut(twins.face).insert(Transform::from_scale(scale));
        twins.assert_enhanced(&format!("scaled by {scale}"), 2);
    }
    // The box of a head that was not given by hand.
    twins.app.world_mut().entity_mut(twins.face).insert(PortraitFace::default());
    twins.assert_enhanced("with the bounds of its mesh", 2);
    // Weights that read normals and depth run on it as well.
    twins.settings.model = PortraitModel::QUALITY;
    twins.switch(true);
    let [first, second] = twins.frames();
    let changed = changed(&first, &second, SIZE.x);
    assert!(changed.len() > 500, "{} pixels changed", changed.len());
    assert_inside(&twins.region(), &changed);
}

#[test]
fn a_camera_that_draws_a_mirror_is_enhanced() {
    let mut twins = Twins::new(Msaa::Off, ());
    let clear_color = ClearColorConfig::Custom(Color::srgb(0.2, 0.25, 0.3));
    let mirror = Transform::from_xyz(0.1, 0.0, 2.0).with_scale(Vec3::new(-1.0, 1.0, 1.0));
    twins.insert((Camera { invert_culling: true, clear_color, ..default() }, mirror));
    twins.assert_enhanced("mirrored", 2);
}
