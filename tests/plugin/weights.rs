//! Bad weights: the error message names the fault, the frame stays as it is, and the app goes on.

use std::path::Path;

use bevy::asset::LoadState;
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy_portrait_realism::prelude::*;
use portrait_network::{Dtype, Model, Plane, Spec};

use crate::common::{face_bounds, frame, headless, settle, spawn_camera, target, update_until};

fn good() -> Vec<u8> {
    let graph = Spec::tiny(&[Plane::Color]).validate().expect("a valid spec");
    Model::random(graph, 3).to_bytes(Dtype::F32).expect("bytes")
}

/// Returns a weights file with a changed JSON header.
fn with_header(bytes: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header = change(String::from_utf8(bytes[8..8 + length].to_vec()).expect("JSON"));
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header.as_bytes());
    changed.extend(&bytes[8 + length..]);
    changed
}

/// Writes a file for every way to be bad, and returns the files' names with words that the error message must hold.
fn write_files(folder: &Path) -> Vec<(&'static str, Vec<&'static str>)> {
    let good = good();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("a file");
    write("good.safetensors", &good);
    write("truncated.safetensors", &good[..good.len() / 2]);
    write("empty.safetensors", &[]);
    write("text.safetensors", b"these are not the weights you are looking for");
    write(
        "shape.safetensors",
        // [12, 12, 3, 3] has the same number of values as [6, 24, 3, 3].
        &with_header(&good, |header| header.replacen("[12,12,3,3]", "[6,24,3,3]", 1)),
    );
    write(
        "spec.safetensors",
        &with_header(&good, |header| header.replace("\\\"mid1\\\",\\\"down2\\\"", "\\\"mid1\\\",\\\"nose\\\"")),
    );
    std::os::unix::fs::symlink("/dev/zero", folder.join("endless.safetensors")).expect("a link");
    let mut nan = good.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    write("nan.safetensors", &nan);
    vec![
        ("missing.safetensors", vec!["missing.safetensors"]),
        (
            "truncated.safetensors",
            vec!["truncated.safetensors", "not a whole safetensors file", "copy or export it again"],
        ),
        ("empty.safetensors", vec!["empty.safetensors", "0 bytes"]),
        ("text.safetensors", vec!["text.safetensors", "not a whole safetensors file"]),
        ("shape.safetensors", vec!["expected shape [12, 12, 3, 3]", "found [6, 24, 3, 3]", ".weight"]),
        ("spec.safetensors", vec!["layer `mid_sum` reads `nose`", "no earlier layer"]),
        ("nan.safetensors", vec!["holds NaN", "expected finite numbers"]),
        ("endless.safetensors", vec!["268435457 bytes", "expected at most 268435456"]),
    ]
}

#[test]
fn bad_weights_are_named_and_leave_the_frame_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let bad = write_files(folder.path());
    let mut app = headless(&folder.path().to_string_lossy(), true);
    let target = target(&mut app, UVec2::new(48, 40), TextureFormat::Rgba8UnormSrgb);
    let camera = spawn_camera(&mut app, &target, Msaa::Off);
    app.world_mut().spawn((Transform::default(), PortraitFace { bounds: Some(face_bounds()), ..default() }));
    settle(&mut app);
    let first = frame(&mut app, &target);

    for (file, words) in bad {
        let model: Handle<PortraitModel> = app.world().resource::<AssetServer>().load(file);
        app.world_mut().entity_mut(camera).insert(PortraitRealism { model: model.clone(), ..default() });
        update_until(&mut app, file, |app| {
            matches!(app.world().resource::<AssetServer>().load_state(&model), LoadState::Failed(_))
        });
        let LoadState::Failed(error) = app.world().resource::<AssetServer>().load_state(&model) else {
            panic!("{file} was loaded");
        };
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "{file}: {message:?} does not say {word:?}");
        }
        settle(&mut app);
        assert!(frame(&mut app, &target) == first, "{file}: the frame changed");
    }

    // The app goes on: good weights work in the same run.
    let model = app.world().resource::<AssetServer>().load("good.safetensors");
    app.world_mut().entity_mut(camera).insert(PortraitRealism { model, ..default() });
    for _ in 0..200 {
        settle(&mut app);
        if frame(&mut app, &target) != first {
            return;
        }
    }
    panic!("good weights change nothing");
}
