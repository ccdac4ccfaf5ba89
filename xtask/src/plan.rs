//! A long command as numbered steps: each says what it does and how long it is likely to take, how much is left while it runs,
//! and how long it took.

use std::io::{IsTerminal, stdout};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::progress;

/// Time between two lines that say how far a step is.
const BEAT: Duration = Duration::from_secs(30);
/// Number of CPU cores that the steps' expected times are for.
const CORES: f64 = 2.0;

/// One step of a long command.
pub struct Step<'a> {
    name: String,
    /// Expected time on [`CORES`] cores, in minutes.
    minutes: f64,
    /// Expected download, in megabytes.
    megabytes: u32,
    work: Box<dyn FnOnce() -> Result<()> + 'a>,
}

impl<'a> Step<'a> {
    /// Makes a step that is expected to take this many minutes on two cores.
    pub fn new(name: impl Into<String>, minutes: f64, work: impl FnOnce() -> Result<()> + 'a) -> Self {
        Self { name: name.into(), minutes, megabytes: 0, work: Box::new(work) }
    }

    /// Adds the megabytes that the step is expected to download.
    pub fn downloads(self, megabytes: u32) -> Self {
        Self { megabytes, ..self }
    }

    /// Does the step by itself.
    pub fn work(self) -> Result<()> {
        println!("{}", self.name);
        (self.work)()
    }
}

/// Runs the steps in order and stops at the first one that fails. Says first what will happen, and last how long each step took.
pub fn run(title: &str, steps: Vec<Step>) -> Result<()> {
    let cores = thread::available_parallelism().map_or(CORES, |cores| cores.get() as f64);
    let expected: Vec<Duration> = steps.iter().map(|step| on_cores(step.minutes, cores)).collect();
    let count = steps.len();
    println!("{title}: {}, {}", about(expected.iter().sum()), to_download(&steps));
    for (index, (step, expected)) in steps.iter().zip(&expected).enumerate() {
        println!("  {:>2}. {:<58} {}", index + 1, step.name, about(*expected));
    }
    let started = Instant::now();
    let mut took = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        let label = format!("[{}/{count}] {}", index + 1, step.name);
        println!("\n{label} ({})", about(expected[index]));
        let step_started = Instant::now();
        let later = expected[index + 1..].iter().sum();
        with_beats(&label, expected[index], later, step.work)
            .with_context(|| format!("step {label} failed after {}", exact(step_started.elapsed())))?;
        println!("{label}: took {}", exact(step_started.elapsed()));
        took.push((step.name, step_started.elapsed()));
    }
    println!("\n{title}: took {}", exact(started.elapsed()));
    for (index, (name, time)) in took.iter().enumerate() {
        println!("  {:>2}. {name:<58} {}", index + 1, exact(*time));
    }
    Ok(())
}

/// Does the work and says every half minute how much of the step, and with `later` how much of all steps, is left.
fn with_beats(label: &str, expected: Duration, later: Duration, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    let (working, waits) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while waits.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                // Cargo's own bar stands in the line that this takes, and is drawn anew below it.
                let clear = if stdout().is_terminal() { progress::CLEAR } else { "" };
                println!("{clear}{label}: {}", beat(progress::parts(), started.elapsed(), expected, later));
            }
        });
        let result = work();
        drop(working);
        result
    })
}

/// Says in words how far a step is.
fn beat(parts: Option<(u32, u32)>, elapsed: Duration, expected: Duration, later: Duration) -> String {
    let left = time_left(parts.map(|(done, total)| f64::from(done) / f64::from(total.max(1))), elapsed, expected);
    let parts = parts.map_or_else(String::new, |(done, total)| format!("{done} of {total} parts done, "));
    let step = if left.is_zero() { "longer than expected".into() } else { format!("{} left", about(left)) };
    format!("{parts}{} so far, {step}; {} left in all", exact(elapsed), about(left + later))
}

/// Returns the time that a step still takes: what was expected at first, and more and more what this machine has shown.
fn time_left(done: Option<f64>, elapsed: Duration, expected: Duration) -> Duration {
    match done {
        // The rate so far says `elapsed · (1 - done) / done`, the plan `expected · (1 - done)`; the former counts by `done`.
        Some(done) => (expected.mul_f64(1.0 - done) + elapsed).mul_f64((1.0 - done).max(0.0)),
        None => expected.saturating_sub(elapsed),
    }
}

/// Returns the expected time on this many cores, of which eight share the work and more no longer help.
fn on_cores(minutes: f64, cores: f64) -> Duration {
    Duration::from_secs_f64(60.0 * minutes * CORES / cores.clamp(1.0, 8.0))
}

fn to_download(steps: &[Step]) -> String {
    match steps.iter().map(|step| step.megabytes).sum::<u32>() {
        0 => "everything is downloaded already".into(),
        megabytes => format!("up to {megabytes} MB to download"),
    }
}

/// Writes a guessed time in whole minutes or hours.
fn about(time: Duration) -> String {
    match (time.as_secs_f64() / 60.0).round() as u64 {
        0 => "less than a minute".into(),
        minutes @ 1..120 => format!("about {minutes} min"),
        minutes => format!("about {} h", (minutes + 30) / 60),
    }
}

/// Writes a measured time in minutes and seconds.
fn exact(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {:02} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use anyhow::bail;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_time_left_follows_the_plan_at_first_and_the_machine_at_last() {
        assert_eq!(time_left(Some(0.0), Duration::ZERO, 20 * MINUTE), 20 * MINUTE);
        // A machine that takes twice as long as planned has at 90 % about as much left as its own rate says: 4.4 minutes.
        let left = time_left(Some(0.9), 36 * MINUTE, 20 * MINUTE);
        assert!((3.5..4.5).contains(&(left.as_secs_f64() / 60.0)), "{left:?}");
        assert_eq!(time_left(Some(1.0), MINUTE, 20 * MINUTE), Duration::ZERO);
        assert_eq!(time_left(None, 30 * MINUTE, 20 * MINUTE), Duration::ZERO);
        assert!(
            beat(None, 30 * MINUTE, 20 * MINUTE, 5 * MINUTE).contains("longer than expected; about 5 min left in all")
        );
    }

    #[test]
    fn steps_run_in_order_until_one_fails_and_the_error_names_it() {
        let done = RefCell::new(Vec::new());
        let step = |name: &'static str, fails: bool| {
            let done = &done;
            Step::new(name, 0.0, move || {
                done.borrow_mut().push(name);
                if fails { bail!("no disk") } else { Ok(()) }
            })
        };
        let error = run("trial", vec![step("one", false), step("two", true), step("three", false)]).unwrap_err();
        assert_eq!(*done.borrow(), ["one", "two"]);
        let text = format!("{error:#}");
        assert!(text.contains("[2/3] two failed") && text.contains("no disk"), "{text}");
    }

    #[test]
    fn guesses_are_whole_minutes_and_measured_times_whole_seconds() {
        assert_eq!(about(Duration::from_secs(29)), "less than a minute");
        assert_eq!(about(Duration::from_secs(30)), "about 1 min");
        assert_eq!(about(119 * MINUTE), "about 119 min");
        assert_eq!(about(150 * MINUTE), "about 3 h");
        assert_eq!(exact(Duration::from_millis(125_900)), "2 min 05 s");
    }

    #[test]
    fn more_cores_shorten_what_is_expected_and_fewer_lengthen_it() {
        assert_eq!(on_cores(8.0, 1.0), 16 * MINUTE);
        assert_eq!(on_cores(8.0, 2.0), 8 * MINUTE);
        assert_eq!(on_cores(8.0, 64.0), 2 * MINUTE);
    }
}
