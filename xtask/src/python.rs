//! Python: virtual environments in the target folder, and their tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::plan::Step;
use crate::run::{run, target_folder, workspace_root};

/// A Python package of this repository that has a virtual environment of its own.
pub struct Package {
    /// The package's name.
    pub name: &'static str,
    /// The folder that it lies in, seen from the checkout's root.
    pub parent: &'static str,
    /// Modules that have to load, with commas between them.
    pub imports: &'static str,
    /// Debian packages with the libraries that they link to.
    pub libraries: &'static [&'static str],
}

impl Package {
    /// The step that makes the virtual environment, for which this many megabytes are downloaded.
    pub fn step(&self, megabytes: u32) -> Step<'_> {
        let ensure = || self.ensure().map(drop);
        if self.stamp().is_file() {
            return Step::new(format!("Check {}'s Python environment", self.name), 0.1, ensure);
        }
        let minutes = f64::from(megabytes) / 200.0;
        Step::new(format!("Install {}'s Python environment", self.name), minutes, ensure).downloads(megabytes)
    }

    /// The interpreter of the virtual environment, which is made if need be.
    pub fn ensure(&self) -> Result<PathBuf> {
        let requirements = self.folder().join(self.name).join("requirements.txt");
        let wanted = std::fs::read_to_string(&requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?;
        let (folder, stamp) = (self.environment(), self.stamp());
        let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && self.loads(&python).is_ok() {
            return Ok(python);
        }
        let base = python_3_11()?;
        println!("Making {}'s Python environment in {}", self.name, folder.display());
        run(Command::new(base).args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-deps", "-r"]).arg(&requirements))?;
        if let Err(error) = self.loads(&python) {
            if self.libraries.is_empty() {
                return Err(error);
            }
            packages::install(
                &format!("{}'s Python modules lack system libraries", self.name),
                self.libraries,
                &format!("what Debian calls {}", self.libraries.join(", ")),
            )?;
            self.loads(&python)?;
        }
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(python)
    }

    /// Runs the package's unit tests.
    pub fn test(&self) -> Result<()> {
        run(Command::new(self.ensure()?)
            .args(["-m", "unittest", "discover", "--top-level-directory", ".", "--start-directory"])
            .arg(format!("{}/tests", self.name))
            .current_dir(self.folder()))
    }

    /// The folder that the package lies in: where `python -m` finds it.
    pub fn folder(&self) -> PathBuf {
        workspace_root().join(self.parent)
    }

    fn environment(&self) -> PathBuf {
        target_folder().join(format!("{}_venv", self.name))
    }

    /// The file that says what was installed.
    fn stamp(&self) -> PathBuf {
        self.environment().join("installed.txt")
    }

    fn loads(&self, python: &Path) -> Result<()> {
        let code = format!("import {}", self.imports);
        let output = Command::new(python).args(["-c", &code]).output().context("cannot start python")?;
        if !output.status.success() {
            bail!("{}'s Python modules do not load: {}", self.name, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// Blender 5.0's module is built for Python 3.11 only, and every requirements.txt is written for it.
fn python_3_11() -> Result<&'static str> {
    let find = || {
        ["python3.11", "python3", "python"].into_iter().find(|name| {
            let code = "import sys, ensurepip; print(sys.version_info[:2] == (3, 11))";
            packages::output(name, &["-c", code]).is_ok_and(|printed| printed.trim() == "True")
        })
    };
    if let Some(name) = find() {
        return Ok(name);
    }
    packages::install("Python 3.11 with venv was not found", &["python3.11", "python3.11-venv"], "Python 3.11")?;
    find().context("Python 3.11 is still not on the path")
}
