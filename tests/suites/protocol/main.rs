//! The coordinator's protocol on every server alike: ownership, guarded updates, imports, recovery, and the
//! audit of it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, reason = "what was measured is told")]

mod claim;
mod edit;
mod failover;
mod fleet;
mod group;
mod halt;
mod import;
mod lock;
mod lost_answers;
mod ownership;
mod requests;
mod stalled;
mod update;
mod watching;

use planlease_tests::{backend::Backend, suite::Suite};

fn main() -> std::process::ExitCode {
    Suite::new("protocol")
        .on(Backend::all().into_iter().chain([Backend::Proxied]))
        .shared(ownership::cases())
        .shared(update::cases())
        .shared(group::cases())
        .shared(halt::cases())
        .shared(edit::cases())
        .shared(claim::cases())
        .shared(import::cases())
        .shared(watching::cases())
        .shared(lost_answers::cases())
        .shared(lock::cases())
        .shared(stalled::cases())
        .plain(ownership::plain_cases())
        .plain(failover::cases())
        .plain(group::plain_cases())
        .plain(requests::plain_cases())
        // They count requests: a server that is busy with other tests may answer late, and then a request is
        // sent again.
        .one_at_a_time()
        .shared(requests::cases())
        .run()
}
