//! The peers of the benchmark: builds those in Rust, installs those in Python, and lists them for `benches/peers.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result};
use serde_json::{Value, json};

use crate::python::Package;
use crate::run::{cargo_into, run, target_folder, workspace_root};

const ONNX_RUNTIME: Package =
    Package { name: "onnxruntime_peer", parent: "benches/peers/python", imports: "numpy, onnxruntime", libraries: &[] };
const NCNN: Package =
    Package { name: "ncnn_peer", parent: "benches/peers/python", imports: "ncnn, numpy", libraries: &["libvulkan1"] };

/// Sets every peer up and writes their list. One that cannot be had is in it with the reason.
pub fn list() -> Result<PathBuf> {
    // Of their own, as their features are: nothing that the tests need is compiled anew.
    let folder = target_folder().join("peers");
    let built = build(&folder);
    let weights = workspace_root().join("assets/weights/quality.safetensors");
    let onnx = folder.join("quality.onnx");
    let exported = match &built {
        Ok(()) => run(Command::new(folder.join("release/peer-onnx")).args([&weights, &onnx])),
        Err(error) => Err(again(error)),
    };
    let (onnx_runtime, ncnn) = (ONNX_RUNTIME.ensure(), NCNN.ensure());

    let rust = |program: &str, model: &Path| vec![text(&folder.join("release").join(program)), text(model)];
    let python = |package: &Package, python: &Path, options: &[&str]| {
        let command = [text(python), "-m".into(), package.name.into(), text(&onnx)];
        command.into_iter().chain(options.iter().map(|&option| option.into())).collect()
    };
    let need_onnx = |found: &Result<PathBuf>| match (&exported, found) {
        (Ok(()), Ok(path)) => Ok(path.clone()),
        (Err(error), _) | (_, Err(error)) => Err(again(error)),
    };
    let here = workspace_root();
    let peers = [
        entry("burn-wgpu", &here, built.map(|()| rust("peer-burn", &weights))),
        entry("tract CPU", &here, exported.as_ref().map(|()| rust("peer-tract", &onnx)).map_err(again)),
        entry(
            "ONNX Runtime CPU",
            &ONNX_RUNTIME.folder(),
            need_onnx(&onnx_runtime).map(|path| python(&ONNX_RUNTIME, &path, &[])),
        ),
        entry("ncnn CPU", &NCNN.folder(), need_onnx(&ncnn).map(|path| python(&NCNN, &path, &[]))),
        entry("ncnn Vulkan", &NCNN.folder(), need_onnx(&ncnn).map(|path| python(&NCNN, &path, &["--vulkan"]))),
    ];
    let path = folder.join("peers.json");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(&path, format!("{:#}\n", json!(peers)))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Builds the peers in Rust and the program that writes the ONNX file, optimised.
fn build(folder: &Path) -> Result<()> {
    cargo_into(folder, "build", &["--release", "--package", "portrait_peers", "--features", "burn"])
}

fn entry(name: &str, folder: &Path, command: Result<Vec<String>>) -> Value {
    match command {
        Ok(command) => json!({ "name": name, "folder": text(folder), "command": command }),
        Err(reason) => json!({ "name": name, "missing": format!("{reason:#}") }),
    }
}

/// Copies the reason why a peer is missing, for a second peer.
fn again(error: &Error) -> Error {
    Error::msg(format!("{error:#}"))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
