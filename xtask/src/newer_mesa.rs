//! A newer lavapipe beside the system's, without installing it, for what the system's lacks: cooperative matrices.
//!
//! Debian's next release has it. Its C library is newer than the system's as well, so programs are started with its own loader.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::packages::{self, output};
use crate::plan::Step;
use crate::run::{run, target_folder};

/// Debian's suite of what the next release has, whose packages can always be installed together.
const SUITE: &str = "testing";
/// The loader, the driver and a C library.
const PACKAGES: [&str; 3] = ["libvulkan1", "mesa-vulkan-drivers", "libc6"];
/// The program that starts others with it.
const RUNNER: &str = "run.sh";
/// The folder that Debian has libraries in.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// The step that downloads it, where it is not there yet.
pub fn step() -> Step<'static> {
    let ensure = || ensure().map(drop);
    if !can_be_had() {
        return Step::new("Go without Debian testing's Mesa, on another system", 0.0, || Ok(()));
    }
    if root().join(RUNNER).is_file() {
        return Step::new("Find Debian testing's Mesa", 0.0, ensure);
    }
    Step::new("Unpack Debian testing's Mesa into the build folder", 0.5, ensure).downloads(80)
}

/// Returns true if Debian's packages are for this machine.
fn can_be_had() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64")) && packages::exists("apt-get")
}

fn root() -> PathBuf {
    target_folder().join("newer_mesa")
}

/// Environment variables with which cargo runs programs on it; `None` where the system is not Debian on x86-64. Downloads and unpacks it
/// the first time: 70 MB, 330 MB on disk.
pub fn ensure() -> Result<Option<Vec<(&'static str, PathBuf)>>> {
    if !can_be_had() {
        return Ok(None);
    }
    let mirrors = output("apt-get", &["indextargets", "--format", "$(REPO_URI)", "Label: Debian"])?;
    let Some(mirror) = mirrors.lines().next() else { return Ok(None) };
    let root = root();
    let (runner, driver) = (root.join(RUNNER), root.join("lavapipe.json"));
    if !runner.is_file() {
        download(&root, mirror)?;
        // Both files name what is beside them, so that the build folder can be moved.
        let library = format!("files/{LIBRARIES}/libvulkan_lvp.so");
        ensure!(root.join(&library).is_file(), "{} has no {library}", PACKAGES[1]);
        let manifest = serde_json::json!({
            "file_format_version": "1.0.0",
            "ICD": { "library_path": format!("./{library}"), "api_version": "1.3.0" },
        });
        write(&driver, &manifest.to_string())?;
        let libraries = format!("libraries=\"$(dirname \"$0\")/files/{LIBRARIES}\"");
        let start = "exec \"$libraries/ld-linux-x86-64.so.2\" --library-path \"$libraries\" \"$@\"";
        write(&runner, &format!("#!/bin/sh\n{libraries}\n{start}\n"))?;
        run(Command::new("chmod").arg("+x").arg(&runner))?;
    }
    Ok(Some(vec![("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner), ("VK_DRIVER_FILES", driver)]))
}

/// Unpacks the suite's packages and what they need. apt's lists and downloads stay in `root`: the system is not touched.
fn download(root: &Path, mirror: &str) -> Result<()> {
    let folder = |name: &str| {
        let folder = root.join(name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok::<_, anyhow::Error>(folder)
    };
    folder("state/lists/partial")?;
    folder("cache/archives/partial")?;
    println!("Downloading Debian {SUITE}'s Mesa from {mirror} into {}", root.display());
    let sources = root.join("sources.list");
    write(&sources, &format!("deb {mirror} {SUITE} main\n"))?;
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

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
