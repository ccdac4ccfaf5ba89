//! Runs other programs, says what runs, and fails with the command line.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress;

/// The checkout's root. Cargo says at run time which it is: of two checkouts that share a target folder one may run what the other built.
pub fn workspace_root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// Cargo's build folder, where everything that can be made again is kept.
pub fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace_root().join(folder),
        None => workspace_root().join("target"),
    }
}

/// The environment variable that tells debug builds whether to ask Vulkan's validation layer. Without it they do wherever it is installed.
const VALIDATION: &str = "WGPU_VALIDATION";

/// Runs a command to its end, without the validation layer unless somebody asked for it: no picture and no figure should wait for it.
pub fn run(command: &mut Command) -> Result<()> {
    run_by(command, |command| command.status())
}

/// Runs cargo in the workspace.
pub fn cargo(verb: &str, arguments: &[&str]) -> Result<()> {
    run_cargo(&mut cargo_command(verb, arguments))
}

/// Runs cargo in the workspace, with these environment variables.
pub fn cargo_with(variables: &[(&str, PathBuf)], verb: &str, arguments: &[&str]) -> Result<()> {
    run_cargo(cargo_command(verb, arguments).envs(variables.iter().map(|(name, value)| (name, value))))
}

/// Runs cargo in the workspace with a target folder of its own.
pub fn cargo_into(target: &Path, verb: &str, arguments: &[&str]) -> Result<()> {
    run_cargo(cargo_command(verb, arguments).env("CARGO_TARGET_DIR", target))
}

/// Runs cargo in another workspace.
pub fn cargo_in(folder: &Path, target: &Path, verb: &str, arguments: &[&str]) -> Result<()> {
    run_cargo(cargo_command(verb, arguments).current_dir(folder).env("CARGO_TARGET_DIR", target))
}

fn cargo_command(verb: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(verb).args(arguments).current_dir(workspace_root());
    command
}

/// Runs cargo, whose bar stands for the lines of every crate.
fn run_cargo(command: &mut Command) -> Result<()> {
    progress::draw(command);
    run_by(command.stderr(Stdio::piped()), |command| {
        let mut child = command.spawn()?;
        if let Some(stderr) = child.stderr.take() {
            progress::relay(stderr);
        }
        child.wait()
    })
}

/// Runs a command to its end as `start` does, and fails with the command line.
fn run_by(command: &mut Command, start: impl FnOnce(&mut Command) -> std::io::Result<ExitStatus>) -> Result<()> {
    if std::env::var_os(VALIDATION).is_none() && command.get_envs().all(|(name, _)| name != VALIDATION) {
        command.env(VALIDATION, "0");
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let line = format!("{program} {}", arguments.join(" "));
    println!("→ {line}");
    let status = start(command).with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}
