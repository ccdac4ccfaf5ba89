//! A peer: the trainer's generator on Burn's wgpu backend, with fusion and autotune, on a Vulkan device.

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use clap::Parser;
use portrait_network::Model;
use portrait_peers::Task;
use portrait_training::Generator;
use portrait_training::backend::{Inner, device, name};

fn main() -> Result<()> {
    let task = Task::parse();
    let content = std::fs::read(&task.model).with_context(|| task.model.display().to_string())?;
    let model = Model::from_bytes(&content).with_context(|| task.model.display().to_string())?;
    let device = device();
    let generator = Generator::<Inner>::from_model(&model, &device);
    let (shape, planes) = task.planes()?;
    let planes = Tensor::<Inner, 4>::from_data(TensorData::new(planes, shape), &device);
    task.serve(
        // Burn says which backend it is, and takes the device that Bevy takes: the best one.
        &name(),
        || {
            let output = generator.forward(planes.clone());
            Inner::sync(&device)?;
            Ok(output)
        },
        |output| Ok(output.into_data().to_vec()?),
    )
}
