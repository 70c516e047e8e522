//! One line on standard error that shows how far something is: on a terminal only, and not more often than is
//! of use.

use std::{io::IsTerminal as _, time::Duration};

use tokio::time::Instant;

use crate::output;

/// How often the line is rewritten.
const EVERY: Duration = Duration::from_millis(100);

/// A progress line on a terminal. The line disappears with it.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Option<Instant>,
    on_terminal: bool,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Self {
        Self { shown: None, on_terminal: output::stderr().is_terminal() }
    }

    /// Says how far it is, if it is time to.
    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        let due = self.shown.is_none_or(|at| at.elapsed() >= EVERY);
        if self.on_terminal && due {
            output::replace_line(&line());
            self.shown = Some(Instant::now());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            output::replace_line("");
        }
    }
}
