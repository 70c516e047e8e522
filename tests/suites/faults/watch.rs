//! Watchers: history that is forgotten, members that fall silent, subscribers that do not read, lists that
//! are large or fail.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use planlease::Coordinator;
use planlease_core::{
    PlanName, Revision,
    spec::{PlanSpec, TaskSpec},
    transition::Change as Edit,
};
use planlease_tests::{
    etcd::Etcd,
    plain,
    wait::{SOON, until},
};
use planlease_watcher::{Change, Delivery, Filter, Options, Store, Subscription, Watcher, Why};
use tokio::time::Instant;

use crate::helpers::{
    acquired, audit, background, committed, config, connected, exposed, id, observer, plan, session, spec,
};

/// A watcher whose watch stands, and a subscription that has its first snapshot.
async fn begun(coordinator: &Coordinator, options: Options) -> (Watcher, Subscription) {
    let watcher = Watcher::start_with(coordinator.clone(), options);
    let mut subscription = watcher.subscribe(Filter::default(), None).await.unwrap();
    assert!(matches!(next(&mut subscription).await, Delivery::Snapshot(_, Why::Beginning)));
    until("watch", SOON, async || if watcher.health().connected { Ok(()) } else { Err("none yet") }).await;
    (watcher, subscription)
}

async fn next(subscription: &mut Subscription) -> Delivery {
    tokio::time::timeout(SOON, subscription.next()).await.expect("news").expect("the watcher goes on")
}

/// Waits until the watcher holds what the store holds, read past the proxies.
async fn holds_the_truth(watcher: &Watcher, observer: &Coordinator) {
    until("same state as the store's", SOON, async || {
        let list = observer.raw().snapshot(&observer.layout().everything()).await.unwrap();
        let truth = Store::load(&list);
        let held = watcher.snapshot().unwrap();
        let same = held.plans().eq(truth.snapshot().plans())
            && held.orchestrators().eq(truth.snapshot().orchestrators());
        if same { Ok(()) } else { Err((held.revision(), list.revision)) }
    })
    .await;
}

fn named(name: &str) -> PlanName {
    PlanName::new(name).unwrap()
}

#[plain(on_etcd)]
async fn f24_compacted_history_is_delivered_as_differences() {
    forgotten_history(Etcd::builder().proxied(true).start().await).await;
}

#[plain(on_etcd_3_4)]
async fn f24_an_older_server_that_forgets_history_is_followed_too() {
    forgotten_history(Etcd::of(planlease_tests::etcd::Line::V3_4).proxied(true).start().await).await;
}

/// etcd says that it has forgotten on a stream that it then leaves open and silent, without a reason.
async fn forgotten_history(etcd: Etcd) {
    let observer = observer(&etcd).await;
    for name in ["release", "doomed"] {
        observer.admin().import(&named(name), &spec(3), |_| {}).await.unwrap();
    }
    let owner = acquired(&session(&observer, "owner").await).await;
    let watching = exposed(&etcd).await;
    let (watcher, mut subscription) = begun(&watching, Options::default()).await;

    etcd.members()[0].proxy().cut();
    let view = observer.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let done = committed(owner.authority().update_attempt(&started, 1, &Edit::Complete(None)).await.unwrap());
    observer.admin().delete(&named("doomed")).await.unwrap();
    observer.admin().import(&named("new"), &spec(1), |_| {}).await.unwrap();
    owner.release().await.unwrap();
    let compacted = etcd.compact().await;
    etcd.heal();

    let Delivery::Changes(set) = next(&mut subscription).await else { panic!("sent back to the beginning") };
    assert!(set.resynced && set.revision >= Revision::from_wire(compacted).unwrap(), "{set:?}");
    let mut tasks = Vec::new();
    let (mut gone, mut appeared) = (false, false);
    for change in &set.changes {
        match change {
            Change::Task { task, .. } => tasks.push((task.id.clone(), task.revision)),
            Change::PlanGone { plan } => gone |= *plan == named("doomed"),
            Change::PlanAppeared(plan) => appeared |= *plan.name() == named("new"),
            _ => {}
        }
    }
    assert_eq!(tasks, [(done.id, done.revision)], "each difference once, whatever happened in between");
    assert!(gone && appeared, "{set:?}");
    assert_eq!(watcher.health().resyncs, 1);
    holds_the_truth(&watcher, &observer).await;
    watcher.close().await.unwrap();
    assert!(!audit(&etcd).await.complete);
}

/// The watch stands and its news is under way; that history is forgotten meanwhile is none of its business.
#[plain(on_etcd)]
async fn f24_a_delayed_watcher_misses_nothing_of_compacted_history() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(3), |_| {}).await.unwrap();
    let owner = acquired(&session(&observer, "owner").await).await;
    let watching = exposed(&etcd).await;
    let (watcher, mut subscription) = begun(&watching, Options::default()).await;
    let view = observer.plan(&plan()).await.unwrap();
    let first = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    watcher.wait_for(first.revision, SOON).await.unwrap(); // The server has brought the watch up to date.
    etcd.members()[0].proxy().silence();
    let mut written = vec![first.revision];
    for task in ["2", "3"] {
        written.push(committed(owner.authority().start(&view, &id(task)).await.unwrap()).revision);
    }
    etcd.compact().await;
    etcd.heal();
    let mut reported = Vec::new();
    while reported.len() < written.len() {
        let Delivery::Changes(set) = next(&mut subscription).await else { panic!("back to the beginning") };
        assert!(!set.resynced, "nothing was missed: {set:?}");
        reported.extend(
            set.changes.iter().any(|change| matches!(change, Change::Task { .. })).then_some(set.revision),
        );
    }
    assert_eq!(reported, written);
    owner.release().await.unwrap();
    holds_the_truth(&watcher, &observer).await;
    watcher.close().await.unwrap();
    audit(&etcd).await;
}

/// There is nothing to replay, and nothing comes any more: that, too, is an end.
#[plain(on_etcd)]
async fn f24_an_audit_of_a_store_that_has_forgotten_everything_ends() {
    let etcd = Etcd::builder().start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(3), |_| {}).await.unwrap();
    etcd.compact().await;
    let audited = tokio::time::timeout(SOON, observer.admin().audit(|_| {})).await.expect("an end").unwrap();
    assert_eq!(audited.report.violations, []);
    assert!(!audited.complete);
}

/// Some servers, 3.5.30 among them, do not answer the question for progress while a watch waits for the very
/// next revision.
#[plain(on_etcd)]
async fn f26_a_quiet_server_is_not_taken_for_a_dead_one() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let watching = exposed(&etcd).await;
    let (watcher, _subscription) = begun(&watching, Options::default()).await;
    let proxy = etcd.members()[0].proxy();
    let (connections, began) = (proxy.accepted(), Instant::now());
    // Twice as long as a watch may be silent.
    while began.elapsed() < Duration::from_secs(20) {
        assert_eq!(
            (watcher.health().breaks, proxy.accepted()),
            (0, connections),
            "after {:?}",
            began.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    watcher.close().await.unwrap();
    audit(&etcd).await;
}

/// The list that makes good for lost history fails, too: several times, in several ways.
#[plain(on_etcd)]
async fn f31_a_failing_list_is_retried_until_it_succeeds() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(3), |_| {}).await.unwrap();
    let watching =
        connected(config(&etcd.proxied_endpoints()).operation_timeout(Duration::from_secs(1))).await;
    let (watcher, mut subscription) = begun(&watching, Options::default()).await;
    let proxy = etcd.members()[0].proxy();
    proxy.cut();
    observer.admin().delete(&plan()).await.unwrap();
    session(&observer, "somebody").await.close().await.unwrap(); // Forgotten is what lies before the last revision.
    etcd.compact().await;
    proxy.heal();
    let traps: Vec<_> = (0..12)
        .map(|n| if n % 2 == 0 { proxy.lose_answer("KV/Range") } else { proxy.lose_request("KV/Range") })
        .collect();
    let Delivery::Changes(set) = next(&mut subscription).await else { panic!("sent back to the beginning") };
    assert!(set.resynced && matches!(set.changes[..], [Change::PlanGone { .. }]), "{set:?}");
    assert!(traps.iter().all(planlease_tests::proxy::Trap::has_sprung), "the list did not fail that often");
    observer.admin().import(&named("new"), &spec(1), |_| {}).await.unwrap();
    let Delivery::Changes(set) = next(&mut subscription).await else { panic!("sent back to the beginning") };
    assert!(!set.resynced && matches!(set.changes[..], [Change::PlanAppeared(_)]), "{set:?}");
    holds_the_truth(&watcher, &observer).await;
    watcher.close().await.unwrap();
    audit(&etcd).await;
}

#[plain(on_etcd)]
async fn f29_10_000_changes_reach_1_000_subscribers_past_a_slow_one() {
    const TASKS: usize = 100;
    const ROUNDS: usize = 100;
    const KEPT: usize = TASKS * (ROUNDS - 10);
    let etcd = Etcd::builder().start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(TASKS), |_| {}).await.unwrap();
    let (watcher, mut asleep) = begun(&observer, Options::default().changes_kept(KEPT)).await;
    let mut readers = Vec::new();
    for _ in 0..1_000 {
        let mut subscription = watcher.subscribe(Filter::default(), None).await.unwrap();
        readers.push(background(async move {
            let (mut reported, mut last, mut records) = (0, None, Vec::new());
            while reported < TASKS * (ROUNDS + 1) {
                match next(&mut subscription).await {
                    Delivery::Snapshot(_, Why::Beginning) => {}
                    Delivery::Snapshot(_, why) => return Err(format!("{why:?} after {reported}")),
                    Delivery::Changes(set) => {
                        assert!(last < Some(set.revision), "{last:?}, then {}", set.revision);
                        last = Some(set.revision);
                        for change in &set.changes {
                            if let Change::Task { task, .. } = change {
                                reported += 1;
                                records.push(Arc::downgrade(task));
                            }
                        }
                    }
                }
            }
            Ok((last, records))
        }));
    }
    let owner = acquired(&session(&observer, "owner").await).await;
    let mut tasks: Vec<_> = observer.plan(&plan()).await.unwrap().tasks().values().cloned().collect();
    let began = Instant::now();
    for round in 0..=ROUNDS {
        let edit = if round == 0 { Edit::Start } else { Edit::Progress(format!("{round}")) };
        let updates: Vec<_> = tasks.into_iter().map(|task| (task, edit.clone())).collect();
        tasks = owner.authority().update_all(&updates).await.unwrap().into_iter().map(committed).collect();
    }
    let written = began.elapsed();
    let last = tasks.iter().map(|task| task.revision).max();
    let mut records = Vec::new();
    for reader in readers {
        let read = reader.await.unwrap().unwrap();
        assert_eq!(read.0, last);
        records = read.1;
    }
    // While one has not read anything: what is kept for it, the state, and what the oldest kept changes
    // replaced.
    let held = records.iter().filter(|record| record.strong_count() > 0).count();
    assert!(
        held <= KEPT + 2 * TASKS,
        "{held} of {} records are in memory, of which {KEPT} are kept",
        records.len()
    );
    println!(
        "measured: {} changes written in {written:?}, delivered to 1000 in {:?}",
        TASKS * ROUNDS,
        began.elapsed()
    );
    let Delivery::Snapshot(snapshot, Why::Lagged) = next(&mut asleep).await else { panic!("it lagged") };
    assert_eq!(Some(snapshot.revision()), last);
    assert_eq!(watcher.health().lagged, 1);
    owner.release().await.unwrap();
    watcher.close().await.unwrap();
    audit(&etcd).await;
}

/// gRPC libraries decode 4 MiB unless they are configured otherwise.
#[plain(on_etcd)]
async fn f30_lists_and_histories_beyond_all_default_limits_are_read() {
    const TASKS: usize = 600;
    let etcd = Etcd::builder().start().await;
    let observer = observer(&etcd).await;
    let text = "x".repeat(14 * 1024);
    let task = |n: usize| TaskSpec::new(id(&n.to_string()), text.clone());
    let large =
        PlanSpec { title: "large".into(), tasks: (1..=TASKS).map(task).collect(), ..PlanSpec::default() };
    observer.admin().import(&plan(), &large, |_| {}).await.unwrap();
    let (watcher, _subscription) = begun(&observer, Options::default()).await;
    let owner = acquired(&session(&observer, "owner").await).await;
    let updates = |edit: Edit, tasks: Vec<planlease::TaskView>| -> Vec<_> {
        tasks.into_iter().map(|task| (task, edit.clone())).collect()
    };
    let mut tasks: Vec<_> = observer.plan(&plan()).await.unwrap().tasks().values().cloned().collect();
    for edit in [Edit::Start, Edit::Progress(text.clone()), Edit::Complete(Some(text.clone()))] {
        let outcomes = owner.authority().update_all(&updates(edit, tasks)).await.unwrap();
        tasks = outcomes.into_iter().map(committed).collect();
    }
    let list = observer.raw().snapshot(&observer.layout().everything()).await.unwrap();
    let bytes: usize = list.entries.iter().map(|(_, entry)| entry.value.len()).sum();
    assert!(bytes > 3 * 4 * 1024 * 1024, "{bytes}");
    assert_eq!(observer.plan(&plan()).await.unwrap().tasks().len(), TASKS);
    let late = Watcher::start(observer.clone());
    late.ready().await.unwrap();
    for watcher in [&watcher, &late] {
        holds_the_truth(watcher, &observer).await;
        assert_eq!(watcher.health().breaks, 0);
    }
    owner.release().await.unwrap();
    // It reads all of the history at once.
    let audited = audit(&etcd).await;
    assert_eq!(audited.report.updates, 4 * u64::try_from(TASKS).unwrap());
    println!("measured: a store of {} MiB, listed, watched and audited", bytes / 1024 / 1024);
}

/// It keeps its connections open and says nothing, for as long as one likes to wait.
#[plain(on_three_members)]
async fn f26_a_silent_member_is_left_and_nothing_is_missed() {
    let etcd = Etcd::builder().members(3).start().await;
    let leader = etcd.leader().await.endpoint();
    let (mut followers, rest): (Vec<_>, Vec<_>) =
        etcd.endpoints().into_iter().partition(|endpoint| *endpoint != leader);
    let silent = followers.remove(0);
    let writing = connected(config(&[rest, followers.clone()].concat())).await;
    writing.admin().import(&plan(), &spec(20), |_| {}).await.unwrap();
    let watching = connected(config(&[silent.clone(), followers[0].clone()])).await;
    let (watcher, mut subscription) = begun(&watching, Options::default()).await;
    let member = etcd.members().iter().find(|member| member.endpoint() == silent).unwrap();
    member.pause();
    let paused = Instant::now();

    let owner = acquired(&session(&writing, "owner").await).await;
    let view = writing.plan(&plan()).await.unwrap();
    let mut written = BTreeMap::new();
    for task in view.tasks().keys() {
        let started = committed(owner.authority().start(&view, task).await.unwrap());
        written.insert(started.revision, started.id);
    }
    let mut reported = BTreeMap::new();
    let mut first = None;
    while reported.len() < written.len() {
        let Delivery::Changes(set) = next(&mut subscription).await else { panic!("back to the beginning") };
        first.get_or_insert_with(|| paused.elapsed());
        for change in &set.changes {
            if let Change::Task { task, .. } = change {
                assert_eq!(reported.insert(set.revision, task.id.clone()), None, "delivered twice");
            }
        }
    }
    assert_eq!(reported, written);
    let first = first.unwrap();
    assert!(first <= Duration::from_secs(15), "{first:?}");
    println!("measured: a silent member was left by its watcher after {first:?}");
    assert_eq!(watcher.health().resyncs, 0, "no history was lost");
    member.resume();
    owner.release().await.unwrap();
    holds_the_truth(&watcher, &writing).await;
    watcher.close().await.unwrap();
    audit(&etcd).await;
}
