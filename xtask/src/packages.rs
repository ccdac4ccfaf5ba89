//! System packages: says what it installs, installs it with apt, or names it where there is no apt.

use std::io::{IsTerminal, Write, stdin, stdout};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

use crate::run::run;

/// True if the user has said yes to every installation beforehand.
static SAID_YES: AtomicBool = AtomicBool::new(false);

/// From now on installs without asking.
pub fn answer_yes() {
    SAID_YES.store(true, Ordering::Relaxed);
}

/// Installs Debian packages, `why` being the reason a person reads. `elsewhere` names them for other systems.
pub fn install(why: &str, packages: &[&str], elsewhere: &str) -> Result<()> {
    if !cfg!(target_os = "linux") || !exists("apt-get") {
        bail!("{why}. This system has no apt-get: install {elsewhere} and run the command again");
    }
    let root = output("id", &["-u"])?.trim() == "0";
    if !root && !exists("sudo") {
        bail!("{why}. Neither root nor sudo: ask an administrator for `apt-get install {}`", packages.join(" "));
    }
    println!("{why}. Installing with apt: {}", packages.join(" "));
    if !root && has_to_ask() && !confirmed()? {
        let line = format!("sudo apt-get install {}", packages.join(" "));
        bail!("{why}, and nothing was installed. Run `{line}` yourself, then this command again");
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

/// Returns true if there is a person to ask before `sudo` who has not answered yet.
fn has_to_ask() -> bool {
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    !SAID_YES.load(Ordering::Relaxed) && !ci && stdin().is_terminal() && stdout().is_terminal()
}

/// Asks; nothing but Enter means yes, as `apt-get` has it.
fn confirmed() -> Result<bool> {
    print!("May this run `sudo apt-get`? [Y/n] (`--yes` answers) ");
    stdout().flush()?;
    let mut answer = String::new();
    // The end of the input is no answer.
    let read = stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(read > 0 && is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes")
}

/// Returns true if a program is on the path.
pub fn exists(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Runs a program and returns what it prints.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot start `{program}`"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_yes_and_enter_let_sudo_run() {
        assert!(["\n", "y\n", "Yes\n"].into_iter().all(is_yes));
        assert!(!["n\n", "no\n", "what?\n", "nay\n"].into_iter().any(is_yes));
    }
}
