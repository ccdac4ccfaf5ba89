//! A folder that measures on another machine, such as one with a borrowed GPU, where there is no compiler.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::examples::demo;

/// Largest size of the folder, bytes.
const MAX_BYTES: u64 = 60_000_000;
/// The program in the folder.
const PROGRAM: &str = "portrait_bench";
/// The script in the folder. Eight minutes are for everything.
const SCRIPT: &str = r#"#!/bin/sh
# Measures kernels, resolutions and the demo's frame on this machine's GPU for at most about eight minutes, and writes result.json.
# It needs a Vulkan driver and its loader, gunzip, and nothing else.
cd "$(dirname "$0")" || exit
[ -f portrait_bench ] || gunzip portrait_bench.gz || exit
exec ./portrait_bench --variants --layers --minutes 7 --json result.json "$@"
"#;

/// Makes the folder of this program, stripped of what only debuggers read and compressed, and of the demo's assets.
pub fn pack(folder: &Path) -> Result<()> {
    let made = |path: &Path| path.display().to_string();
    let assets = demo::assets_folder();
    ensure!(!folder.exists(), "{} exists already: choose a new folder", folder.display());
    fs::create_dir_all(folder).with_context(|| made(folder))?;
    let program = folder.join(PROGRAM);
    fs::copy(std::env::current_exe()?, &program).with_context(|| made(&program))?;
    let permissions = fs::metadata(&program)?.permissions();
    for (tool, package) in [("strip", "binutils"), ("gzip", "gzip")] {
        let status = Command::new(tool).arg(&program).status();
        let status = status.with_context(|| format!("cannot start `{tool}`: install {package}"))?;
        ensure!(status.success(), "`{tool} {}` failed: {status}", program.display());
    }
    copy(&assets.join("heads"), &folder.join("assets/heads"))?;
    let script = folder.join("measure.sh");
    fs::write(&script, SCRIPT).with_context(|| made(&script))?;
    fs::set_permissions(&script, permissions).with_context(|| made(&script))?;
    let bytes = bytes(folder)?;
    ensure!(bytes <= MAX_BYTES, "{} has {bytes} bytes, more than {MAX_BYTES}", folder.display());
    println!("{} has {bytes} bytes: copy it, run measure.sh there, and bring result.json back", folder.display());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| source.display().to_string())?;
        }
    }
    Ok(())
}

fn bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { self::bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
