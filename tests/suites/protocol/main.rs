//! The coordinator's protocol on every server alike: ownership, guarded updates, imports, recovery, and the
//! audit of it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, reason = "what was measured is printed")]

mod approve;
mod batch;
mod bounded;
mod cancel;
mod claim;
mod edit;
mod failover;
mod group;
mod halt;
mod helpers;
mod import;
mod lock;
mod lost_answers;
mod ownership;
mod pools;
mod reading;
mod requests;
mod service;
mod spans;
mod stalled;
mod starved;
mod submit;
mod timers;
mod update;
mod watching;

use planlease_tests::{backend::Backend, suite::Suite};

fn main() -> std::process::ExitCode {
    Suite::new("protocol").on(Backend::all().into_iter().chain([Backend::Proxied])).ttl(helpers::TTL).run()
}
