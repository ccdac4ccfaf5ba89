//! How the example `bring_your_own` finds the head of a file: by names, and by the proportions of people.

use bevy::math::{Quat, Vec3};

use eyes::{Corners, Eyes};
use names::{is_head, name_an_eye};

#[path = "../../examples/bring_your_own/eyes.rs"]
mod eyes;
#[path = "../../examples/bring_your_own/names.rs"]
mod names;

#[test]
fn eyes_are_known_by_the_usual_names_and_what_lies_beside_them_is_none() {
    for name in [
        "Eye",
        "Eyes",
        "Eye.l",
        "eye_l",
        "L_eye",
        "h_R_eye",
        "EyeLeft",
        "LeftEye",
        "lefteye",
        "REye",
        "EyeL",
        "Eyeball",
        "eyeballs.001",
        "AvatarLeftEyeball",
        "Wolf3D_Eyes",
        "CC_Base_Eye",
        "Std_Eye_R",
        "Std_Cornea_L",
        "cornea",
        "Sclera",
        "MI_EyeRefractive_Inst_L",
    ] {
        assert!(name_an_eye([name]), "{name} is an eye");
    }
    for name in [
        "Eyebrow",
        "eye_brows",
        "EyeLashes",
        "eyelash_L",
        "Eyelid",
        "eyelids.r",
        "Eyeglasses",
        "Eye_Glasses",
        "eyewear",
        "EyePatch",
        "EyeShadow",
        "Eyeliner",
        "FaceEyeline",
        "EyeCorner",
        "eye_socket",
        "CC_Base_EyeOcclusion",
        "CC_Base_TearLine",
        "h_L_gland",
        "Reyes",
        "Hawkeye",
        "Keyed",
        "Head",
        "",
    ] {
        assert!(!name_an_eye([name]), "{name} is no eye");
    }
}

#[test]
fn the_first_name_that_speaks_of_eyes_decides() {
    for (names, is_eye) in [
        (&["Eye", "Face", "Body"][..], true),
        (&["Material.003", "Sphere", "Eyes"], true),
        (&["Eye", "Head_Lashes"], true),
        (&["Lashes", "Eyes"], false),
        (&["EyeCorner", "h_L_eye"], false),
        (&["Skin", "H_DDS_HighRes"], false),
        (&[], false),
    ] {
        assert_eq!(name_an_eye(names.iter().copied()), is_eye, "{names:?}");
    }
}

#[test]
fn a_bone_is_a_heads_by_the_last_word_of_its_name() {
    for name in ["Head", "mixamorig:Head", "mixamorigHead", "CC_Base_Head", "head.x", "Head_L"] {
        assert!(is_head(name), "{name} is a head");
    }
    for name in ["HeadTop_End", "Forehead", "head_eye", "Neck", ""] {
        assert!(!is_head(name), "{name} is no head");
    }
}

/// Returns the corners of two cubes about `middle`: a person's eyes, metres.
fn eyes_at(middle: Vec3, apart: f32, radius: f32) -> Vec<Vec3> {
    let mut points = Vec::new();
    for side in [-1.0, 1.0] {
        for corner in 0..8_u8 {
            let sign = |bit: u8| if corner & bit == 0 { -radius } else { radius };
            points.push(middle + Vec3::new(side * apart / 2.0 + sign(1), sign(2), sign(4)));
        }
    }
    points
}

/// The box of a bust with a tall hat, and the middle between its eyes, metres.
const BUST: [Vec3; 2] = [Vec3::new(-0.24, 1.3, -0.2), Vec3::new(0.24, 1.9, 0.2)];
const EYES: Vec3 = Vec3::new(0.0, 1.6, 0.08);

/// Returns the box of the head that has these points of its eyes and looks along +z, in a model with this box.
fn head_about(eyes: &[Vec3], model: Corners) -> Option<Corners> {
    Eyes::at(eyes).map(|eyes| eyes.head(false, model))
}

#[test]
fn a_head_looks_to_the_side_on_which_its_eyes_are() {
    // The outline of a skull at the height of the eyes, and the hem of a dress far ahead and below.
    let around = |step: u8| f32::from(step) * std::f32::consts::TAU / 24.0;
    let head: Vec<Vec3> =
        (0..24).map(|step| Vec3::new(0.075 * around(step).sin(), 1.61, 0.1 * around(step).cos() - 0.01)).collect();
    let model = [&head[..], &[Vec3::new(0.0, 0.5, 3.0)]].concat();
    let eyes = eyes_at(EYES, 0.063, 0.012);
    for (angle, looks_back) in [(0.0, false), (std::f32::consts::PI, true), (0.3, false), (-2.9, true)] {
        let turned = |points: &[Vec3]| -> Vec<Vec3> {
            points.iter().map(|point| Quat::from_rotation_y(angle) * *point).collect()
        };
        let (eyes, model) = (Eyes::at(&turned(&eyes)).expect("two eyes"), turned(&model));
        assert_eq!(eyes.look_back(model), Some(looks_back), "turned by {angle}");
        let [min, max] = eyes.head(looks_back, [Vec3::MIN, Vec3::MAX]);
        let (low, high) = if looks_back { (-max.z, -min.z) } else { (min.z, max.z) };
        let (behind, ahead) = (EYES.z - low, high - EYES.z);
        assert!(behind > 2.0 * ahead && ahead > 0.0, "turned by {angle}: {behind} behind the eyes, {ahead} ahead");
    }
    let eyes = Eyes::at(&eyes).expect("two eyes");
    let middle = head.iter().map(|point| *point + Vec3::Z * 0.09);
    assert_eq!(eyes.look_back(middle), None, "eyes in the middle");
    assert_eq!(eyes.look_back([Vec3::ZERO]), None, "nothing is as high as the eyes");
}

#[test]
fn a_head_has_the_size_of_peoples_about_its_eyes_in_any_unit() {
    for unit in [1.0_f32, 100.0, 0.02] {
        let eyes: Vec<Vec3> = eyes_at(EYES, 0.063, 0.012).into_iter().map(|point| point * unit).collect();
        let [min, max] = head_about(&eyes, BUST.map(|corner| corner * unit)).expect("two eyes");
        let size = (max - min) / unit;
        assert!(size.y > 0.23 && size.y < 0.28, "a head with hair is about 25 cm high: {size}");
        assert!(size.x > 0.17 && size.x < 0.21, "and with ears 19 cm wide: {size}");
        assert!(size.z > 0.22 && size.z < 0.27, "and with the nose 25 cm deep: {size}");
        let chin = 1.6 - min.y / unit;
        assert!((chin - 0.126).abs() < 0.001, "the chin is 12.6 cm below the eyes: {chin}");
        let middle = (min.x + max.x) / 2.0 / unit;
        assert!(middle.abs() < 1e-4, "the eyes are in the middle: {middle}");
    }
}

#[test]
fn the_chin_is_where_head_studio_has_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/training/dataset/head_studio/imported/placement.py");
    let text = std::fs::read_to_string(path).expect("head_studio's placement.py");
    let number = |name: &str| -> f32 {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        value.and_then(|value| value.split_whitespace().next()?.parse().ok()).expect("a number of placement.py")
    };
    let [min, _] = head_about(&eyes_at(EYES, 1.0, 0.19), [Vec3::MIN, Vec3::MAX]).expect("two eyes");
    let (chin, expected) = (EYES.y - min.y, number("HEAD_HEIGHT") * (1.0 - number("EYE_LINE")));
    assert!((chin - expected).abs() < 0.01, "{chin}, {expected}");
}

#[test]
fn a_head_ends_where_its_model_does() {
    let crown = [BUST[0], Vec3::new(0.24, 1.71, 0.1)];
    let [min, max] = head_about(&eyes_at(EYES, 0.063, 0.012), crown).expect("two eyes");
    assert_eq!([max.y, max.z], [1.71, 0.1]);
    assert!(min.y > BUST[0].y && max.x < BUST[1].x, "the rest is as wide as people's heads: {min} to {max}");
}

#[test]
fn what_does_not_lie_as_two_eyes_do_gives_no_head() {
    let sideways = |point: &Vec3| Quat::from_rotation_y(1.57) * *point;
    let tilted = |point: &Vec3| Quat::from_rotation_z(0.7) * *point;
    let eyes = eyes_at(EYES, 0.063, 0.012);
    for (points, why) in [
        (vec![], "nothing is called an eye"),
        (vec![EYES; 8], "all points are one"),
        (eyes_at(EYES, 0.063, 0.002), "these are beads"),
        (eyes_at(EYES, 0.063, 0.031), "these are as large as half a face"),
        (eyes[..8].to_vec(), "this is one eye"),
        (eyes.iter().map(sideways).collect(), "the head looks along x"),
        (eyes.iter().map(tilted).collect(), "the head leans on a shoulder"),
        ([eyes_at(Vec3::X * 0.4, 0.063, 0.012), eyes_at(Vec3::X * -0.4, 0.063, 0.012)].concat(), "these are two heads"),
    ] {
        assert_eq!(head_about(&points, BUST), None, "{why}");
    }
}
