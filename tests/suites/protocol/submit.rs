//! Submitting updates: decided again after a conflict, for as long as that is bounded; carried out once,
//! however often the same request is submitted.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use planlease::{
    Authority, Config, Coordinator, Delegation, Identity, Outcome, Refused, UpdateRequest,
    clock::{Clock, SystemClock},
};
use planlease_core::{BootTime, WallTime, transition::Change};
use planlease_tests::{TestEnv, case};
use uuid::Uuid;

use crate::helpers::{audit, committed, id, imported, plan, try_acquire};

/// The clock of a process that is never alone: whenever it dates a write, another process writes the same
/// task first.
#[derive(Debug)]
struct Rival {
    settings: Config,
    delegation: Delegation,
    /// How often it still writes.
    left: Mutex<usize>,
    writes: AtomicUsize,
}

impl Clock for Rival {
    fn boot(&self) -> BootTime {
        SystemClock.boot()
    }

    fn wall(&self) -> WallTime {
        let mut left = self.left.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            let n = self.writes.fetch_add(1, Ordering::SeqCst);
            // On a thread of its own: the test's is within a runtime.
            thread::scope(|scope| scope.spawn(|| self.write(n)).join().unwrap());
        }
        SystemClock.wall()
    }
}

impl Rival {
    fn write(&self, n: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let coordinator = Coordinator::connect(self.settings.clone()).await.unwrap();
            let note = |_: &_| Some(Change::Progress(format!("rival {n}")));
            committed(coordinator.delegated(&self.delegation).modify(&id("1"), note).await.unwrap());
        });
    }
}

/// An owner with task 1 in progress, and its delegation used by a process with a rival.
async fn rivals(env: &TestEnv, delegation: &Delegation) -> (Authority, Arc<Rival>) {
    let rival = Arc::new(Rival {
        settings: env.config.clone(),
        delegation: delegation.clone(),
        left: Mutex::new(0),
        writes: AtomicUsize::new(0),
    });
    let settings = env.config.clone().clock(Arc::clone(&rival) as Arc<dyn Clock>);
    (Coordinator::connect(settings).await.unwrap().delegated(delegation), rival)
}

#[case]
async fn a_conflict_is_decided_again_until_its_bound(env: TestEnv) {
    let coordinator = imported(&env).await;
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let (authority, rival) = rivals(&env, &owner.delegate()).await;
    let request = UpdateRequest::new(id("1"), Change::Progress("mine".to_owned())).of_attempt(1);
    *rival.left.lock().unwrap() = 3;
    let noted = committed(authority.submit_on(&started, &request).await.unwrap());
    assert_eq!((noted.record.progress.as_deref(), rival.writes.load(Ordering::SeqCst)), (Some("mine"), 3));
    *rival.left.lock().unwrap() = 1_000;
    let outcome = authority.submit(&request).await.unwrap();
    let Outcome::Refused(Refused::Conflict(present)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(present.record.progress.as_deref(), Some("rival 34"), "32 tries, and no more");
    *rival.left.lock().unwrap() = 0;
    owner.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn an_expected_revision_is_never_decided_again(env: TestEnv) {
    let coordinator = imported(&env).await;
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let (authority, rival) = rivals(&env, &owner.delegate()).await;
    let request = UpdateRequest::new(id("1"), Change::Complete(None)).expecting(started.revision);
    *rival.left.lock().unwrap() = 1;
    let outcome = authority.submit(&request).await.unwrap();
    let Outcome::Refused(Refused::Conflict(present)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(present.record.progress.as_deref(), Some("rival 0"));
    let outcome = authority.submit_on(&started, &request).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::Conflict(_))), "{outcome:?}");
    audit(&env).await;
}

#[case]
async fn a_request_with_an_id_is_carried_out_once(env: TestEnv) {
    let coordinator = imported(&env).await;
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let authority = owner.authority();
    let view = coordinator.plan(&plan()).await.unwrap();
    let started = committed(authority.start(&view, &id("1")).await.unwrap());
    let note = UpdateRequest::new(id("1"), Change::Progress("half".to_owned())).of_attempt(1);
    let request = note.clone().identified(Uuid::from_u128(7));
    let first = committed(authority.submit_on(&started, &request).await.unwrap());
    assert_eq!(first.record.op_id, Uuid::from_u128(7));
    // Another update has written over it; the caller does not know of that, nor of its own.
    committed(authority.submit(&note).await.unwrap());
    let again = committed(authority.submit_on(&started, &request).await.unwrap());
    assert_eq!(again, first);
    // With a key, and the revision that it is about, the caller need not have kept the record.
    let keyed = note.clone().idempotent(Uuid::from_u128(8)).expecting(first.revision);
    let refused = authority.submit(&keyed).await.unwrap();
    assert!(matches!(refused, Outcome::Refused(Refused::Conflict(_))), "{refused:?}");
    assert!(authority.carried_out(&keyed).await.unwrap().is_none());
    let present = coordinator.task(&plan(), &id("1")).await.unwrap().unwrap();
    let keyed = keyed.expecting(present.revision);
    let noted = committed(authority.submit(&keyed).await.unwrap());
    committed(authority.submit(&note).await.unwrap());
    assert_eq!(committed(authority.submit(&keyed).await.unwrap()), noted);
    assert_eq!(authority.carried_out(&keyed).await.unwrap(), Some(noted));
    let audited = audit(&env).await;
    assert_eq!(audited.report.updates, 3 + 1 + 4, "three at the import, the start, and four notes");
}

#[case]
async fn an_operators_request_follows_the_owner(env: TestEnv) {
    let coordinator = imported(&env).await;
    let authority = coordinator.as_operator(&plan(), "me");
    let start = UpdateRequest::new(id("1"), Change::Start);
    committed(authority.submit(&start).await.unwrap());
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let done = committed(
        authority.submit(&UpdateRequest::new(id("1"), Change::Complete(None)).of_attempt(1)).await.unwrap(),
    );
    assert_eq!(done.record.writer.term, Some(owner.term().number), "guarded by the owner's key");
    let stale = coordinator.plan(&plan()).await.unwrap();
    owner.release().await.unwrap();
    // Also from a view of the plan with the owner that is gone.
    let skipped = UpdateRequest::new(id("2"), Change::Skip("not needed".to_owned()));
    committed(authority.submit_on(&stale, &skipped).await.unwrap());
    audit(&env).await;
}

#[case]
async fn a_submitted_start_waits_for_its_dependencies(env: TestEnv) {
    imported(&env).await;
    let session = env.coordinator().await.open_session(Identity::of_process()).await.unwrap();
    let authority = try_acquire(&session).await.unwrap().authority();
    for task in ["2", "3"] {
        let outcome = authority.submit(&UpdateRequest::new(id(task), Change::Start)).await.unwrap();
        assert!(matches!(outcome, Outcome::Refused(Refused::Dependency)), "{outcome:?}");
    }
    let missing = authority.submit(&UpdateRequest::new(id("9"), Change::Start)).await;
    assert!(matches!(missing, Err(planlease::Error::TaskNotFound { .. })), "{missing:?}");
    session.close().await.unwrap();
}
