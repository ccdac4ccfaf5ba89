//! Writes a weights file as the ONNX file that peers read: `peer-onnx WEIGHTS ONNX`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use portrait_network::Model;

#[derive(Parser)]
struct Arguments {
    weights: PathBuf,
    onnx: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { weights, onnx } = Arguments::parse();
    let content = std::fs::read(&weights).with_context(|| weights.display().to_string())?;
    let model = Model::from_bytes(&content).with_context(|| weights.display().to_string())?;
    std::fs::write(&onnx, portrait_onnx::encode(&model)).with_context(|| onnx.display().to_string())
}
