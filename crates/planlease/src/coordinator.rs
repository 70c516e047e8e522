//! The entry: one store on one etcd, and what can be asked of it without owning anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use planlease_core::{
    BootTime, Generation, LeaseId, OrchestratorId, PlanName, PoolName, Revision,
    change::Entry,
    codec::CodecError,
    keys::{Key, Layout, PlanKey},
    offer::Offer,
    record::{Registration, TermRecord},
    term::{self, Candidate, Queue},
    unreadable::{self, Unreadable},
};
use serde::de::DeserializeOwned;

use crate::{
    clock::Clock,
    config::Config,
    error::Error,
    etcd::{Admission, Etcd, FaultKind, MemberStatus, Op, Reply, Row, Transaction},
    feed::RawSnapshot,
    list::List,
    start_turns::StartTurns,
    store::Store,
};

/// The oldest etcd that has what the protocol needs (nested transactions, range compares, leases that can be
/// listed).
const OLDEST: &str = "3.4.0";

/// How many plans' terms are remembered between two acquisitions. Beyond it, one more read is needed.
const TERMS_REMEMBERED: usize = 10_000;

/// One store: a root and a namespace on one etcd. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Coordinator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    etcd: Etcd,
    layout: Layout,
    generation: Generation,
    cluster_id: String,
    terms: Mutex<BTreeMap<PlanName, SeenTerm>>,
    starts: StartTurns<PlanName>,
    pool_starts: StartTurns<PoolName>,
}

/// A plan's term as it was last seen.
#[derive(Debug)]
struct SeenTerm {
    /// The record and its revision.
    term: Option<(Revision, TermRecord)>,
    /// Since when this process knows that its owner is gone without having ended it.
    unowned_since: Option<BootTime>,
}

/// A registered process.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// Its name.
    pub id: OrchestratorId,
    /// What it says about itself.
    pub record: Registration,
    /// Create revision of the registration.
    pub revision: Revision,
}

/// What one endpoint says about itself.
#[derive(Clone, Debug)]
pub struct EndpointHealth {
    /// Its address.
    pub endpoint: String,
    /// What it says, or why it says nothing.
    pub status: Result<EndpointStatus, String>,
}

/// What a server says about itself.
#[derive(Clone, Debug)]
pub struct EndpointStatus {
    /// Its version.
    pub version: String,
    /// The size of its database in bytes.
    pub db_size: u64,
    /// Whether it only learns, and cannot answer.
    pub is_learner: bool,
    /// Whether it knows a leader.
    pub has_leader: bool,
    /// Active alarms and other errors.
    pub alarms: Vec<String>,
    /// The store's revision as this server knows it.
    pub revision: u64,
    /// The cluster, in hex.
    pub cluster_id: String,
}

impl Coordinator {
    /// Connects, checks that the server has what is needed, and that the store belongs to this cluster.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Unreachable`], [`Error::Tls`], [`Error::Unauthenticated`],
    /// [`Error::ServerTooOld`], [`Error::StoreMoved`], [`Error::StoreRestored`], and as for any request.
    ///
    /// # Cancel safety
    /// Cancel safe. A store that is new may be marked as this cluster's.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        let config = config.validate()?;
        let layout = Layout::new(&config.root, &config.namespace);
        let etcd = Etcd::new(config);
        match etcd.status().await {
            Ok(status) => check_version(&status)?,
            // Where etcd asks for users, recent versions show their status to root only. What this user may
            // do with the store is reported by the next request.
            Err(fault) if fault.kind == FaultKind::PermissionDenied => {}
            Err(fault) => return Err(fault.into()),
        }
        let store = Store::new(&etcd, &layout).identify().await?;
        let terms = Mutex::new(BTreeMap::new());
        Ok(Self {
            inner: Arc::new(Inner {
                etcd,
                layout,
                generation: store.generation,
                cluster_id: store.cluster_id,
                terms,
                starts: StartTurns::default(),
                pool_starts: StartTurns::default(),
            }),
        })
    }

    /// Asks each configured endpoint what it says about itself. Never fails as a whole.
    ///
    /// # Errors
    /// [`Error::Config`] only.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn diagnose(config: Config) -> Result<Vec<EndpointHealth>, Error> {
        let etcd = Etcd::new(config.validate()?);
        let all = etcd.status_of_each().await.into_iter().map(|(endpoint, status)| EndpointHealth {
            endpoint,
            status: status.map(EndpointStatus::from).map_err(|fault| fault.message),
        });
        Ok(all.collect())
    }

    /// Adopts a store that was restored or copied: raises its generation, whatever it looks like, so that
    /// every token from now on is greater than all before. For an operator who has restored etcd and knows
    /// that no process works on the other copy. Processes that are connected have to be restarted. Returns
    /// the generation.
    ///
    /// # Errors
    /// As for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the generation is raised once or not at all.
    pub async fn adopt_store(config: Config) -> Result<Generation, Error> {
        let config = config.validate()?;
        let layout = Layout::new(&config.root, &config.namespace);
        let etcd = Etcd::new(config);
        Store::new(&etcd, &layout).adopt().await
    }

    /// Asks whether the store can be read now, trying for as long as given. One small read.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn ping(&self, within: Duration) -> Result<(), Error> {
        Ok(self.etcd().ping(within).await?)
    }

    /// The queue of a plan, and its term. One transaction.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if the term cannot be read, and as for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn queue(&self, plan: &PlanName) -> Result<Queue, Error> {
        let term = self.layout().of(plan, &PlanKey::Term);
        let txn = Transaction::default().then([Op::Range(self.layout().queue(plan), 0), Op::Get(term)]);
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        self.read_queue(plan, &mut reply)
    }

    /// The queue of a plan, and its term, as far as they can be read ([`Queue::unreadable`]);
    /// `None` if there is no such plan. One transaction.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn find_queue(&self, plan: &PlanName) -> Result<Option<Queue>, Error> {
        let of = |key| self.layout().of(plan, &key);
        let queue = Op::Range(self.layout().queue(plan), 0);
        let txn =
            Transaction::default().then([Op::Find(of(PlanKey::Spec)), queue, Op::Get(of(PlanKey::Term))]);
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        let there = reply.row().is_some();
        let (rows, _) = reply.rows();
        Ok(there.then(|| queue_of(self.layout(), plan, rows, reply.row())))
    }

    /// Reads the record of a key; `None` if it is not there. One read.
    pub(crate) async fn record<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        let get = Transaction::default().then([Op::Get(self.layout().key(key))]);
        let entry = self.etcd().execute(&get, Admission::TURN).await?.row();
        Ok(entry.map(|entry| unreadable::read(key, &entry.value)).transpose()?)
    }

    /// The registered processes: those whose sessions are alive.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn orchestrators(&self) -> Result<List<Registered>, Error> {
        let snapshot =
            RawSnapshot::read(self.etcd(), self.layout(), &self.layout().orchestrators(), None).await?;
        let registered = snapshot.entries.into_iter().map(|(key, entry)| {
            let record = unreadable::read(&key, &entry.value)?;
            match key {
                Key::Orchestrator(id) => Ok(Registered { id, record, revision: entry.created }),
                other => Err(Unreadable::new(other, &CodecError::UnknownKey)),
            }
        });
        Ok(registered.collect())
    }

    /// What the registered orchestrators run, of those that say so.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn offers(&self) -> Result<Vec<Offer>, Error> {
        Ok(self.orchestrators().await?.into_iter().filter_map(|one| one.record.offer).collect())
    }

    /// The registrations as the keys alone show them, with their create revisions: a session is alive as long
    /// as its key is there, whatever is written under it.
    pub(crate) async fn registrations(&self) -> Result<BTreeSet<(OrchestratorId, Revision)>, Error> {
        let snapshot =
            RawSnapshot::read(self.etcd(), self.layout(), &self.layout().orchestrators(), None).await?;
        let alive = snapshot.entries.into_iter().filter_map(|(key, entry)| match key {
            Key::Orchestrator(id) => Some((id, entry.created)),
            _ => None,
        });
        Ok(alive.collect())
    }

    /// Where the keys are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// The store's life; part of every fencing token.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.inner.generation
    }

    /// Which store this is, for people and for files outside of it: root, namespace and cluster.
    #[must_use]
    pub fn store_name(&self) -> String {
        let Config { root, namespace, .. } = self.config();
        format!("{}/{namespace} on etcd cluster {}", root.trim_end_matches('/'), self.inner.cluster_id)
    }

    /// The clock that everything here is timed by.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.inner.etcd.config().clock.as_ref()
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.inner.etcd.config()
    }

    /// How many requests went to etcd so far, by method; messages on streams after the first as `… message`.
    #[must_use]
    pub fn traffic(&self) -> BTreeMap<String, u64> {
        self.inner.etcd.traffic()
    }

    /// The turns of starts in plans that bound how many tasks are in progress.
    pub(crate) fn starts(&self) -> &StartTurns<PlanName> {
        &self.inner.starts
    }

    /// The turns of the starts that take permits.
    pub(crate) fn pool_starts(&self) -> &StartTurns<PoolName> {
        &self.inner.pool_starts
    }

    pub(crate) fn etcd(&self) -> &Etcd {
        &self.inner.etcd
    }

    /// Reads the next two results of a reply, a whole queue and a term, and remembers the term.
    pub(crate) fn read_queue(&self, plan: &PlanName, reply: &mut Reply) -> Result<Queue, Error> {
        let (rows, _) = reply.rows();
        let queue = queue_of(self.layout(), plan, rows, reply.row());
        let term = Key::Plan(plan.clone(), PlanKey::Term);
        if let Some(unreadable) = queue.unreadable.iter().find(|unreadable| unreadable.key == term) {
            return Err(unreadable.clone().into());
        }
        self.remember_queue(plan, &queue);
        Ok(queue)
    }

    /// The term as it was last seen; `None` if it was not looked at yet.
    #[expect(clippy::option_option, reason = "not looked at yet, and looked at but not there, are different")]
    pub(crate) fn known_term(&self, plan: &PlanName) -> Option<Option<(Revision, TermRecord)>> {
        self.inner
            .terms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(plan)
            .map(|seen| seen.term.clone())
    }

    /// How long this process has known that the owner of this term is gone without having ended it.
    pub(crate) fn unowned_for(&self, plan: &PlanName, term: Revision) -> Option<Duration> {
        let terms = self.inner.terms.lock().unwrap_or_else(PoisonError::into_inner);
        let seen =
            terms.get(plan).filter(|seen| matches!(seen.term, Some((revision, _)) if revision == term))?;
        Some(seen.unowned_since?.until(self.clock().boot()))
    }

    /// Whether this process knows that the plan's last owner is gone without having ended its term.
    pub(crate) fn is_unowned(&self, plan: &PlanName) -> bool {
        let terms = self.inner.terms.lock().unwrap_or_else(PoisonError::into_inner);
        terms.get(plan).is_some_and(|seen| seen.unowned_since.is_some())
    }

    /// Remembers a term that this process has just written.
    pub(crate) fn remember_term(&self, plan: &PlanName, term: (Revision, TermRecord)) {
        let unowned = term::needs_lock_delay(&term.1) && term.1.ended.is_some();
        self.remember(plan, Some(term), unowned);
    }

    /// Remembers the term of a queue that was read, unless it is not known.
    pub(crate) fn remember_queue(&self, plan: &PlanName, queue: &Queue) {
        let term = Key::Plan(plan.clone(), PlanKey::Term);
        if queue.unreadable.iter().all(|unreadable| unreadable.key != term) {
            let unended = queue.term.as_ref().is_some_and(|(_, term)| term::needs_lock_delay(term));
            self.remember(plan, queue.term.clone(), unended && queue.owner().is_none());
        }
    }

    fn remember(&self, plan: &PlanName, term: Option<(Revision, TermRecord)>, unowned: bool) {
        let now = self.clock().boot();
        let mut terms = self.inner.terms.lock().unwrap_or_else(PoisonError::into_inner);
        if terms.len() >= TERMS_REMEMBERED && !terms.contains_key(plan) {
            terms.clear();
        }
        let revision = |term: &Option<(Revision, TermRecord)>| term.as_ref().map(|(revision, _)| *revision);
        let before = terms.get(plan).filter(|before| revision(&before.term) == revision(&term));
        let since = before.and_then(|before| before.unowned_since).unwrap_or(now);
        terms.insert(plan.clone(), SeenTerm { term, unowned_since: unowned.then_some(since) });
    }
}

/// Puts a queue together from the keys of the queue and the record of the term, as far as they can be read.
pub(crate) fn queue_of(layout: &Layout, plan: &PlanName, rows: Vec<Row>, term: Option<Entry>) -> Queue {
    let candidates: List<Candidate> = rows
        .into_iter()
        .filter_map(|(key, entry)| Some((layout.parse(&key)?, entry)))
        .map(|(key, entry)| match key {
            Key::Plan(_, PlanKey::Owner(lease) | PlanKey::Lock(_, lease)) => {
                Ok(Candidate::read(lease, &entry))
            }
            other => Err(Unreadable::new(other, &CodecError::UnknownKey)),
        })
        .collect();
    let key = Key::Plan(plan.clone(), PlanKey::Term);
    let term =
        term.map(|entry| unreadable::read(&key, &entry.value).map(|term| (entry.modified, term))).transpose();
    let mut unreadable = candidates.unreadable;
    let term = term.unwrap_or_else(|error| {
        unreadable.push(error);
        None
    });
    let mut queue = Queue::new(candidates.items, term);
    queue.unreadable = unreadable;
    queue
}

impl From<MemberStatus> for EndpointStatus {
    fn from(status: MemberStatus) -> Self {
        Self {
            version: status.version,
            db_size: u64::try_from(status.db_size).unwrap_or(0),
            is_learner: status.is_learner,
            has_leader: status.has_leader,
            alarms: status.alarms,
            revision: u64::try_from(status.revision).unwrap_or(0),
            cluster_id: format!("{:x}", status.cluster_id),
        }
    }
}

/// The numbers of a version, for comparing; unreadable parts count as 0.
#[must_use]
pub fn version_numbers(version: &str) -> [u32; 3] {
    let mut numbers =
        version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0)).chain(std::iter::repeat(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

fn check_version(status: &MemberStatus) -> Result<(), Error> {
    if version_numbers(&status.version) < version_numbers(OLDEST) {
        return Err(Error::ServerTooOld { version: status.version.clone(), needed: OLDEST });
    }
    Ok(())
}

impl Registered {
    /// The lease of its session.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.record.lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(version_numbers("3.4.0") <= version_numbers("3.4.23"));
        assert!(version_numbers("3.10.1") > version_numbers("3.9.9"));
        assert!(version_numbers("3.3.27") < version_numbers(OLDEST));
        assert_eq!(version_numbers("3.6.0-rc.1"), [3, 6, 0]);
        assert_eq!(version_numbers("nonsense"), [0, 0, 0]);
    }
}
