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
    coordinator.import(&plan(), &spec(), |_| {}).await.unwrap();
    coordinator
}

pub(crate) async fn try_acquire(session: &Session) -> Option<Box<Ownership>> {
    match session.try_acquire(&plan()).await.unwrap() {
        TryAcquire::Acquired(ownership) => Some(ownership),
        TryAcquire::HeldBy(_) | TryAcquire::Delayed(_) => None,
    }
}

/// Starts and completes a task.
pub(crate) async fn execute(authority: &Authority, view: &PlanView, task: &str) -> TaskView {
    let started = committed(authority.start(view, &id(task)).await.unwrap());
    committed(
        authority.update(&started, Some(started.record.attempt), &Change::Complete(None)).await.unwrap(),
    )
}

/// The oracle: nothing in the history of this store breaks an invariant.
pub(crate) async fn audit(env: &TestEnv) -> planlease::Audited {
    let audited = env.coordinator().await.audit(|_| {}).await.unwrap();
    assert!(audited.complete);
    assert_eq!(audited.report.violations, []);
    assert!(audited.report.updates > 0, "the audit saw nothing");
    audited
}

/// Waits until the plan has this many candidates.
pub(crate) async fn in_queue(coordinator: &Coordinator, candidates: usize) {
    until("queue of that length", SOON, async || {
        let found = coordinator.line(&plan()).await.unwrap().candidates().len();
        if found == candidates { Ok(()) } else { Err(found) }
    })
    .await;
}
