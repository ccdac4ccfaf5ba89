//! Pairs from scenes: whole, resumed, refused. Needs a Vulkan device; lavapipe serves.

use std::path::Path;
use std::process::Command;

use crate::common::{SEED, SIZE_PX, Toy, finish, write_exr};
use portrait_dataset::DatasetError;
use portrait_dataset::manifest::{PAIR, PAIR_FILES};
use portrait_dataset::pair::{Outcome, make};
use portrait_dataset::studio::Studio;
use portrait_dataset::verify::measure;

const LIT_FROM_THE_SIDE: &str = r#"[{"kind": "area", "name": "Key", "position": [1.0, 0.6, 1.0],
    "direction": [-0.6509, -0.3906, -0.6509], "diameter_m": 0.3, "power_w": 10.0, "color_linear": [1.0, 0.9, 0.8]}]"#;

fn lit_toy() -> Toy {
    Toy { center: [0.08, 0.05, 0.0], lights: serde_json::from_str(LIT_FROM_THE_SIDE).unwrap(), ..Toy::default() }
}

#[test]
fn a_pair_is_whole_aligned_and_made_only_once() {
    let data = tempfile::tempdir().unwrap();
    let toy = lit_toy();
    let folder = toy.write(data.path());
    let mut studio = Studio::new(data.path()).unwrap();
    let Outcome::Made(pair) = make(&mut studio, data.path(), SEED).unwrap() else {
        panic!("nothing was there to keep")
    };
    assert!(pair.silhouette_iou > 0.95, "{pair:?}");
    assert_eq!((pair.seed, pair.identity, pair.size_px), (SEED, 3, SIZE_PX));
    for name in PAIR_FILES {
        let image = image::open(folder.join(name)).unwrap();
        assert_eq!([image.width(), image.height()], [SIZE_PX; 2], "{name}");
    }
    let normals = image::open(folder.join("normal.png")).unwrap().into_rgb16();
    let depth = image::open(folder.join("depth.png")).unwrap().into_luma16();
    for (x, y, normal) in normals.enumerate_pixels() {
        if depth.get_pixel(x, y).0[0] == 0 {
            assert!(normal.0.iter().all(|part| (32767..=32768).contains(part)), "{normal:?} where nothing is drawn");
        } else {
            let [nx, ny, nz] = normal.0.map(|part| f32::from(part) / 32767.5 - 1.0);
            assert!((nx * nx + ny * ny + nz * nz - 1.0).abs() < 0.01 && nz > -0.1, "{normal:?} at {x}, {y}");
        }
    }
    // The sphere's middle: normal towards the camera, depth one radius before the centre in half diagonals.
    let middle = |offset: f32| (SIZE_PX as f32 / 2.0 * (1.0 + offset / (crate::common::FOV_Y / 2.0).tan())) as u32;
    let (x, y) = (middle(0.08), middle(-0.05));
    assert!(normals.get_pixel(x, y).0[2] > 60000, "{:?}", normals.get_pixel(x, y));
    let relative = f32::from(depth.get_pixel(x, y).0[0]) / 32767.5 - 1.0;
    assert!((relative - 1.0 / 3.0_f32.sqrt()).abs() < 0.05, "{relative}");
    // Lit from the right: the right of the sphere is brighter.
    let first = image::open(folder.join("first.png")).unwrap().into_rgb8();
    assert!(first.get_pixel(x + 3, y).0[0] > first.get_pixel(x - 4, y).0[0].saturating_add(10));

    assert!(matches!(make(&mut studio, data.path(), SEED).unwrap(), Outcome::Kept(_)));
    assert!(measure(data.path(), SEED).unwrap().silhouette_iou > 0.95);
    // The second time every pipeline is known and one frame is drawn: the pixels must be those of the first time.
    let contents = PAIR_FILES.map(|name| std::fs::read(folder.join(name)).unwrap());
    std::fs::write(folder.join("normal.png"), &contents[2][..contents[2].len() / 2]).unwrap();
    assert!(matches!(measure(data.path(), SEED), Err(DatasetError::PairMissing(_))));
    assert!(matches!(make(&mut studio, data.path(), SEED).unwrap(), Outcome::Made(_)));
    for (name, content) in PAIR_FILES.iter().zip(contents) {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), content, "{name} differs when made again");
    }
    // What an artist has painted is not rendered over.
    let painted = image::RgbImage::from_pixel(SIZE_PX, SIZE_PX, image::Rgb([9; 3]));
    painted.save(folder.join("reference.png")).unwrap();
    let error = make(&mut studio, data.path(), SEED).expect_err("a retouched image was rendered over").to_string();
    assert!(error.contains("reference.png") && error.contains("to keep it, move"), "{error}");
    assert_eq!(image::open(folder.join("reference.png")).unwrap().into_rgb8(), painted);
    std::fs::remove_file(folder.join(PAIR)).unwrap();
    assert!(matches!(make(&mut studio, data.path(), SEED).unwrap(), Outcome::Made(_)));
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5 + PAIR_FILES.len() + 1, "stray files: {left:?}");
}

/// Returns the error of `make` after `spoil` has changed a good scene.
fn complaint(studio: &mut Studio, data: &Path, spoil: impl FnOnce(&Path)) -> String {
    let folder = lit_toy().write(data);
    spoil(&folder);
    let error = make(studio, data, SEED).expect_err("a spoilt scene was accepted");
    assert!(!folder.join(PAIR).exists());
    error.to_string()
}

#[test]
fn broken_scenes_are_refused_by_name_and_the_studio_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let mut studio = Studio::new(data).unwrap();
    let write = |folder: &Path, name: &str, content: &[u8]| {
        std::fs::write(folder.join(name), content).unwrap();
        finish(folder);
    };
    let mut expect = |spoil: &dyn Fn(&Path), parts: &[&str]| {
        let message = complaint(&mut studio, data, spoil);
        for part in parts {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    };
    expect(&|folder| std::fs::remove_file(folder.join("done.json")).unwrap(), &["done.json", "unfinished"]);
    expect(&|folder| std::fs::remove_file(folder.join("reference.exr")).unwrap(), &["reference.exr", "missing"]);
    expect(&|folder| std::fs::write(folder.join("reference.exr"), b"short").unwrap(), &["reference.exr", "5 bytes"]);
    expect(&|folder| std::fs::write(folder.join("done.json"), b"{").unwrap(), &["done.json", "EOF"]);
    expect(&|folder| write(folder, "reference.exr", b"not an image"), &["reference.exr", "OpenEXR"]);
    expect(
        &|folder| {
            write_exr(&folder.join("reference.exr"), [16, 16], |_, _| [1.0; 4]);
            finish(folder);
        },
        &["reference.exr", "[32, 32]", "[16, 16]", "scene.json"],
    );
    expect(&|folder| write(folder, "scene.json", b"{\"format\": 1}"), &["scene.json", "missing field"]);
    let turned = |pointer: &str, value: serde_json::Value| {
        let mut scene = lit_toy().scene();
        *scene.pointer_mut(pointer).unwrap() = value;
        scene.to_string()
    };
    expect(&|folder| write(folder, "scene.json", turned("/size_px", 0.into()).as_bytes()), &["size_px", "8 to 8192"]);
    expect(
        &|folder| write(folder, "scene.json", turned("/lights/0/kind", "laser".into()).as_bytes()),
        &["lights[Key].kind", "laser"],
    );
    expect(
        &|folder| write(folder, "scene.json", turned("/environment/file", "environments/none.exr".into()).as_bytes()),
        &["none.exr", "missing"],
    );
    expect(&|folder| write(folder, "scene.glb", b"no glTF at all"), &["scene.glb", "glTF"]);
    expect(&|folder| write(folder, "scene.glb", b"glTF\x02\0\0\0\x40\0\0\0nonsense"), &["scene.glb", "cannot load"]);
    lit_toy().write(data);
    assert!(matches!(make(&mut studio, data, SEED).unwrap(), Outcome::Made(_)));
}

fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_portrait-dataset")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}

#[test]
fn the_command_line_refuses_what_it_cannot_do() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    let missing = data.path().join("absent");
    let cases = [
        (vec!["render", "--seeds", "0..3", "--data", missing.to_str().unwrap()], "no such folder"),
        (vec!["render", "--seeds", "0..3", "--data", folder], "holds no scene"),
        (vec!["render", "--seeds", "3..0", "--data", folder], "A..B"),
        (vec!["render", "--seeds", "0..3", "--stride", "0", "--data", folder], "--stride"),
        (vec!["verify", "--seeds", "0..3", "--data", folder], "holds no scene"),
        (vec!["calibrate", "--data", missing.to_str().unwrap()], "no such folder"),
    ];
    for (arguments, wanted) in cases {
        let (success, text) = run(&arguments);
        assert!(!success && text.contains(wanted), "{arguments:?}: {text}");
    }
}

#[test]
fn the_command_line_reports_failed_seeds_and_makes_the_others() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    lit_toy().write(data.path());
    std::fs::create_dir(data.path().join("00000008")).unwrap();
    let (success, text) = run(&["render", "--seeds", "7..9", "--data", folder]);
    assert!(!success && text.contains("1 pairs made") && text.contains("seed 8"), "{text}");
    let (success, text) = run(&["render", "--seeds", "7..8", "--data", folder]);
    assert!(success && text.contains("1 kept"), "{text}");
    let (_, text) = run(&["verify", "--seeds", "7..8", "--data", folder]);
    assert!(text.contains("1 pairs, mean IoU"), "{text}");
}
