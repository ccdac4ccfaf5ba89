//! What is drawn over faces: the user interface stays as it is; gizmos are part of the scene, unless a camera of their own
//! draws them.

use bevy::camera::visibility::RenderLayers;
use bevy::prelude::*;

use super::twins::{ADDED, Twins, difference_at};
use crate::common::spawn_camera;
use crate::golden::assert_golden;
use crate::stage::SIZE;

#[test]
fn user_interface_over_a_face_stays_bit_for_bit() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        let mut twins = Twins::new(msaa, ());
        let panel = URect::new(40, 30, 56, 44);
        for camera in twins.cameras {
            let size = panel.size().as_vec2();
            twins.app.world_mut().spawn((
                Node {
                    position_type: PositionType::Absolute,
                    left: px(panel.min.x as f32),
                    top: px(panel.min.y as f32),
                    width: px(size.x),
                    height: px(size.y),
                    ..default()
                },
                BackgroundColor(Color::srgb(0.1, 0.6, 0.3)),
                UiTargetCamera(camera),
            ));
        }
        let [first, second] = twins.frames();
        let color = |frame: &[u8], at: UVec2| frame[((at.y * SIZE.x + at.x) * 4) as usize..][..3].to_vec();
        for y in panel.min.y..panel.max.y {
            for x in panel.min.x..panel.max.x {
                let at = UVec2::new(x, y);
                assert_eq!(color(&second, at), [26, 153, 77], "the panel at {at}");
                assert_eq!(color(&first, at), color(&second, at), "the panel at {at}");
            }
        }
        if msaa == Msaa::Sample4 {
            assert_golden(&twins.app, "user_interface", SIZE, &second);
        }
        let beside = panel.min - UVec2::splat(4);
        let added = difference_at(&first, &second, beside);
        assert!((added - ADDED).abs() <= 2.0, "the face beside it is enhanced: {added} of 255");
    }
}

/// A horizontal line across the face.
fn draw_line(mut gizmos: Gizmos) {
    gizmos.line(Vec3::new(-2.0, 0.0, 0.6), Vec3::new(2.0, 0.0, 0.6), Color::srgb(0.0, 0.2, 0.8));
}

/// Pixels of the line that lie well inside the region, in the first image of twins that have seen no line before.
fn line_pixels(twins: &mut Twins) -> Vec<UVec2> {
    let [without, _] = twins.frames();
    twins.app.add_systems(Update, draw_line);
    let [with, _] = twins.frames();
    let rect = twins.region().rect_px.inflate(-10);
    let pixels: Vec<_> =
        crate::stage::changed(&without, &with, SIZE.x).into_iter().filter(|px| rect.contains(*px)).collect();
    assert!(pixels.len() > 20, "the line is on screen: {} pixels", pixels.len());
    pixels
}

#[test]
fn gizmos_are_part_of_the_scene_and_are_enhanced_with_it() {
    // Bevy draws them in the main pass, before tone mapping: nothing that comes later can tell them from the scene.
    let mut twins = Twins::new(Msaa::Off, ());
    let line = line_pixels(&mut twins);
    let [first, second] = twins.frames();
    for at in line {
        let added = difference_at(&first, &second, at);
        assert!((added - ADDED).abs() <= 2.0, "{at}: {added} of 255 added");
    }
    twins.assert_enhanced("with a gizmo", 2);
}

#[test]
fn gizmos_of_a_camera_of_their_own_stay_bit_for_bit() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        let mut twins = Twins::new(msaa, ());
        let layer = RenderLayers::layer(1);
        twins
            .app
            .world_mut()
            .resource_mut::<GizmoConfigStore>()
            .config_mut::<DefaultGizmoConfigGroup>()
            .0
            .render_layers = layer.clone();
        for target in twins.targets.clone() {
            let camera = spawn_camera(&mut twins.app, &target, msaa);
            let over = Camera { order: 1, clear_color: ClearColorConfig::None, ..default() };
            twins.app.world_mut().entity_mut(camera).insert((over, layer.clone()));
        }
        let line = line_pixels(&mut twins);
        let [first, second] = twins.frames();
        // Half covered pixels let the enhanced face through.
        let covered = line.iter().filter(|at| difference_at(&first, &second, **at) == 0.0).count();
        println!("{covered} of {} pixels of the line are the same", line.len());
        assert!(covered * 3 > line.len(), "{msaa:?}: {covered} of {} pixels are the same", line.len());
        if msaa == Msaa::Sample4 {
            assert_golden(&twins.app, "gizmos_of_their_own_camera", SIZE, &second);
        }
        let beside = SIZE / 2 + UVec2::new(0, 8);
        let added = difference_at(&first, &second, beside);
        assert!((added - ADDED).abs() <= 2.0, "the face beside it is enhanced: {added} of 255");
    }
}
