//! The README's program: a camera with the effect, a face and a lamp.

use bevy::prelude::*;
use bevy_portrait_realism::prelude::*;

fn main() {
    App::new().add_plugins((DefaultPlugins, PortraitRealismPlugin)).add_systems(Startup, setup).run();
}

fn setup(mut commands: Commands, assets: Res<AssetServer>) {
    // This camera enhances the faces that it sees.
    let view = Transform::from_xyz(0.08, 0.63, 0.5).looking_at(Vec3::new(0.0, 0.61, 0.0), Vec3::Y);
    commands.spawn((Camera3d::default(), view, PortraitRealism::default()));
    // This scene is a face.
    let head = assets.load("heads/demo.glb#Scene0");
    commands.spawn((WorldAssetRoot(head), PortraitFace::default()));
    let sun = Transform::from_xyz(-1.0, 2.0, 2.0).looking_at(Vec3::ZERO, Vec3::Y);
    commands.spawn((DirectionalLight { illuminance: 5_000.0, ..default() }, sun));
}
