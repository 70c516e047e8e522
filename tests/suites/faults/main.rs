//! What the world does to a fleet, on real etcd clusters: networks that fall silent in one direction, members
//! that stop, answers that get lost, full disks, history that is forgotten, users who may not any more,
//! clocks that jump.
//!
//! Each test is one scenario of a numbered list, and injects its fault for real. It ends with the audit of
//! the store, read past all proxies, and checks the answers to clients against the history. Lines that begin
//! with `measured:` say how long things took.
//!
//! | file | what fails |
//! | --- | --- |
//! | `network.rs` | the network between a client and its server |
//! | `hosts.rs` | whole hosts |
//! | `certificates.rs` | certificates: bad, expired, missing, rotated |
//! | `answers.rs` | single requests and answers |
//! | `late.rs` | requests that arrive when what they compare holds again |
//! | `process.rs` | the process itself: dead, stopped, suspended, blocked, ended by an operator |
//! | `deadlines.rs` | clocks and members, under a policy with deadlines |
//! | `cluster.rs` | members, leaders, majorities |
//! | `space.rs` | the space on etcd's disk |
//! | `store.rs` | the store itself: stale, restored, copied |
//! | `identity.rs` | users, passwords, tokens, roles |
//! | `watch.rs` | watchers: history that is gone, members that are silent, subscribers that sleep |

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, reason = "what was measured is printed")]

mod answers;
mod certificates;
mod cluster;
mod deadlines;
mod helpers;
mod hosts;
mod identity;
mod late;
mod network;
mod process;
mod space;
mod store;
mod watch;

use planlease_tests::{hosts::Hosts, suite::Suite};

fn main() -> std::process::ExitCode {
    Suite::new("faults").on([]).worker_threads(2).only_if(Hosts::allowed(), "on_three_hosts::").run()
}
