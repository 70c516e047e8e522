//! Workers that ask for work.

use std::{collections::BTreeSet, time::Duration};

use planlease::{Authority, Coordinator, Outcome, Reason, Refused};
use planlease_core::{
    TaskId,
    spec::{OnLost, PlanSpec, Policy, TaskSpec},
    transition::{Change, Refusal, TaskStatus},
};
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};

use crate::helpers::{PROXIED, audit, background, committed, id, plan, try_acquire};

fn tasks(count: usize) -> PlanSpec {
    let task = |n: usize| TaskSpec {
        labels: if n.is_multiple_of(2) { BTreeSet::from(["even".to_owned()]) } else { BTreeSet::new() },
        priority: i32::from(n == 6),
        ..TaskSpec::new(id(&format!("1.{n}")), "work")
    };
    PlanSpec { title: "claims".into(), tasks: (1..=count).map(task).collect(), ..PlanSpec::default() }
}

fn ids(tasks: &[planlease::TaskView]) -> Vec<&str> {
    tasks.iter().map(|task| task.id.as_str()).collect()
}

#[case]
async fn no_two_workers_claim_one_task(env: TestEnv) {
    const WORKERS: usize = 8;
    const TASKS: usize = 120;
    let observer = env.coordinator().await;
    observer.admin().import(&plan(), &tasks(TASKS), |_| {}).await.unwrap();
    let mut workers = Vec::new();
    for n in 0..WORKERS {
        let session = env.session(&format!("worker-{n}")).await;
        workers.push(background(async move {
            let authority = session.coordinator().worker(&session, &plan()).unwrap();
            let mut mine = Vec::new();
            loop {
                let claimed = authority.claim(7, &[]).await.unwrap();
                assert!(claimed.unknown.is_empty() && claimed.refused.is_none(), "{claimed:?}");
                if claimed.tasks.is_empty() {
                    return mine;
                }
                for task in claimed.tasks {
                    mine.push(task.id.clone());
                    committed(authority.update_attempt(&task, 1, &Change::Complete(None)).await.unwrap());
                }
            }
        }));
    }
    let mut all: Vec<TaskId> = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    let distinct: BTreeSet<&TaskId> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (TASKS, TASKS));
    assert_eq!(observer.plan(&plan()).await.unwrap().summary().completed, TASKS);
    let audited = audit(&env).await;
    assert_eq!(audited.report.updates, 3 * 120, "made, claimed and completed, once each");
}

#[case]
async fn claims_go_by_labels_and_priority(env: TestEnv) {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan(), &tasks(8), |_| {}).await.unwrap();
    let worker = coordinator.worker(&env.session("worker").await, &plan()).unwrap();
    let even = worker.claim(3, &["even".to_owned()]).await.unwrap();
    assert_eq!(ids(&even.tasks), ["1.6", "1.2", "1.4"]);
    assert!(even.tasks.iter().all(|task| task.record.status == TaskStatus::InProgress));
    assert_eq!(ids(&worker.claim(9, &["even".to_owned()]).await.unwrap().tasks), ["1.8"]);
    assert_eq!(ids(&worker.claim(1, &["odd".to_owned()]).await.unwrap().tasks), [""; 0]);
    coordinator.admin().pause(&plan(), &Reason::by("me").because("lunch")).await.unwrap();
    let halted = worker.claim(1, &[]).await.unwrap();
    assert!(matches!(halted.refused, Some(Refused::Halted(_))) && halted.tasks.is_empty(), "{halted:?}");
    audit(&env).await;
}

#[case]
async fn a_bound_holds_for_claims(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let bounded = PlanSpec { policy: Policy { max_in_progress: 3, ..Policy::default() }, ..tasks(8) };
    coordinator.admin().import(&plan(), &bounded, |_| {}).await.unwrap();
    let worker = coordinator.worker(&env.session("worker").await, &plan()).unwrap();
    let claimed = worker.claim(5, &[]).await.unwrap();
    assert_eq!(claimed.tasks.len(), 3);
    assert!(matches!(claimed.refused, Some(Refused::Full(3))), "{claimed:?}");
    audit(&env).await;
}

/// Its worker was taken for lost; the task has been claimed again since.
#[case]
async fn a_late_result_of_a_lost_attempt_is_refused(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let retried = PlanSpec { policy: Policy { on_lost: OnLost::Retry, ..Policy::default() }, ..tasks(1) };
    coordinator.admin().import(&plan(), &retried, |_| {}).await.unwrap();
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let (first, second) = (env.session("first").await, env.session("second").await);
    let slow = coordinator.worker(&first, &plan()).unwrap();
    let old = slow.claim(1, &[]).await.unwrap().tasks.remove(0);
    let by = old.record.claim.clone().unwrap().by;
    assert_eq!(by, "first");
    // A worker that was cut off: its authority is lost, and it does not know.
    let mut client = env.client.clone();
    client.lease_revoke(first.lease().to_wire()).await.unwrap();
    let view = until("the orphan to be recovered", SOON, async || {
        let (recovered, view) = owner.recover().await.unwrap();
        if recovered.is_empty() { Err(view.summary()) } else { Ok(view) }
    })
    .await;
    assert_eq!(view.tasks()[&id("1.1")].record.lost, 1);
    let quick = coordinator.worker(&second, &plan()).unwrap();
    let new = quick.claim(1, &[]).await.unwrap().tasks.remove(0);
    assert_eq!(new.record.attempt, 2);
    let late = slow.update_attempt(&old, 1, &Change::Complete(None)).await;
    assert!(
        matches!(&late, Ok(Outcome::Refused(Refused::Conflict(_) | Refused::AuthorityLost(_)))),
        "{late:?}"
    );
    // Nor under another's authority: the attempt is compared as well.
    let stale = owner.authority().update_attempt(&new, 1, &Change::Complete(None)).await.unwrap();
    assert!(
        matches!(
            &stale,
            Outcome::Refused(Refused::NotAllowed(Refusal::StaleAttempt { given: 1, present: 2 }, _))
        ),
        "{stale:?}"
    );
    tokio::time::timeout(Duration::from_secs(20), async {
        committed(quick.update_attempt(&new, 2, &Change::Complete(None)).await.unwrap());
    })
    .await
    .unwrap();
    // Both were kept, once each, however often they are reported.
    let again = owner.authority().update_attempt(&new, 1, &Change::Complete(None)).await.unwrap();
    assert!(matches!(again, Outcome::Refused(Refused::NotAllowed(..))), "{again:?}");
    let kept = coordinator.late_results(&plan(), &id("1.1")).await.unwrap();
    let reported: Vec<_> = kept.iter().map(|late| (late.by.as_str(), late.attempt, late.status)).collect();
    assert_eq!(
        reported,
        [("first", Some(1), TaskStatus::Completed), ("owner", Some(1), TaskStatus::Completed)]
    );
    // They go with the plan.
    owner.release().await.unwrap();
    coordinator.admin().delete(&plan()).await.unwrap();
    assert_eq!(coordinator.late_results(&plan(), &id("1.1")).await.unwrap(), []);
    audit(&env).await;
}

/// The authority of an operator whose claims stand for so long.
async fn operator(coordinator: &Coordinator, who: &str, limit: Duration) -> Authority {
    let view = coordinator.plan(&plan()).await.unwrap();
    coordinator.operator(&view, who).unwrap().claims_for(limit)
}

/// As short as etcd grants.
const SHORT: Duration = Duration::from_secs(3);

#[case]
async fn a_claim_without_a_session_ends_and_is_claimed_again(env: TestEnv) {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan(), &tasks(1), |_| {}).await.unwrap();
    let (ann, bob) = (operator(&coordinator, "ann", SHORT).await, operator(&coordinator, "bob", SHORT).await);
    let claimed = ann.claim(1, &[]).await.unwrap().tasks.remove(0);
    let limit = claimed.record.claim.clone().unwrap().limit.unwrap();
    assert!(limit.seconds >= SHORT.as_secs(), "{limit:?}");
    let alive = coordinator.alive(&coordinator.plan(&plan()).await.unwrap()).await.unwrap();
    assert!(alive.left(claimed.record.claim.as_ref().unwrap()).is_some());
    assert_eq!(ids(&bob.claim(1, &[]).await.unwrap().tasks), [""; 0], "it is claimed");
    let view = coordinator.plan(&plan()).await.unwrap();
    let taken = bob.start(&view, &id("1.1")).await.unwrap();
    assert!(
        matches!(taken, Outcome::Refused(Refused::NotAllowed(Refusal::ClaimedBy { .. }, _))),
        "{taken:?}"
    );
    // What is reported meanwhile extends it: half of the limit later it has all of it again.
    tokio::time::sleep(SHORT / 2).await;
    let claimed = committed(ann.update_attempt(&claimed, 1, &Change::Progress("half".into())).await.unwrap());
    tokio::time::sleep(SHORT * 3 / 4).await;
    assert_eq!(ids(&bob.claim(1, &[]).await.unwrap().tasks), [""; 0], "it was extended");
    let second = until("the claim to end", SOON, async || {
        bob.claim(1, &[]).await.unwrap().tasks.pop().ok_or("not yet")
    })
    .await;
    assert_eq!((second.record.attempt, second.record.lost), (2, 1));
    let late = ann.update_attempt(&claimed, 1, &Change::Complete(None)).await.unwrap();
    assert!(matches!(late, Outcome::Refused(_)), "{late:?}");
    // Named instead of asked for, it is taken just as well.
    let view = until("the second claim to end", SOON, async || {
        let view = coordinator.plan(&plan()).await.unwrap();
        let alive = coordinator.alive(&view).await.unwrap();
        if alive.limits.is_empty() { Ok(view) } else { Err(alive) }
    })
    .await;
    let third = committed(ann.start(&view, &id("1.1")).await.unwrap());
    assert_eq!((third.record.attempt, third.record.lost), (3, 2));
    audit(&env).await;
}

#[case]
async fn a_claim_without_a_session_ends_and_the_owner_recovers_it(env: TestEnv) {
    let env = env.with_ttl(PROXIED); // The owner's session has to outlast the claim.
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan(), &tasks(1), |_| {}).await.unwrap();
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let claimed = operator(&coordinator, "ann", SHORT).await.claim(1, &[]).await.unwrap();
    assert_eq!(claimed.tasks.len(), 1);
    let (recovered, view) = owner.recover().await.unwrap();
    assert_eq!(recovered, [], "it has time left");
    let mut claimants = owner.claimants();
    claimants.follow(&view).await;
    tokio::time::timeout(SOON, claimants.gone()).await.expect("the owner is notified of the end");
    let (recovered, _) = owner.recover().await.unwrap();
    assert_eq!((recovered.len(), recovered[0].record.status), (1, TaskStatus::Pending));
    let why = recovered[0].record.transitions.last().unwrap().why.clone().unwrap();
    assert!(why.starts_with("the claim of ann on attempt 1 ended after"), "{why}");
    audit(&env).await;
}

#[case]
async fn a_claim_that_has_ended_leaves_no_lease(env: TestEnv) {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan(), &tasks(2), |_| {}).await.unwrap();
    let ann = operator(&coordinator, "ann", Duration::from_secs(600)).await;
    let claimed = ann.claim(1, &[]).await.unwrap().tasks.remove(0);
    let limit = claimed.record.claim.clone().unwrap().limit.unwrap();
    let mut client = env.client.clone();
    let mut granted =
        async || client.lease_time_to_live(limit.lease.to_wire(), None).await.unwrap().granted_ttl();
    assert_eq!(granted().await, 600);
    committed(ann.update_attempt(&claimed, 1, &Change::Complete(None)).await.unwrap());
    assert_eq!(granted().await, 0, "the lease is revoked with the claim");
    audit(&env).await;
}
