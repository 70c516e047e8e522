//! etcd as the rest of the crate sees it: transactions, ranges, leases and watches that fail over, time out,
//! are bounded and say what is known about their outcome. No type of `etcd-client` leaves this module.

mod authority_guard;
mod batch;
mod channel;
mod coalesce;
mod commit;
mod connection;
mod execute;
mod fault;
mod known;
mod lease;
mod member;
mod numbers;
mod pages;
mod turns;
mod txn;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};

use planlease_core::{
    change::Entry,
    keys::{Key, Layout},
};

pub(crate) use self::{
    authority_guard::{AuthorityGuard, Guarded},
    execute::{Admission, Pending},
    fault::{Fault, FaultKind},
    known::Known,
    lease::KeepAlive,
    member::{MemberStatus, Seen},
    pages::{PAGE, Page, Pages},
    txn::{Branch, Compare, MAX_BYTES, Op, Reply, Transaction},
    watch::{QUIET, Watch, WatchEvent, WatchMessage, WatchSpec},
};
use self::{
    commit::Commits,
    connection::{EndpointConnection, Endpoints},
    turns::Turns,
};
use crate::{clock::Random, config::Config, renewal_runtime::Renewals};

/// The largest message that is decoded: a page of the largest values, with room to spare.
const MAX_DECODED: usize = 64 * 1024 * 1024;

/// A key with what etcd keeps under it.
pub(crate) type Row = (Vec<u8>, Entry);

/// The connections to one etcd. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Etcd {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Requests with one answer.
    unary: EndpointConnection,
    /// Renewals alone, so that no large answer delays them.
    renewals: EndpointConnection,
    /// Where renewals run: whatever uses their connection, which is driven where it was made.
    renewal_tasks: Renewals,
    /// Watches alone.
    watches: EndpointConnection,
    endpoints: Arc<Endpoints>,
    random: Random,
    turns: Turns,
    commits: Commits,
    /// The newest revision that any answer was of.
    newest: AtomicU64,
}

impl Etcd {
    pub(crate) fn new(config: Config) -> Self {
        let random = Random::new(config.seed);
        let renewal_tasks = Renewals::new(config.renewals);
        let store = Layout::new(&config.root, &config.namespace).key(&Key::Store);
        let endpoints = Arc::new(Endpoints::new(config, store));
        let connection = |require_leader| EndpointConnection::new(Arc::clone(&endpoints), require_leader);
        let (unary, renewals, watches) = (connection(false), connection(true), connection(true));
        Self {
            inner: Arc::new(Inner {
                unary,
                renewals,
                renewal_tasks,
                watches,
                endpoints,
                random,
                turns: Turns::new(),
                commits: Commits::new(),
                newest: AtomicU64::new(0),
            }),
        }
    }

    /// From now on every new connection has to lead to this cluster.
    pub(crate) fn pin(&self, known: Known) {
        self.inner.endpoints.pin(known);
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.endpoints.config
    }

    pub(crate) fn random(&self) -> &Random {
        &self.inner.random
    }

    pub(crate) fn traffic(&self) -> BTreeMap<String, u64> {
        self.inner.endpoints.traffic.counts()
    }

    /// Opens a stream of watches with its first watch.
    pub(crate) fn watch<'a>(&'a self, first: &'a WatchSpec) -> Pending<'a, Watch> {
        Box::pin(async move { Watch::open(&self.inner.watches, first).await })
    }
}
