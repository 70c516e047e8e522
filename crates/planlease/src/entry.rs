//! How a program starts itself again at one of its hidden subcommands.

use std::{ffi::OsString, path::PathBuf};

/// A program and its first arguments: what leads to [`companion::run`](crate::companion::run), or to the
/// supervisors of `planlease-orchestrator`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// The program.
    pub program: PathBuf,
    /// The arguments that choose the entry; those of the callee follow.
    pub args: Vec<OsString>,
}

impl EntryPoint {
    /// A hidden subcommand of the running program itself, also if its file was replaced or removed meanwhile.
    #[must_use]
    pub fn of_this_program(subcommand: impl Into<OsString>) -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), args: vec![subcommand.into()] }
    }
}
