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

/// Measures distances to photographs.
pub const PHOTOGRAPHS: Package =
    Package { name: "photographs", parent: "training", imports: "dlib, numpy, onnxruntime, PIL", libraries: &[] };

/// Runs `portrait-train evaluate --likeness …` with more arguments, where the user is.
pub fn evaluate(arguments: &[OsString]) -> Result<()> {
    let likeness = LIKENESS.ensure()?;
    let mut command = Command::new(target_folder().join("debug/portrait-train"));
    command.args(["evaluate", "--likeness"]).arg(likeness);
    // Its networks are large: installed for those who have photographs.
    if arguments.iter().any(|argument| names_photographs(&argument.to_string_lossy())) {
        command.arg("--photographs-python").arg(PHOTOGRAPHS.ensure()?);
    }
    groups::build_training()?;
    run(command.args(arguments))
}

fn names_photographs(argument: &str) -> bool {
    argument == "--photographs" || argument.starts_with("--photographs=")
}
