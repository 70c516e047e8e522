//! The library and the watcher against a server that lies: nothing panics, nothing goes on for ever or in
//! circles, and no write is said to have happened unless the server said so.

use std::{sync::Arc, time::Duration};

use bolero::{TypeGenerator, check};
use planlease::{
    Authority, Config, Coordinator, Feed, Findings, Identity, Outcome, Ownership, PlanView, RenewalRuntime,
    TryAcquire, clock::TokioClock, config::Endpoint,
};
use planlease_core::{
    OrchestratorId, PlanName, Revision, TaskId,
    keys::{Key, PlanKey},
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
use planlease_embedded::{Options, Server};
use planlease_fuzz::{
    INPUT_BYTES,
    deadline::Deadline,
    faulty_server::{FaultyServer, Lie, Lies, MOST_REQUESTS},
    panics,
    protobuf::{self, Number},
};
use planlease_watcher::{Filter, Watcher};
use tokio::time::timeout;

/// How long one input may take on a busy machine: some hundred requests, in memory.
const EACH: Duration = Duration::from_secs(60);

/// How long one operation of the library may take, by the clock that stands still: its own timeouts are below
/// it.
const OPERATION: Duration = Duration::from_secs(120);

/// How long a subscriber listens to what has no end of its own.
const LISTEN: Duration = Duration::from_secs(30);

fn plan(name: &str) -> PlanName {
    PlanName::new(name).expect("a name")
}

fn spec() -> PlanSpec {
    let tasks = ["1.1", "1.2", "1.3"].map(|id| TaskSpec::new(TaskId::new(id).expect("an id"), "do it"));
    PlanSpec { title: "T".into(), tasks: tasks.into(), ..PlanSpec::default() }
}

/// Waits for an operation, which has to come to an end by itself.
async fn ends<T>(what: &str, operation: impl Future<Output = T>) -> T {
    timeout(OPERATION, Box::pin(operation)).await.unwrap_or_else(|_| panic!("{what} does not end"))
}

/// Waits for what may well go on for ever, for a while.
async fn a_while<T>(operation: impl Future<Output = T>) -> Option<T> {
    timeout(LISTEN, Box::pin(operation)).await.ok()
}

/// A test on a real server behind a proxy that has changed nothing so far.
fn run(test: impl AsyncFnOnce(&FaultyServer, &Coordinator)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    panics::none_in(|| {
        runtime.expect("a runtime").block_on(async {
            let server = Server::open(Options::in_memory(1)).await.expect("it is in memory");
            let (faulty, serving) = FaultyServer::before(server.channel());
            tokio::select! {
                biased; // The one in the middle has no end.
                ended = serving => panic!("the one in the middle ended: {ended:?}"),
                () = async {
                    let coordinator = connect(&faulty).await.expect("nothing is changed yet");
                    coordinator.admin().import(&plan("p"), &spec(), |_| {}).await.expect("it is sound");
                    Box::pin(test(&faulty, &coordinator)).await;
                } => {}
            }
            server.close().await;
        });
    });
}

async fn connect(faulty: &FaultyServer) -> Result<Coordinator, planlease::Error> {
    let config = Config::with_endpoints(vec![Endpoint::Http("faulty:1".into())])
        .connector(Arc::new(faulty.clone()))
        .clock(Arc::new(TokioClock::start()))
        .renewals(RenewalRuntime::Ambient) // Its time is paused.
        .seed(1);
    Coordinator::connect(config).await
}

fn identity(name: &str) -> Identity {
    Identity::of_process().id(OrchestratorId::new(name).expect("a name"))
}

/// Lies, and what is done meanwhile.
#[derive(Clone, Debug, TypeGenerator)]
struct Case {
    lies: Lies,
    restarts: bool,
}

fn check_all(test: impl AsyncFn(&FaultyServer, &Coordinator) + std::panic::RefUnwindSafe) {
    let deadline = Deadline::of(EACH);
    check!().with_test_time(Duration::from_secs(4)).with_max_len(INPUT_BYTES).with_type::<Case>().for_each(
        |case| {
            deadline.within(case.clone(), || {
                run(async |faulty, honest| {
                    faulty.begin(&case.lies);
                    let restarts =
                        if case.restarts { ends("connect", connect(faulty)).await.ok() } else { None };
                    let coordinator = restarts.as_ref().unwrap_or(honest);
                    test(faulty, coordinator).await;
                    let asked = coordinator.traffic();
                    assert!(faulty.requests() <= MOST_REQUESTS, "it asks without a pause: {asked:?}");
                });
            });
        },
    );
}

#[test]
fn reads_end_under_any_answer() {
    check_all(async |_, coordinator| {
        let name = plan("p");
        drop(ends("plans", coordinator.plans()).await);
        drop(ends("plan", coordinator.plan(&name)).await);
        drop(ends("line", coordinator.queue(&name)).await);
        drop(ends("past terms", coordinator.history(&name).terms()).await);
        drop(ends("orchestrators", coordinator.orchestrators()).await);
        drop(ends("findings", coordinator.findings(&name, &TaskId::new("1.1").unwrap())).await);
        drop(ends("snapshot", coordinator.raw().snapshot(&coordinator.layout().everything())).await);
        drop(ends("diagnose", Coordinator::diagnose(coordinator.config().clone())).await);
        drop(ends("adopt", Coordinator::adopt_store(coordinator.config().clone())).await);
    });
}

/// What was committed was stated.
fn stated(faulty: &FaultyServer, outcome: Result<Outcome, planlease::Error>) {
    if let Ok(Outcome::Committed(view)) = outcome {
        assert!(faulty.has_stated(view.record.op_id), "the server did not say so: {view:?}");
    }
}

async fn write(faulty: &FaultyServer, authority: &Authority, view: &PlanView) {
    for task in view.tasks().values() {
        stated(faulty, ends("start", authority.start(view, &task.id)).await);
        stated(faulty, ends("update", authority.update(task, &Change::Progress("half".into()))).await);
        let decide = |_: &_| Some(Change::Complete(None));
        stated(faulty, ends("modify", authority.modify(&task.id, decide)).await);
        drop(
            ends("write findings", authority.write_findings(&task.id, &Findings::of_attempt(1, "text")))
                .await,
        );
    }
    let all: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    for outcome in ends("update all", authority.update_all(&all)).await.into_iter().flatten() {
        stated(faulty, Ok(outcome));
    }
}

async fn own(faulty: &FaultyServer, ownership: Box<Ownership>) {
    if let Ok((_, view)) = ends("recover", ownership.recover()).await {
        write(faulty, &ownership.authority(), &view).await;
    }
    drop(ends("explain", ownership.explain_loss()).await);
    drop(ends("release", ownership.release()).await);
}

#[test]
fn writes_end_and_say_nothing_that_was_not_said() {
    check_all(async |faulty, coordinator| {
        let name = plan("p");
        if let Ok(session) = ends("open a session", coordinator.open_session(identity("o"))).await {
            match ends("acquire", session.try_acquire(&name)).await {
                Ok(TryAcquire::Acquired(ownership)) => own(faulty, ownership).await,
                Ok(TryAcquire::HeldBy(_) | TryAcquire::Delayed(_)) | Err(_) => {}
            }
            a_while(session.lost()).await;
            drop(ends("close", session.close()).await);
        }
        if let Ok(view) = ends("plan", coordinator.plan(&name)).await
            && let Ok(authority) = coordinator.operator(&view, "op")
        {
            write(faulty, &authority, &view).await;
        }
        drop(ends("import", coordinator.admin().import(&plan("q"), &spec(), |_| {})).await);
        drop(ends("delete", coordinator.admin().delete(&plan("q"))).await);
    });
}

#[test]
fn queueing_continues_unhurried_under_any_answer() {
    check_all(async |_, coordinator| {
        let opened = [
            ends("open", coordinator.open_session(identity("a"))).await,
            ends("open", coordinator.open_session(identity("b"))).await,
        ];
        let [Ok(first), Ok(second)] = opened else { return };
        let owned = a_while(first.acquire(&plan("p"), planlease::AcquireOptions::default())).await;
        let name = plan("p");
        let waiting = second.acquire(&name, planlease::AcquireOptions::default());
        tokio::select! {
            biased; // The second one has to wait for the first, if that owns.
            waited = a_while(waiting) => drop(waited),
            () = async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                drop(owned);
                std::future::pending::<()>().await;
            } => {}
        }
        drop(ends("close", first.close()).await);
        drop(ends("close", second.close()).await);
    });
}

#[test]
fn a_watcher_follows_unhurried_under_any_answer() {
    check_all(async |_, coordinator| {
        let watcher = Watcher::start(coordinator.clone());
        if let Some(Ok(mut subscription)) = a_while(watcher.subscribe(Filter::default(), None)).await {
            let mut held = None;
            let changes = async {
                while let Some(delivery) = subscription.next().await {
                    let revision = match delivery {
                        planlease_watcher::Delivery::Snapshot(snapshot, _) => snapshot.revision(),
                        planlease_watcher::Delivery::Changes(set) => set.revision,
                    };
                    assert!(
                        held.is_none_or(|held| held <= revision),
                        "it went back from {held:?} to {revision}"
                    );
                    held = Some(revision);
                }
            };
            let stir = async {
                for n in 0..4 {
                    let name = plan(&format!("w{n}"));
                    drop(coordinator.admin().import(&name, &spec(), |_| {}).await);
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased; // What is delivered counts before what is done.
                () = async { a_while(changes).await; } => {}
                () = stir => {}
            }
        }
        drop(ends("close", watcher.close()).await);
    });
}

#[test]
fn an_audit_reads_unhurried_under_any_answer() {
    check_all(async |_, coordinator| {
        drop(a_while(coordinator.admin().audit(|_| {})).await);
    });
}

/// Reads the whole history for a while, and expects it in order.
async fn in_order(coordinator: &Coordinator) {
    let everything = coordinator.layout().everything();
    let mut changes = coordinator.raw().changes(everything, Revision::from_wire(1).expect("it is positive"));
    let mut next = 1;
    let read = async {
        while let Ok(feed) = changes.next().await {
            let Feed::Changes(sets) = feed else { continue };
            for set in sets {
                assert!(set.revision.get() >= next, "revision {} after {}", set.revision, next - 1);
                next = set.revision.get() + 1;
            }
        }
    };
    a_while(read).await;
}

#[test]
fn changes_arrive_in_order_under_any_answer() {
    check_all(async |_, coordinator| in_order(coordinator).await);
}

#[test]
fn changes_arrive_in_order_with_any_number_altered() {
    let deadline = Deadline::of(EACH);
    for which in 0..40 {
        let change = protobuf::Change::Number(which, Number::Small(200));
        let lies = Lies { lies: vec![(0, Lie::Changed(vec![change]))], insists: true };
        deadline.within(which, || {
            run(async |faulty, coordinator| {
                faulty.begin(&lies);
                in_order(coordinator).await;
            });
        });
    }
}

/// Has every message say the same wrong thing in one field, for each of the first fields of the message and
/// of those in it.
fn with_one_field_wrong(number: Number, test: impl AsyncFn(&Coordinator)) {
    let deadline = Deadline::of(EACH);
    for within in 0..6 {
        for field in 0..8 {
            let change = protobuf::Change::More { within, field, number };
            let lies = Lies { lies: vec![(0, Lie::Changed(vec![change]))], insists: true };
            deadline.within(lies.clone(), || {
                run(async |faulty, coordinator| {
                    faulty.begin(&lies);
                    test(coordinator).await;
                    assert!(faulty.requests() <= MOST_REQUESTS, "it asks without a pause: {lies:?}");
                });
            });
        }
    }
}

/// 1 is a yes, too: to "there is more", to "cancelled".
const YES: Number = Number::Edge(1);

/// The largest number that etcd could send.
const LAST: Number = Number::Edge(2);

#[test]
fn a_server_that_always_agrees_causes_no_busy_loop() {
    with_one_field_wrong(YES, async |coordinator| {
        drop(ends("plans", coordinator.plans()).await);
        drop(ends("snapshot", coordinator.raw().snapshot(&coordinator.layout().everything())).await);
        let watcher = Watcher::start(coordinator.clone());
        a_while(watcher.ended()).await;
        drop(ends("close", watcher.close()).await);
        if let Ok(session) = ends("open", coordinator.open_session(identity("o"))).await {
            if let Ok(TryAcquire::Acquired(ownership)) =
                ends("acquire", session.try_acquire(&plan("p"))).await
            {
                a_while(ownership.lost()).await;
            }
            drop(ends("close", session.close()).await);
        }
    });
}

#[test]
fn the_largest_numbers_of_all_are_taken_as_any_others() {
    with_one_field_wrong(LAST, async |coordinator| {
        let watcher = Watcher::start(coordinator.clone());
        a_while(watcher.ended()).await;
        drop(ends("close", watcher.close()).await);
        if let Ok(session) = ends("open", coordinator.open_session(identity("o"))).await {
            drop(ends("acquire", session.try_acquire(&plan("p"))).await);
            drop(ends("close", session.close()).await);
        }
    });
}

#[test]
fn an_unmanaged_candidate_causes_no_busy_loop() {
    run(async |faulty, coordinator| {
        let layout = coordinator.layout();
        let of = |rest: &str| format!("{}/{rest}", layout.election(&plan("p")));
        let unmanaged = layout.parse(of("unmanaged").as_bytes());
        assert!(matches!(unmanaged, Some(Key::Plan(_, PlanKey::Unknown(_)))), "{unmanaged:?}");
        assert!(
            layout.parse(of("a").as_bytes())
                == Some(Key::Plan(plan("p"), PlanKey::Owner("a".parse().unwrap())))
        );
        faulty.put(of("unmanaged").into_bytes()).await;
        faulty.begin(&Lies { lies: Vec::new(), insists: false });
        let session = coordinator.open_session(identity("o")).await.unwrap();
        drop(a_while(session.try_acquire(&plan("p"))).await);
        drop(a_while(session.acquire(&plan("p"), planlease::AcquireOptions::default())).await);
        assert!(faulty.requests() <= MOST_REQUESTS, "it asks without a pause");
    });
}
