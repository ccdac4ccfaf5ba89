//! The shipped networks, whole and layer by layer.

use anyhow::Result;
use bevy::math::UVec2;
use bevy_portrait_realism::PortraitModel;
use bevy_portrait_realism::internals::Executor;
use bevy_portrait_realism::internals::KernelVariant;
use std::rc::Rc;

use crate::Contender;
use crate::device::BenchDevice;
use crate::row::{Row, Work};

/// Number of runs of a layer in one measurement.
const LAYER_REPEATS: u32 = 10;

/// Factor of the number of runs in one measurement on a GPU, where a submission takes as long as a small network.
const GPU_REPEATS: u32 = 8;

/// Makes contenders of both networks at each size, in the device's own variant and in the exact one, or in all that the device runs, and of
/// each layer if wanted.
pub fn contenders(device: &mut BenchDevice, sizes: &[u32], layers: bool, variants: bool) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    let own = device.variant();
    let others = if variants { device.variants() } else { vec![KernelVariant::EXACT] };
    let others: Vec<_> = others.into_iter().filter(|variant| *variant != own).collect();
    for (name, model) in [("quality", PortraitModel::quality()?), ("fast", PortraitModel::fast()?)] {
        for &side in sizes {
            let size_px = UVec2::splat(side);
            let network = Rc::new(device.network(&model, size_px, own)?);
            if layers && side == sizes[sizes.len() / 2] {
                contenders.extend(layer_contenders(name, &model, &network, size_px));
            }
            let on_cpu = device.on_cpu;
            contenders.push(whole(&format!("{name} {side}²"), &model, network, size_px, on_cpu));
            for &variant in &others {
                let network = Rc::new(device.network(&model, size_px, variant)?);
                let kernels = if variant == KernelVariant::EXACT { "f32" } else { variant.name() };
                contenders.push(whole(&format!("{name} {side}², {kernels}"), &model, network, size_px, on_cpu));
            }
        }
    }
    Ok(contenders)
}

/// Makes a contender of a whole network, from its input planes to its residual.
pub fn whole(name: &str, model: &PortraitModel, network: Rc<Executor>, size_px: UVec2, on_cpu: bool) -> Contender {
    let pixels = f64::from(size_px.x * size_px.y);
    let repeats = (512 * 512 / (size_px.x * size_px.y)).clamp(1, 4) * if on_cpu { 1 } else { GPU_REPEATS };
    Contender {
        row: Row::new(name, Work { multiply_adds: model.graph().macs_per_px() * pixels, bytes: 0.0 }),
        repeats,
        run: Box::new(move |device| {
            device.submit(|encoder, cache| {
                (0..repeats).for_each(|_| assert!(network.record(0, size_px, encoder, cache, None), "it is ready"));
            });
        }),
    }
}

fn layer_contenders(name: &str, model: &PortraitModel, network: &Rc<Executor>, size_px: UVec2) -> Vec<Contender> {
    let graph = model.graph();
    let pixels = f64::from(size_px.x * size_px.y);
    let steps = network.plan().steps.iter().enumerate();
    steps
        .map(|(index, step)| {
            let layer = step.span.trim_start_matches("portrait/");
            let conv = graph.convs().find(|conv| conv.name == layer);
            let multiply_adds =
                conv.map_or(0.0, |conv| conv.weight_count() as f64 * pixels / (conv.downscale * conv.downscale) as f64);
            let network = Rc::clone(network);
            Contender {
                row: Row::new(&format!("{name} {} {layer}", size_px.x), Work { multiply_adds, bytes: 0.0 }),
                repeats: LAYER_REPEATS,
                run: Box::new(move |device| {
                    device.submit(|encoder, cache| {
                        for _ in 0..LAYER_REPEATS {
                            assert!(network.record_steps(index..index + 1, 0, size_px, encoder, cache), "it is ready");
                        }
                    });
                }),
            }
        })
        .collect()
}
