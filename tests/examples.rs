//! Runs every example without a window: the example draws a face, and the effect changes it. `cargo test` builds examples before tests run.
#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use image::RgbImage;

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
    picture
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
