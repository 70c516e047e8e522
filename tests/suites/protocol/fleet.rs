//! What the tests of this suite share: coordinators on a room of their own, small plans, and the audit at the
//! end.

use std::time::Duration;

use planlease::{
    Authority, Config, Coordinator, Identity, Outcome, Ownership, PlanView, Session, TaskView, TryAcquire,
};
use planlease_core::{
    OrchestratorId, PlanName, TaskId,
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
use planlease_tests::{
    suite::Fixture,
    wait::{SOON, until},
};

/// A TTL that lets a test see an expiry without waiting long.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// A configuration for a store that nobody else uses.
pub(crate) fn config(fixture: &Fixture) -> Config {
    let endpoints = fixture.server.endpoints().iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    Config { root: format!("/{}", fixture.key("")), ttl: TTL, ..Config::with_endpoints(endpoints) }
}

pub(crate) async fn coordinator(fixture: &Fixture) -> Coordinator {
    Coordinator::connect(config(fixture)).await.unwrap()
}

/// A session of a process of its own, as far as etcd can see: with connections of its own.
pub(crate) async fn session(fixture: &Fixture, name: &str) -> Session {
    let id = OrchestratorId::new(name).unwrap();
    let identity = Identity { id: Some(id), ..Identity::of_process() };
    coordinator(fixture).await.open_session(identity).await.unwrap()
}

pub(crate) fn plan() -> PlanName {
    PlanName::new("a plan (with odd characters: ü)").unwrap()
}

pub(crate) fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
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

pub(crate) async fn imported(fixture: &Fixture) -> Coordinator {
    let coordinator = coordinator(fixture).await;
    coordinator.import(&plan(), &spec(), |_| {}).await.unwrap();
    coordinator
}

pub(crate) async fn try_acquire(session: &Session) -> Option<Box<Ownership>> {
    match session.try_acquire(&plan()).await.unwrap() {
        TryAcquire::Acquired(ownership) => Some(ownership),
        TryAcquire::HeldBy(_) | TryAcquire::Delayed(_) => None,
    }
}

#[track_caller]
pub(crate) fn committed(outcome: Outcome) -> TaskView {
    match outcome {
        Outcome::Committed(task) => task,
        other => panic!("not committed: {other:?}"),
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
pub(crate) async fn audit(fixture: &Fixture) -> planlease::Audited {
    let audited = coordinator(fixture).await.audit(|_| {}).await.unwrap();
    assert!(audited.complete);
    assert_eq!(audited.report.violations, []);
    assert!(audited.report.updates > 0, "the audit saw nothing");
    audited
}

/// Waits until the line for the plan has this many candidates.
pub(crate) async fn in_line(coordinator: &Coordinator, candidates: usize) {
    until("line of that length", SOON, async || {
        let found = coordinator.line(&plan()).await.unwrap().candidates().len();
        if found == candidates { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Something that goes on while the test does something else; awaited by the test.
#[expect(clippy::disallowed_methods, reason = "a test awaits what it spawns")]
pub(crate) fn background<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}
