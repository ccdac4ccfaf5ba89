//! Overlays over faces, the user interface and gizmos, stay as they are.

use bevy::camera::Hdr;
use bevy::camera::visibility::RenderLayers;
use bevy::core_pipeline::prepass::DepthPrepass;
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

/// Draws a horizontal line across the face.
fn draw_line(mut gizmos: Gizmos) {
    gizmos.line(Vec3::new(-2.0, 0.0, 0.6), Vec3::new(2.0, 0.0, 0.6), Color::srgb(0.0, 0.2, 0.8));
}

/// Returns the pixels of the line that lie well inside the region, in the first image of twins that have seen no line before.
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

/// Asserts that the line is the same in both images, and that the face is enhanced, also beside the line.
fn assert_left_alone(twins: &mut Twins, what: &str) {
    println!("{what}");
    let line = line_pixels(twins);
    let [first, second] = twins.frames();
    for at in &line {
        assert_eq!(difference_at(&first, &second, *at), 0.0, "{what}: {at} of the line");
    }
    for step in [-3, 3] {
        let beside = line[line.len() / 2].saturating_add_signed(IVec2::new(0, step));
        let added = difference_at(&first, &second, beside);
        assert!((added - ADDED).abs() <= 2.0, "{what}: {beside} beside the line: {added} of 255 added");
    }
    let rect = twins.region().rect_px;
    let enhanced = crate::stage::changed(&first, &second, SIZE.x).len() as u32;
    assert!(enhanced * 3 > rect.width() * rect.height(), "{what}: {enhanced} pixels of {rect:?} changed");
}

#[test]
fn gizmos_over_a_face_stay_bit_for_bit() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        assert_left_alone(&mut Twins::new(msaa, ()), &format!("{msaa:?}"));
        assert_left_alone(&mut Twins::new(msaa, DepthPrepass), &format!("{msaa:?}, depth prepass"));
        assert_left_alone(&mut Twins::new(msaa, Hdr), &format!("{msaa:?}, HDR"));
    }
}

#[test]
fn glass_over_a_face_is_enhanced_with_it_while_a_gizmo_is_drawn() {
    // Glass has a depth that the prepass lacks, as a gizmo has, but glass is drawn before the effect.
    let mut twins = Twins::new(Msaa::Off, DepthPrepass);
    let world = twins.app.world_mut();
    let mesh = world.resource_mut::<Assets<Mesh>>().add(Rectangle::new(0.2, 0.2));
    let glass = StandardMaterial { specular_transmission: 1.0, ..default() };
    let glass = world.resource_mut::<Assets<StandardMaterial>>().add(glass);
    world.spawn((Mesh3d(mesh), MeshMaterial3d(glass), Transform::from_xyz(0.0, 0.25, 0.6)));
    let [before, _] = twins.frames();
    twins.app.add_systems(Update, draw_line);
    let [first, second] = twins.frames();
    let line = crate::stage::changed(&before, &first, SIZE.x);
    let middle = twins.region().rect_px.center();
    let top = line.iter().map(|at| at.y).min().expect("the line is on screen");
    // Above the line lies the glass, over the face.
    for at in [UVec2::new(middle.x, top - 4), UVec2::new(middle.x, top - 6)] {
        let added = difference_at(&first, &second, at);
        assert!((added - ADDED).abs() <= 2.0, "{at}: {added} of 255 added");
    }
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
