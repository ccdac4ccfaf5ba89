//! Runs every example without a window: the example draws a face, and the effect changes it. `cargo test` builds examples before tests run.
#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use image::RgbImage;
use serde_json::{Value, json};

/// Width and height of the pictures, pixels.
const SIZE_PX: (u32, u32) = (160, 128);
/// Minimum spread of a picture's luma around its mean, of 255: a background alone has less.
const MIN_SPREAD: f32 = 8.0;
/// Minimum share of a picture that is skin.
const MIN_SKIN: f32 = 0.02;
/// Minimum share of a picture that the effect changes visibly.
const MIN_CHANGED: f32 = 0.01;
/// Difference from which on a change counts as visible, of 255.
const VISIBLY: u8 = 3;

/// Returns the picture that an example draws, and asserts everything that holds for every example.
fn picture(example: &str, arguments: &[&str], folder: &Path) -> RgbImage {
    picture_of(example, arguments, SIZE_PX, folder)
}

fn picture_of(example: &str, arguments: &[&str], size_px: (u32, u32), folder: &Path) -> RgbImage {
    picture_and_words(example, arguments, size_px, folder).0
}

/// Returns the picture that an example draws, and what it says.
fn picture_and_words(example: &str, arguments: &[&str], size_px: (u32, u32), folder: &Path) -> (RgbImage, String) {
    let path = folder.join("picture.png");
    let mut command = example_command(example);
    command.args(arguments).args(["--frames", "2", "--size", &format!("{}x{}", size_px.0, size_px.1), "--overwrite"]);
    let output = command.arg("--out").arg(&path).output().expect("the example starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example} {arguments:?} failed: {said}");
    let picture = image::open(&path).expect("the example has written a picture").into_rgb8();
    std::fs::remove_file(&path).expect("the next picture must be a new one");
    assert_eq!(picture.dimensions(), size_px);
    let (spread, skin) = (luma_spread(&picture), share(picture.pixels().map(|px| is_skin(px.0))));
    println!("{example} {arguments:?}: luma spreads by {spread} of 255, {skin} of it is skin");
    assert!(spread >= MIN_SPREAD, "{example} draws a flat picture: its luma spreads by {spread} of 255");
    assert!(skin >= MIN_SKIN, "{example} shows no face: {skin} of its picture is skin");
    (picture, String::from_utf8_lossy(&output.stdout).into_owned())
}

fn example_command(example: &str) -> Command {
    let test = std::env::current_exe().expect("this test's path");
    let build: PathBuf = test.ancestors().nth(2).expect("deps, in the build folder").into();
    let program = build.join("examples").join(example).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.is_file(), "there is no {}: `cargo build --examples` makes it", program.display());
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("RUST_BACKTRACE", "0");
    command
}

fn luma_spread(picture: &RgbImage) -> f32 {
    let luma = |[r, g, b]: [u8; 3]| 0.2126 * f32::from(r) + 0.7152 * f32::from(g) + 0.0722 * f32::from(b);
    let count = (picture.width() * picture.height()) as f32;
    let mean = picture.pixels().map(|px| luma(px.0)).sum::<f32>() / count;
    (picture.pixels().map(|px| (luma(px.0) - mean).powi(2)).sum::<f32>() / count).sqrt()
}

/// Returns true for colours of the demo's skin in any light of the examples: more red than green, more green than blue.
fn is_skin([r, g, b]: [u8; 3]) -> bool {
    r > 60 && i32::from(r) > i32::from(g) + 12 && g >= b && i32::from(r) > i32::from(b) + 20
}

fn share(are: impl Iterator<Item = bool>) -> f32 {
    let (count, found) = are.fold((0_u32, 0_u32), |(count, found), is| (count + 1, found + u32::from(is)));
    found as f32 / count.max(1) as f32
}

/// Returns the share of the picture that the effect changes visibly.
fn changed(example: &str, arguments: &[&str]) -> f32 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let on = picture(example, arguments, folder.path());
    let off = picture(example, &[arguments, &["--off"]].concat(), folder.path());
    let differs = |(on, off): (&image::Rgb<u8>, &image::Rgb<u8>)| {
        on.0.iter().zip(off.0).any(|(on, off)| on.abs_diff(off) >= VISIBLY)
    };
    share(on.pixels().zip(off.pixels()).map(differs))
}

fn draws(example: &str, arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    picture(example, arguments, folder.path());
}

#[test]
fn portrait_draws_a_face_that_the_effect_changes() {
    assert!(changed("portrait", &[]) >= MIN_CHANGED);
}

#[test]
fn your_own_file_is_framed_on_its_face_which_the_effect_changes() {
    assert!(changed("bring_your_own", &["assets/heads/demo.glb", "--face", "Head"]) >= MIN_CHANGED);
}

#[test]
fn the_demos_head_is_found_whole_by_its_eyes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, words) = picture_and_words("bring_your_own", &["assets/heads/demo.glb"], SIZE_PX, folder.path());
    // From ear to ear, from the chin to the top of the skull, and from nose to nape, metres.
    for part in ["the head about the eyes", "Eye.l", "Eye.r", "0.185 × 0.224 × 0.235 units"] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
}

#[test]
fn weights_from_anywhere_on_the_disk_are_taken_and_what_holds_none_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let head = ["assets/heads/demo.glb", "--face", "Head"];
    let own = path("hero.safetensors");
    std::fs::copy("assets/weights/fast.safetensors", &own).expect("the shipped weights");
    let with = |more: &[&str]| picture("bring_your_own", &[&head[..], more].concat(), folder.path());
    assert!(with(&["--weights", &own]) == with(&["--model", "fast"]), "the file is what --model fast is");
    assert!(with(&["--weights", &own]) != with(&["--off"]), "and it is used");

    std::fs::write(path("notes.safetensors"), "no weights").expect("a temporary file");
    let out = path("picture.png");
    let refused = |weights: &str, more: &[&str]| {
        let picture = ["--frames", "1", "--out", &out, "--weights", weights];
        complaint("bring_your_own", &[&head[..], &picture, more].concat())
    };
    let foreign = refused(&path("notes.safetensors"), &[]);
    for part in ["notes.safetensors holds no weights", "cargo xtask character", "not a whole safetensors file"] {
        assert!(foreign.contains(part), "{part} is not in {foreign}");
    }
    let missing = refused(&path("nowhere.safetensors"), &[]);
    assert!(missing.contains("cannot open the weights") && missing.contains("nowhere.safetensors"), "{missing}");
    assert!(refused(&own, &["--model", "fast"]).contains("cannot be used with"), "one or the other");
}

#[test]
fn render_to_texture_shows_the_face_on_a_screen_and_the_effect_changes_it_there() {
    assert!(changed("render_to_texture", &["--texture", "128"]) >= MIN_CHANGED);
}

#[test]
fn split_screen_draws_faces() {
    draws("split_screen", &[]);
}

#[test]
fn many_faces_are_drawn() {
    draws("many_faces", &["--faces", "3"]);
}

#[test]
fn compare_draws_a_face_beside_its_panel() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The panel alone is 304 pixels wide.
    picture_of("compare", &["--scale", "0.5"], (560, 300), folder.path());
}

/// Returns the error message of an example that refuses to start.
fn complaint(example: &str, arguments: &[&str]) -> String {
    let output = example_command(example).args(arguments).output().expect("the example starts");
    assert!(!output.status.success(), "{example} {arguments:?} is refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn pictures_are_not_overwritten_unless_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("mine.png");
    std::fs::write(&path, "mine").expect("a temporary file");
    let said = complaint("portrait", &["--frames", "1", "--out", &path.to_string_lossy()]);
    assert!(said.contains("exists already") && said.contains("--overwrite"), "{said}");
    assert_eq!(std::fs::read(&path).expect("it is still there"), b"mine");
}

#[test]
fn files_that_hold_no_face_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = |file: &str, more: &[&str]| {
        let out = folder.path().join("picture.png");
        let picture = ["--frames", "1", "--out", &out.to_string_lossy()];
        complaint("bring_your_own", &[&[file], more, &picture].concat())
    };
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    assert!(own(&path("nowhere.glb"), &[]).contains("there is no file"));
    assert!(own("README.md", &[]).contains("is no .glb or .gltf file"));
    let empty = path("empty.gltf");
    let text = r#"{"asset":{"version":"2.0"},"scene":0,"scenes":[{"nodes":[0]}],"nodes":[{"name":"Nothing"}]}"#;
    std::fs::write(&empty, text).expect("a temporary file");
    assert!(own(&empty, &[]).contains("there is no mesh in the first scene"));
    let broken = path("broken.glb");
    std::fs::write(&broken, "no glTF").expect("a temporary file");
    assert!(own(&broken, &[]).contains("cannot be loaded"));
    let said = own("assets/heads/demo.glb", &["--face", "Nose"]);
    for part in ["is called Nose", "Head", "TeethUpper"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

/// Rings of a head with its neck, and of shoulders in a shirt, from top to bottom: height, half width and half depth, metres.
const HEAD_RINGS: [[f32; 3]; 8] = [
    [1.72, 0.01, 0.01],
    [1.70, 0.06, 0.07],
    [1.65, 0.08, 0.10],
    [1.58, 0.085, 0.10],
    [1.53, 0.06, 0.08],
    [1.50, 0.05, 0.05],
    [1.48, 0.05, 0.05],
    [1.38, 0.06, 0.06],
];
const SHIRT_RINGS: [[f32; 3]; 5] =
    [[1.38, 0.06, 0.06], [1.36, 0.2, 0.1], [1.33, 0.24, 0.11], [1.25, 0.23, 0.12], [1.17, 0.15, 0.12]];
/// Rings of a robe as wide as the head, which shows no neck.
const ROBE_RINGS: [[f32; 3]; 3] = [[1.46, 0.06, 0.06], [1.45, 0.1, 0.1], [1.3, 0.1, 0.1]];
const EYE_RINGS: [[f32; 3]; 5] =
    [[1.612, 0.001, 0.001], [1.606, 0.01, 0.01], [1.6, 0.012, 0.012], [1.594, 0.01, 0.01], [1.588, 0.001, 0.001]];
/// Distance of the eyes from the middle of the head, metres to the left or right, and ahead.
const EYES_ASIDE: f32 = 0.0315;
const EYES_AHEAD: f32 = 0.085;
/// Points around a ring.
const SEGMENTS: u16 = 24;

/// Writes a head and what is below it as one mesh of two materials, skin and blue cloth. `eyes_ahead` adds eyes at this distance from the
/// middle of the head, metres along z, whose material is called so, and `has_bones` ties what is above the chin to a bone.
fn write_bust(folder: &Path, cloth: &[[f32; 3]], eyes_ahead: Option<f32>, has_bones: bool) -> String {
    let (mut bytes, mut views, mut accessors) = (Vec::<u8>::new(), Vec::<Value>::new(), Vec::<Value>::new());
    let mut push = |data: Vec<u8>, count: usize, component: u32, kind: &str, bounds: Option<[[f32; 3]; 2]>| {
        views.push(json!({ "buffer": 0, "byteOffset": bytes.len(), "byteLength": data.len() }));
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let mut accessor =
            json!({ "bufferView": views.len() - 1, "count": count, "componentType": component, "type": kind });
        if let Some([min, max]) = bounds {
            (accessor["min"], accessor["max"]) = (json!(min), json!(max));
        }
        accessors.push(accessor);
        accessors.len() - 1
    };
    let floats = |floats: &[f32]| -> Vec<u8> { floats.iter().flat_map(|it| it.to_le_bytes()).collect() };
    let mut primitives = Vec::new();
    let (head, eye): (&[[f32; 3]], &[[f32; 3]]) = (&HEAD_RINGS, &EYE_RINGS);
    let mut parts = vec![(0, head, [0.0, 0.0]), (1, cloth, [0.0, 0.0])];
    if let Some(ahead) = eyes_ahead {
        parts.extend([-EYES_ASIDE, EYES_ASIDE].map(|aside| (2, eye, [aside, ahead])));
    }
    for (material, rings, [aside, ahead]) in parts {
        let points = rings.iter().flat_map(|ring| (0..SEGMENTS).map(move |at| (ring, at)));
        let angle = |at: u16| f32::from(at) / f32::from(SEGMENTS) * std::f32::consts::TAU;
        let place = |([y, x, z], at): (&[f32; 3], u16)| [aside + x * angle(at).sin(), *y, ahead + z * angle(at).cos()];
        let places: Vec<[f32; 3]> = points.clone().map(place).collect();
        let normals: Vec<[f32; 3]> = points.map(|(_, at)| [angle(at).sin(), 0.0, angle(at).cos()]).collect();
        let bounds = places.iter().fold([[f32::MAX; 3], [f32::MIN; 3]], |[min, max], place| {
            [
                std::array::from_fn(|axis| min[axis].min(place[axis])),
                std::array::from_fn(|axis| max[axis].max(place[axis])),
            ]
        });
        let (count, last) = (places.len(), rings.len() as u16 - 1);
        let triangles = (0..last * SEGMENTS).flat_map(|at| {
            let (ring, next) = (at / SEGMENTS * SEGMENTS, (at + 1) % SEGMENTS);
            let [a, b] = [ring + at % SEGMENTS, ring + next];
            [a, a + SEGMENTS, b, b, a + SEGMENTS, b + SEGMENTS]
        });
        let indices: Vec<u8> = triangles.flat_map(u16::to_le_bytes).collect();
        let mut attributes = json!({
            "POSITION": push(floats(places.as_flattened()), count, 5126, "VEC3", Some(bounds)),
            "NORMAL": push(floats(normals.as_flattened()), count, 5126, "VEC3", None),
        });
        if has_bones {
            let joint = |place: &[f32; 3]| match material {
                1 => [0_u8, 0, 0, 0],
                _ if place[1] > 1.51 => [2, 0, 0, 0],
                _ => [1, 0, 0, 0],
            };
            let joints: Vec<u8> = places.iter().flat_map(joint).collect();
            let weights: Vec<f32> = places.iter().flat_map(|_| [1.0, 0.0, 0.0, 0.0]).collect();
            attributes["JOINTS_0"] = json!(push(joints, count, 5121, "VEC4", None));
            attributes["WEIGHTS_0"] = json!(push(floats(&weights), count, 5126, "VEC4", None));
        }
        let indices = push(indices.clone(), indices.len() / 2, 5123, "SCALAR", None);
        primitives.push(json!({ "attributes": attributes, "indices": indices, "material": material }));
    }
    let color = |color: [f32; 4]| json!({ "doubleSided": true, "pbrMetallicRoughness": { "baseColorFactor": color, "metallicFactor": 0.0 } });
    let mut gltf = json!({
        "asset": { "version": "2.0" },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "name": "Bust", "mesh": 0 }],
        "meshes": [{ "primitives": primitives }],
        "materials": [color([0.7, 0.42, 0.3, 1.0]), color([0.05, 0.1, 0.7, 1.0]), color([0.8, 0.8, 0.8, 1.0])],
    });
    gltf["materials"][2]["name"] = json!("Wolf3D_Eye");
    if has_bones {
        // Joint 0 is the chest, 1 the neck and 2 the head.
        gltf["nodes"] = json!([
            { "name": "Bust", "children": [1, 2] },
            { "name": "Body", "mesh": 0, "skin": 0 },
            { "name": "mixamorig:Spine", "children": [3] },
            { "name": "mixamorig:Neck", "children": [4] },
            { "name": "mixamorig:Head" },
        ]);
        gltf["skins"] = json!([{ "joints": [2, 3, 4] }]);
    }
    (gltf["bufferViews"], gltf["accessors"]) = (json!(views), json!(accessors));
    gltf["buffers"] = json!([{ "uri": "bust.bin", "byteLength": bytes.len() }]);
    std::fs::write(folder.join("bust.bin"), bytes).expect("a temporary file");
    let path = folder.join("bust.gltf");
    std::fs::write(&path, gltf.to_string()).expect("a temporary file");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_bust_is_framed_by_its_head_which_is_found_by_shape_or_by_bone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (eyes_ahead, has_bones, more, says) in [
        // From where the neck begins, at 1.5, and a fifth of its distance from the ears further down, where a chin may be.
        (None, false, &[][..], "the face is what is above the neck: 0.170 × 0.232 × 0.200 units"),
        (Some(EYES_AHEAD), true, &[][..], "the bone mixamorig:Head"),
        (None, true, &["--face", "*Head"][..], "the face is mixamorig:Head"),
    ] {
        let file = write_bust(folder.path(), &SHIRT_RINGS, eyes_ahead, has_bones);
        let arguments = [&[file.as_str()], more].concat();
        let (on, words) = picture_and_words("bring_your_own", &arguments, SIZE_PX, folder.path());
        assert!(words.contains(says), "{says} is not in {words}");
        let off = picture("bring_your_own", &[&arguments[..], &["--off"]].concat(), folder.path());
        // The head fills the picture, of which it would be 0.04 with the shirt, and the shirt is hardly touched.
        let skin = share(off.pixels().map(|px| is_skin(px.0)));
        assert!(skin >= 0.15, "{says}: {skin} of the picture is skin");
        let changed: Vec<[u8; 3]> =
            off.pixels().zip(on.pixels()).filter(|(off, on)| off != on).map(|(off, _)| off.0).collect();
        let shirt = share(changed.iter().map(|[r, _, b]| *b > r.saturating_add(40)));
        assert!(
            changed.len() > 1_000 && shirt < 0.1,
            "{says}: {} pixels changed, {shirt} of them shirt",
            changed.len()
        );
    }
}

#[test]
fn a_head_whose_neck_is_hidden_is_found_by_its_eyes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (eyes_ahead, says) in [
        (None, "the face is the whole model: 0.200 × 0.420 × 0.200 units"),
        // From two distances between the eyes below them to the crown, and 1.55 to either side.
        (Some(EYES_AHEAD), "the face is the head about the eyes Mesh.Wolf3D_Eye: 0.195 × 0.246 × 0.200 units"),
    ] {
        let file = write_bust(folder.path(), &ROBE_RINGS, eyes_ahead, false);
        let (_, words) = picture_and_words("bring_your_own", &[file.as_str()], SIZE_PX, folder.path());
        assert!(words.contains(says), "{says} is not in {words}");
    }
}

#[test]
fn a_head_is_seen_from_the_side_on_which_its_eyes_are_unless_asked_otherwise() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seen = |ahead: f32, more: &[&str], says: &str| {
        let file = write_bust(folder.path(), &SHIRT_RINGS, Some(ahead), false);
        let arguments = [&[file.as_str(), "--off"], more].concat();
        let (picture, words) = picture_and_words("bring_your_own", &arguments, SIZE_PX, folder.path());
        assert!(words.contains(says), "{says} is not in {words}");
        picture
    };
    let ahead = seen(EYES_AHEAD, &[], "it is seen from +z, where its eyes are");
    let back = seen(-EYES_AHEAD, &[], "it is seen from -z, where its eyes are");
    let turned = seen(EYES_AHEAD, &["--turn", "-180"], "it is seen from the side that --turn names");
    // But for the eyes, the bust looks the same from both sides.
    let differing = |picture: &RgbImage| {
        let differs = |(a, b): (&image::Rgb<u8>, &image::Rgb<u8>)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 40);
        ahead.pixels().zip(picture.pixels()).filter(|pair| differs(*pair)).count()
    };
    assert!(differing(&back) <= 5, "{} pixels differ from another side", differing(&back));
    assert!(differing(&turned) >= 15, "the back of the head has no eyes: {} pixels differ", differing(&turned));
}

#[test]
fn a_file_without_eyes_is_seen_from_the_side_that_its_convention_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write_bust(folder.path(), &SHIRT_RINGS, None, false);
    let says = |says: &str| {
        let (_, words) = picture_and_words("bring_your_own", &[file.as_str(), "--off"], SIZE_PX, folder.path());
        assert!(words.contains(says), "{says} is not in {words}");
    };
    says("it is seen from +z, as glTF has it");
    let text = std::fs::read_to_string(&file).expect("the bust");
    let mut gltf: Value = serde_json::from_str(&text).expect("JSON");
    gltf["extensionsUsed"] = json!(["VRM"]);
    std::fs::write(&file, gltf.to_string()).expect("a temporary file");
    says("it is seen from -z, as VRM 0 has it");
    let said = complaint("bring_your_own", &[&file, "--turn", "nan"]);
    assert!(said.contains("--turn takes degrees"), "{said}");
}

#[test]
fn files_that_bevy_cannot_read_are_refused_in_one_line_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let required = |extensions: &[&str]| json!({ "asset": { "version": "2.0" }, "extensionsRequired": extensions });
    let image =
        |image: Value| json!({ "asset": { "version": "2.0" }, "images": [image], "textures": [{ "source": 0 }] });
    let webp = json!({
        "asset": { "version": "2.0" }, "extensionsUsed": ["EXT_texture_webp"], "images": [{ "uri": "skin.webp" }],
        "textures": [{ "extensions": { "EXT_texture_webp": { "source": 0 } } }]
    });
    for (gltf, parts) in [
        (required(&["EXT_meshopt_compression"]), &["meshopt", "@gltf-transform/cli cp "][..]),
        (required(&["KHR_meshopt_compression"]), &["meshopt", "@gltf-transform/cli cp "]),
        (required(&["KHR_draco_mesh_compression"]), &["Draco", "@gltf-transform/cli cp "]),
        (required(&["KHR_mesh_quantization", "EXT_meshopt_compression"]), &["meshopt", "quantised", "dequantize "]),
        (required(&["EXT_texture_webp"]), &["WebP", "png ", "--formats webp"]),
        (required(&["KHR_texture_basisu"]), &["KTX2", "ktxdecompress "]),
        (webp, &["WebP"]),
        (image(json!({ "uri": "skin.WEBP" })), &["WebP"]),
        (image(json!({ "mimeType": "image/ktx2", "bufferView": 0 })), &["KTX2"]),
        (required(&["EXT_texture_webp", "KHR_draco_mesh_compression"]), &["Draco", "WebP", "png "]),
    ] {
        let text = gltf.to_string();
        let glb = [&b"glTF"[..], &2_u32.to_le_bytes(), &(20 + text.len() as u32).to_le_bytes()];
        let glb = [&glb.concat()[..], &(text.len() as u32).to_le_bytes(), b"JSON", text.as_bytes()].concat();
        for (name, bytes) in [("hero.gltf", text.clone().into_bytes()), ("hero.glb", glb)] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("a temporary file");
            let out = folder.path().join("picture.png");
            let path = path.to_string_lossy().into_owned();
            let said = complaint("bring_your_own", &[&path, "--frames", "1", "--out", &out.to_string_lossy()]);
            assert!(parts.iter().chain(&[name]).all(|part| said.contains(part)), "{gltf}: {said}");
            assert_eq!(said.trim().lines().count(), 1, "one line: {said}");
        }
    }
}
