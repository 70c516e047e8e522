//! What is to be run, and how it is connected to the world.

use std::{ffi::OsString, path::PathBuf, time::Duration};

/// How long a command has between SIGTERM and SIGKILL unless said otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// A command to run under a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSpec {
    /// The program, looked up in `PATH` unless it contains a `/`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Changes to the environment, which is the orchestrator's own otherwise; `None` removes a variable.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// The working directory; the orchestrator's own if `None`.
    pub dir: Option<PathBuf>,
    /// How long the command has between SIGTERM and SIGKILL when it is asked to stop. A deadline knows no grace.
    pub grace: Duration,
    /// Where its input, output and signals come from.
    pub attachment: Attachment,
}

impl CommandSpec {
    /// A program without arguments, with the orchestrator's environment, captured, with a grace of ten seconds.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            grace: GRACE,
            attachment: Attachment::Captured,
        }
    }

    /// A script for `sh -c`. Whatever is put into the script is code: better pass values by the environment.
    #[must_use]
    pub fn shell(script: impl Into<OsString>) -> Self {
        Self { args: vec!["-c".into(), script.into()], ..Self::new("sh") }
    }
}

/// How a command is connected to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// No input; output kept in memory up to a bound; a process group of its own. For tasks.
    Captured,
    /// Input and output are the orchestrator's; a process group of its own. For a command that holds a plan
    /// without a person at the keyboard.
    Inherited,
    /// Input and output are the orchestrator's, and so is the process group: for a command that holds a plan in
    /// the foreground of a terminal.
    ///
    /// The command is then a part of the same job for the shell: it may read the terminal, Ctrl-C reaches it, and
    /// Ctrl-Z stops both it and the orchestrator but not the guard, which kills it at the deadline. Two things are
    /// weaker. SIGTERM is sent to the command alone, since the group is the orchestrator's; SIGKILL still reaches
    /// everything that descends from the command. And if the guard is killed, only the command dies with it.
    ///
    /// An orchestrator does best to leave Ctrl-C to the command, which gets it anyway, and to pass on SIGTERM.
    Terminal,
}
