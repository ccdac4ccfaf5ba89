//! A peer: the ONNX file in tract, on the CPU.

use anyhow::{Result, anyhow};
use clap::Parser;
use portrait_peers::Task;
use tract_onnx::prelude::*;

fn main() -> Result<()> {
    let task = Task::parse();
    let (shape, planes) = task.planes()?;
    multithread::set_default_executor(multithread::Executor::multithread(task.threads));
    let network = tract_onnx::onnx()
        .model_for_path(&task.model)?
        .with_input_fact(0, f32::fact(shape).into())?
        .into_optimized()?
        .into_runnable()?;
    let planes = tract_ndarray::Array4::from_shape_vec(shape, planes)?.into_tensor();
    task.serve(
        "CPU",
        || network.run(tvec!(planes.clone().into())),
        |output| {
            let output = output.first().ok_or_else(|| anyhow!("no output"))?;
            Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect())
        },
    )
}
