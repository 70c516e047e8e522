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
//! | `r05` | whoever set up a worktree changed the directory of the whole process |
//! | `r06` | a plan was set up step by step, in view of everybody |
//! | `r07` | whoever waited for a lock file that was deleted went on without one |
//! | `r08` | counts were stored, and "repaired" by whoever read them |
//! | `r09` | a display read again and again, and showed what it met |
//! | `r10` | nobody was obliged to look after the tasks of the dead |
//!
//! Everything is done by processes of the program, on a server that is a process too, and held against the
//! history that etcd itself tells. One test runs at a time, since most of them need all cores. Lines that
//! begin with `measured:` say how long things took; no test depends on it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, reason = "what is measured is told")]

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

use planlease_tests::{backend::Backend, cases, suite::Suite};

use crate::{
    counts::r08_counts_while_tasks_change, crash::r02_a_killed_orchestrator_leaves_nothing_behind,
    folders::r05_no_process_changes_its_working_directory, import::r06_an_import_is_killed_at_any_point,
    lock::r07_the_lock_vanishes_while_others_wait_for_it,
    orphans::r10_tasks_in_progress_lose_their_orchestrator, reading::r04_reading_while_others_write,
    start::r03_two_orchestrators_start_one_plan, updates::r01_two_processes_update_one_task,
    watching::r09_watching_while_everything_changes,
};

fn main() -> std::process::ExitCode {
    Suite::new("regression")
        .on([Backend::Dev, Backend::Etcd])
        .one_at_a_time()
        .shared(cases![
            r01_two_processes_update_one_task,
            r02_a_killed_orchestrator_leaves_nothing_behind,
            r03_two_orchestrators_start_one_plan,
            r04_reading_while_others_write,
            r05_no_process_changes_its_working_directory,
            r06_an_import_is_killed_at_any_point,
            r08_counts_while_tasks_change,
            r09_watching_while_everything_changes,
            r10_tasks_in_progress_lose_their_orchestrator,
        ])
        .alone(cases![r07_the_lock_vanishes_while_others_wait_for_it])
        .plain(answers::plain_cases())
        .run()
}
