//! Controls for artists: each does what its documentation says, and nothing at its neutral value.

use bevy::core_pipeline::prepass::{DepthPrepass, MotionVectorPrepass};
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};
use bevy_portrait_realism::internals::PortraitGpuState;
use bevy_portrait_realism::prelude::*;
use portrait_network::{Model, Plane, Recommended};

use crate::common::{render_world, settle};
use crate::stage::{SIZE, Stage, changed, linear_model, model};

/// Returns a network that turns red up and blue down at every pixel, by a tenth in display-referred sRGB.
fn tint() -> Model {
    linear_model(&[Plane::Color], vec![0.0; 9], [0.4, 0.0, -0.4])
}

/// Returns a network whose residual follows the frame's colour, and so has a base and a detail layer.
fn contrast() -> Model {
    let mut weight = vec![0.0; 9];
    (0..3).for_each(|channel| weight[channel * 4] = 0.3);
    linear_model(&[Plane::Color], weight, [0.1; 3])
}

/// Returns the differences of two frames at a pixel, red, green and blue, 0–255.
fn difference(before: &[u8], after: &[u8], at: UVec2) -> [i32; 3] {
    let at = ((at.y * SIZE.x + at.x) * 4) as usize;
    std::array::from_fn(|channel| i32::from(after[at + channel]) - i32::from(before[at + channel]))
}

const CENTER: UVec2 = UVec2::new(SIZE.x / 2, SIZE.y / 2);

#[test]
fn controls_at_their_defaults_and_at_zero_change_nothing() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let model = model(&mut stage.app, contrast());
    let with = |change: &dyn Fn(&mut PortraitRealism)| {
        let mut settings = PortraitRealism { model: model.clone(), ..default() };
        change(&mut settings);
        settings
    };
    let second = stage.set(with(&|_| {}));
    assert!(second != first);
    for (name, settings) in [
        ("strength", with(&|settings| settings.strength = 0.0)),
        ("base and detail", with(&|settings| (settings.base, settings.detail) = (0.0, 0.0))),
        ("base and detail below 0", with(&|settings| (settings.base, settings.detail) = (-1.0, -1.0))),
        ("likeness", with(&|settings| settings.likeness = 1.0)),
        ("no faces", with(&|settings| settings.max_faces = 0)),
    ] {
        assert!(stage.set(settings) == first, "{name}");
    }
    for (name, settings) in [
        ("base and detail NaN", with(&|settings| (settings.base, settings.detail) = (f32::NAN, f32::NAN))),
        ("preserve_color below 0", with(&|settings| settings.preserve_color = -3.0)),
        ("likeness NaN", with(&|settings| settings.likeness = f32::NAN)),
        ("strength beyond 1", with(&|settings| settings.strength = f32::INFINITY)),
    ] {
        assert!(stage.set(settings) == second, "{name}");
    }
}

#[test]
fn base_and_detail_are_the_two_layers_of_the_change() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let model = model(&mut stage.app, contrast());
    let mut set = |base, detail| stage.set(PortraitRealism { model: model.clone(), base, detail, ..default() });
    let (whole, base, detail) = (set(1.0, 1.0), set(1.0, 0.0), set(0.0, 1.0));
    assert!(base != first && detail != first && base != whole && detail != whole);
    // Together the layers are the whole, up to the rounding of two frames.
    let (mut worst, mut base_slope, mut whole_slope) = (0, 0, 0);
    for y in 20..60 {
        for x in 25..70 {
            let at = UVec2::new(x, y);
            let [all, in_base, in_detail] = [&whole, &base, &detail].map(|frame| difference(&first, frame, at)[1]);
            worst = worst.max((all - in_base - in_detail).abs());
            base_slope = base_slope.max((difference(&first, &base, at + UVec2::X)[1] - in_base).abs());
            whole_slope = whole_slope.max((difference(&first, &whole, at + UVec2::X)[1] - all).abs());
        }
    }
    println!("base + detail differ from the whole by {worst} of 255; steepest change {base_slope} of {whole_slope}");
    assert!(worst <= 2, "{worst}");
    assert!(base_slope * 2 <= whole_slope, "the base layer is smooth: {base_slope}, {whole_slope}");
    // Twice the detail goes twice as far from the base layer.
    let twice = set(1.0, 2.0);
    let at = CENTER + UVec2::new(0, 14);
    let [all, in_base, more] = [&whole, &base, &twice].map(|frame| difference(&first, frame, at)[1]);
    assert!((more - in_base - 2 * (all - in_base)).abs() <= 3, "{all} {in_base} {more}");
    // Equal factors scale the whole.
    for (factor, frame) in [(0.5, set(0.5, 0.5)), (2.0, set(2.0, 2.0))] {
        let scaled = difference(&first, &frame, at)[1];
        assert!((scaled as f32 - factor * all as f32).abs() <= 2.0, "{factor}: {scaled} of {all}");
    }
}

#[test]
fn a_change_that_is_the_same_everywhere_is_all_base_layer() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let model = model(&mut stage.app, tint());
    let mut set = |base, detail| stage.set(PortraitRealism { model: model.clone(), base, detail, ..default() });
    assert!(set(0.0, 2.0) == first, "there is no detail in it");
    let (whole, half) = (set(1.0, 1.0), set(0.5, 1.0));
    let [all, half] = [whole, half].map(|frame| difference(&first, &frame, CENTER));
    assert!(all[0] >= 24 && (all[0] - 2 * half[0]).abs() <= 2, "{all:?} {half:?}");
}

#[test]
fn what_weights_recommend_multiplies_the_settings() {
    let mut stage = Stage::new(Msaa::Off, ());
    let plain = model(&mut stage.app, contrast());
    let mut softer = contrast();
    softer.recommended = Recommended { base: 1.0, detail: 0.5 };
    let softer = model(&mut stage.app, softer);
    let mut set = |model: &Handle<PortraitModel>, detail| {
        stage.set(PortraitRealism { model: model.clone(), detail, ..default() })
    };
    assert!(set(&softer, 1.0) == set(&plain, 0.5));
    assert!(set(&softer, 2.0) == set(&plain, 1.0));
    assert!(set(&softer, 1.0) != set(&plain, 1.0));
}

#[test]
fn preserve_color_leaves_luma_alone_to_change() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let model = model(&mut stage.app, tint());
    let mut set = |preserve_color| {
        let frame = stage.set(PortraitRealism { model: model.clone(), preserve_color, ..default() });
        difference(&first, &frame, CENTER)
    };
    let [red, green, blue] = set(0.0);
    assert!(red >= 24 && green == 0 && blue <= -24, "{red} {green} {blue}");
    // 0.2126 · red + 0.0722 · blue, in each channel.
    let luma = (0.2126 * red as f32 + 0.0722 * blue as f32).round() as i32;
    let kept = set(1.0);
    assert!(kept.iter().all(|channel| (channel - luma).abs() <= 1), "{kept:?} ≠ {luma}");
    let half = set(0.5);
    assert!((half[0] - (red + luma) / 2).abs() <= 1, "{half:?}");
}

#[test]
fn likeness_limits_how_far_a_pixel_moves() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let model = model(&mut stage.app, tint());
    let frame = stage.set(PortraitRealism { model, likeness: 0.95, ..default() });
    let [red, green, blue] = difference(&first, &frame, CENTER);
    // 0.05 of 255 is 12.75.
    assert!((12..=13).contains(&red) && green == 0 && (-13..=-12).contains(&blue), "{red} {green} {blue}");
}

/// Makes an image that is white on its left half and black on its right half.
fn half_white(app: &mut App, size: u32) -> Handle<Image> {
    let extent = Extent3d { width: size, height: size, depth_or_array_layers: 1 };
    let texels = (0..size * size).map(|at| if at % size < size / 2 { 255 } else { 0 }).collect();
    let image = Image::new(extent, TextureDimension::D2, texels, TextureFormat::R8Unorm, default());
    app.world_mut().resource_mut::<Assets<Image>>().add(image)
}

#[test]
fn mask_over_the_screen_chooses_where() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let model = model(&mut stage.app, tint());
    let whole = stage.set(PortraitRealism { model: model.clone(), ..default() });
    let mask = PortraitMask { image: half_white(&mut stage.app, 64), space: PortraitMaskSpace::Screen };
    let left = stage.set(PortraitRealism { model, mask: Some(mask), ..default() });
    for px in changed(&first, &left, SIZE.x) {
        assert!(px.x <= SIZE.x / 2, "{px} is masked out");
    }
    let at = CENTER - UVec2::new(8, 0);
    assert_eq!(difference(&first, &left, at), difference(&first, &whole, at), "the white half gets it all");
    assert!(!stage.app.world().entity(stage.camera).contains::<DepthPrepass>());
}

#[test]
fn mask_over_the_face_turns_with_it() {
    let mut stage = Stage::new(Msaa::Off, ());
    let model = model(&mut stage.app, tint());
    let mask = PortraitMask { image: half_white(&mut stage.app, 64), space: PortraitMaskSpace::Face };
    let settings = PortraitRealism { model, mask: Some(mask), ..default() };
    let mut sides = |turn: Quat| {
        stage.app.world_mut().entity_mut(stage.face).insert(Transform::from_rotation(turn));
        let off = stage.set(PortraitRealism { enabled: false, ..settings.clone() });
        let on = stage.set(settings.clone());
        assert!(stage.app.world().entity(stage.camera).contains::<DepthPrepass>(), "the plugin brings it");
        // Only the sphere is masked, since the background behind it is no face.
        let inside = |at: UVec2| (at.as_vec2() + 0.5 - SIZE.as_vec2() / 2.0).length() < 18.0;
        let pixels = changed(&off, &on, SIZE.x).into_iter().filter(|&at| inside(at));
        pixels.fold([0, 0, 0, 0], |mut sides: [usize; 4], at| {
            sides[usize::from(at.x >= CENTER.x)] += 1;
            sides[2 + usize::from(at.y >= CENTER.y)] += 1;
            sides
        })
    };
    let front = sides(Quat::IDENTITY);
    assert!(front[0] > 300 && front[1] < 40, "left half of the screen: {front:?}");
    let upside_down = sides(Quat::from_rotation_z(std::f32::consts::PI));
    assert!(upside_down[1] > 300 && upside_down[0] < 40, "right half: {upside_down:?}");
    let on_its_side = sides(Quat::from_rotation_z(-std::f32::consts::FRAC_PI_2));
    assert!(on_its_side[2] > 300 && on_its_side[3] < 40, "upper half: {on_its_side:?}");
}

#[test]
fn nothing_is_enhanced_until_the_mask_is_there() {
    let mut stage = Stage::new(Msaa::Off, ());
    let first = stage.first.clone();
    let model = model(&mut stage.app, tint());
    let image = stage.app.world().resource::<Assets<Image>>().reserve_handle();
    let settings = |image: &Handle<Image>| PortraitRealism {
        model: model.clone(),
        mask: Some(PortraitMask { image: image.clone(), ..default() }),
        ..default()
    };
    assert!(stage.set(settings(&image)) == first);
    let white = Image::new_fill(Extent3d::default(), TextureDimension::D2, &[255], TextureFormat::R8Unorm, default());
    stage.app.world_mut().resource_mut::<Assets<Image>>().insert(&image, white).expect("a handle of its own");
    let masked = stage.frame();
    assert!(masked != first && masked == stage.set(PortraitRealism { model: model.clone(), ..default() }));
    // A mask that cannot be filtered counts as no mask.
    let floats = [0; 16];
    let wrong =
        Image::new_fill(Extent3d::default(), TextureDimension::D2, &floats, TextureFormat::Rgba32Float, default());
    let wrong = stage.app.world_mut().resource_mut::<Assets<Image>>().add(wrong);
    assert!(stage.set(settings(&wrong)) == first);
}

#[test]
fn controls_are_animated_without_making_anything_new() {
    let mut stage = Stage::new(Msaa::Off, (DepthPrepass, MotionVectorPrepass));
    let model = model(&mut stage.app, contrast());
    let at = |step: f32| PortraitRealism {
        model: model.clone(),
        base: 1.0 - step,
        detail: 1.0 + step,
        preserve_color: step,
        likeness: step,
        strength: 1.0 - 0.5 * step,
        history: 0.5,
        ..default()
    };
    stage.set(at(0.1));
    let held = render_world(&stage.app).resource::<PortraitGpuState>().allocated_bytes();
    let mut frames = Vec::new();
    for step in 1..8 {
        frames.push(stage.set(at(step as f32 / 8.0)));
    }
    frames.dedup();
    assert_eq!(frames.len(), 7, "each step shows");
    assert_eq!(render_world(&stage.app).resource::<PortraitGpuState>().allocated_bytes(), held);
    stage.app.world_mut().entity_mut(stage.camera).remove::<PortraitRealism>();
    settle(&mut stage.app);
    assert_eq!(stage.allocated_bytes(), 0, "all is given back");
}

#[test]
fn settings_are_written_and_read_with_serde() {
    let settings = PortraitRealism {
        base: 0.5,
        resolution: PortraitResolution::Auto { budget_ms: 2.5 },
        mask: Some(PortraitMask { space: PortraitMaskSpace::Face, ..default() }),
        ..default()
    };
    let text = serde_json::to_string(&settings).expect("a struct");
    assert_eq!(serde_json::from_str::<PortraitRealism>(&text).expect("the same"), settings);
    let few: PortraitRealism = serde_json::from_str(r#"{"strength": 0.25}"#).expect("the others are defaults");
    assert_eq!(few, PortraitRealism { strength: 0.25, ..default() });
    let error = serde_json::from_str::<PortraitRealism>(r#"{"strenght": 0.25}"#).expect_err("misspelt");
    assert!(error.to_string().contains("strenght"), "{error}");
}
