//! Tests that count what a whole process makes.

use std::env;
use std::process::Command;

/// Whether the calling test runs in a process of its own, where nobody else's objects are counted. If not, runs it in one,
/// by its full name, and fails if it fails there.
pub fn runs_alone(test: &str) -> bool {
    const ALONE: &str = "PORTRAIT_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let child = Command::new(env::current_exe().expect("the tests have a file"))
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("the tests start again");
    let output = String::from_utf8_lossy(&child.stdout);
    println!("{output}");
    assert!(child.status.success() && output.contains("1 passed"), "{}", String::from_utf8_lossy(&child.stderr));
    false
}
