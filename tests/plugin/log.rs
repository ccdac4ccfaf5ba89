//! Collects the lines that a test's process logs.

use std::io::Write;
use std::sync::{Arc, Mutex};

use bevy::log::tracing_subscriber::fmt;

/// The text that is logged. Systems log from any thread, so that it is the whole process's: the test has to run alone.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects what is logged from now on.
    pub fn listen() -> Self {
        let log = Self::default();
        let writer = log.clone();
        fmt().with_writer(move || writer.clone()).with_ansi(false).init();
        log
    }

    /// Returns the lines that contain `part`, and forgets everything.
    pub fn about(&self, part: &str) -> Vec<String> {
        let text = std::mem::take(&mut *self.0.lock().expect("nobody panics with the log"));
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(part)).map(Into::into).collect()
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics with the log").write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
