//! The loss of a hold, and what became of its command.

use planlease::Loss;

use crate::ending::Status;

/// The loss of a hold.
#[derive(Debug)]
pub struct Lost {
    /// How it was lost.
    pub loss: Loss,
    /// What became of the command.
    pub command: CommandFate,
    /// What the history says about the loss, where there is one.
    pub explained: Option<String>,
}

/// What became of the command when its hold was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandFate {
    /// It was not started.
    NotStarted,
    /// It ended by itself, at about the same time.
    Ended(Status),
    /// It was killed with all that it had started.
    Killed,
}
