//! Pools: never more tasks in progress than permits, over sessions and plans; permits come back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use planlease::{
    Changes, Coordinator, Error, Feed, Outcome, Ownership, Reason, Refused, Session, UpdateRequest,
};
use planlease_core::{
    LeaseId, PlanName, PoolName, Revision,
    approval::ApprovalOf,
    pool::{PoolView, PoolWait, Pools, PoolsView, patience},
    record::Guard,
    spec::{PlanSpec, Policy, TaskPolicy, TaskSpec},
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::helpers::{audit, committed, id, plan, try_acquire};

fn gpu() -> PoolName {
    PoolName::new("gpu").unwrap()
}

fn uses(permits: u32) -> Pools {
    Pools::new(BTreeMap::from([(gpu(), permits)])).unwrap()
}

/// A plan of this many tasks, each of which takes one permit of the pool.
async fn import(coordinator: &Coordinator, name: &PlanName, tasks: usize) {
    import_of(coordinator, name, (0..tasks).map(|n| work(&format!("1.{n}"))).collect()).await;
}

/// A plan of these tasks, each of which takes one permit of the pool.
async fn import_of(coordinator: &Coordinator, name: &PlanName, tasks: Vec<TaskSpec>) {
    let policy = Policy { pools: uses(1), ..Policy::default() };
    let spec = PlanSpec { tasks, policy, ..PlanSpec::default() };
    coordinator.admin().import(name, &spec, |_| {}).await.unwrap();
}

fn work(task: &str) -> TaskSpec {
    TaskSpec::new(id(task), "work")
}

/// A pool of this size, and a plan of this many tasks that take one permit of it each.
async fn planned(env: &TestEnv, permits: u32, tasks: usize) -> Coordinator {
    let coordinator = env.coordinator().await;
    size(&coordinator, permits).await;
    import(&coordinator, &plan(), tasks).await;
    coordinator
}

/// An owner that has started task 1.0.
async fn owner_at_work(session: &Session) -> Box<Ownership> {
    let ownership = try_acquire(session).await.unwrap();
    let view = session.coordinator().plan(&plan()).await.unwrap();
    committed(ownership.authority().start(&view, &id("1.0")).await.unwrap());
    ownership
}

async fn size(coordinator: &Coordinator, size: u32) {
    coordinator.admin().set_pool(&gpu(), size, None, "ops").await.unwrap();
}

async fn pool(coordinator: &Coordinator) -> PoolView {
    coordinator.pools().await.unwrap().0.0.remove(&gpu()).unwrap_or_default()
}

async fn started(session: &Session, name: &PlanName, task: &str) -> Outcome {
    let authority = session.coordinator().worker(session, name).unwrap();
    authority.submit(&UpdateRequest::new(id(task), Change::Start)).await.unwrap()
}

fn is_full(outcome: &Outcome, used: u32, size: u32) -> bool {
    let Outcome::Refused(Refused::Pool(wait)) = outcome else { return false };
    matches!(**wait, PoolWait::Full { used: u, size: s, .. } if (u, s) == (used, size))
}

/// Waits until the pool has this many permits taken.
async fn in_use(coordinator: &Coordinator, wanted: u32) {
    until("permits in use", SOON, async || {
        let used = pool(coordinator).await.used();
        if used == wanted { Ok(()) } else { Err(used) }
    })
    .await;
}

/// Waits for room as an orchestrator does: follows the pools by one watch, and lets others go first for a
/// moment.
struct Waiter {
    coordinator: Coordinator,
    lease: LeaseId,
    view: PoolsView,
    at: Revision,
    changes: Changes,
    since: Instant,
}

impl Waiter {
    async fn new(session: &Session, n: usize) -> Self {
        let coordinator = session.coordinator().clone();
        let (view, at) = coordinator.pools().await.unwrap();
        let changes = coordinator.raw().changes(coordinator.layout().pools(), at.next());
        // As many waiters as sessions.
        let lease = LeaseId::from_wire(session.lease().to_wire() ^ i64::try_from(n).unwrap() << 40).unwrap();
        Self { coordinator, lease, view, at, changes, since: Instant::now() }
    }

    /// What is known here was out of date.
    async fn read(&mut self) {
        (self.view, self.at) = self.coordinator.pools().await.unwrap();
        self.changes = self.coordinator.raw().changes(self.coordinator.layout().pools(), self.at.next());
    }

    async fn change(&mut self) {
        if let Feed::Changes(sets) = self.changes.next().await.unwrap() {
            for set in sets {
                self.at = set.revision;
                for change in &set.changes {
                    self.view.apply(&change.key, change.entry.as_ref());
                }
            }
        }
    }

    async fn until_room(&mut self) {
        loop {
            while self.view.wait(&uses(1)).is_some() {
                self.change().await;
            }
            let mut pause =
                std::pin::pin!(tokio::time::sleep(patience(0, self.since.elapsed(), self.lease, self.at)));
            loop {
                tokio::select! {
                    biased; // What has changed comes first.
                    () = self.change() => {}
                    () = &mut pause => break,
                }
            }
            if self.view.wait(&uses(1)).is_none() {
                return;
            }
        }
    }
}

/// The figure for contention: requests and time per grant.
#[case(one_at_a_time)]
async fn of_64_starters_no_more_than_two_are_in_progress(env: TestEnv) {
    const STARTERS: usize = 64;
    let coordinator = env.coordinator().await;
    size(&coordinator, 2).await;
    let plans = ["one", "two"].map(|name| PlanName::new(name).unwrap());
    for plan in &plans {
        import(&coordinator, plan, STARTERS / 2).await;
    }
    let mut sessions = Vec::new();
    for n in 0..4 {
        sessions.push(env.session(&format!("worker-{n}")).await);
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let requests = |session: &Session| {
        let traffic = session.coordinator().traffic();
        ["Txn", "Range"].map(|method| traffic.get(method).copied().unwrap_or(0)).iter().sum::<u64>()
    };
    let before: u64 = sessions.iter().map(requests).sum();
    let began = Instant::now();
    let views = [coordinator.plan(&plans[0]).await.unwrap(), coordinator.plan(&plans[1]).await.unwrap()];
    let starters = (0..STARTERS).map(|n| {
        let (session, view) = (sessions[n % 4].clone(), views[n % 2].clone());
        let task = id(&format!("1.{}", n / 2));
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            let authority = session.coordinator().worker(&session, view.name()).unwrap();
            let mut waiter = Waiter::new(&session, n).await;
            loop {
                waiter.until_room().await;
                match authority.start(&view, &task).await.unwrap() {
                    Outcome::Committed(_) => break,
                    Outcome::Refused(Refused::Pool(_)) => waiter.read().await,
                    other => panic!("{other:?}"),
                }
            }
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await; // The work.
            now.fetch_sub(1, Ordering::SeqCst);
            let done = UpdateRequest::new(task, Change::Complete(None));
            committed(authority.submit(&done).await.unwrap());
        }
    });
    join_all(starters).await;
    let requests = sessions.iter().map(requests).sum::<u64>() - before;
    println!(
        "measured: {STARTERS} waiters for 2 permits: {} requests and {:?} for each grant",
        requests / u64::try_from(STARTERS).unwrap(),
        began.elapsed() / u32::try_from(STARTERS).unwrap()
    );
    assert!(most.load(Ordering::SeqCst) <= 2, "{most:?} at once");
    for plan in &plans {
        assert!(coordinator.plan(plan).await.unwrap().summary().is_done());
    }
    assert_eq!(pool(&coordinator).await.used(), 0);
    audit(&env).await;
}

/// A start with two permits takes both or none.
#[case]
async fn a_task_takes_all_its_permits_or_none(env: TestEnv) {
    let coordinator = env.coordinator().await;
    size(&coordinator, 3).await;
    let mut two = TaskSpec::new(id("1.0"), "wide");
    two.policy = Some(Box::new(TaskPolicy { pools: Some(uses(2)), ..TaskPolicy::default() }));
    let tasks = vec![two.clone(), TaskSpec { id: id("1.1"), ..two }, TaskSpec::new(id("1.2"), "none")];
    coordinator.admin().import(&plan(), &PlanSpec { tasks, ..PlanSpec::default() }, |_| {}).await.unwrap();
    let session = env.session("worker").await;
    let Outcome::Committed(task) = started(&session, &plan(), "1.0").await else { panic!("not started") };
    let permits = task.record.claim.unwrap().permits.unwrap();
    assert_eq!((permits.lease, permits.taken[&gpu()].len()), (session.lease(), 2));
    assert!(is_full(&started(&session, &plan(), "1.1").await, 2, 3));
    assert!(matches!(started(&session, &plan(), "1.2").await, Outcome::Committed(_)), "it needs none");
    let authority = coordinator.worker(&session, &plan()).unwrap();
    let all = authority.claim(3, &[]).await.unwrap();
    assert!(all.tasks.is_empty() && matches!(all.refused, Some(Refused::Pool(_))), "{all:?}");
    let fail = UpdateRequest::new(id("1.0"), Change::Fail("no".to_owned()));
    // All or nothing: the permits go in the same transaction.
    let done = UpdateRequest::new(id("1.2"), Change::Complete(None));
    assert!(matches!(
        authority.submit_atomic(&[fail, done]).await.unwrap(),
        planlease::BatchOutcome::Committed(_)
    ));
    assert_eq!(pool(&coordinator).await.used(), 0);
    committed(started(&session, &plan(), "1.1").await);
    audit(&env).await;
}

#[case]
async fn permits_of_a_killed_claimant_return_with_its_lease(env: TestEnv) {
    let coordinator = planned(&env, 1, 2).await;
    let (owner, next) = (env.session("owner").await, env.session("next").await);
    let _ownership = owner_at_work(&owner).await;
    assert!(is_full(&started(&next, &plan(), "1.1").await, 1, 1));
    // As a crash: the lease ends, nothing is released in order.
    owner.close().await.unwrap();
    in_use(&coordinator, 0).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!(view.status(&id("1.0")), Some(TaskStatus::InProgress), "not recovered yet");
    committed(started(&next, &plan(), "1.1").await);
    // The successor recovers the task, and takes nothing from the one that has the permit now.
    let successor = try_acquire(&next).await.unwrap();
    let (recovered, _) = successor.recover().await.unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(pool(&coordinator).await.used(), 1);
    assert!(is_full(&started(&next, &plan(), "1.0").await, 1, 1));
    audit(&env).await;
}

/// The former owner's session lives, and its command may run until it knows.
#[case]
async fn a_forced_end_leaves_permits_until_the_holder_stops(env: TestEnv) {
    let coordinator = planned(&env, 1, 2).await;
    let (owner, next) = (env.session("owner").await, env.session("next").await);
    let _ownership = owner_at_work(&owner).await;
    coordinator.admin().force_release(&plan(), None, &Reason::by("ops").because("stuck")).await.unwrap();
    let successor = try_acquire(&next).await.unwrap();
    let (recovered, _) = successor.recover().await.unwrap();
    assert_eq!(recovered.len(), 1, "the task is free");
    assert_eq!(pool(&coordinator).await.used(), 1, "its permit is not");
    assert!(is_full(&started(&next, &plan(), "1.1").await, 1, 1));
    assert_eq!(owner.release_permits(&plan()).await.unwrap(), 1);
    assert_eq!(owner.release_permits(&plan()).await.unwrap(), 0);
    committed(started(&next, &plan(), "1.1").await);
    audit(&env).await;
}

/// The owner fails the attempt of a worker, which learns so from its next result.
#[case]
async fn a_worker_whose_claim_was_ended_gives_back_its_permit(env: TestEnv) {
    let coordinator = planned(&env, 1, 2).await;
    let (owner, worker) = (env.session("owner").await, env.session("worker").await);
    let ownership = try_acquire(&owner).await.unwrap();
    committed(started(&worker, &plan(), "1.0").await);
    let fail = UpdateRequest::new(id("1.0"), Change::Fail("its time was up".to_owned()));
    committed(ownership.authority().submit(&fail).await.unwrap());
    assert_eq!(pool(&coordinator).await.used(), 1, "it may still run");
    let authority = coordinator.worker(&worker, &plan()).unwrap();
    let late = UpdateRequest::new(id("1.0"), Change::Complete(None)).of_attempt(1);
    assert!(matches!(authority.submit(&late).await.unwrap(), Outcome::Refused(_)));
    assert_eq!(pool(&coordinator).await.used(), 0);
    audit(&env).await;
}

/// Its attempt has ended: the permit is another task's by the time that a person has decided.
#[case]
async fn a_result_that_waits_for_approval_has_no_permit(env: TestEnv) {
    let coordinator = env.coordinator().await;
    size(&coordinator, 1).await;
    let asked = TaskSpec { approval: Some(ApprovalOf::After), ..work("1.0") };
    let tasks = vec![asked, work("1.1")];
    import_of(&coordinator, &plan(), tasks).await;
    let session = env.session("worker").await;
    committed(started(&session, &plan(), "1.0").await);
    let authority = coordinator.worker(&session, &plan()).unwrap();
    let done = UpdateRequest::new(id("1.0"), Change::Complete(None)).of_attempt(1);
    committed(authority.submit(&done).await.unwrap());
    assert_eq!(pool(&coordinator).await.used(), 0);
    committed(started(&session, &plan(), "1.1").await);
    // Neither a second report nor the decision takes the permit from the task that has it.
    assert!(matches!(authority.submit(&done).await.unwrap(), Outcome::Refused(_)));
    let approve = UpdateRequest::new(id("1.0"), Change::Approve("looked at it".into()));
    let operator = coordinator.as_operator(&plan(), "anna");
    committed(operator.submit(&approve).await.unwrap());
    assert_eq!(pool(&coordinator).await.users(), [format!("{}/1.1", plan())]);
    audit(&env).await;
}

/// What ran for the claim may still run. The next attempt under the same session takes over what is left.
#[case]
async fn a_timer_that_ends_a_silent_claim_leaves_its_permit(env: TestEnv) {
    let coordinator = env.coordinator().await;
    size(&coordinator, 1).await;
    let policy = TaskPolicy { attempt_deadline_s: Some(1), max_retries: Some(9), ..TaskPolicy::default() };
    let timed = TaskSpec { policy: Some(Box::new(policy)), ..work("1.0") };
    let tasks = vec![timed, work("1.1")];
    import_of(&coordinator, &plan(), tasks).await;
    let (owner, other) = (env.session("owner").await, env.session("other").await);
    let ownership = try_acquire(&owner).await.unwrap();
    let delegated = coordinator.delegated(&ownership.delegate());
    let start = UpdateRequest::new(id("1.0"), Change::Start);
    let ended = async {
        committed(delegated.submit(&start).await.unwrap());
        until("the end of the attempt", SOON, async || {
            let task = coordinator.task(&plan(), &id("1.0")).await.unwrap().unwrap();
            if task.record.status == TaskStatus::InProgress { Err(task.record) } else { Ok(()) }
        })
        .await;
    };
    tokio::select! {
        biased; // A loss fails the test.
        loss = ownership.keep_timers() => panic!("{loss}"),
        () = ended => {}
    }
    assert_eq!(pool(&coordinator).await.used(), 1, "it may still run");
    assert!(is_full(&started(&other, &plan(), "1.1").await, 1, 1));
    let retry = UpdateRequest::new(id("1.0"), Change::Retry("again".into()));
    let authority = ownership.authority();
    // The timers may have been faster.
    let _ = authority.submit(&retry).await.unwrap();
    let Outcome::Committed(second) = delegated.submit(&start).await.unwrap() else {
        panic!("it waits for itself")
    };
    assert_eq!((second.record.attempt, pool(&coordinator).await.used()), (2, 1));
    // The late result of the first attempt takes nothing from the second; that of the second releases it.
    let done = |attempt| UpdateRequest::new(id("1.0"), Change::Complete(None)).of_attempt(attempt);
    assert!(matches!(delegated.submit(&done(1)).await.unwrap(), Outcome::Refused(_)));
    assert_eq!(pool(&coordinator).await.used(), 1);
    committed(delegated.submit(&done(2)).await.unwrap());
    assert_eq!(pool(&coordinator).await.used(), 0);
    audit(&env).await;
}

#[case]
async fn a_smaller_pool_starts_nothing_until_it_has_room(env: TestEnv) {
    let coordinator = planned(&env, 4, 6).await;
    let session = env.session("worker").await;
    let authority = coordinator.worker(&session, &plan()).unwrap();
    assert_eq!(authority.claim(6, &[]).await.unwrap().tasks.len(), 4);
    size(&coordinator, 2).await;
    let tasks = coordinator.plan(&plan()).await.unwrap();
    let in_progress: Vec<_> = tasks
        .tasks()
        .values()
        .filter(|task| task.record.status == TaskStatus::InProgress)
        .map(|task| task.id.clone())
        .collect();
    for (ended, task) in in_progress.iter().enumerate() {
        let used = u32::try_from(4 - ended).unwrap();
        if used >= 2 {
            let next = authority.claim(1, &[]).await.unwrap();
            assert!(next.tasks.is_empty(), "{used} of 2 in use: {next:?}");
        }
        let done = UpdateRequest::new(task.clone(), Change::Complete(None));
        committed(authority.submit(&done).await.unwrap());
    }
    assert_eq!(authority.claim(6, &[]).await.unwrap().tasks.len(), 2);
    audit(&env).await;
}

#[case]
async fn unknown_and_closed_pools_refuse_with_the_reason(env: TestEnv) {
    let coordinator = env.coordinator().await;
    import(&coordinator, &plan(), 2).await;
    let session = env.session("worker").await;
    let Outcome::Refused(Refused::Pool(wait)) = started(&session, &plan(), "1.0").await else {
        panic!("started without its pool");
    };
    assert_eq!(*wait, PoolWait::Unknown(gpu()));
    assert!(!coordinator.admin().delete_pool(&gpu()).await.unwrap());
    size(&coordinator, 0).await;
    assert!(is_full(&started(&session, &plan(), "1.0").await, 0, 0));
    size(&coordinator, 1).await;
    committed(started(&session, &plan(), "1.0").await);
    let in_use = coordinator.admin().delete_pool(&gpu()).await;
    assert!(matches!(in_use, Err(Error::PoolInUse { ref users, .. }) if users.len() == 1), "{in_use:?}");
    let too_large = coordinator.admin().set_pool(&gpu(), 1_001, None, "ops").await;
    assert!(matches!(too_large, Err(Error::InvalidPool { .. })), "{too_large:?}");
    let authority = coordinator.worker(&session, &plan()).unwrap();
    let done = UpdateRequest::new(id("1.0"), Change::Complete(None));
    committed(authority.submit(&done).await.unwrap());
    assert!(coordinator.admin().delete_pool(&gpu()).await.unwrap());
    audit(&env).await;
}

/// A person's claim hangs on a lease of its own, and so does its permit.
#[case]
async fn a_persons_permit_lasts_as_long_as_the_claim(env: TestEnv) {
    let coordinator = planned(&env, 1, 2).await;
    let authority = coordinator.as_operator(&plan(), "anna").claims_for(Duration::from_secs(2));
    let start = |task: &str| UpdateRequest::new(id(task), Change::Start);
    let Outcome::Committed(task) = authority.submit(&start("1.0")).await.unwrap() else {
        panic!("not started");
    };
    let claim = task.record.claim.unwrap();
    assert_eq!(claim.permits.unwrap().lease, claim.limit.unwrap().lease);
    assert!(claim.guard != Some(Guard::Unowned));
    assert!(is_full(&authority.submit(&start("1.1")).await.unwrap(), 1, 1));
    let done = UpdateRequest::new(id("1.0"), Change::Complete(None));
    committed(authority.submit(&done).await.unwrap());
    assert_eq!(pool(&coordinator).await.used(), 0);
    committed(authority.submit(&start("1.1")).await.unwrap());
    in_use(&coordinator, 0).await; // When its time is up.
    audit(&env).await;
}
