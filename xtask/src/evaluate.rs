//! `portrait-train evaluate` with everything that it can measure.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::groups;
use crate::python::Package;
use crate::run::{run, target_folder};

/// Measures distances between faces.
pub const LIKENESS: Package =
    Package { name: "likeness", parent: "training", imports: "dlib, numpy, PIL", libraries: &[] };

/// Runs `portrait-train evaluate --likeness …` with more arguments, where the user is.
pub fn evaluate(arguments: &[OsString]) -> Result<()> {
    let python = LIKENESS.ensure()?;
    groups::build_training()?;
    let train = target_folder().join("debug/portrait-train");
    run(Command::new(train).args(["evaluate", "--likeness"]).arg(python).args(arguments))
}
