//! The commit of the source that this program was built from.

use std::process::Command;

/// Returns the commit of this crate's source, or `unknown`.
pub fn commit() -> String {
    let output = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"]).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_string(),
        _ => "unknown".into(),
    }
}
