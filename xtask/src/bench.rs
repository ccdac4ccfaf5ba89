//! `cargo xtask bench`: the network's passes beside the device's own peak and other runtimes.

use std::cell::RefCell;

use anyhow::Result;

use crate::groups::{self, BEVY};
use crate::plan::{self, Step};
use crate::run::{cargo, target_folder};
use crate::{peers, vulkan};

/// Measures, with other runtimes unless `alone`, and with further arguments of the benchmark. In the profile of the tests: the GPU's
/// time does not depend on it, and Bevy is not compiled again.
pub fn bench(alone: bool, arguments: &[String]) -> Result<()> {
    let listed = RefCell::new(Vec::new());
    let set_up_peers = || {
        *listed.borrow_mut() = vec!["--peers".into(), peers::list()?.to_string_lossy().into_owned()];
        Ok(())
    };
    let benchmark = |more: &[&str]| cargo("test", &[&BEVY[..], &["--bench", "network"], more].concat());
    let measure = || {
        let all: Vec<String> = arguments.iter().chain(&*listed.borrow()).cloned().collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        benchmark(&[&["--"], &all[..]].concat())
    };
    let mut steps = vec![vulkan::step()];
    // A folder for another machine is packed, and nothing is measured here.
    let packs = arguments.iter().any(|argument| argument.starts_with("--pack"));
    if !alone && !packs {
        let set_up = !target_folder().join("peers/peers.json").is_file();
        let step = Step::new("Set up other runtimes", if set_up { 12.0 } else { 0.5 }, set_up_peers);
        steps.push(if set_up { step.downloads(150) } else { step });
    }
    let compiled = groups::is_compiled("bevy_pbr");
    let compile = Step::new("Compile the benchmark", if compiled { 0.5 } else { 21.0 }, || benchmark(&["--no-run"]));
    steps.push(if compiled { compile } else { compile.downloads(groups::download("bevy_pbr", 50)) });
    steps.push(if packs { Step::new("Pack", 0.1, measure) } else { Step::new("Measure", 8.0, measure) });
    plan::run("cargo xtask bench", steps)
}
