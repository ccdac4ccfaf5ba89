//! `cargo xtask test`: every test, each group built by itself, then a data set and weights made end to end.

use anyhow::Result;

use crate::evaluate::{LIKENESS, PHOTOGRAPHS};
use crate::groups::{self, BEVY, BURN, ONNX};
use crate::head_studio::HEAD_STUDIO;
use crate::other_mesa::LAVAPIPE;
use crate::perceptual::{self, PERCEPTUAL};
use crate::plan::{self, Step};
use crate::run::{cargo, cargo_with};
use crate::{gpu_code, package, smoke, vulkan};

/// Sets up what is missing and runs every test.
pub fn test() -> Result<()> {
    let [radv, check_gpu_code] = gpu_code::steps();
    let steps = vec![
        vulkan::step(),
        vulkan::validation_step(),
        HEAD_STUDIO.step(490),
        LIKENESS.step(140),
        PERCEPTUAL.step(14),
        PHOTOGRAPHS.step(250),
        compile("the plugin's tests, with Bevy", &BEVY, ("bevy_pbr", 23.0, 60)),
        Step::new("Test plugin, data set and network", 8.0, || cargo_with(&vulkan::validation()?, "test", &BEVY)),
        LAVAPIPE.step(),
        Step::new("Test kernels with cooperative matrices", 1.0, test_matrices),
        radv,
        check_gpu_code,
        Step::new("Pack the crates and run the README's program", 1.5, || package::package(false)),
        compile("the training's tests, with Burn", &BURN, ("burn_core", 6.0, 30)),
        Step::new("Test training, files and xtask", 4.0, || cargo("test", &BURN)),
        compile("the ONNX tests, with tract", &ONNX, ("tract_onnx", 2.0, 15)),
        Step::new("Test ONNX and peers", 0.5, || cargo("test", &ONNX)),
        Step::new("Test head studio, in Python", 1.5, || HEAD_STUDIO.test()),
        Step::new("Test likeness, in Python", 0.2, || LIKENESS.test()),
        Step::new("Test perceptual, in Python", 0.1, perceptual::test),
        Step::new("Test photographs, in Python", 0.3, || PHOTOGRAPHS.test()),
        Step::new("Make a data set and weights end to end", 3.0, smoke::end_to_end),
        Step::new("Tune weights to a character end to end", 3.0, smoke::character),
    ];
    plan::run("cargo xtask test", steps)
}

/// Compiles a group's tests. Its large crate, the minutes and the megabytes that a machine without it takes are in `cold`.
fn compile<'a>(what: &str, packages: &'a [&'a str], cold: (&str, f64, u32)) -> Step<'a> {
    let (large, minutes, megabytes) = cold;
    let build = move || cargo("test", &[packages, &["--no-run"]].concat());
    if groups::is_compiled(large) {
        Step::new(format!("Compile {what} (compiled already)"), 1.0, build)
    } else {
        Step::new(format!("Compile {what}"), minutes, build).downloads(groups::download(large, megabytes))
    }
}

/// Tests the kernels that the system's driver may lack the features for.
fn test_matrices() -> Result<()> {
    let Some(lavapipe) = LAVAPIPE.ensure()? else {
        println!(
            "Not Debian on x86-64: kernels with cooperative matrices run only if this machine's own driver has them"
        );
        return Ok(());
    };
    let mut variables = lavapipe.for_cargo();
    variables.push(("PORTRAIT_REQUIRES_MATRICES", "1".into()));
    let test = ["--test", "plugin", "--", "every_variant_with_matrices"];
    cargo_with(&variables, "test", &[&BEVY[..], &test].concat())
}
