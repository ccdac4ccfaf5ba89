//! System packages: says what it installs, installs it with apt, or names it where there is no apt.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::run;

/// Installs Debian packages, `why` being the reason a person reads. `elsewhere` names them for other systems.
pub fn install(why: &str, packages: &[&str], elsewhere: &str) -> Result<()> {
    if !cfg!(target_os = "linux") || !exists("apt-get") {
        bail!("{why}. This system has no apt-get: install {elsewhere} and run the command again");
    }
    println!("{why}. Installing with apt: {}", packages.join(" "));
    let root = output("id", &["-u"])?.trim() == "0";
    if !root && !exists("sudo") {
        bail!("{why}. Neither root nor sudo: ask an administrator for `apt-get install {}`", packages.join(" "));
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.arg("apt-get");
        }
        run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-y", "-q", "--no-install-recommends"], packages].concat())
}

/// Whether a program is on the path.
pub fn exists(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// What a program prints.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot start `{program}`"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
