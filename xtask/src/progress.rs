//! Cargo's progress: its bar is read, and stands for the hundreds of lines that it writes otherwise.

use std::env::var_os;
use std::io::{BufReader, IsTerminal, Read, stderr};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// The parts that cargo has done (upper half) and has to do (lower half); zero while it compiles nothing.
static PARTS: AtomicU64 = AtomicU64::new(0);

/// Lines of cargo's that come once for each crate, for which the bar and the count stand.
const OF_EVERY_CRATE: [&str; 4] = ["Compiling", "Checking", "Documenting", "Downloaded"];
/// Lines of cargo's that the next one overwrites.
const OF_A_MOMENT: [&str; 3] = ["Fetch", "Downloading", "Updating"];
/// Goes back to the start of a terminal's line and clears it.
pub const CLEAR: &str = "\r\x1b[K";

/// The number of parts that cargo has done, and how many there are; `None` while it compiles nothing.
pub fn parts() -> Option<(u32, u32)> {
    match PARTS.load(Ordering::Relaxed) {
        0 => None,
        parts => Some(((parts >> 32) as u32, parts as u32)),
    }
}

/// Lets cargo draw its bar although nothing but [`relay`] sees it.
pub fn draw(cargo: &mut Command) {
    cargo.envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "78")]);
    if stderr().is_terminal() && var_os("CARGO_TERM_COLOR").is_none() && var_os("NO_COLOR").is_none() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
}

/// Passes on what cargo and its programs write to their standard error, without the lines of every crate. A terminal shows the bar.
pub fn relay(written: impl Read) {
    let terminal = stderr().is_terminal();
    let mut line = Vec::new();
    for byte in BufReader::new(written).bytes().map_while(Result::ok) {
        match byte {
            b'\n' | b'\r' => {
                relay_line(&String::from_utf8_lossy(&line), byte == b'\r', terminal);
                line.clear();
            }
            _ => line.push(byte),
        }
    }
    if !line.is_empty() {
        relay_line(&String::from_utf8_lossy(&line), false, terminal);
    }
    PARTS.store(0, Ordering::Relaxed);
}

/// Passes on one line, which the next one overwrites if it is `passing`.
fn relay_line(line: &str, passing: bool, terminal: bool) {
    let plain = without_colors(line);
    let word = plain.split_whitespace().next().unwrap_or_default();
    let clear = if terminal { CLEAR } else { "" };
    let bar = bar(&plain);
    if let Some((done, total)) = bar {
        PARTS.store(u64::from(done) << 32 | u64::from(total), Ordering::Relaxed);
    } else if word == "Finished" {
        PARTS.store(0, Ordering::Relaxed);
    }
    if bar.is_some() || passing && OF_A_MOMENT.contains(&word) {
        if terminal {
            eprint!("{clear}{}", line.trim_end());
        }
    } else if !(OF_EVERY_CRATE.contains(&word) || passing && word.is_empty()) {
        eprintln!("{clear}{line}");
    }
}

/// The line without a terminal's escape sequences, each of which ends with a letter.
fn without_colors(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\x1b' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// Reads `Building [====>    ] 210/518: bevy_pbr`.
fn bar(line: &str) -> Option<(u32, u32)> {
    let (_, counts) = line.trim_start().strip_prefix("Building [")?.split_once("] ")?;
    let (done, total) = counts.split([':', ' ']).next()?.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_read_and_other_lines_are_not_taken_for_it() {
        assert_eq!(bar("    Building [=====>      ] 210/518: bevy_pbr, bevy_ui..."), Some((210, 518)));
        assert_eq!(bar("    Building [===========>] 517/518"), Some((517, 518)));
        assert_eq!(bar("   Compiling bevy_pbr v0.19.1"), None);
        assert_eq!(bar("test a_sentence_that_holds ... ok"), None);
    }

    #[test]
    fn colors_are_no_part_of_a_line() {
        let colored = "\x1b[1m\x1b[36m    Building\x1b[0m [=>  ] 7/40: syn";
        assert_eq!(without_colors(colored), "    Building [=>  ] 7/40: syn");
    }
}
