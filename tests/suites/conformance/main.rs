//! What planlease relies on in etcd, as tests that know nothing of plans: they run on every server alike.
//!
//! Each test is a sentence about etcd's API. Where versions of etcd differ, planlease relies on neither and
//! the test says so. [`differential`] compares the embedded server with etcd operation by operation.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]

mod compaction;
mod compare;
mod delete;
mod differential;
mod election;
mod harness;
mod lease;
mod lease_expiry;
mod limits;
mod maintenance;
mod other_clients;
mod other_languages;
mod probe;
mod put;
mod range;
mod raw;
mod snapshot;
mod txn;
mod watch;
mod watch_control;

use planlease_tests::backend::Backend;
use planlease_tests::suite::Suite;

/// What differs through `etcd grpc-proxy`. planlease relies on none of it.
const PROXY_DIFFERS: &[(&str, &str)] = &[
    ("lease::a_keepalive_of_a_dead_lease_says_zero", "it says -1"),
    ("lease_expiry::an_expired_lease_is_gone", "a renewal of it says -1"),
    ("watch_control::an_id_may_be_chosen_and_is_refused_when_taken", "it numbers watches itself"),
    ("watch_control::progress_is_sent_on_request", "it does not pass the request on"),
    ("compaction::the_id_of_a_compacted_watch_stays_taken_until_cancelled", "it numbers watches itself"),
    (
        "compaction::a_watch_from_before_a_compaction_is_cancelled",
        "it sends nothing for a watch that begins before the compaction, or at it, on a key of another watch",
    ),
    ("maintenance::members_are_listed_with_their_addresses", "it lists itself, without a name and an id"),
    (
        "limits::a_request_of_a_megabyte_and_a_half_is_too_large",
        "its own client refuses to send it, with another text",
    ),
    (
        "other_clients::a_half_closed_watch_gets_every_event",
        "it ends a stream whose client has ended its half",
    ),
    (
        "other_clients::a_half_closed_watch_catches_up_from_history",
        "it ends a stream whose client has ended its half",
    ),
    (
        "other_clients::a_half_closed_lease_stream_answers_and_ends",
        "it ends a stream whose client has ended its half",
    ),
    ("other_clients::an_oversized_message_exhausts_a_resource", "its limit is 4 MiB"),
    ("other_clients::the_health_of_the_server_can_be_asked_for", "it has no such service"),
    ("other_clients::health_and_version_are_served_over_http", "it serves /health and /metrics elsewhere"),
];

fn main() -> std::process::ExitCode {
    Suite::new("conformance")
        .on(Backend::all().into_iter().chain([Backend::Proxied]))
        .except(Backend::Proxied, PROXY_DIFFERS)
        .run()
}
