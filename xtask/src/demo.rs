//! `cargo xtask demo`: a face before and after, in a window or in three pictures.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::plan::{self, Step};
use crate::run::{cargo, cargo_with, target_folder};
use crate::{groups, vulkan};

const PLUGIN: [&str; 2] = ["--package", "bevy_portrait_realism"];
/// The filter of the example's log, which leaves out that rendering in software is slow.
const LOG: &str = "warn,wgpu=error,bevy_render::renderer=error";

/// Shows the demo in a window where there is a display and `headless` is not set; else writes pictures into `out`.
pub fn demo(headless: bool, out: Option<PathBuf>) -> Result<()> {
    let display = !cfg!(target_os = "linux") || std::env::var_os("DISPLAY").is_some_and(|name| !name.is_empty());
    if display && !headless {
        plan::run("cargo xtask demo, in a window", vec![vulkan::step(), compile("portrait")])?;
        println!("\nA window opens with the face. Close it to end the demo.");
        return cargo("run", &[&PLUGIN[..], &["--quiet", "--example", "portrait"]].concat());
    }
    let out = out.unwrap_or_else(|| target_folder().join("demo"));
    let draw = Step::new("Draw the face before and after", 1.0, || draw(&out, &[]));
    plan::run("cargo xtask demo, as pictures", vec![vulkan::step(), compile("headless"), draw])?;
    println!("\nbefore.png is the face as Bevy renders it, after.png the same frame enhanced by the network;");
    println!("side_by_side.png shows both beside the path-traced reference.");
    println!("The three pictures are in {}", std::path::absolute(&out)?.display());
    Ok(())
}

/// Writes the demo's pictures into a folder, with further arguments of the example `headless`.
pub fn draw(out: &Path, arguments: &[&str]) -> Result<()> {
    let unset = |name: &&(&str, PathBuf)| std::env::var_os(name.0).is_none();
    // OpenGL would be tried as well, and its libraries complain where nobody is logged in.
    let backend = if cfg!(target_os = "linux") { "vulkan" } else { "primary" };
    let variables = [("RUST_LOG", LOG.into()), ("WGPU_BACKEND", backend.into())];
    let variables: Vec<_> = variables.iter().filter(unset).cloned().collect();
    let out = out.to_string_lossy();
    let headless = ["--quiet", "--example", "headless", "--", "--out", &out];
    cargo_with(&variables, "run", &[&PLUGIN[..], &headless, arguments].concat())
}

fn compile(example: &'static str) -> Step<'static> {
    let build = move || cargo("build", &[&PLUGIN[..], &["--example", example]].concat());
    if groups::is_compiled("bevy_pbr") {
        Step::new("Compile the plugin and the demo (Bevy is compiled)", 0.5, build)
    } else {
        Step::new("Compile Bevy, the plugin and the demo", 20.0, build).downloads(groups::download("bevy_pbr", 50))
    }
}
