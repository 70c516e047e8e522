//! What the scenarios share: a cluster with somebody who owns a plan and somebody who waits for it, and the
//! audit at the end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    time::Duration,
};

use planlease::{
    AcquireOptions, Audited, Config, Coordinator, Error, Identity, Loss, Outcome, Ownership, Session,
    TaskView, TryAcquire,
};
use planlease_core::{
    OrchestratorId, PlanName, TaskId,
    spec::{PlanSpec, TaskSpec},
};
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

/// No scenario takes longer; one that does hangs.
const LIMIT: Duration = Duration::from_secs(100);

/// Lists scenarios, functions `async fn()`, under the kind of cluster that they start.
#[macro_export]
macro_rules! scenarios {
    ($($group:literal: [$($test:ident),* $(,)?]),* $(,)?) => {
        vec![$($((
            concat!($group, "::", stringify!($test)),
            (|| $crate::fleet::run(concat!($group, "::", stringify!($test)), $test())) as fn(),
        )),*),*]
    };
}

/// Runs a scenario on a runtime of its own. A failure says how to see it again; the data of its clusters is
/// kept.
pub(crate) fn run(name: &str, scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            // Dropped by the panic, not before it: clusters keep their data then.
            let mut scenario = pin!(scenario);
            tokio::time::timeout(LIMIT, &mut scenario).await.expect("not done in time");
        });
    }));
    // What a failed scenario left behind may wait for ever.
    runtime.shutdown_background();
    if let Err(panic) = outcome {
        println!("again: cargo test -p planlease-tests --test faults -- --exact {name}");
        resume_unwind(panic);
    }
}

/// Something that goes on while the test does something else; awaited by the test.
#[expect(clippy::disallowed_methods, reason = "a test awaits what it spawns")]
pub(crate) fn background<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(future)
}

pub(crate) fn plan() -> PlanName {
    PlanName::new("release").unwrap()
}

pub(crate) fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

/// A plan of `count` tasks without dependencies, 1 and up.
pub(crate) fn spec(count: usize) -> PlanSpec {
    let tasks = (1..=count).map(|n| TaskSpec::new(id(&n.to_string()), "work")).collect();
    PlanSpec { title: "work".into(), tasks, ..PlanSpec::default() }
}

/// Settings for these endpoints. An operation is given up so soon that a test can wait for that.
pub(crate) fn config(endpoints: &[String]) -> Config {
    let endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    Config {
        ttl: TTL,
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(1),
        operation_timeout: Duration::from_secs(8),
        ..Config::with_endpoints(endpoints)
    }
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
    let identity = Identity { id: Some(OrchestratorId::new(name).unwrap()), ..Identity::of_process() };
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

/// Joins the line for the plan.
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

/// Waits until this many are in line for the plan.
pub(crate) async fn in_line(observer: &Coordinator, candidates: usize) {
    until("line of that length", SOON, async || {
        let found = observer.line(&plan()).await.unwrap().candidates().len();
        if found == candidates { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Somebody who owns the plan through the proxies and has started a task, and somebody who waits for it past
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
        observer.import(&plan(), &spec(3), |_| {}).await.unwrap();
        let exposed = exposed(etcd).await;
        let owner = acquired(&session(&exposed, "owner").await).await;
        let view = exposed.plan(&plan()).await.unwrap();
        let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
        let patient = connected(Config { ttl: patience, ..config(&etcd.endpoints()) }).await;
        let next = session(&patient, "next").await;
        let waiting = waits(&next);
        in_line(&observer, 2).await;
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
        committed(authority.update(&started, Some(started.record.attempt), &done).await.unwrap());
        view = ownership.session().coordinator().plan(&plan()).await.unwrap();
    }
    assert!(view.summary().is_finished(), "{:?}", view.summary());
    ownership.release().await.unwrap();
}

#[track_caller]
pub(crate) fn committed(outcome: Outcome) -> TaskView {
    match outcome {
        Outcome::Committed(task) => task,
        other => panic!("not committed: {other:?}"),
    }
}

/// The oracle: nothing in the history of the store breaks an invariant. Asked past all proxies.
pub(crate) async fn audit(etcd: &Etcd) -> Audited {
    let audited = observer(etcd).await.audit(|_| {}).await.unwrap();
    assert_eq!(audited.report.violations, []);
    assert!(audited.report.updates > 0 || !audited.complete, "the audit saw nothing");
    audited
}

/// One line per takeover: they are read by whoever asks how long one takes.
pub(crate) fn tell_takeover(after: &str, took: Duration) {
    println!("measured: takeover after {after}: {:.2} s (ttl {} s)", took.as_secs_f64(), TTL.as_secs());
}
