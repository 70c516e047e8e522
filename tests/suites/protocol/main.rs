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
mod hooks;
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
mod steering;
mod submit;
mod timers;
mod update;
mod watching;

use planlease_tests::{backend::Backend, suite::Suite};

/// What takes a client long to show, and is the client's own: no server changes it.
const OF_THE_CLIENT: [(&str, &str); 4] = [
    ("reading::the_cost_of_an_operation_is_that_of_its_task", "it counts the client's own requests"),
    ("service::an_idle_service_makes_no_requests_but_renewals", "it counts the client's own requests"),
    ("service::more_plans_than_a_session_can_have_end_no_run", "the client keeps that bound"),
    ("timers::timers_with_nothing_due_make_no_request", "it counts the client's own requests"),
];

fn main() -> std::process::ExitCode {
    let every = [Backend::Embedded, Backend::Etcd];
    let by_turns: Vec<Backend> =
        Backend::all().into_iter().chain([Backend::Proxied]).filter(|one| !every.contains(one)).collect();
    let suite = Suite::new("protocol").on(every).and_by_turns(by_turns.clone());
    let suite = by_turns.into_iter().fold(suite, |suite, backend| suite.except(backend, &OF_THE_CLIENT));
    suite.ttl(helpers::TTL).run()
}
