//! One reader, many subscribers: what each receives when one is slow, comes back, or the watcher ends.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use planlease::{ConfigError, Error as Fault, Feed};
use planlease_core::{
    Revision,
    keys::{Key, PlanKey},
    transition::TaskStatus::{Completed, InProgress},
};

use super::script::{LONG, Script, next};
use crate::{
    change::{Change, ChangeSet},
    error::Error,
    filter::Filter,
    model::{World, plan, revision},
    subscription::{Delivery, Subscription, Why},
    watcher::Watcher,
};

/// A plan `p` of two tasks, watched.
async fn begun(changes_kept: usize) -> (Script, Watcher) {
    let mut world = World::new();
    world.import("p", 2);
    let script = Script::new(world);
    let watcher = script.watcher(changes_kept);
    watcher.ready().await.unwrap();
    (script, watcher)
}

/// Writes a task once more, and waits until the watcher knows.
async fn write(script: &Script, watcher: &Watcher) -> Revision {
    let at = script.act(|world| world.write("p", &["1"], InProgress).revision);
    watcher.wait_for(at, LONG).await.unwrap();
    at
}

async fn set(subscription: &mut Subscription) -> Arc<ChangeSet> {
    match next(subscription).await {
        Delivery::Changes(set) => set,
        Delivery::Snapshot(_, why) => panic!("a snapshot: {why:?}"),
    }
}

async fn snapshot(subscription: &mut Subscription) -> (Revision, Why) {
    match next(subscription).await {
        Delivery::Snapshot(snapshot, why) => (snapshot.revision(), why),
        Delivery::Changes(set) => panic!("changes: {set:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_subscribers_cost_one_list_and_one_watch() {
    let (script, watcher) = begun(64).await;
    let mut subscriptions = Vec::new();
    for _ in 0..1000 {
        subscriptions.push(watcher.subscribe(Filter::default(), None).await.unwrap());
    }
    assert_eq!(watcher.health().subscribers, 1000);
    let readers = subscriptions.into_iter().map(|mut subscription| async move {
        let (mut at, why) = snapshot(&mut subscription).await;
        assert_eq!((at, why), (revision(2), Why::Beginning));
        for _ in 0..20 {
            let set = set(&mut subscription).await;
            assert_eq!(set.revision, at.next());
            at = set.revision;
        }
    });
    let writer = async {
        for _ in 0..20 {
            write(&script, &watcher).await;
        }
    };
    futures_util::future::join(futures_util::future::join_all(readers), writer).await;
    script.stir(|stage| assert_eq!((stage.lists, stage.tails), (1, 1)));
    let health = watcher.health();
    assert_eq!((health.subscribers, health.change_sets, health.lagged, health.resyncs), (0, 20, 0, 0));
    assert!(health.connected && health.heard_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_lags_alone_and_goes_on_from_a_snapshot() {
    let (script, watcher) = begun(8).await;
    let mut slow = watcher.subscribe(Filter::default(), None).await.unwrap();
    let mut fast = watcher.subscribe(Filter::default(), None).await.unwrap();
    snapshot(&mut slow).await;
    snapshot(&mut fast).await;
    for _ in 0..20 {
        let at = write(&script, &watcher).await;
        assert_eq!(set(&mut fast).await.revision, at);
    }
    assert_eq!(snapshot(&mut slow).await, (revision(22), Why::Lagged));
    let at = write(&script, &watcher).await;
    assert_eq!(set(&mut slow).await.revision, at);
    assert_eq!(set(&mut fast).await.revision, at);
    assert_eq!(watcher.health().lagged, 1);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_comes_back_with_what_it_has_seen() {
    let (script, watcher) = begun(8).await;
    for _ in 0..4 {
        write(&script, &watcher).await; // 3 to 6
    }
    let mut back = watcher.subscribe(Filter::default(), Some(revision(4))).await.unwrap();
    assert_eq!(set(&mut back).await.revision, revision(5));
    assert_eq!(set(&mut back).await.revision, revision(6));
    assert!(back.next().now_or_never().is_none());
    let mut now = watcher.subscribe(Filter::default(), Some(revision(6))).await.unwrap();
    assert!(now.next().now_or_never().is_none());
    let mut early = watcher.subscribe(Filter::default(), Some(revision(1))).await.unwrap();
    assert_eq!(snapshot(&mut early).await, (revision(6), Why::NotKept));
    let future = watcher.subscribe(Filter::default(), Some(revision(7))).await;
    assert!(matches!(future, Err(Error::Future { from, at }) if from == revision(7) && at == revision(6)));
    let at = write(&script, &watcher).await;
    for subscription in [&mut back, &mut now, &mut early] {
        assert_eq!(set(subscription).await.revision, at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_another_watcher_restarts_the_subscriber() {
    let (script, watcher) = begun(8).await;
    script.stir(|stage| {
        stage.world.import("q", 1); // 3
        stage.world.delete("q"); // 4
        stage.compacted = Some(stage.world.revision());
    });
    watcher.wait_for(revision(4), LONG).await.unwrap();
    // At 3, q was there. The difference from 2 to 4 says nothing of it.
    let mut inside = watcher.subscribe(Filter::default(), Some(revision(3))).await.unwrap();
    assert_eq!(snapshot(&mut inside).await, (revision(4), Why::NotKept));
    let mut before = watcher.subscribe(Filter::default(), Some(revision(2))).await.unwrap();
    let resync = set(&mut before).await;
    assert!(resync.resynced && resync.changes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_reads_ones_own_writes() {
    let (script, watcher) = begun(8).await;
    let at = script.act(|world| world.write("p", &["1"], Completed).revision);
    let snapshot = watcher.wait_for(at, LONG).await.unwrap();
    assert_eq!(snapshot.plan(&plan("p")).unwrap().summary().completed, 1);
    let behind = watcher.wait_for(at.next(), Duration::from_secs(2)).await;
    assert!(matches!(behind, Err(Error::Behind { wanted, .. }) if wanted == at.next()), "{behind:?}");
}

#[tokio::test(start_paused = true)]
async fn another_writers_revision_is_reached_by_progress() {
    let (script, watcher) = begun(8).await;
    script.stir(|stage| {
        stage.world.pass();
        stage.said.push_back(Ok(Feed::Alive(revision(3))));
    });
    let snapshot_then = watcher.wait_for(revision(3), LONG).await.unwrap();
    assert_eq!(snapshot_then.revision(), revision(2), "nothing of ours is proven about 3");
    assert_eq!(watcher.health().revision, Some(revision(3)));
    let mut back = watcher.subscribe(Filter::default(), Some(revision(3))).await.unwrap();
    assert_eq!(snapshot(&mut back).await.1, Why::NotKept);
}

#[tokio::test(start_paused = true)]
async fn a_lost_history_is_made_good_however_often_the_list_fails() {
    let (script, watcher) = begun(8).await;
    let mut subscription = watcher.subscribe(Filter::default(), None).await.unwrap();
    snapshot(&mut subscription).await;
    script.stir(|stage| {
        stage.list_failures.extend([Fault::Compacted, Fault::TimedOut("x"), Fault::Compacted]);
        stage.world.delete("p");
        stage.world.import("q", 1);
        stage.compacted = Some(stage.world.revision());
    });
    let resync = set(&mut subscription).await;
    assert!(resync.resynced);
    assert!(matches!(&resync.changes[..], [Change::PlanGone { .. }, Change::PlanAppeared(_)]));
    script.stir(|stage| assert_eq!((stage.lists, stage.tails), (5, 2)));
    script.act(|world| world.write("q", &["1"], Completed));
    assert!(!set(&mut subscription).await.resynced);
    assert_eq!(watcher.health().resyncs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_loses_and_repeats_nothing() {
    let (script, watcher) = begun(8).await;
    let mut subscription = watcher.subscribe(Filter::default(), Some(revision(2))).await.unwrap();
    let again = script.act(|world| world.write("p", &["1"], Completed));
    assert_eq!(set(&mut subscription).await.revision, revision(3));
    script.stir(|stage| {
        stage.said.push_back(Ok(Feed::Broken("x".into())));
        stage.said.push_back(Ok(Feed::Connected));
        stage.said.push_back(Ok(Feed::Changes(vec![again]))); // As some versions of etcd do.
        stage.world.write("p", &["2"], Completed);
    });
    assert_eq!(set(&mut subscription).await.revision, revision(4));
    assert!(subscription.next().now_or_never().is_none());
    assert_eq!(watcher.health().breaks, 1);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_ends_all_subscriptions() {
    let (script, watcher) = begun(8).await;
    let mut subscription = watcher.subscribe(Filter::default(), None).await.unwrap();
    snapshot(&mut subscription).await;
    let at = write(&script, &watcher).await;
    script.stir(|stage| stage.said.push_back(Err(Fault::Config(ConfigError::NoEndpoint))));
    assert!(matches!(watcher.wait_for(at.next(), LONG).await, Err(Error::Failed(_))));
    assert!(matches!(watcher.ended().await, Error::Failed(_)));
    assert_eq!(set(&mut subscription).await.revision, at, "what was told before the end is still told");
    assert_eq!(subscription.next().await, None);
    assert_eq!(subscription.next().await, None);
    assert!(matches!(watcher.error(), Some(Error::Failed(_))));
    assert!(matches!(watcher.subscribe(Filter::default(), None).await, Err(Error::Failed(_))));
    assert!(!watcher.health().connected);
    assert_eq!(watcher.snapshot().unwrap().revision(), at);
    assert!(matches!(watcher.close().await, Err(Error::Failed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_in_time_is_not_followed() {
    let (script, watcher) = begun(8).await;
    write(&script, &watcher).await;
    script.stir(|stage| {
        stage.world = World::new();
        stage.said.push_back(Ok(Feed::Alive(revision(1))));
    });
    let ended = tokio::time::timeout(LONG, watcher.ended()).await.unwrap();
    assert!(matches!(ended, Error::WentBack { held, found } if held == revision(3) && found == revision(1)));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lags_is_waited_for() {
    let (script, watcher) = begun(8).await;
    let mut subscription = watcher.subscribe(Filter::default(), Some(revision(2))).await.unwrap();
    script.stir(|stage| stage.said.push_back(Ok(Feed::Alive(revision(1)))));
    let resync = set(&mut subscription).await;
    assert!(resync.resynced && resync.changes.is_empty());
    let at = write(&script, &watcher).await;
    assert_eq!(set(&mut subscription).await.revision, at);
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_a_server_that_is_not_there_yet() {
    let script = Script::new(World::new());
    script.stir(|stage| stage.list_failures.extend((0..100).map(|_| Fault::TimedOut("x"))));
    let watcher = script.watcher(8);
    assert!(watcher.snapshot().is_none());
    assert!(watcher.ready().now_or_never().is_none());
    tokio::time::timeout(LONG, watcher.ready()).await.unwrap().unwrap();
    script.stir(|stage| stage.list_failures.push_back(Fault::Config(ConfigError::NoEndpoint)));
    let refused = script.watcher(8);
    assert!(matches!(refused.ready().await, Err(Error::Failed(_))));
}

#[tokio::test(start_paused = true)]
async fn closing_and_dropping_end_it() {
    let (script, watcher) = begun(8).await;
    let mut subscription = watcher.subscribe(Filter::default(), Some(revision(2))).await.unwrap();
    let at = write(&script, &watcher).await;
    watcher.close().await.unwrap();
    assert_eq!(set(&mut subscription).await.revision, at);
    assert_eq!(subscription.next().await, None);
    assert!(matches!(watcher.wait_for(at.next(), LONG).await, Err(Error::Closed)));
    assert!(watcher.error().is_none());

    let (_script, watcher) = begun(8).await;
    let mut subscription = watcher.subscribe(Filter::default(), Some(revision(2))).await.unwrap();
    drop(watcher);
    assert_eq!(tokio::time::timeout(LONG, subscription.next()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_filter_lets_through_what_is_wanted() {
    let (script, watcher) = begun(64).await;
    let mut only_q = watcher.subscribe(Filter::plan(plan("q")), None).await.unwrap();
    let Delivery::Snapshot(first, _) = next(&mut only_q).await else {
        panic!("the first delivery is a snapshot")
    };
    assert_eq!(first.plans().count(), 0);
    script.stir(|stage| {
        stage.world.write("p", &["1"], Completed);
        stage.world.import("q", 1);
        stage.world.register("a");
        let keys =
            |name| {
                stage.world.list().entries.into_iter().find(
                    |(key, _)| matches!(key, Key::Plan(plan, PlanKey::Task(_)) if plan.as_str() == name),
                )
            };
        let both = [keys("p"), keys("q")]
            .into_iter()
            .flatten()
            .map(|(key, entry)| (key, Some(entry.value)))
            .collect();
        stage.world.commit(both); // Two plans in one transaction.
    });
    let appeared = set(&mut only_q).await;
    assert!(matches!(&appeared.changes[..], [Change::PlanAppeared(state)] if state.name() == &plan("q")));
    let both = set(&mut only_q).await;
    assert!(matches!(&both.changes[..], [Change::Task { plan: of, .. }] if of == &plan("q")), "{both:?}");
    assert!(only_q.next().now_or_never().is_none());
}
