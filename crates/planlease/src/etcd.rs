//! etcd as the rest of the crate sees it: transactions, ranges, leases and watches that fail over, time out,
//! are bounded and say what is known about their outcome. No type of `etcd-client` leaves this module.

mod authority_guard;
mod backlog;
mod batch;
mod channel;
mod client;
mod coalesce;
mod commit;
mod connection;
mod execute;
mod fault;
mod known;
mod lease;
mod look;
mod member;
mod numbers;
mod pages;
mod rows;
mod send;
mod turns;
mod txn;
mod watch;
mod watch_spec;

pub use self::lease::LeaseTimes;
pub(crate) use self::{
    authority_guard::{AuthorityGuard, Guarded},
    client::Etcd,
    fault::{Fault, FaultKind},
    known::Known,
    lease::KeepAlive,
    look::Seen,
    member::MemberStatus,
    pages::{PAGE, Pages},
    rows::{Page, Row},
    send::Admission,
    txn::{Branch, Compare, MAX_BYTES, MAX_OPS, Op, Reply, Transaction},
    watch::{Watch, WatchEvent, WatchMessage},
    watch_spec::{QUIET, WatchSpec},
};
