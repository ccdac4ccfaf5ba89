//! The sources of normals and depth, and the effect where there are none.

use bevy::camera::{Hdr, MainPassResolutionOverride, ScalingMode, Viewport};
use bevy::core_pipeline::prepass::{DeferredPrepass, DepthPrepass, NormalPrepass};
use bevy::pbr::DefaultOpaqueRendererMethod;
use bevy::prelude::*;
use bevy::render::camera::ExtractedCamera;
use bevy::render::settings::WgpuSettings;
use bevy::render::view::prepare_view_targets;
use bevy::render::{Render, RenderApp, RenderPlugin, RenderSystems};
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane::{Color as ColorPlane, Depth, Normal};

use super::twins::Twins;
use crate::common::{assets, frame, headless_of, plugins, renderer};
use crate::golden::assert_golden;
use crate::stage::{SIZE, Stage, assert_inside, changed, linear_model, model};

/// Makes twins whose effect shows the geometry: red is the normal's z, green the depth, blue the normal's y, a quarter of each.
fn geometry_twins(msaa: Msaa, parts: impl Bundle + Clone) -> Twins {
    let mut twins = Twins::new(msaa, parts);
    let mut weight = vec![0.0; 3 * 7];
    (weight[5], weight[7 + 6], weight[14 + 4]) = (1.0, 1.0, 1.0);
    let model = model(&mut twins.app, linear_model(&[ColorPlane, Normal, Depth], weight, [0.0; 3]));
    twins.settings.model = model;
    twins.switch(true);
    twins
}

/// Returns the gain of a channel by the effect, 0 to 1.
fn gained(frames: &[Vec<u8>; 2], at: UVec2, channel: usize) -> f32 {
    let at = ((at.y * SIZE.x + at.x) * 4) as usize + channel;
    (f32::from(frames[1][at]) - f32::from(frames[0][at])) / 255.0
}

/// Asserts that in the middle the sphere faces the camera and lies half of the box's radius in front of the box's centre, and that up is
/// up.
fn assert_geometry(frames: &[Vec<u8>; 2], what: &str) {
    let middle = SIZE / 2;
    let normal_z = gained(frames, middle, 0);
    assert!((normal_z - 0.25).abs() < 0.02, "{what}: normal z {normal_z}");
    let depth = gained(frames, middle, 1);
    assert!((depth - 0.25 * 0.5 / 0.75_f32.sqrt()).abs() < 0.02, "{what}: depth {depth}");
    let [above, below] = [-10, 10].map(|y| gained(frames, middle.saturating_add_signed(IVec2::new(0, y)), 2));
    assert!(above > 0.04 && below < -0.04, "{what}: normal y {above} above, {below} below");
}

/// Asserts that the geometry is right, that nothing outside of the region changes, and that the effect switched off leaves the first image.
fn assert_enhanced(twins: &mut Twins, what: &str) {
    twins.switch(true);
    let frames = twins.frames();
    assert_geometry(&frames, what);
    twins.switch(false);
    let [first, off] = twins.frames();
    assert!(first == off, "{what}, switched off");
    let [first, second] = &frames;
    assert_inside(&twins.region(), &changed(first, second, SIZE.x));
}

#[test]
fn a_deferred_camera_hands_normals_and_depth_to_the_network() {
    for hdr in [false, true] {
        let mut app = crate::common::headless("assets", true);
        app.insert_resource(DefaultOpaqueRendererMethod::deferred());
        let mut twins = Twins::within(app, crate::stage::LDR, Msaa::Off, ());
        for camera in twins.cameras {
            // Deferred lighting reads the depth.
            twins.app.world_mut().entity_mut(camera).insert((DeferredPrepass, DepthPrepass));
        }
        if hdr {
            twins.insert(Hdr);
        }
        twins.assert_enhanced(&format!("deferred, high dynamic range {hdr}, colour alone"), 2);
        let mut weight = vec![0.0; 3 * 7];
        (weight[5], weight[7 + 6], weight[14 + 4]) = (1.0, 1.0, 1.0);
        let model = model(&mut twins.app, linear_model(&[ColorPlane, Normal, Depth], weight, [0.0; 3]));
        twins.settings.model = model;
        assert_enhanced(&mut twins, &format!("deferred, high dynamic range {hdr}"));
    }
}

#[test]
fn a_camera_that_has_its_prepasses_shows_no_gap_when_the_effect_is_switched_on_and_off() {
    // Shaders are compiled while frames are drawn, as in an app; objects without a shader are not drawn yet.
    let renderer = RenderPlugin { synchronous_pipeline_compilation: false, ..renderer(WgpuSettings::default()) };
    let app = headless_of(plugins(renderer, assets("assets")), |app| {
        app.add_plugins(PortraitRealismPlugin);
    });
    let mut stage = Stage::within(app, Msaa::Off, (NormalPrepass, DepthPrepass));
    for enabled in [true, false] {
        let settings = PortraitRealism { enabled, ..default() };
        stage.app.world_mut().entity_mut(stage.camera).insert(settings.clone());
        let mut shown = Vec::new();
        for _ in 0..40 {
            stage.app.update();
            shown.push(frame(&mut stage.app, &stage.target));
        }
        let last = stage.set(settings);
        assert_eq!(last == stage.first, !enabled);
        // Only the image before and the image after may be seen.
        shown.dedup();
        assert!(shown.len() <= 2 && shown.iter().all(|frame| *frame == stage.first || (enabled && *frame == last)));
    }
}

#[test]
fn an_orthographic_camera_hands_normals_and_depth_to_the_network() {
    let scaling_mode = ScalingMode::FixedVertical { viewport_height: 2.0 };
    let projection = OrthographicProjection { scaling_mode, ..OrthographicProjection::default_3d() };
    let mut twins = geometry_twins(Msaa::Off, Projection::Orthographic(projection));
    let [_, second] = twins.frames();
    assert_golden(&twins.app, "orthographic_normals_and_depth", SIZE, &second);
    assert_enhanced(&mut twins, "orthographic");
}

#[test]
fn materials_without_a_prepass_look_to_the_network_as_if_nothing_were_there() {
    let mut twins = geometry_twins(Msaa::Off, ());
    // Blended objects are drawn in no prepass.
    let blended = StandardMaterial { alpha_mode: AlphaMode::Blend, ..Color::srgb(0.8, 0.55, 0.45).into() };
    let blended = twins.app.world_mut().resource_mut::<Assets<StandardMaterial>>().add(blended);
    twins.app.world_mut().entity_mut(twins.face).insert(MeshMaterial3d(blended));
    let frames = twins.frames();
    let [normal_z, depth, normal_y] = [0, 1, 2].map(|channel| gained(&frames, SIZE / 2, channel));
    assert!(normal_z.abs() < 0.01 && normal_y.abs() < 0.01, "no normal: {normal_z}, {normal_y}");
    assert!((depth + 0.25).abs() < 0.02, "as far away as can be: {depth}");
    // The weights that read geometry run all the same, and stay in their region.
    twins.settings.model = PortraitModel::QUALITY;
    twins.switch(true);
    let [first, second] = twins.frames();
    let changed = changed(&first, &second, SIZE.x);
    assert!(changed.len() > 500, "{} pixels changed", changed.len());
    assert_inside(&twins.region(), &changed);
}

#[test]
fn frames_that_are_scaled_up_after_the_main_pass_get_their_normals_and_depth_from_the_smaller_prepass() {
    for viewport in [None, Some(URect::new(16, 8, 88, 68))] {
        let mut twins = geometry_twins(Msaa::Off, ());
        if let Some(rect) = viewport {
            for camera in twins.cameras {
                let mut camera = twins.app.world_mut().get_mut::<Camera>(camera).expect("a camera");
                let (physical_position, physical_size) = (rect.min, rect.size());
                camera.viewport = Some(Viewport { physical_position, physical_size, ..default() });
            }
        }
        let full = twins.frames();
        let drawn = viewport.map_or(SIZE, |rect| rect.size());
        let low = MainPassResolutionOverride(drawn / 2);
        let insert = move |mut commands: Commands, cameras: Query<Entity, With<ExtractedCamera>>| {
            for camera in &cameras {
                commands.entity(camera).insert(MainPassResolutionOverride(low.0));
            }
        };
        // The resolution is overridden where Bevy's DLSS does it. No pass scales the frame up here, and the network sees only geometry.
        twins
            .app
            .sub_app_mut(RenderApp)
            .add_systems(Render, insert.in_set(RenderSystems::PrepareViews).before(prepare_view_targets));
        let scaled = twins.frames();
        let rect = twins.region().rect_px;
        assert_inside(&twins.region(), &changed(&scaled[0], &scaled[1], SIZE.x));
        let mut compared = 0;
        let core = rect.inflate(-(twins.region().feather_px().ceil() as i32));
        for y in core.min.y..core.max.y {
            for x in core.min.x..core.max.x {
                let at = UVec2::new(x, y);
                let [full, scaled] = [&full, &scaled].map(|frames| [0, 1, 2].map(|c| gained(frames, at, c)));
                // At the sphere's outline a pixel more or less is seen as the sphere.
                let differs = full.iter().zip(&scaled).any(|(full, scaled)| (full - scaled).abs() > 0.06);
                compared += usize::from(!differs);
            }
        }
        let share = compared as f32 / (core.width() * core.height()) as f32;
        println!("{share:.3} of the pixels have the geometry that they have at full resolution");
        assert!(share > 0.9, "{share} of the pixels have the geometry that they have at full resolution");
        if viewport.is_none() {
            assert_geometry(&scaled, "half the resolution");
        }
    }
}
