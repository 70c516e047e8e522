//! The sidecar as programs have it: real processes on a real server, whose connections break, who are killed,
//! and who ask for what is not allowed.
//!
//! What they measure is printed in lines that begin with `measured:`.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, reason = "what is measured is printed")]

mod abuse;
mod admission;
mod bad;
mod batch;
mod clients;
mod crash;
mod drain;
mod events;
mod half;
mod helpers;
mod log;
mod logs;
mod manual;
mod mcp;
mod sessions;
mod socket;
mod steering;
mod tasks;
mod timers;
mod unreadable;
mod watching;

use planlease_tests::{backend::Backend, http, packages::has_interpreter, suite::Suite};

fn main() -> std::process::ExitCode {
    // This binary is also the program behind a sidecar that the tests start as a process of its own.
    if let Some(orders) = std::env::var_os(http::PROGRAM) {
        return http::run(&orders);
    }
    Suite::new("sidecar")
        .on([])
        .and_by_turns([Backend::Dev, Backend::Etcd])
        .only_if(has_interpreter("python3"), "clients::python_")
        .only_if(has_interpreter("node"), "clients::node_")
        .only_if(manual::is_possible(), "manual::")
        .run()
}
