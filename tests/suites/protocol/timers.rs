//! The timers of a plan, kept by an owner that runs no attempts of its own.

use std::{collections::BTreeMap, time::Duration};

use planlease::{Coordinator, Ownership, Reason, TaskView};
use planlease_core::{
    spec::{OnLost, PlanSpec, Policy},
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};

use crate::helpers::{PROXIED, audit, committed, connected, id, plan, spec, try_acquire};

async fn with_policy(env: &TestEnv, policy: Policy) -> Coordinator {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan(), &PlanSpec { policy, ..spec() }, |_| {}).await.unwrap();
    coordinator
}

/// Runs while the owner keeps the timers.
async fn kept<T>(ownership: &Ownership, work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased; // A loss fails the test.
        loss = ownership.keep_timers() => panic!("{loss}"),
        worked = work => worked,
    }
}

async fn until_task(coordinator: &Coordinator, wanted: impl Fn(&TaskView) -> bool) -> TaskView {
    until("a change of task 1", SOON, async || {
        let task = coordinator.task(&plan(), &id("1")).await.unwrap().unwrap();
        if wanted(&task) { Ok(task) } else { Err(task.record) }
    })
    .await
}

#[case]
async fn an_owner_puts_a_failed_task_back_and_then_parks_it(env: TestEnv) {
    let coordinator =
        with_policy(&env, Policy { max_retries: 1, retry_delay_s: 1, ..Policy::default() }).await;
    let session = env.session("owner").await;
    let owner = try_acquire(&session).await.unwrap();
    kept(&owner, async {
        let authority = owner.authority();
        for attempt in 1..=2 {
            let pending = until_task(&coordinator, |task| task.record.status == TaskStatus::Pending).await;
            assert_eq!(pending.record.attempt, attempt - 1);
            let started = committed(authority.update(&pending, &Change::Start).await.unwrap());
            committed(authority.update(&started, &Change::Fail("no".into())).await.unwrap());
        }
        let parked = until_task(&coordinator, |task| task.record.parked.is_some()).await.record;
        assert_eq!((parked.status, parked.failures), (TaskStatus::Failed, 2));
    })
    .await;
    owner.release().await.unwrap();
    audit(&env).await;
}

/// A worker's, and one that another process has started by the owner's authority. Notes keep them.
#[case]
async fn a_silent_claim_is_lost_under_any_owner(env: TestEnv) {
    let env = env.with_ttl(PROXIED * 2);
    let policy = Policy { heartbeat_s: 3, max_lost: 9, ..Policy::default() };
    let coordinator = with_policy(&env, policy).await;
    let (session, worker) = (env.session("owner").await, env.session("worker").await);
    let owner = try_acquire(&session).await.unwrap();
    let delegated = coordinator.delegated(&owner.delegate());
    let authorities = [delegated, coordinator.worker(&worker, &plan()).unwrap()];
    kept(&owner, async {
        for (n, authority) in (1..).zip(authorities) {
            let pending = until_task(&coordinator, |task| task.record.status == TaskStatus::Pending).await;
            let mut task = committed(authority.update(&pending, &Change::Start).await.unwrap());
            for note in 0..6 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let noted = authority.update(&task, &Change::Progress(note.to_string())).await.unwrap();
                task = committed(noted);
            }
            let lost = until_task(&coordinator, |task| task.record.lost == n).await.record;
            assert_eq!((lost.status, lost.attempt), (TaskStatus::Pending, n));
            let why = lost.transitions.last().unwrap().why.clone().unwrap_or_default();
            assert!(why.contains("heartbeat_s"), "{why}");
        }
    })
    .await;
    owner.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn a_lost_worker_is_noticed_under_any_owner(env: TestEnv) {
    let env = env.with_ttl(PROXIED);
    let policy = Policy { on_lost: OnLost::Ask, ..Policy::default() };
    let coordinator = with_policy(&env, policy).await;
    let (session, worker) = (env.session("owner").await, env.session("worker").await);
    let owner = try_acquire(&session).await.unwrap();
    kept(&owner, async {
        let authority = coordinator.worker(&worker, &plan()).unwrap();
        assert_eq!(authority.claim(1, &[]).await.unwrap().tasks.len(), 1);
        tokio::time::sleep(Duration::from_millis(500)).await; // The owner has seen the claim, or not.
        worker.close().await.unwrap();
        until_task(&coordinator, |task| task.record.parked.is_some()).await;
    })
    .await;
    owner.release().await.unwrap();
    audit(&env).await;
}

/// What the first owner has measured of the total deadline counts for the next one, whose clock is another.
#[case]
async fn the_total_deadline_spans_owners_without_attempts(env: TestEnv) {
    let env = env.with_ttl(PROXIED);
    let policy = Policy { total_deadline_s: 8, on_lost: OnLost::Retry, max_lost: 9, ..Policy::default() };
    let coordinator = with_policy(&env, policy).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let measured = kept(&owner, async {
        let pending = coordinator.task(&plan(), &id("1")).await.unwrap().unwrap();
        committed(owner.authority().update(&pending, &Change::Start).await.unwrap());
        until_task(&coordinator, |task| task.record.spent_ms >= 4_000).await.record.spent_ms
    })
    .await;
    owner.release().await.unwrap();
    let second = env.session("second").await;
    let owner = try_acquire(&second).await.unwrap();
    let began = tokio::time::Instant::now();
    let parked = kept(&owner, until_task(&coordinator, |task| task.record.parked.is_some())).await.record;
    assert!(parked.parked.unwrap().contains("total_deadline_s"));
    let left = Duration::from_millis(8_000 - measured);
    let took = began.elapsed();
    assert!(took < left + Duration::from_secs(3), "{took:?}, with {left:?} left");
    owner.release().await.unwrap();
    audit(&env).await;
}

/// No task could be started meanwhile.
#[case]
async fn a_pause_of_the_fleet_is_no_time_in_the_queue(env: TestEnv) {
    let env = env.with_ttl(PROXIED);
    let coordinator = with_policy(&env, Policy { queue_deadline_s: 2, ..Policy::default() }).await;
    coordinator.admin().pause_fleet(&Reason::by("ops").because("the registry is down")).await.unwrap();
    let session = env.session("owner").await;
    let owner = try_acquire(&session).await.unwrap();
    kept(&owner, async {
        tokio::time::sleep(Duration::from_secs(6)).await; // The deadline, three times.
        let waiting = coordinator.task(&plan(), &id("1")).await.unwrap().unwrap().record;
        assert_eq!((waiting.status, waiting.parked), (TaskStatus::Pending, None));
        assert!(coordinator.admin().resume_fleet().await.unwrap());
        let parked = until_task(&coordinator, |task| task.record.parked.is_some()).await.record;
        assert!(parked.parked.unwrap().contains("queue_deadline_s"));
    })
    .await;
    owner.release().await.unwrap();
    audit(&env).await;
}

#[case(one_at_a_time)]
async fn timers_with_nothing_due_make_no_request(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(30));
    let coordinator = with_policy(&env, Policy { heartbeat_s: 60, ..Policy::default() }).await;
    let session = env.session("owner").await;
    let owner = try_acquire(&session).await.unwrap();
    kept(&owner, async {
        let pending = coordinator.task(&plan(), &id("1")).await.unwrap().unwrap();
        committed(owner.authority().update(&pending, &Change::Start).await.unwrap());
        connected(&session, &["LeaseKeepAlive", "Watch"]).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = requests(session.coordinator());
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert_eq!(requests(session.coordinator()), before);
    })
    .await;
    owner.release().await.unwrap();
}

/// The requests so far, without the messages of watches and renewals.
fn requests(coordinator: &Coordinator) -> BTreeMap<String, u64> {
    let mut traffic = coordinator.traffic();
    traffic.retain(|method, _| !method.starts_with("Watch") && !method.starts_with("LeaseKeepAlive"));
    traffic
}
