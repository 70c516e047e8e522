//! What the tests of this suite share: a small plan, its import, and the audit at the end.

use std::time::Duration;

use planlease::{Authority, Coordinator, Ownership, PlanView, Session, TaskView, TryAcquire};
use planlease_core::{
    PlanName,
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
pub(crate) use planlease_tests::test_env::{background, committed, task_id as id};
use planlease_tests::{
    TestEnv,
    wait::{SOON, until},
};

/// A TTL that lets a test see an expiry without waiting long.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// The shortest TTL with which sessions also last behind `etcd grpc-proxy`, which answers renewals late.
pub(crate) const PROXIED: Duration = Duration::from_secs(5);

pub(crate) fn plan() -> PlanName {
    PlanName::new("a plan (with odd characters: ü)").unwrap()
}

/// Tasks 1, 2 and 3; 2 and 3 depend on 1.
pub(crate) fn spec() -> PlanSpec {
    let task = |name: &str, depends_on: &[&str]| TaskSpec {
        depends_on: depends_on.iter().map(|name| id(name)).collect(),
        ..TaskSpec::new(id(name), format!("task {name}"))
    };
    PlanSpec {
        title: "three tasks".into(),
        tasks: vec![task("1", &[]), task("2", &["1"]), task("3", &["1"])],
        ..PlanSpec::default()
    }
}

pub(crate) async fn imported(env: &TestEnv) -> Coordinator {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    coordinator
}

pub(crate) async fn try_acquire(session: &Session) -> Option<Box<Ownership>> {
    match session.try_acquire(&plan()).await.unwrap() {
        TryAcquire::Acquired(ownership) => Some(ownership),
        TryAcquire::HeldBy(_) | TryAcquire::Delayed(_) => None,
    }
}

/// Waits until the session has sent its first message of each of these methods: the connection for them
/// stands then. Making one costs requests of its own, whenever it is made.
pub(crate) async fn connected(session: &Session, methods: &[&str]) {
    until("connections", SOON, async || {
        let traffic = session.coordinator().traffic();
        let missing: Vec<_> = methods.iter().filter(|method| !traffic.contains_key(**method)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
}

/// Starts and completes a task.
pub(crate) async fn execute(authority: &Authority, view: &PlanView, task: &str) -> TaskView {
    let started = committed(authority.start(view, &id(task)).await.unwrap());
    committed(
        authority.update_attempt(&started, started.record.attempt, &Change::Complete(None)).await.unwrap(),
    )
}

/// The oracle: nothing in the history of this store breaks an invariant.
pub(crate) async fn audit(env: &TestEnv) -> planlease::Audited {
    let audited = env.coordinator().await.admin().audit(|_| {}).await.unwrap();
    assert!(audited.complete);
    assert_eq!(audited.report.violations, []);
    assert!(audited.report.updates > 0, "the audit saw nothing");
    audited
}

/// Waits until the plan has this many candidates.
pub(crate) async fn in_queue(coordinator: &Coordinator, candidates: usize) {
    until("queue of that length", SOON, async || {
        let found = coordinator.queue(&plan()).await.unwrap().candidates().len();
        if found == candidates { Ok(()) } else { Err(found) }
    })
    .await;
}
