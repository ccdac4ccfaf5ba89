//! Mesa of other Debian suites beside the system's, without installing it: a newer lavapipe for what the system's lacks, and RADV as a
//! compiler for GPUs that are not there.
//!
//! Their C library is newer than the system's as well, so programs are started with its own loader.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::packages::{self, output};
use crate::plan::Step;
use crate::run::{run, target_folder};

/// The loader, the drivers and a C library.
const PACKAGES: [&str; 3] = ["libvulkan1", "mesa-vulkan-drivers", "libc6"];
/// The program that starts others with it.
const RUNNER: &str = "run.sh";
/// The file that tells the Vulkan loader of the driver.
const MANIFEST: &str = "driver.json";
/// The folder that Debian has libraries in.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// One driver of Mesa as a Debian suite has it.
pub struct OtherMesa {
    /// Name of the driver and its suite, for people.
    name: &'static str,
    /// Debian's suite, whose packages can always be installed together.
    suite: &'static str,
    /// Folder below the build folder.
    folder: &'static str,
    /// File of the driver.
    library: &'static str,
}

/// The lavapipe of what the next release has: cooperative matrices.
pub const LAVAPIPE: OtherMesa = OtherMesa {
    name: "Debian testing's lavapipe",
    suite: "testing",
    folder: "newer_mesa",
    library: "libvulkan_lvp.so",
};

/// The last release's RADV, Mesa 25.0: it compiles for GPUs that are not there. Mesa 22.3's crashes then, and 25.2's no longer can.
pub const RADV: OtherMesa =
    OtherMesa { name: "Debian 13's RADV", suite: "trixie", folder: "radv", library: "libvulkan_radeon.so" };

/// A driver that lies in the build folder.
pub struct Unpacked {
    /// Program that starts others with the driver's C library and Vulkan loader.
    pub runner: PathBuf,
    /// File that `VK_DRIVER_FILES` names.
    pub manifest: PathBuf,
}

impl OtherMesa {
    /// Returns the step that downloads it, where it is not there yet.
    pub fn step(&'static self) -> Step<'static> {
        let ensure = || self.ensure().map(drop);
        if !can_be_had() {
            return Step::new(format!("Go without {}, on another system", self.name), 0.0, || Ok(()));
        }
        if self.is_unpacked() {
            return Step::new(format!("Find {}", self.name), 0.0, ensure);
        }
        Step::new(format!("Unpack {} into the build folder", self.name), 0.5, ensure).downloads(80)
    }

    /// Returns where it lies; `None` where the system is not Debian on x86-64. Downloads and unpacks it the first time: 70 MB, 330 MB on
    /// disk.
    pub fn ensure(&self) -> Result<Option<Unpacked>> {
        if !can_be_had() {
            return Ok(None);
        }
        let mirrors = output("apt-get", &["indextargets", "--format", "$(REPO_URI)", "Label: Debian"])?;
        let Some(mirror) = mirrors.lines().next() else { return Ok(None) };
        let root = self.root();
        let (runner, manifest) = (root.join(RUNNER), root.join(MANIFEST));
        if !self.is_unpacked() {
            self.download(&root, mirror)?;
            // Both files name what is beside them, so that the build folder can be moved.
            let library = format!("files/{LIBRARIES}/{}", self.library);
            ensure!(root.join(&library).is_file(), "{} has no {library}", PACKAGES[1]);
            let driver = serde_json::json!({
                "file_format_version": "1.0.0",
                "ICD": { "library_path": format!("./{library}"), "api_version": "1.3.0" },
            });
            write(&manifest, &driver.to_string())?;
            let libraries = format!("libraries=\"$(dirname \"$0\")/files/{LIBRARIES}\"");
            let start = "exec \"$libraries/ld-linux-x86-64.so.2\" --library-path \"$libraries\" \"$@\"";
            write(&runner, &format!("#!/bin/sh\n{libraries}\n{start}\n"))?;
            run(Command::new("chmod").arg("+x").arg(&runner))?;
        }
        Ok(Some(Unpacked { runner, manifest }))
    }

    fn root(&self) -> PathBuf {
        target_folder().join(self.folder)
    }

    fn is_unpacked(&self) -> bool {
        [RUNNER, MANIFEST].iter().all(|file| self.root().join(file).is_file())
    }

    /// Unpacks the suite's packages and what they need. apt's lists and downloads stay in `root`: the system is not touched.
    fn download(&self, root: &Path, mirror: &str) -> Result<()> {
        let folder = |name: &str| {
            let folder = root.join(name);
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            Ok::<_, anyhow::Error>(folder)
        };
        folder("state/lists/partial")?;
        folder("cache/archives/partial")?;
        println!("Downloading {} from {mirror} into {}", self.name, root.display());
        let sources = root.join("sources.list");
        write(&sources, &format!("deb {mirror} {} main\n", self.suite))?;
        write(&root.join("state/status"), "")?;
        let apt = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            for (option, path) in [
                ("Dir::State", root.join("state")),
                ("Dir::State::status", root.join("state/status")),
                ("Dir::Cache", root.join("cache")),
                ("Dir::Etc::sourcelist", sources.clone()),
                ("Dir::Etc::sourceparts", "-".into()),
            ] {
                command.arg("-o").arg(format!("{option}={}", path.display()));
            }
            run(command.args(["-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1"]).args(arguments))
        };
        apt(&["update", "-q"])?;
        apt(&[&["install", "-y", "-q", "--download-only", "--no-install-recommends"], &PACKAGES[..]].concat())?;
        let files = folder("files")?;
        for package in fs::read_dir(root.join("cache/archives"))? {
            let package = package?.path();
            if package.extension().is_some_and(|extension| extension == "deb") {
                // Quietly: there are dozens.
                let status = Command::new("dpkg-deb").arg("-x").args([&package, &files]).status()?;
                if !status.success() {
                    bail!("dpkg-deb cannot unpack {}: {status}", package.display());
                }
            }
        }
        for made in ["cache", "state"] {
            fs::remove_dir_all(root.join(made)).with_context(|| root.join(made).display().to_string())?;
        }
        Ok(())
    }
}

impl Unpacked {
    /// Returns the environment variables with which cargo runs programs on the driver.
    pub fn for_cargo(self) -> Vec<(&'static str, PathBuf)> {
        vec![("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", self.runner), ("VK_DRIVER_FILES", self.manifest)]
    }
}

/// Returns true if Debian's packages are for this machine.
fn can_be_had() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64")) && packages::exists("apt-get")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
