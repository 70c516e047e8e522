//! How many requests each thing costs, counted in the coordinator's own channel.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream};
use planlease::{AcquireOptions, Coordinator, Session, TryAcquire};
use planlease_core::{
    PlanName,
    keys::{Key, PlanKey},
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
use planlease_tests::{
    TestEnv,
    backend::Backend,
    case, plain,
    proxy::Proxy,
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::helpers::{TTL, background, committed, connected, id, imported, in_queue, plan, spec};

/// The requests since `before`, watches and renewals aside.
fn unary(coordinator: &Coordinator, before: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let since = coordinator.traffic().into_iter().map(|(method, count)| {
        let earlier = before.get(&method).copied().unwrap_or(0);
        (method, count - earlier)
    });
    since
        .filter(|(method, count)| {
            *count > 0 && !method.starts_with("Watch") && !method.starts_with("LeaseKeepAlive")
        })
        .collect()
}

#[track_caller]
fn check(coordinator: &Coordinator, before: &BTreeMap<String, u64>, expected: &[(&str, u64)]) {
    let expected: Vec<_> = expected.iter().map(|(method, count)| ((*method).to_owned(), *count)).collect();
    assert_eq!(unary(coordinator, before), expected);
}

#[case(one_at_a_time)]
async fn acquiring_updating_and_releasing_cost_one_transaction_each(env: TestEnv) {
    imported(&env).await;
    let session = env.session("one").await;
    let coordinator = session.coordinator().clone();
    connected(&session, &["LeaseKeepAlive"]).await;

    let before = coordinator.traffic();
    let TryAcquire::Acquired(owner) = session.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    check(&coordinator, &before, &[("Txn", 2)]); // One of them reads the term, which was not known yet.
    connected(&session, &["Watch"]).await;
    let view = coordinator.plan(&plan()).await.unwrap();

    let before = coordinator.traffic();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    check(&coordinator, &before, &[("Txn", 1)]);
    let before = coordinator.traffic();
    committed(owner.authority().update_attempt(&started, 1, &Change::Complete(None)).await.unwrap());
    check(&coordinator, &before, &[("Txn", 1)]);

    let before = coordinator.traffic();
    owner.release().await.unwrap();
    check(&coordinator, &before, &[("Txn", 1)]);

    let before = coordinator.traffic();
    let TryAcquire::Acquired(owner) = session.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    check(&coordinator, &before, &[("Txn", 1)]);
    owner.release().await.unwrap();
}

#[case(one_at_a_time)]
async fn taking_over_costs_one_transaction(env: TestEnv) {
    let observer = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    for expire in [false, true] {
        let TryAcquire::Acquired(owner) = first.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
        let waiting = background({
            let second = second.clone();
            async move { second.acquire(&plan(), AcquireOptions::default()).await.unwrap() }
        });
        in_queue(&observer, 2).await;
        connected(&second, &["LeaseKeepAlive", "Watch"]).await;
        let before = second.coordinator().traffic();
        if expire {
            // As an expiry does: the key goes, and how the term ended is not written.
            first.clone().close().await.unwrap();
        } else {
            owner.release().await.unwrap();
        }
        let next = waiting.await.unwrap();
        check(second.coordinator(), &before, &[("Txn", 1)]);
        next.release().await.unwrap();
    }
}

/// A watch that is not needed any more is ended by itself; the stream with all the others stands.
#[case(one_at_a_time)]
async fn one_watch_stream_serves_all_that_comes_and_goes(env: TestEnv) {
    imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    for _ in 0..5 {
        let TryAcquire::Acquired(owner) = first.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
        let waiting = background({
            let second = second.clone();
            async move { second.acquire(&plan(), AcquireOptions::default()).await.unwrap() }
        });
        in_queue(first.coordinator(), 2).await;
        owner.release().await.unwrap();
        waiting.await.unwrap().release().await.unwrap();
    }
    let streams = |session: &Session| session.coordinator().traffic().get("Watch").copied().unwrap_or(0);
    assert_eq!(streams(&second), 1);
    assert!(streams(&first) <= 1, "one, unless all that it owned was given back too soon to be watched");
}

/// A watch of an own key begins 20 ms after its making.
#[case(one_at_a_time)]
async fn an_ownership_released_at_once_is_not_watched(env: TestEnv) {
    imported(&env).await;
    let session = env.session("one").await;
    let watches = || {
        let traffic = session.coordinator().traffic();
        ["Watch", "Watch message"].map(|method| traffic.get(method).copied().unwrap_or(0)).iter().sum::<u64>()
    };
    let (all, mut long) = (Instant::now(), 0);
    for _ in 0..50 {
        let began = Instant::now();
        let TryAcquire::Acquired(owner) = session.try_acquire(&plan()).await.unwrap() else {
            panic!("taken")
        };
        owner.release().await.unwrap();
        long += u64::from(began.elapsed() >= Duration::from_millis(20));
    }
    // Each that was watched: a watch, and its end. And every few seconds the stream is asked whether it is
    // alive.
    let most = 2 * long + all.elapsed().as_secs();
    assert!(watches() <= most, "{} messages for {long} that were watched", watches());
    let TryAcquire::Acquired(_owner) = session.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    let before = watches();
    until("a watch", SOON, async || if watches() > before { Ok(()) } else { Err(watches()) }).await;
}

#[case(one_at_a_time)]
async fn the_status_of_a_plan_of_500_tasks_costs_one_request(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let name = PlanName::new("large").unwrap();
    let tasks = (0..500).map(|n| TaskSpec::new(id(&format!("1.{n}")), "work")).collect();
    coordinator.admin().import(&name, &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    let before = coordinator.traffic();
    assert_eq!(coordinator.plan(&name).await.unwrap().tasks().len(), 500);
    check(&coordinator, &before, &[("Txn", 1)]);
}

/// Once it is known how small its records are.
#[case(one_at_a_time)]
async fn a_long_plan_is_read_in_few_pages(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let name = PlanName::new("long").unwrap();
    let tasks = (0..3_000).map(|n| TaskSpec::new(id(&format!("1.{n}")), "work")).collect();
    coordinator.admin().import(&name, &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    let before = coordinator.traffic();
    assert_eq!(coordinator.plan(&name).await.unwrap().tasks().len(), 3_000);
    check(&coordinator, &before, &[("Range", 2), ("Txn", 1)]);
}

/// What comes after 500 small values has 96 MiB, of which 64 would be decoded.
#[plain(on_embedded)]
async fn a_page_that_is_too_large_is_asked_for_again_as_small_ones() {
    let env = TestEnv::on(Arc::new(Backend::Embedded.start().await), "large").await;
    let coordinator = env.coordinator().await;
    let puts = (0..2_000).map(async |n: usize| {
        let key = coordinator.layout().of(&plan(), &PlanKey::Findings(id(&format!("{n:04}"))));
        let value = vec![b'x'; if n < 500 { 10 } else { 64 * 1024 }];
        env.client.kv_client().put(key, value, None).await.unwrap();
    });
    stream::iter(puts).buffer_unordered(16).for_each(async |_| {}).await;
    let before = coordinator.traffic();
    let everything = coordinator.raw().snapshot(&coordinator.layout().everything()).await.unwrap();
    let findings =
        everything.entries.iter().filter(|(key, _)| matches!(key, Key::Plan(_, PlanKey::Findings(_))));
    assert_eq!(findings.count(), 2_000);
    // The small ones, the one in vain, and then 500 each; the store's own key is the last one.
    check(&coordinator, &before, &[("Range", 1 + 1 + 4)]);
}

#[case(one_at_a_time)]
async fn one_renewal_per_third_of_the_ttl_however_many_plans(env: TestEnv) {
    let session = env.session("one").await;
    let coordinator = session.coordinator().clone();
    let mut owned = Vec::new();
    for n in 0..20 {
        let name = PlanName::new(format!("p{n}")).unwrap();
        coordinator.admin().import(&name, &spec(), |_| {}).await.unwrap();
        let TryAcquire::Acquired(owner) = session.try_acquire(&name).await.unwrap() else { panic!("taken") };
        owned.push(owner);
    }
    let renewals = || {
        let traffic = coordinator.traffic();
        let count = |method: &str| traffic.get(method).copied().unwrap_or(0);
        count("LeaseKeepAlive") + count("LeaseKeepAlive message")
    };
    let start = renewals();
    let begin = Instant::now();
    // etcd's proxy renews by itself, and answers when it does so: some of our renewals wait for that.
    let wanted = if env.server.backend() == Backend::Proxied { 4u8 } else { 6 };
    until("the last renewal", SOON, async || {
        let sent = renewals();
        if sent >= start + u64::from(wanted) { Ok(()) } else { Err(sent - start) }
    })
    .await;
    assert!(owned.iter().all(|owner| owner.deadline().is_some()), "the session was lost");
    let periods = begin.elapsed().as_secs_f64() / (TTL.as_secs_f64() / 3.0);
    assert!(periods > 0.75 * f64::from(wanted), "{wanted} renewals in {periods:.1} thirds of the TTL");
}

/// Many reads while nothing is answered. All of them are, in the end, and none is sent twice.
#[case(one_at_a_time)]
async fn no_more_than_512_are_under_way_at_a_time(env: TestEnv) {
    imported(&env).await;
    let upstream = env.server.endpoints()[0].strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::before(upstream);
    let long = Duration::from_secs(60);
    let mut config = env.config.clone().request_timeout(long).operation_timeout(long);
    config.endpoints = vec![proxy.endpoint().parse().unwrap()];
    let coordinator = Coordinator::connect(config).await.unwrap();
    let sent = |before: &BTreeMap<String, u64>| {
        unary(&coordinator, before).into_iter().map(|(_, count)| count).sum::<u64>()
    };

    let before = coordinator.traffic();
    proxy.silence();
    let reads = join_all((0..600).map(|_| background(read(coordinator.clone()))));
    let watched = async {
        until("512 are sent", SOON, async || if sent(&before) >= 512 { Ok(()) } else { Err(sent(&before)) })
            .await;
        // Whatever is not sent now is not sent as long as nothing is answered.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(sent(&before), 512);
        proxy.heal();
    };
    let (read, ()) = tokio::join!(reads, watched);
    assert_eq!(read.into_iter().filter(|read| *read.as_ref().unwrap() == 3).count(), 600);
    assert_eq!(sent(&before), 600);
}

async fn read(coordinator: Coordinator) -> usize {
    coordinator.plan(&plan()).await.unwrap().tasks().len()
}
