//! What stands outside the simulated hosts: the record of what happened, and the resource that the work is
//! done on.
//!
//! Nothing of it is seen by the code under test.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hasher as _},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use planlease::{
    Config, Coordinator, Error, Identity, RenewalRuntime, Session,
    core::{FencingToken, LockToken, Namespace, PlanName, TermNumber, keys::Layout},
};
use planlease_oracle::{Client, History, Journal};
use rand::{SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

use crate::{
    clock::HostClock, disk::Disk, hosts::steering::Moved, invariants::watchers::Delivered, network,
    options::Options,
};

/// How long a host waits before it tries again what did not work.
pub const AGAIN: Duration = Duration::from_millis(500);

/// The record of a run, and the resource that the work changes.
#[derive(Debug)]
pub struct World {
    /// The options of the run.
    pub options: Options,
    /// Everything that was written.
    pub history: History,
    /// The answers to the clients.
    pub journal: Journal,
    /// The server's disk.
    pub disk: Disk,
    /// Where the work is done.
    pub office: Office,
    /// The same for what is done under locks.
    pub desk: Office,
    /// The server is to compact, and to revoke.
    pub compact: Notify,
    /// The leases that were revoked from outside.
    pub revoked: Mutex<BTreeSet<i64>>,
    /// The hosts whose leases are to be revoked.
    pub revoke: Mutex<Vec<String>>,
    /// What each watcher's subscribers received.
    pub delivered: Mutex<BTreeMap<String, Vec<Delivered>>>,
    /// What came of requests to move plans.
    pub moved: Mutex<Vec<Moved>>,
    clocks: BTreeMap<String, HostClock>,
    starts: Mutex<BTreeMap<String, u64>>,
    /// When faults were over.
    pub healed: OnceLock<Duration>,
    /// When the run was over.
    pub ended: OnceLock<Duration>,
    finished: AtomicBool,
    problems: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

/// One start of a host: what distinguishes it from the one before.
#[derive(Clone, Debug)]
pub struct Life {
    /// The host.
    pub host: String,
    /// Which start of it, from 1.
    pub start: u64,
    /// A seed of its own.
    pub seed: u64,
}

impl World {
    /// A new one, with these hosts.
    #[must_use]
    pub fn new(options: Options, hosts: &[String]) -> Self {
        let clock = |(index, host): (usize, &String)| {
            // Half of the clocks are too slow, half too fast, and no two wall clocks agree.
            let sign = if index % 2 == 0 { -1 } else { 1 };
            let off = i64::try_from(index).unwrap_or(0) * 3_600_000 * sign;
            (host.clone(), HostClock::new(sign * options.drift_ppm, off))
        };
        Self {
            history: History::timed(Layout::new("/planlease", &Namespace::default()), now),
            journal: Journal::new(now),
            disk: Disk::default(),
            office: Office::default(),
            desk: Office::default(),
            compact: Notify::new(),
            revoked: Mutex::default(),
            revoke: Mutex::default(),
            delivered: Mutex::default(),
            moved: Mutex::default(),
            clocks: hosts.iter().enumerate().map(clock).collect(),
            starts: Mutex::default(),
            healed: OnceLock::new(),
            ended: OnceLock::new(),
            finished: AtomicBool::new(false),
            problems: Mutex::default(),
            counts: Mutex::default(),
            options,
        }
    }

    /// A host starts.
    #[must_use]
    pub fn start(&self, host: &str) -> Life {
        let mut starts = lock(&self.starts);
        let start = starts.entry(host.to_owned()).or_default();
        *start += 1;
        let seed = hash(&(self.options.seed, host, *start));
        Life { host: host.to_owned(), start: *start, seed }
    }

    /// The clock of a host.
    ///
    /// # Panics
    /// If there is no such host.
    #[must_use]
    pub fn clock(&self, host: &str) -> &HostClock {
        &self.clocks[host]
    }

    /// How far the clocks of all hosts jumped in all.
    #[must_use]
    pub fn jumped(&self) -> Duration {
        self.clocks.values().map(HostClock::jumped).sum()
    }

    /// Connects as a user would, and tries until it succeeds.
    pub async fn connect(&self, life: &Life) -> Coordinator {
        loop {
            match Coordinator::connect(self.config(life)).await {
                Ok(coordinator) => return coordinator,
                Err(error) => self.expect(&life.host, "connect", &error),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn config(&self, life: &Life) -> Config {
        let options = &self.options;
        Config::with_endpoints(vec![network::endpoint()])
            .ttl(options.ttl)
            .margin(options.margin)
            .request_timeout(options.request_timeout)
            .connect_timeout(options.request_timeout)
            .operation_timeout(options.operation_timeout)
            .seed(life.seed)
            .clock(Arc::new(self.clock(&life.host).clone()))
            .connector(Arc::new(network::SimulatedNetwork))
            .renewals(RenewalRuntime::Ambient) // Simulated time is the time of one runtime.
    }

    /// Opens a session, and tries until it succeeds.
    pub async fn session(&self, coordinator: &Coordinator, life: &Life) -> Session {
        loop {
            match coordinator.open_session(self.identity(life)).await {
                Ok(session) => return session,
                Err(error) => self.expect(&life.host, "open a session", &error),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Who a host is.
    #[must_use]
    pub fn identity(&self, life: &Life) -> Identity {
        let pid = u32::try_from(life.start).unwrap_or(u32::MAX);
        Identity::default().host(life.host.clone()).pid(pid)
    }

    /// A client of the oracle for a host.
    #[must_use]
    pub fn client(&self, life: &Life) -> Client {
        Client::new(format!("{}.{}", life.host, life.start), self.journal.clone())
    }

    /// From now on nothing goes wrong any more.
    pub fn heal(&self, now: Duration) {
        self.healed.get_or_init(|| now);
    }

    /// The run is over.
    pub fn end(&self, now: Duration) {
        self.ended.get_or_init(|| now);
    }

    /// Whether faults are over.
    #[must_use]
    pub fn is_healed(&self) -> bool {
        self.healed.get().is_some()
    }

    /// Every plan has come to its end.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    /// Whether every plan has come to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// An error that a user has to expect while things go wrong. Others are problems.
    pub fn expect(&self, host: &str, doing: &str, error: &Error) {
        self.count(match error {
            Error::Unreachable(_) => "unreachable",
            Error::OutcomeUnknown(_) => "outcome unknown",
            Error::AuthorityLost(_) if error.is_session_lost() => "session lost",
            Error::AuthorityLost(_) => "ownership lost",
            Error::TimedOut(_) => "timed out",
            Error::HeldLocally(_) | Error::LockedLocally { .. } => "held locally",
            Error::LockLost { .. } => "lock lost",
            Error::PlanNotFound(_) => "plan not found",
            Error::PlanOwned { .. } => "plan owned",
            Error::NotOwned(_) | Error::OtherOwner { .. } => "not owned",
            Error::HandOver(_) => "no hand-over",
            Error::PlanExists(_) | Error::ImportUnderWay { .. } => "plan exists",
            Error::Compacted => "compacted",
            Error::Cordoned { .. } => "cordoned",
            Error::CannotMove { .. } => "cannot move",
            other => return self.problem(format!("{host} could not {doing}: {other} ({other:?})")),
        });
    }

    /// Something that must not be.
    pub fn problem(&self, text: String) {
        let at = turmoil::sim_elapsed().unwrap_or_default();
        lock(&self.problems).push(format!("at {at:?}: {text}"));
    }

    /// Everything that must not have been, so far.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        lock(&self.problems).clone()
    }

    /// Counts something.
    pub fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }
}

/// A number that depends on the value alone.
#[must_use]
pub fn hash(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A generator that depends on the value alone.
#[must_use]
pub fn random(value: &impl std::hash::Hash) -> StdRng {
    StdRng::seed_from_u64(hash(value))
}

/// The time of the simulation.
fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The resource outside etcd on which the work of plans is done, never by two at once. It
/// has no fence; it only writes down who is there, under which token, from when to when.
#[derive(Debug, Default)]
pub struct Office {
    /// All work that was ever done there.
    pub shifts: Mutex<Vec<Shift>>,
}

/// Work on a plan under the authority of one ownership.
#[derive(Clone, Debug)]
pub struct Shift {
    /// The plan.
    pub plan: PlanName,
    /// The token.
    pub token: FencingToken,
    /// Who works.
    pub who: String,
    /// Since when.
    pub began: Duration,
    /// Until when; `None` if the worker was killed, or works still.
    pub ended: Option<Duration>,
}

/// Work under way. Dropping it ends the work.
#[derive(Debug)]
#[must_use = "work ends when it is dropped"]
pub struct AtWork {
    world: Arc<World>,
    at: fn(&World) -> &Office,
    index: usize,
}

impl Office {
    /// Begins work on a plan under this token.
    pub fn enter(world: &Arc<World>, plan: &PlanName, token: FencingToken, who: &str) -> AtWork {
        Self::enter_at(world, |world| &world.office, plan, token, who)
    }

    /// Begins work under a lock of a plan.
    pub fn enter_desk(world: &Arc<World>, plan: &PlanName, token: LockToken, who: &str) -> AtWork {
        // The desk is an office of its own: its tokens meet no plan's.
        let LockToken { generation, revision } = token;
        let token = FencingToken { generation, term: TermNumber(revision.get()) };
        Self::enter_at(world, |world| &world.desk, plan, token, who)
    }

    fn enter_at(
        world: &Arc<World>,
        at: fn(&World) -> &Self,
        plan: &PlanName,
        token: FencingToken,
        who: &str,
    ) -> AtWork {
        let mut shifts = lock(&at(world).shifts);
        let began = now();
        shifts.push(Shift { plan: plan.clone(), token, who: who.to_owned(), began, ended: None });
        AtWork { world: Arc::clone(world), at, index: shifts.len() - 1 }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // Outside the simulation's time: its host was killed.
        if let Some(now) = turmoil::sim_elapsed() {
            lock(&(self.at)(&self.world).shifts)[self.index].ended = Some(now);
        }
    }
}
