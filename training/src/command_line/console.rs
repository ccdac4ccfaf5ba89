//! The display of a run in a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use portrait_training::Event;
use portrait_training::backend::name;

/// Seconds between lines when the output is no terminal.
const LINE_INTERVAL_S: u64 = 30;

/// The display of a run: a progress bar on a terminal, else a line now and then.
pub struct Console {
    bar: ProgressBar,
    last_line: Option<Instant>,
}

impl Console {
    /// Starts a display for a run of at most `max_steps` steps.
    pub fn new(max_steps: u64) -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(max_steps) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {eta} left at most  {msg}") {
            bar.set_style(style);
        }
        Self { bar, last_line: None }
    }

    /// Takes the progress bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, text: String) {
        if self.bar.is_hidden() { println!("{text}") } else { self.bar.println(text) }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Started { step, train_pairs, train_identities, validation_pairs, workers, parameters, .. } => {
                self.bar.set_position(*step);
                self.bar.reset_eta();
                self.line(format!(
                    "{train_pairs} training pairs of {train_identities} identities, {validation_pairs} validation \
                     pairs; {parameters} parameters; {workers} × backend {}; from step {step}",
                    name()
                ));
            }
            Event::Warned { what, .. } => self.line(format!("warning: {what}")),
            Event::Step { step, max_steps, losses, seconds_per_step } => {
                let text = format!(
                    "L1 {:.4} L_G {:.3} W {:.3} GP {:.3} {seconds_per_step:.2} s/step",
                    losses.l1, losses.adversarial, losses.wasserstein, losses.penalty
                );
                let due = self.last_line.is_none_or(|last| last.elapsed() >= Duration::from_secs(LINE_INTERVAL_S));
                if self.bar.is_hidden() && due {
                    let left_min = (max_steps - step) as f64 * seconds_per_step / 60.0;
                    println!("step {step}/{max_steps} {text}, {left_min:.0} min left at most");
                    self.last_line = Some(Instant::now());
                }
                self.bar.set_position(*step);
                self.bar.set_message(text);
            }
            Event::Rejected { step, reason, in_a_row } => {
                self.line(format!("step {step} rejected: {reason} ({in_a_row} in a row)"));
            }
            Event::Validated { validation } => self.line(format!(
                "step {}: validation L1 {:.5}, in the face {:.5} (first image {:.5}), sharpness {:.3} of the reference's",
                validation.step,
                validation.weighted_l1,
                validation.face_l1,
                validation.first_face_l1,
                validation.face_sharpness
            )),
            Event::Repaired { lines, .. } => {
                self.line(format!("metrics.jsonl: {lines} line(s) that a killed run wrote in part were dropped"));
            }
            _ => {}
        }
    }
}
