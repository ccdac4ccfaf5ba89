//! `cargo xtask gpu-code`: what the compiler of AMD's GPUs makes of the kernels, without such a GPU.
//!
//! The benchmark program writes every convolution kernel of the shipped networks as SPIR-V, as wgpu hands it to a driver. This program
//! starts itself with Debian 13's Vulkan loader and RADV, which compiles for a GPU that is not there, and reads the disassembly.

mod compile;
mod disassembly;
mod kernels;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use self::compile::Compiler;
use self::disassembly::Family;
use self::kernels::{Compiled, Kernel};
use self::table::Judged;
use crate::groups::BEVY;
use crate::other_mesa::RADV;
use crate::plan::{self, Step};
use crate::run::{cargo, run, target_folder};

/// The list of kernels in their folder.
const LIST: &str = "kernels.json";

/// Compiles the kernels and prints a table of what came of them, for documents or with every figure. Fails where a kernel that ships
/// breaks a limit.
pub fn gpu_code(from: Option<PathBuf>, layers: bool) -> Result<()> {
    let folder = from.clone().unwrap_or_else(folder);
    let mut steps = vec![RADV.step()];
    if from.is_none() {
        steps.push(Step::new("Write the kernels as SPIR-V", 1.5, write));
    }
    steps.push(Step::new("Compile them for RDNA 2, 3 and 4", 1.0, move || judge(&folder, layers)));
    plan::run("cargo xtask gpu-code", steps)
}

/// Returns the steps of `cargo xtask test`.
pub fn steps() -> [Step<'static>; 2] {
    let check = || {
        write()?;
        judge(&folder(), false)
    };
    [RADV.step(), Step::new("Check what RADV makes of the kernels that ship", 1.0, check)]
}

fn folder() -> PathBuf {
    target_folder().join("gpu_code")
}

fn write() -> Result<()> {
    let folder = folder();
    cargo("test", &[&BEVY[..], &["--bench", "network", "--", "--spirv", &folder.to_string_lossy()]].concat())
}

fn judge(folder: &Path, layers: bool) -> Result<()> {
    let Some(radv) = RADV.ensure()? else {
        println!(
            "Not Debian on x86-64: RADV of Mesa 25.0 is not at hand, and the kernels are not compiled for AMD's GPUs"
        );
        return Ok(());
    };
    let this = std::env::current_exe().context("this program has no path")?;
    let kernels = list(folder)?;
    let mut judged = Vec::new();
    for family in Family::ALL {
        let answer = folder.join(format!("{}.json", family.chip()));
        let mut command = Command::new(&radv.runner);
        command.arg(&this).arg("compile-kernels").arg(folder).arg(&answer);
        command.env("RADV_FORCE_FAMILY", family.chip()).env("VK_DRIVER_FILES", &radv.manifest);
        // Layers are the system's, and need its C library. RADV's cache would keep no disassembly.
        command.env("VK_LOADER_LAYERS_DISABLE", "~all~").env("MESA_SHADER_CACHE_DISABLE", "true");
        run(&mut command)?;
        let text = fs::read_to_string(&answer).with_context(|| answer.display().to_string())?;
        let compiled: BTreeMap<String, Compiled> = serde_json::from_str(&text)?;
        for kernel in &kernels {
            if let Some(compiled) = compiled.get(&kernel.file) {
                judged.push(Judged::new(kernel, compiled, family)?);
            }
        }
    }
    ensure!(!judged.is_empty(), "{} has no kernel that RADV compiles", folder.display());
    table::print(&judged, layers);
    let mut wrong: Vec<String> = judged.iter().flat_map(Judged::wrong).collect();
    wrong.extend(table::wrong_halves(&judged));
    ensure!(wrong.is_empty(), "{} limits are broken:\n{}", wrong.len(), wrong.join("\n"));
    println!("every kernel that ships keeps the limits");
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<Kernel>> {
    let path = folder.join(LIST);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what the benchmark writes", path.display()))
}

/// Compiles the kernels of a folder in a process that runs on RADV, and writes what came of them.
pub fn compile_kernels(folder: &Path, answer: &Path) -> Result<()> {
    let compiler = Compiler::new()?;
    let mut compiled = BTreeMap::new();
    for kernel in list(folder)?.iter().filter(|kernel| compiler.has_matrices || !kernel.matrices) {
        compiled.insert(kernel.file.clone(), compiler.compile(kernel, folder)?);
    }
    fs::write(answer, serde_json::to_string(&compiled)?).with_context(|| answer.display().to_string())
}
