//! Hair among what is transparent: it is enhanced with the face, and gizmos over both are not.

use bevy::core_pipeline::oit::OrderIndependentTransparencySettings;
use bevy::prelude::*;

use super::materials::{Hair, headless_with_materials, spawn_rectangle};
use crate::common::headless;
use crate::setups::twins::{ADDED, Twins, difference_at};
use crate::stage::{LDR, SIZE, changed};

/// Draws a horizontal line in front of face and hair.
fn draw_line(mut gizmos: Gizmos) {
    gizmos.line(Vec3::new(-2.0, 0.0, 0.8), Vec3::new(2.0, 0.0, 0.8), Color::srgb(0.0, 0.2, 0.8));
}

#[test]
fn blended_hair_that_writes_depth_is_enhanced_with_the_face() {
    for msaa in [Msaa::Off, Msaa::Sample4] {
        let mut twins = Twins::within(headless_with_materials(), LDR, msaa, ());
        let [bald, _] = twins.frames();
        // A fringe in front of the face, and in its box.
        spawn_rectangle(&mut twins.app, Hair {}, Vec2::new(0.5, 0.2), Vec3::new(0.0, 0.25, 0.5));
        let [first, second] = twins.frames();
        let hair = changed(&bald, &first, SIZE.x);
        assert!(hair.len() > 150, "{msaa:?}: {} pixels of hair", hair.len());
        let middle = hair[hair.len() / 2];
        for at in [middle, middle - UVec2::X, middle + UVec2::X] {
            let added = difference_at(&first, &second, at);
            assert!((added - ADDED).abs() <= 2.5, "{msaa:?}: {added} of 255 added to hair at {at}");
        }

        // With a gizmo over it hair is still hair, and the gizmo stays.
        twins.app.add_systems(Update, draw_line);
        let [with_line, second] = twins.frames();
        let rect = twins.region().rect_px.inflate(-10);
        let line: Vec<_> = changed(&first, &with_line, SIZE.x).into_iter().filter(|px| rect.contains(*px)).collect();
        assert!(line.len() > 20, "{msaa:?}: the line is on screen: {} pixels", line.len());
        for at in line {
            assert_eq!(difference_at(&with_line, &second, at), 0.0, "{msaa:?}: {at} of the line");
        }
        let added = difference_at(&with_line, &second, middle);
        assert!((added - ADDED).abs() <= 2.5, "{msaa:?}: {added} of 255 added to hair beside a gizmo");
    }
}

#[test]
fn order_independent_transparency_is_enhanced_with_the_face() {
    let mut twins =
        Twins::within(headless("assets", true), LDR, Msaa::Off, OrderIndependentTransparencySettings::default());
    for (z, x) in [(0.55, 0.1), (0.65, -0.05)] {
        let veil = StandardMaterial { alpha_mode: AlphaMode::Blend, ..Color::srgba(0.3, 0.2, 0.1, 0.5).into() };
        spawn_rectangle(&mut twins.app, veil, Vec2::splat(0.4), Vec3::new(x, 0.1, z));
    }
    twins.assert_enhanced("order-independent transparency", 2);
}
