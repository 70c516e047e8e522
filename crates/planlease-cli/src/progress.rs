//! One line on standard error that tells how far something is: on a terminal only, and not more often than is of use.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use tokio::time::Instant;

use crate::lines::Lines;

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(100);

/// See the module. The line disappears with it.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Option<Instant>,
    on_terminal: bool,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Self {
        Self { shown: None, on_terminal: io::stderr().is_terminal() }
    }

    /// Says how far it is, if it is time to.
    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        let due = self.shown.is_none_or(|at| at.elapsed() >= EVERY);
        if self.on_terminal && due {
            put(&format!("\r\x1b[K{}", line()));
            self.shown = Some(Instant::now());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            put("\r\x1b[K");
        }
    }
}

/// It is of no consequence whether somebody reads it.
fn put(text: &str) {
    match Lines::standard_error() {
        Some(lines) => lines.say(text.as_bytes()),
        None => drop(io::stderr().write_all(text.as_bytes())),
    }
}
