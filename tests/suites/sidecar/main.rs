//! The sidecar as programs have it: real processes on a real server, whose connections break, who are killed,
//! and who ask for what is not allowed.
//!
//! What they measure is printed in lines that begin with `measured:`.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, reason = "what is measured is told")]

mod abuse;
mod admission;
mod bad;
mod clients;
mod crash;
mod drain;
mod events;
mod half;
mod log;
mod manual;
mod scene;
mod sessions;
mod socket;
mod tasks;
mod unreadable;

use planlease_tests::{backend::Backend, http, suite::Suite};

fn main() -> std::process::ExitCode {
    // This binary is also the program behind a sidecar that the tests start as a process of its own.
    if let Some(orders) = std::env::var_os(http::PROGRAM) {
        return http::run(&orders);
    }
    Suite::new("sidecar")
        .on([Backend::Dev, Backend::Etcd])
        .shared(tasks::cases())
        .shared(sessions::cases())
        .shared(events::cases())
        .shared(admission::cases())
        .shared(half::cases())
        .shared(socket::cases())
        .shared(unreadable::cases())
        .shared(drain::cases())
        .shared(log::cases())
        .shared(clients::cases())
        .shared(manual::cases())
        .alone(drain::alone_cases())
        .alone(events::alone_cases())
        .one_at_a_time()
        .shared(crash::cases())
        .shared(bad::cases())
        .shared(abuse::cases())
        .run()
}
