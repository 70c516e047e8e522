//! Helper processes that this program starts itself. They begin before anything else does, since they must
//! not have a second thread, and take their arguments from `planlease-orchestrator`, not from people.

use std::{ffi::OsString, process::ExitCode};

use planlease::companion;
use planlease_orchestrator::{
    EntryPoint,
    exec::{self, ExecError},
    shortage::{SHORTAGE, is_due_to_shortage},
    supervisor,
};

/// The hidden subcommand that keeps watch over one command of a plan.
pub(crate) const SUPERVISOR: &str = "supervisor";

/// The hidden subcommand that becomes the command.
pub(crate) const EXEC: &str = "exec";

/// The hidden subcommand that frees what a session has when its process dies.
pub(crate) const COMPANION: &str = "companion";

/// Runs the helper that these arguments (the program's name first) ask for; `None` if they are a person's.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    let first = args.next()?;
    if first == SUPERVISOR {
        let code =
            supervisor::run(args, &EntryPoint::of_this_program(EXEC)).unwrap_or_else(|error| failed(&error));
        return Some(code.into());
    }
    if first == COMPANION {
        // The session's process is gone by then: no one is left to report to, and the lease expires.
        return Some(companion::run().map_or(NOT_STARTED, |()| 0).into());
    }
    if first == EXEC {
        let Err(error) = exec::run(args);
        return Some(match error {
            // The supervisor has reported it to its orchestrator, which shows it: once is enough.
            ExecError::Command { .. } => NOT_STARTED.into(),
            error => failed(&error).into(),
        });
    }
    None
}

/// The status of a command that could not be started, as shells have it.
const NOT_STARTED: u8 = 127;

fn failed(error: &(dyn std::error::Error + 'static)) -> u8 {
    // The orchestrator learns the reason through its own connection; this is for a person who starts it.
    crate::output::tell(&format!("error: {error}"));
    if is_due_to_shortage(error) { SHORTAGE } else { NOT_STARTED }
}
