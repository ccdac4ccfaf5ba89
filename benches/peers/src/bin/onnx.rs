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
    let model = Model::load(&weights).with_context(|| weights.display().to_string())?;
    Ok(portrait_onnx::save(&model, &onnx, true)?)
}
