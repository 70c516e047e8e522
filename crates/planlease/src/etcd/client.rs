//! The connections to one etcd, and what its requests share.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};

use planlease_core::keys::{Key, Layout};

use super::{
    backlog::Backlog,
    connection::{EndpointConnection, Endpoints},
    known::Known,
    turns::Turns,
};
use crate::{clock::Random, config::Config, counts::Counts, renewal_runtime::Renewals};

/// The connections to one etcd. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Etcd {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// Requests with one answer.
    pub(super) unary: EndpointConnection,
    /// Renewals alone, so that no large answer delays them.
    pub(super) renewals: EndpointConnection,
    /// Where renewals run: whatever uses their connection, which is driven where it was made.
    pub(super) renewal_tasks: Renewals,
    /// Watches alone.
    pub(super) watches: EndpointConnection,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) random: Random,
    pub(super) turns: Turns,
    pub(super) backlog: Backlog,
    pub(super) counts: Counts,
    /// The newest revision that any answer was of.
    pub(super) newest: AtomicU64,
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
                backlog: Backlog::new(),
                counts: Counts::default(),
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

    /// What is counted.
    pub(crate) fn counts(&self) -> &Counts {
        &self.inner.counts
    }

    /// How many updates wait for a request that they share.
    pub(crate) fn waiting(&self) -> usize {
        self.inner.backlog.state().queue.waiting()
    }

    pub(crate) fn traffic(&self) -> BTreeMap<String, u64> {
        self.inner.endpoints.traffic.counts()
    }
}
