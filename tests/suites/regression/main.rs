//! The bugs that plan state kept in files has had, one test each: updates that overwrite each other, entries
//! that outlive their process, two owners, answers torn between two states, a working directory changed under
//! others' feet, half a plan, a lock that vanishes, counts that drift, a display of what never was, tasks in
//! progress for ever.
//!
//! | test | with files it went wrong, because |
//! | --- | --- |
//! | `r01` | a status was read, changed and written back by two at once |
//! | `r02` | only the process itself removed its entry from the registry |
//! | `r03` | whether a plan is taken was asked first, and written down later |
//! | `r04` | a file was read while it was written |
//! | `r05` | the setup of a worktree changed the directory of the whole process |
//! | `r06` | a plan was set up step by step, in plain view |
//! | `r07` | a waiter for a lock file that was deleted went on without one |
//! | `r08` | counts were stored, and "repaired" by their readers |
//! | `r09` | a display read again and again, and showed what it met |
//! | `r10` | no process was obliged to look after the tasks of the dead |
//!
//! Everything is done by processes of the program, on a server that is a process too, and held against the
//! history that etcd itself delivers. One test runs at a time, since most of them need all cores. Lines that
//! begin with `measured:` say how long things took; no test depends on it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, reason = "what is measured is printed")]

mod answers;
mod busy;
mod counts;
mod crash;
mod folders;
mod history;
mod import;
mod lock;
mod orphans;
mod processes;
mod proxy;
mod reading;
mod start;
mod updates;
mod watching;

use planlease_tests::{backend::Backend, suite::Suite};

fn main() -> std::process::ExitCode {
    Suite::new("regression").on([]).and_by_turns([Backend::Dev, Backend::Etcd]).run()
}
