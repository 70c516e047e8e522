//! The watcher on real servers: every change once, in order, whole revisions at a time, with the reasons; and
//! what it costs.

use std::time::Duration;

use planlease::{AcquireOptions, Coordinator, Reason};
use planlease_core::{Revision, TaskId, transition::TaskStatus};
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};
use planlease_watcher::{Change, ChangeSet, Delivery, Filter, OwnershipChange, Subscription, Watcher, Why};

use crate::helpers::{audit, execute, imported, plan, spec, try_acquire};

/// The next change set; a test that waits for one that does not come has failed.
async fn next(subscription: &mut Subscription) -> std::sync::Arc<ChangeSet> {
    let delivery =
        tokio::time::timeout(Duration::from_secs(20), subscription.next()).await.expect("a change");
    match delivery.expect("the watcher goes on") {
        Delivery::Changes(set) => set,
        Delivery::Snapshot(..) => panic!("it was sent back to the beginning"),
    }
}

async fn begun(coordinator: &Coordinator) -> (Watcher, Subscription) {
    let watcher = Watcher::start(coordinator.clone());
    let mut subscription = watcher.subscribe(Filter::default(), None).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(20), subscription.next()).await.expect("a snapshot");
    assert!(matches!(first, Some(Delivery::Snapshot(..))));
    (watcher, subscription)
}

fn reads(coordinator: &Coordinator) -> u64 {
    let traffic = coordinator.traffic();
    ["Range", "Txn"].iter().filter_map(|method| traffic.get(*method)).sum()
}

#[case]
async fn a_subscriber_sees_each_change_once_without_requests(env: TestEnv) {
    let watching = imported(&env).await;
    let (watcher, mut subscription) = begun(&watching).await;
    // With several endpoints, a new connection is tried by a read: the watch has its own.
    until("watch that stands", SOON, async || watcher.health().connected.then_some(()).ok_or("not yet"))
        .await;
    let asked = reads(&watching);
    let mut many = Vec::new();
    for _ in 0..50 {
        many.push(watcher.subscribe(Filter::default(), None).await.unwrap());
    }

    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    for task in ["1", "2", "3"] {
        let view = first.coordinator().plan(&plan()).await.unwrap();
        execute(&owner.authority(), &view, task).await;
    }
    owner.release().await.unwrap();

    let mut last: Option<Revision> = None;
    let mut seen: Vec<(TaskId, TaskStatus)> = Vec::new();
    let mut released = false;
    while !released {
        let set = next(&mut subscription).await;
        assert!(last < Some(set.revision), "{} after {last:?}", set.revision);
        last = Some(set.revision);
        for change in &set.changes {
            match change {
                Change::Task { task, .. } => seen.push((task.id.clone(), task.record.status)),
                Change::Ownership { what: OwnershipChange::Released { .. }, .. } => released = true,
                _ => {}
            }
        }
    }
    let expected: Vec<(TaskId, TaskStatus)> = ["1", "2", "3"]
        .iter()
        .flat_map(|task| {
            [TaskStatus::InProgress, TaskStatus::Completed].map(|status| (crate::helpers::id(task), status))
        })
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(reads(&watching), asked, "requests after the list");
    assert_eq!(watching.traffic().get("Watch"), Some(&1), "one watch for all subscribers");
    watcher.close().await.unwrap();
    audit(&env).await;
}

#[case]
async fn a_subscriber_learns_why_an_ownership_ended(env: TestEnv) {
    let watching = imported(&env).await;
    let (watcher, mut subscription) = begun(&watching).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let owner = try_acquire(&first).await.unwrap();
    watching.admin().force_release(&plan(), None, &Reason::by("me").because("stuck")).await.unwrap();
    let next_owner = second.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    second.clone().close().await.unwrap();
    drop((owner, next_owner));

    let mut reported = Vec::new();
    while reported.len() < 4 {
        for change in &next(&mut subscription).await.changes {
            if let Change::Ownership { what, .. } = change {
                match what {
                    OwnershipChange::Acquired { owner, token } => {
                        reported.push(format!("{owner} acquired {token}"))
                    }
                    OwnershipChange::Forced { owner, by, reason, .. } => {
                        reported.push(format!("{owner} forced by {by}: {reason}"))
                    }
                    OwnershipChange::Expired { owner, .. } => reported.push(format!("{owner} expired")),
                    _ => {}
                }
            }
        }
    }
    assert_eq!(
        reported,
        ["first acquired 1.1", "first forced by me: stuck", "second acquired 1.2", "second expired"]
    );
    watcher.close().await.unwrap();
    audit(&env).await;
}

#[case]
async fn an_import_in_parts_is_delivered_as_one_plan(env: TestEnv) {
    let watching = env.coordinator().await;
    let (watcher, mut subscription) = begun(&watching).await;
    let importer = env.coordinator().await;
    let mut large = spec();
    let task =
        |n| planlease_core::spec::TaskSpec::new(crate::helpers::id(&format!("9.{n}")), "x".repeat(200));
    large.tasks.extend((0..1500).map(task));
    importer.admin().import(&plan(), &large, |_| {}).await.unwrap();
    let set = next(&mut subscription).await;
    let [Change::PlanAppeared(appeared)] = set.changes.as_slice() else { panic!("{:?}", set.changes.len()) };
    assert_eq!(appeared.summary().total, 1503);
    watcher.close().await.unwrap();
    audit(&env).await;
}

#[case]
async fn a_written_revision_can_be_waited_for(env: TestEnv) {
    let watching = imported(&env).await;
    let (watcher, _subscription) = begun(&watching).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    for task in ["1", "2", "3"] {
        let view = first.coordinator().plan(&plan()).await.unwrap();
        let done = execute(&owner.authority(), &view, task).await;
        let snapshot = watcher.wait_for(done.revision, Duration::from_secs(20)).await.unwrap();
        assert_eq!(snapshot.plan(&plan()).unwrap().status(&done.id), Some(TaskStatus::Completed));
    }
    owner.release().await.unwrap();
    watcher.close().await.unwrap();
    audit(&env).await;
}

/// Also behind a proxy, whatever it makes of a watch that begins before the compaction, beside one that
/// stands.
#[case(alone)]
async fn a_subscriber_from_before_a_compaction_starts_again(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (watcher, mut first) = begun(&coordinator).await;
    let old = coordinator.plan(&plan()).await.unwrap().revision();
    let session = env.session("owner").await;
    let owner = try_acquire(&session).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    execute(&owner.authority(), &view, "1").await;
    owner.release().await.unwrap();
    next(&mut first).await;
    let last = coordinator.plan(&plan()).await.unwrap().revision();
    env.client.clone().compact(last.to_wire(), None).await.unwrap();
    let late = Watcher::start(coordinator.clone());
    for watcher in [&watcher, &late] {
        let mut subscription = watcher.subscribe(Filter::default(), Some(old)).await.unwrap();
        let delivery = tokio::time::timeout(SOON, subscription.next()).await.expect("an answer");
        let delivery = delivery.expect("the watcher goes on");
        match delivery {
            Delivery::Snapshot(snapshot, Why::NotKept) => assert!(snapshot.revision() >= last),
            // The first one has kept what came since.
            Delivery::Changes(set) => assert!(!std::ptr::eq(watcher, &raw const late), "{set:?}"),
            other => panic!("{other:?}"),
        }
    }
    late.close().await.unwrap();
    watcher.close().await.unwrap();
}
