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
mod probe;
mod put;
mod range;
mod raw;
mod txn;
mod watch;
mod watch_control;

use planlease_tests::cases;
use planlease_tests::suite::Suite;

fn main() -> std::process::ExitCode {
    Suite::new("conformance")
        .shared(put::cases())
        .shared(range::cases())
        .shared(delete::cases())
        .shared(txn::cases())
        .shared(compare::cases())
        .shared(limits::cases())
        .shared(lease::cases())
        .shared(lease_expiry::cases())
        .shared(watch::cases())
        .shared(watch_control::cases())
        .shared(election::cases())
        .shared(maintenance::cases())
        .shared(other_clients::cases())
        .alone(compaction::cases())
        .alone(cases![
            range::every_key_is_in_the_range_of_all_keys,
            txn::only_a_write_that_changes_something_takes_a_revision,
            lease::all_leases_are_listed,
        ])
        .plain(harness::cases())
        .plain(differential::cases())
        .run()
}
