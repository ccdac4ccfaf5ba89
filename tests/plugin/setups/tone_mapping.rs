//! The effect in high and low dynamic range with every tone mapper.

use bevy::camera::{CompositingSpace, Hdr};
use bevy::core_pipeline::tonemapping::{DebandDither, Tonemapping};
use bevy::prelude::*;

use super::twins::Twins;

const TONE_MAPPERS: [Tonemapping; 9] = [
    Tonemapping::None,
    Tonemapping::Reinhard,
    Tonemapping::ReinhardLuminance,
    Tonemapping::AcesFitted,
    Tonemapping::AgX,
    Tonemapping::SomewhatBoringDisplayTransform,
    Tonemapping::TonyMcMapface,
    Tonemapping::BlenderFilmic,
    Tonemapping::KhronosPbrNeutral,
];

#[test]
fn every_tone_mapper_is_enhanced_with_low_dynamic_range() {
    let mut twins = Twins::new(Msaa::Off, ());
    for tone_mapper in TONE_MAPPERS {
        twins.insert(tone_mapper);
        twins.assert_enhanced(&format!("{tone_mapper:?}"), 2);
    }
}

#[test]
fn every_tone_mapper_is_enhanced_with_high_dynamic_range() {
    let mut twins = Twins::new(Msaa::Off, Hdr);
    for tone_mapper in TONE_MAPPERS {
        for dither in [DebandDither::Enabled, DebandDither::Disabled] {
            twins.insert((tone_mapper, dither));
            twins.assert_enhanced(&format!("{tone_mapper:?}, dither {dither:?}"), 2);
        }
    }
}

#[test]
fn another_compositing_space_leaves_the_frame_alone() {
    let mut twins = Twins::new(Msaa::Off, ());
    for space in [CompositingSpace::Srgb, CompositingSpace::Oklab] {
        twins.insert((space, Hdr));
        let [first, second] = twins.frames();
        assert!(first == second, "{space:?}");
    }
    twins.insert(CompositingSpace::Linear);
    let [first, second] = twins.frames();
    assert!(first != second, "linear");
}
