//! Every convolution kernel of the shipped networks as SPIR-V, as wgpu hands it to a Vulkan driver: what `cargo xtask gpu-code` compiles.

#[path = "../tests/plugin/composing.rs"]
mod composing;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use bevy::math::UVec2;
use bevy_portrait_realism::PortraitModel;
use bevy_portrait_realism::internals::layer::{self, LayerKey};
use bevy_portrait_realism::internals::shaders::layer_file;
use bevy_portrait_realism::internals::{CONV_TILE_WIDTH_PX, Kernel, KernelVariant, Plan, Step, WeightFormat};
use naga::AddressSpace;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use portrait_network::pack::OUT_TILE;
use serde::Serialize;

/// Width and height of the region that the layers' work is counted for, pixels. The kernels are the same at every size.
const REGION_PX: UVec2 = UVec2::splat(256);
/// The list of the kernels, beside them.
const LIST: &str = "kernels.json";

/// A kernel and the layers that run it.
#[derive(Serialize)]
struct Written {
    variant: &'static str,
    shape: String,
    file: String,
    bindings: Vec<(u32, Binding)>,
    matrices: bool,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Binding {
    Uniform,
    Storage,
}

/// The work of a layer, for each invocation.
#[derive(Serialize)]
struct Layer {
    network: &'static str,
    name: String,
    place: usize,
    /// Multiply-adds that the layer needs.
    useful: f64,
    /// Multiply-adds that are made, those for channels that fill up a block included.
    made: f64,
    /// Turns of the loop around the one that multiplies, if there is one.
    outer_turns: f64,
}

/// Writes the kernels of every variant for GPUs into a folder, and a list of them.
pub fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let networks = [("quality", PortraitModel::quality()?), ("fast", PortraitModel::fast()?)];
    let mut all = Vec::new();
    for variant in KernelVariant::FAMILY.into_iter().filter(|variant| !variant.reads_textures) {
        let mut written: Vec<(LayerKey, Written)> = Vec::new();
        for &(network, ref model) in &networks {
            let weights = WeightFormat::of(&model.0);
            let plan = Plan::new(model.graph(), REGION_PX, variant, weights);
            for step in plan.steps.iter().filter(|step| matches!(step.kernel, Kernel::Conv { .. })) {
                let key = LayerKey { kernel: step.kernel, variant, weights };
                let at = match written.iter().position(|(known, _)| *known == key) {
                    Some(at) => at,
                    None => {
                        written.push((key, compile(key, folder)?));
                        written.len() - 1
                    }
                };
                let place = written.iter().map(|(_, kernel)| kernel.layers.len()).sum::<usize>();
                written[at].1.layers.extend(work(network, model, step, place, variant));
            }
        }
        all.extend(written.into_iter().map(|(_, kernel)| kernel));
    }
    let path = folder.join(LIST);
    fs::write(&path, serde_json::to_string_pretty(&all)?).with_context(|| path.display().to_string())?;
    println!("{} kernels in {}", all.len(), folder.display());
    Ok(())
}

/// Writes one kernel, with the options of wgpu and Bevy on Vulkan: loops and accesses are not guarded by code.
fn compile(key: LayerKey, folder: &Path) -> Result<Written> {
    let capabilities = Capabilities::all();
    let file = layer_file(key.kernel, key.variant);
    let module =
        composing::compose(file, &layer::shader_defs(key), capabilities).map_err(|error| anyhow!("{error}"))?;
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module)?;
    let unchecked = BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..Default::default()
    };
    let words = spv::write_vec(&module, &info, &options, None)?;
    let mut bindings = Vec::new();
    for (_, global) in module.global_variables.iter() {
        let Some(binding) = &global.binding else { continue };
        let is_uniform = global.space == AddressSpace::Uniform;
        bindings.push((binding.binding, if is_uniform { Binding::Uniform } else { Binding::Storage }));
    }
    let shape = shape(key.kernel);
    let variant = key.variant.name();
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let file = format!("{variant}_{}.spv", letters(&shape));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(folder.join(&file), bytes).with_context(|| file.clone())?;
    Ok(Written { variant, shape, file, bindings, matrices: key.variant.matrices.is_some(), layers: Vec::new() })
}

/// Names a convolution for people.
fn shape(kernel: Kernel) -> String {
    let Kernel::Conv { kernel, stride, shuffles, adds, tiles, known_planes } = kernel else { return String::new() };
    let mut shape = format!("{kernel}x{kernel}");
    let parts = [
        (stride > 1, format!("stride {stride}")),
        (shuffles, "shuffles".into()),
        (adds, "adds".into()),
        (tiles > 1, format!("{tiles} tiles")),
        (known_planes.is_some(), format!("{} planes", known_planes.unwrap_or_default())),
    ];
    parts.into_iter().filter(|(is_so, _)| *is_so).for_each(|(_, part)| shape += &format!(", {part}"));
    shape
}

/// Counts the work of a step; `None` for a layer that is no convolution.
fn work(
    network: &'static str,
    model: &PortraitModel,
    step: &Step,
    place: usize,
    variant: KernelVariant,
) -> Option<Layer> {
    let Kernel::Conv { kernel, tiles, .. } = step.kernel else { return None };
    let conv = model.graph().convs().find(|conv| conv.name == step.layer())?;
    let pixels = f64::from(REGION_PX.x * REGION_PX.y) / (conv.downscale * conv.downscale) as f64;
    let invocations =
        step.workgroups(REGION_PX).into_iter().map(f64::from).product::<f64>() * f64::from(variant.workgroup);
    let (planes, taps) = (step.source_grid.planes, kernel * kernel);
    let channels = tiles * OUT_TILE as u32;
    let (made, outer_turns) = match variant.matrices {
        Some(side) => {
            let (side, rows) = (side.length(), variant.rows.px());
            let blocks = (planes * 4).div_ceil(side);
            let of_group = blocks * side * taps * channels.next_multiple_of(side) * side * rows;
            (f64::from(of_group) / f64::from(variant.workgroup), blocks)
        }
        None => {
            let of_invocation = planes * 4 * taps * channels * CONV_TILE_WIDTH_PX * variant.rows.px();
            // The kernels that multiply in f16 add up 3 or 8 turns at a time.
            (f64::from(of_invocation), if kernel == 3 { planes } else { planes.div_ceil(8) })
        }
    };
    Some(Layer {
        network,
        name: step.layer().into(),
        place,
        useful: conv.weight_count() as f64 * pixels / invocations,
        made,
        outer_turns: f64::from(outer_turns),
    })
}
