//! `portrait-train export` from a weights file.

use std::path::Path;
use std::process::{Command, Output};

use portrait_files::weights;
use portrait_network::{Dtype, Model, Plane, Recommended, Spec};

fn export(from: &Path, to: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portrait-train"));
    command.args(["export", "--dtype", "f16", "--weights"]).arg(from).arg("--out").arg(to).args(more);
    command.output().unwrap()
}

/// Reads the bytes of a weights file's tensors.
fn tensors(path: &Path) -> Vec<u8> {
    let file = std::fs::read(path).unwrap();
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    rest[u64::from_le_bytes(*length) as usize..].to_vec()
}

#[test]
fn weights_are_given_another_recommendation_and_keep_every_byte_of_their_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new, newer] = ["old", "new", "newer"].map(|name| folder.path().join(format!("{name}.safetensors")));
    let mut model = Model::random(Spec::tiny(&[Plane::Color]).validate().unwrap(), 5);
    model.provenance.commit = "abc".into();
    weights::save(&model, &old, Dtype::F16, false).unwrap();
    assert!(export(&old, &new, &["--recommend-detail", "0.5"]).status.success());
    let found = weights::load(&new).unwrap();
    assert_eq!(found.recommended, Recommended { base: 1.0, detail: 0.5 });
    assert_eq!(found.provenance, model.provenance);
    assert_eq!(tensors(&new), tensors(&old));
    assert!(export(&new, &newer, &["--recommend-base", "0.75"]).status.success());
    assert_eq!(weights::load(&newer).unwrap().recommended, Recommended { base: 0.75, detail: 0.5 });
    assert_eq!(tensors(&newer), tensors(&old));
}

#[test]
fn a_recommendation_out_of_range_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| folder.path().join(format!("{name}.safetensors")));
    let model = Model::random(Spec::tiny(&[Plane::Color]).validate().unwrap(), 5);
    weights::save(&model, &old, Dtype::F16, false).unwrap();
    for factor in ["2.5", "nan", "inf"] {
        let output = export(&old, &new, &["--recommend-detail", factor]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("`detail`") && text.contains("expected 0 to 2"), "{text}");
    }
    assert!(!new.exists());
}
