//! Light adds up: sums of light groups are the pair, through measured tone mappers. Needs a Vulkan device; lavapipe serves.

use std::path::Path;

use crate::common::{SEED, SIZE_PX, Toy, finish, write_exr};
use half::f16;
use portrait_dataset::light_groups::LIGHT_GROUPS;
use portrait_dataset::pair::make;
use portrait_dataset::studio::Studio;
use portrait_dataset::tone_tables::{ENTRIES, LARGEST, SLOPE, TONE_TABLES, value_at};
use safetensors::SafeTensors;
use serde_json::{Value, json};

const PIXELS: usize = (SIZE_PX * SIZE_PX) as usize;
const GROUPS: [&str; 3] = ["key", "rim", "environment"];
/// Factors of the drawn light on the even light.
const WEIGHTS: [[f32; 3]; 3] = [[0.5, 0.4, 0.3], [1.0, 2.0, 0.5], [0.7; 3]];

fn lamp(name: &str, position: [f32; 3], power_w: f32, color: [f32; 3]) -> Value {
    let length = position.iter().map(|part| part * part).sum::<f32>().sqrt();
    json!({"kind": "area", "name": name, "position": position, "direction": position.map(|part| -part / length),
           "diameter_m": 0.3, "power_w": power_w, "color_linear": color})
}

/// A scene with groups: even light in the groups, and the same lamps and surroundings weighted in the scene itself.
fn write(data: &Path, tone_mapping: &str) -> std::path::PathBuf {
    let lamps = |colors: [[f32; 3]; 2]| {
        json!([lamp("Key", [1.0, 0.6, 1.0], 10.0, colors[0]), lamp("Rim", [-1.0, 0.4, 0.3], 6.0, colors[1])])
    };
    let toy = Toy {
        lights: lamps([WEIGHTS[0], WEIGHTS[1]]),
        environment: json!({"file": "environments/sky.exr", "rotation_deg": 0.0, "strength": 0.2 * WEIGHTS[2][0]}),
        ..Toy::default()
    };
    let folder = toy.write(data);
    let mut scene = toy.scene();
    scene["format"] = 2.into();
    scene["rendering"] = json!({"tone_mapping": tone_mapping, "anti_aliasing": "none", "exposure_ev": 0.5});
    scene["light_groups"] = json!({"lights": lamps([[1.0; 3]; 2]), "environment_strength": 0.2,
                                   "irradiance": {"Key": 1.0, "Rim": 1.0, "Environment": 1.0}});
    std::fs::write(folder.join("scene.json"), scene.to_string()).unwrap();
    for (index, name) in GROUPS.iter().enumerate() {
        write_exr(&folder.join(format!("group_{name}.exr")), [SIZE_PX; 2], |_, _| [index as f32, 0.5, 0.25, 1.0]);
    }
    finish(&folder);
    folder
}

fn halves(file: &SafeTensors, name: &str) -> Vec<f32> {
    let bytes = file.tensor(name).unwrap().data().as_chunks::<2>().0.to_vec();
    bytes.into_iter().map(|half| f16::from_le_bytes(half).to_f32()).collect()
}

/// sRGB, 0–255, by the table of `tone_mapping`, trilinear as the training looks it up.
fn look_up(tables: &SafeTensors, tone_mapping: &str, linear: [f32; 3]) -> [f32; 3] {
    let table = tables.tensor(tone_mapping).unwrap().data();
    let scale = (ENTRIES - 1) as f32 / (1.0 + LARGEST * SLOPE).log2();
    let place = linear.map(|value| ((1.0 + value * SLOPE).log2() * scale).min(ENTRIES as f32 - 1.001));
    let mut sum = [0.0; 3];
    for corner in 0..8_usize {
        let up = [corner & 1, corner >> 1 & 1, corner >> 2];
        let share = |axis: usize| {
            let part = place[axis].fract();
            if up[axis] == 1 { part } else { 1.0 - part }
        };
        let entry = |axis: usize| place[axis] as usize + up[axis];
        let at = (entry(2) * ENTRIES as usize + entry(1)) * ENTRIES as usize + entry(0);
        let weight = share(0) * share(1) * share(2);
        (0..3).for_each(|channel| sum[channel] += weight * f32::from(table[at * 3 + channel]));
    }
    sum
}

#[test]
fn weighted_groups_are_the_first_image_through_every_tone_mapper() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::new(data.path()).unwrap();
    for tone_mapping in ["none", "reinhard", "aces", "agx", "tony_mc_mapface"] {
        let folder = write(data.path(), tone_mapping);
        make(&mut studio, data.path(), SEED).unwrap();
        let content = std::fs::read(folder.join(LIGHT_GROUPS)).unwrap();
        let file = SafeTensors::deserialize(&content).unwrap();
        let groups = GROUPS.map(|name| halves(&file, &format!("first.{name}")));
        let uncovered = halves(&file, "first.uncovered");
        assert_eq!(halves(&file, "reference.rim")[..3], [1.0, 0.5, 0.25]);
        assert!(!file.names().contains(&"background"), "the scene's background is a gradient");
        let tables = std::fs::read(data.path().join(TONE_TABLES)).unwrap();
        let tables = SafeTensors::deserialize(&tables).unwrap();

        let [bottom, top] = Toy::default().background;
        let first = image::open(folder.join("first.png")).unwrap().into_rgb8().into_raw();
        let (mut total, mut largest) = (0.0, 0.0_f32);
        for at in 0..PIXELS {
            let down = ((at / SIZE_PX as usize) as f32 + 0.5) / SIZE_PX as f32;
            let linear = std::array::from_fn(|channel| {
                let lit = groups.iter().zip(WEIGHTS).map(|(group, weight)| group[at * 3 + channel] * weight[channel]);
                let behind = top[channel] + (bottom[channel] - top[channel]) * down;
                (lit.sum::<f32>() + uncovered[at] * behind) * 0.5_f32.exp2()
            });
            for (shown, drawn) in look_up(&tables, tone_mapping, linear).iter().zip(&first[at * 3..]) {
                let difference = (shown - f32::from(*drawn)).abs();
                (total, largest) = (total + difference, largest.max(difference));
            }
        }
        let mean = total / (3 * PIXELS) as f32;
        assert!(mean < 0.8 && largest < 5.0, "{tone_mapping}: mean {mean:.2}, largest {largest:.2} steps of 255");
        assert!(uncovered[0] > 0.99 && uncovered[PIXELS / 2 + SIZE_PX as usize / 2] < 0.01);
    }
    assert_eq!(value_at(0), 0.0);
}

#[test]
fn a_scene_that_is_made_anew_without_light_groups_leaves_none_to_train_on() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::new(data.path()).unwrap();
    let folder = write(data.path(), "none");
    make(&mut studio, data.path(), SEED).unwrap();
    assert!(folder.join(LIGHT_GROUPS).exists());
    let text = std::fs::read_to_string(folder.join("scene.json")).unwrap();
    let mut scene: Value = serde_json::from_str(&text).unwrap();
    scene.as_object_mut().unwrap().remove("light_groups").unwrap();
    std::fs::write(folder.join("scene.json"), scene.to_string()).unwrap();
    finish(&folder);
    make(&mut studio, data.path(), SEED).unwrap();
    assert!(!folder.join(LIGHT_GROUPS).exists() && folder.join("first.png").exists());
}

#[test]
fn a_missing_or_misshapen_group_is_named() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::new(data.path()).unwrap();
    let mut complaint = |spoil: &dyn Fn(&Path)| {
        let folder = write(data.path(), "none");
        spoil(&folder);
        make(&mut studio, data.path(), SEED).expect_err("a spoilt scene was accepted").to_string()
    };
    let missing = complaint(&|folder| std::fs::remove_file(folder.join("group_rim.exr")).unwrap());
    assert!(missing.contains("group_rim.exr") && missing.contains("missing"), "{missing}");
    let small = complaint(&|folder| write_exr(&folder.join("group_key.exr"), [8; 2], |_, _| [1.0; 4]));
    assert!(small.contains("group_key.exr") && small.contains("[32, 32]"), "{small}");
    let dark = complaint(&|folder| {
        let text = std::fs::read_to_string(folder.join("scene.json")).unwrap();
        std::fs::write(folder.join("scene.json"), text.replace("\"Rim\":1.0", "\"Rim\":0.0")).unwrap();
        finish(folder);
    });
    assert!(dark.contains("light_groups.irradiance.Rim") && dark.contains("more than 0"), "{dark}");
}
