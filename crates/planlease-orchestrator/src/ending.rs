//! How a command ended, and why: the result that an executor reports.

use std::fmt;

/// Why a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// By itself, or by a signal that was not ours.
    Itself,
    /// Its orchestrator asked for it.
    Asked,
    /// Its deadline had passed, or its supervisor was gone.
    Deadline,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It never ran.
    NotStarted {
        /// Why.
        why: String,
        /// The status that shells have for it: 126 if its program is there but cannot be executed, else 127;
        /// or [`SHORTAGE`](crate::shortage::SHORTAGE) if the host is short of something.
        code: u8,
    },
    /// Unknown: its supervisor was killed, or the command cannot be. It may have done all, a part, or
    /// nothing.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => write!(f, "ended by signal {signal}"),
            Self::NotStarted { why, .. } => write!(f, "did not start: {why}"),
            Self::Unknown => write!(f, "ended in an unknown way"),
        }
    }
}

impl Status {
    /// How it ended, and why if that was not its own doing.
    pub(crate) fn with_cause(&self, cause: Cause) -> String {
        match cause {
            Cause::Itself => self.to_string(),
            Cause::Asked => format!("stopped by its orchestrator: {self}"),
            Cause::Deadline => format!("killed at the deadline of its session: {self}"),
        }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// Why it ended.
    pub cause: Cause,
    /// How it ended.
    pub status: Status,
    /// Whether processes that it had started could not be killed: other users', or stuck in the kernel.
    pub survivors: bool,
    /// What it wrote, to standard output and standard error as it came; at most
    /// [`MAX_FINDINGS`](planlease_core::codec::MAX_FINDINGS) bytes, the middle left out. Empty if it was not
    /// captured.
    pub output: String,
}

impl Finished {
    /// An end without survivors.
    #[must_use]
    pub fn new(cause: Cause, status: Status, output: String) -> Self {
        Self { cause, status, survivors: false, output }
    }
}
