//! What the scenarios share: a cluster with an owner of a plan and a waiter for it, and the
//! audit at the end.

use std::time::Duration;

use planlease::{
    AcquireOptions, Audited, Config, Coordinator, Error, Identity, Loss, Ownership, Session, TaskView,
    TryAcquire,
};
use planlease_core::{
    OrchestratorId, PlanName,
    spec::{PlanSpec, TaskSpec},
};
pub(crate) use planlease_tests::test_env::{background, committed, task_id as id};
use planlease_tests::{
    etcd::Etcd,
    wait::{SOON, until},
};
use tokio::{task::JoinHandle, time::Instant};

/// Short, so that a test sees expiries without waiting long; the shortest that leaves a margin on a busy
/// machine.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// By how much a takeover may be late: etcd looks for expired leases every half second, the deletion has to
/// be agreed on, the next one has to hear of it. On an idle machine all of it takes less than 1 s; on one
/// that compiles meanwhile, not.
pub(crate) const EXPIRY_LAG: Duration = Duration::from_secs(3);

/// How long a member waits before it stands for election, at most: twice etcd's default timeout.
pub(crate) const ELECTION: Duration = Duration::from_secs(2);

pub(crate) fn plan() -> PlanName {
    PlanName::new("release").unwrap()
}

/// A plan of `count` tasks without dependencies, 1 and up.
pub(crate) fn spec(count: usize) -> PlanSpec {
    let tasks = (1..=count).map(|n| TaskSpec::new(id(&n.to_string()), "work")).collect();
    PlanSpec { title: "work".into(), tasks, ..PlanSpec::default() }
}

/// Settings for these endpoints. An operation is given up so soon that a test can wait for that.
pub(crate) fn config(endpoints: &[String]) -> Config {
    let endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    Config::with_endpoints(endpoints)
        .ttl(TTL)
        .connect_timeout(Duration::from_secs(1))
        .request_timeout(Duration::from_secs(1))
        .operation_timeout(Duration::from_secs(8))
}

/// A coordinator past all proxies.
pub(crate) async fn observer(etcd: &Etcd) -> Coordinator {
    connected(config(&etcd.endpoints())).await
}

/// A coordinator through the proxies.
pub(crate) async fn exposed(etcd: &Etcd) -> Coordinator {
    connected(config(&etcd.proxied_endpoints())).await
}

pub(crate) async fn connected(config: Config) -> Coordinator {
    Coordinator::connect(config).await.unwrap()
}

pub(crate) async fn session(coordinator: &Coordinator, name: &str) -> Session {
    let identity = Identity::of_process().id(OrchestratorId::new(name).unwrap());
    coordinator.open_session(identity).await.unwrap()
}

pub(crate) async fn acquired(session: &Session) -> Box<Ownership> {
    match session.try_acquire(&plan()).await.unwrap() {
        TryAcquire::Acquired(ownership) => ownership,
        busy => panic!("not acquired: {busy:?}"),
    }
}

/// The ownership, and when it began.
pub(crate) type Acquired = Result<(Ownership, Instant), Error>;

/// Joins the queue for the plan.
pub(crate) fn waits(session: &Session) -> JoinHandle<Acquired> {
    let session = session.clone();
    background(async move {
        let ownership = session.acquire(&plan(), AcquireOptions::default()).await?;
        Ok((ownership, Instant::now()))
    })
}

/// Waits for the end of an ownership: why, when, and the ownership.
pub(crate) fn ends(ownership: Box<Ownership>) -> JoinHandle<(Loss, Instant, Box<Ownership>)> {
    background(async move {
        let loss = ownership.lost().await;
        (loss, Instant::now(), ownership)
    })
}

/// Waits for the next renewal: from then on everything is counted from the last one, not from the beginning.
pub(crate) async fn renewed(session: &Session) {
    let mut status = session.watch_status();
    status.mark_unchanged();
    tokio::time::timeout(SOON, status.changed()).await.expect("a renewal").unwrap();
}

/// Waits until the plan has this many candidates.
pub(crate) async fn in_queue(observer: &Coordinator, candidates: usize) {
    until("queue of that length", SOON, async || {
        let found = observer.queue(&plan()).await.unwrap().candidates().len();
        if found == candidates { Ok(()) } else { Err(found) }
    })
    .await;
}

/// An owner of the plan, connected through the proxies, that has started a task, and a waiter past
/// them.
pub(crate) struct Pair {
    pub(crate) observer: Coordinator,
    pub(crate) exposed: Coordinator,
    pub(crate) owner: Box<Ownership>,
    pub(crate) started: TaskView,
    pub(crate) next: Session,
    pub(crate) waiting: JoinHandle<Acquired>,
}

impl Pair {
    /// `patience`: the TTL of the one who waits.
    pub(crate) async fn on(etcd: &Etcd, patience: Duration) -> Self {
        let observer = observer(etcd).await;
        observer.admin().import(&plan(), &spec(3), |_| {}).await.unwrap();
        let exposed = exposed(etcd).await;
        let owner = acquired(&session(&exposed, "owner").await).await;
        let view = exposed.plan(&plan()).await.unwrap();
        let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
        let patient = connected(config(&etcd.endpoints()).ttl(patience)).await;
        let next = session(&patient, "next").await;
        let waiting = waits(&next);
        in_queue(&observer, 2).await;
        Self { observer, exposed, owner, started, next, waiting }
    }
}

/// The successor finds the orphan of its predecessor and brings the plan to its end.
pub(crate) async fn finishes(ownership: Ownership) {
    let (recovered, mut view) = ownership.recover().await.unwrap();
    assert_eq!(recovered.len(), 1, "the task that was in progress");
    let authority = ownership.authority();
    loop {
        let Some(task) = view.ready().next().cloned() else { break };
        let started = committed(authority.start(&view, &task).await.unwrap());
        let done = planlease_core::transition::Change::Complete(None);
        committed(authority.update_attempt(&started, started.record.attempt, &done).await.unwrap());
        view = ownership.session().coordinator().plan(&plan()).await.unwrap();
    }
    assert!(view.summary().is_finished(), "{:?}", view.summary());
    ownership.release().await.unwrap();
}

/// The oracle: nothing in the history of the store breaks an invariant. Asked past all proxies.
pub(crate) async fn audit(etcd: &Etcd) -> Audited {
    let audited = observer(etcd).await.admin().audit(|_| {}).await.unwrap();
    assert_eq!(audited.report.violations, []);
    assert!(audited.report.updates > 0 || !audited.complete, "the audit saw nothing");
    audited
}

/// One line per takeover, which says how long it took.
pub(crate) fn report_takeover(after: &str, took: Duration) {
    println!("measured: takeover after {after}: {:.2} s (ttl {} s)", took.as_secs_f64(), TTL.as_secs());
}
