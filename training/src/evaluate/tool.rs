//! Hands the measured pictures to one of the Python tools in `training/`, and reads its answer.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::json;
use thiserror::Error;

use super::measured::Measured;

/// A Python package in `training/` that measures faces.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The package's name.
    pub name: &'static str,
    /// Option that names its interpreter.
    pub option: &'static str,
}

/// An error of measuring faces with a Python tool.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The interpreter cannot be started.
    #[error(
        "{option} {python}: {source}; expected the Python interpreter of a virtual environment with \
         training/{name}/requirements.txt, such as `cargo xtask evaluate` makes", option = .tool.option, name = .tool.name
    )]
    Interpreter {
        /// Tool that was to be started.
        tool: Tool,
        /// Interpreter that was to be started.
        python: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The tool has failed.
    #[error(
        "`{python} -m {name}` failed ({status}): {stderr}\nIf it is not about the pictures: install \
         training/{name}/requirements.txt there, or let `cargo xtask evaluate` do it", name = .tool.name
    )]
    Failed {
        /// Tool that failed.
        tool: Tool,
        /// Interpreter that ran the tool.
        python: PathBuf,
        /// Exit status of the tool.
        status: ExitStatus,
        /// Text that the tool printed to its standard error.
        stderr: String,
    },
    /// The tool's output is not as it should be.
    #[error(
        "`{python} -m {name}` wrote no distances that can be read: {what}; {option} expects a Python interpreter, \
         and training/{name} as it was when this program was built", option = .tool.option, name = .tool.name
    )]
    Output {
        /// Tool that wrote the output.
        tool: Tool,
        /// Interpreter that ran the tool.
        python: PathBuf,
        /// Value expected and value found.
        what: String,
    },
    /// The pictures cannot be handed over.
    #[error("{option}: {path}: {what}; expected a temporary folder with space for every picture (see TMPDIR)", option = .tool.option)]
    Pictures {
        /// Tool that was to get the pictures.
        tool: Tool,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system or encoder.
        what: String,
    },
}

/// Returns the name of a case. Pairs of several data folders may share a seed.
pub fn name(at: usize, seed: u64) -> String {
    format!("{at:04}_{seed:08}")
}

impl Tool {
    /// Lets the tool measure every pair, with more arguments, and reads the text that it writes.
    ///
    /// # Errors
    /// Fails when pictures cannot be written, or the tool fails, or `read` says what it expected and found.
    pub fn measure<T>(
        self,
        python: &Path,
        models: &[String],
        measured: &[&Measured],
        arguments: &[&OsStr],
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ToolError> {
        let pictures = |path: &Path, what: &dyn std::fmt::Display| ToolError::Pictures {
            tool: self,
            path: path.into(),
            what: what.to_string(),
        };
        let folder = tempfile::tempdir().map_err(|error| pictures(&std::env::temp_dir(), &error))?;
        let save = |name: String, image: &[u8], side: usize| {
            let (path, side) = (folder.path().join(&name), side as u32);
            image::save_buffer(&path, image, side, side, image::ExtendedColorType::Rgb8)
                .map_err(|error| pictures(&path, &error))?;
            Ok(name)
        };
        let mut cases = Vec::new();
        for (at, m) in measured.iter().enumerate() {
            let (name, side) = (name(at, m.pair.seed), m.pair.size_px);
            let mut seconds = BTreeMap::new();
            for (index, (model, second)) in models.iter().zip(&m.seconds).enumerate() {
                seconds.insert(model, save(format!("{name}_second_{index}.png"), second, side)?);
            }
            cases.push(json!({
                "name": name,
                "person": m.pair.identity,
                "first": save(format!("{name}_first.png"), &m.pair.first, side)?,
                "reference": save(format!("{name}_reference.png"), &m.pair.reference, side)?,
                "seconds": seconds,
            }));
        }
        // The tool reads pictures from files, and answers with one.
        let (manifest, out) = (folder.path().join("manifest.json"), folder.path().join("distances.json"));
        std::fs::write(&manifest, json!({ "cases": cases }).to_string())
            .map_err(|error| pictures(&manifest, &error))?;

        let ran = Command::new(python)
            .args(["-m", self.name])
            .arg(&manifest)
            .arg("--out")
            .arg(&out)
            .args(arguments)
            .env("PYTHONPATH", env!("CARGO_MANIFEST_DIR"))
            .output()
            .map_err(|source| ToolError::Interpreter { tool: self, python: python.into(), source })?;
        if !ran.status.success() {
            let stderr = String::from_utf8_lossy(&ran.stderr).trim().to_string();
            return Err(ToolError::Failed { tool: self, python: python.into(), status: ran.status, stderr });
        }
        std::fs::read_to_string(&out)
            .map_err(|error| error.to_string())
            .and_then(|text| read(&text))
            .map_err(|what| ToolError::Output { tool: self, python: python.into(), what })
    }
}
