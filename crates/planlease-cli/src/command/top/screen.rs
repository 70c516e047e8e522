//! The terminal as a screen, and as it was before: at the end, at a panic, and while the shell has it.

use std::io;

use nix::sys::signal::{Signal, raise};
use planlease::core::WallTime;
use planlease_top::{
    Top,
    ratatui::{self, DefaultTerminal},
};

use crate::failure::Failure;

/// The screen; dropped, the terminal is as it was.
#[derive(Debug)]
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal. A panic gives it back, before it is reported.
    pub(super) fn take() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(|error| failed(&error))
    }

    pub(super) fn draw(&mut self, top: &mut Top, now: WallTime) -> Result<(), Failure> {
        self.0.draw(|frame| top.draw(frame, now)).map(drop).map_err(|error| failed(&error))
    }

    /// Stops as other programs do at Ctrl-Z; returns when the shell lets us go on.
    pub(super) fn suspend(&mut self) -> Result<(), Failure> {
        ratatui::restore();
        raise(Signal::SIGTSTP).map_err(|error| Failure::system("cannot stop", &io::Error::from(error)))?;
        // An empty screen, of which all is drawn again. The old one is no `Screen` any more: at its end it
        // would give the terminal back.
        self.0 = ratatui::try_init().map_err(|error| failed(&error))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::system("cannot use the terminal", error)
}
