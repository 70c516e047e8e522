//! How many requests each thing costs, counted in the coordinator's own channel.

use std::{collections::BTreeMap, time::Duration};

use planlease::{AcquireOptions, Coordinator, Session, TryAcquire};
use planlease_core::{
    PlanName,
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
use planlease_tests::{
    cases,
    suite::{Case, Fixture},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::fleet::{TTL, background, committed, coordinator, id, imported, in_line, plan, session, spec};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        acquiring_updating_and_releasing_cost_one_transaction_each,
        taking_over_costs_one_transaction,
        one_watch_stream_serves_all_that_comes_and_goes,
        what_is_given_back_at_once_is_not_watched,
        the_status_of_a_plan_of_500_tasks_costs_one_request,
        one_renewal_per_third_of_the_ttl_however_many_plans,
    ]
}

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

async fn acquiring_updating_and_releasing_cost_one_transaction_each(fixture: Fixture) {
    imported(&fixture).await;
    let session = session(&fixture, "one").await;
    let coordinator = session.coordinator().clone();

    let before = coordinator.traffic();
    let TryAcquire::Acquired(owner) = session.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    check(&coordinator, &before, &[("Txn", 2)]); // One of them reads the term, which was not known yet.
    let view = coordinator.plan(&plan()).await.unwrap();

    let before = coordinator.traffic();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    check(&coordinator, &before, &[("Txn", 1)]);
    let before = coordinator.traffic();
    committed(owner.authority().update(&started, Some(1), &Change::Complete(None)).await.unwrap());
    check(&coordinator, &before, &[("Txn", 1)]);

    let before = coordinator.traffic();
    owner.release().await.unwrap();
    check(&coordinator, &before, &[("Txn", 1)]);

    let before = coordinator.traffic();
    let TryAcquire::Acquired(owner) = session.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    check(&coordinator, &before, &[("Txn", 1)]);
    owner.release().await.unwrap();
}

async fn taking_over_costs_one_transaction(fixture: Fixture) {
    let observer = imported(&fixture).await;
    let (first, second) = (session(&fixture, "first").await, session(&fixture, "second").await);
    for expire in [false, true] {
        let TryAcquire::Acquired(owner) = first.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
        let waiting = background({
            let second = second.clone();
            async move { second.acquire(&plan(), AcquireOptions::default()).await.unwrap() }
        });
        in_line(&observer, 2).await;
        let before = second.coordinator().traffic();
        if expire {
            // As an expiry does: the key goes, and nobody has written how the term ended.
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
async fn one_watch_stream_serves_all_that_comes_and_goes(fixture: Fixture) {
    imported(&fixture).await;
    let (first, second) = (session(&fixture, "first").await, session(&fixture, "second").await);
    for _ in 0..5 {
        let TryAcquire::Acquired(owner) = first.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
        let waiting = background({
            let second = second.clone();
            async move { second.acquire(&plan(), AcquireOptions::default()).await.unwrap() }
        });
        in_line(first.coordinator(), 2).await;
        owner.release().await.unwrap();
        waiting.await.unwrap().release().await.unwrap();
    }
    let streams = |session: &Session| session.coordinator().traffic().get("Watch").copied().unwrap_or(0);
    assert_eq!(streams(&second), 1);
    assert!(streams(&first) <= 1, "one, unless all that it owned was given back too soon to be watched");
}

/// A watch of an own key begins 20 ms after its making.
async fn what_is_given_back_at_once_is_not_watched(fixture: Fixture) {
    imported(&fixture).await;
    let session = session(&fixture, "one").await;
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
    // Each that was watched: a watch, and its end. And every few seconds the stream is asked whether it is alive.
    let most = 2 * long + all.elapsed().as_secs();
    assert!(watches() <= most, "{} messages for {long} that were watched", watches());
    let TryAcquire::Acquired(_owner) = session.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    let before = watches();
    until("a watch", SOON, async || if watches() > before { Ok(()) } else { Err(watches()) }).await;
}

async fn the_status_of_a_plan_of_500_tasks_costs_one_request(fixture: Fixture) {
    let coordinator = coordinator(&fixture).await;
    let name = PlanName::new("large").unwrap();
    let tasks = (0..500).map(|n| TaskSpec::new(id(&format!("1.{n}")), "work")).collect();
    coordinator.import(&name, &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    let before = coordinator.traffic();
    assert_eq!(coordinator.plan(&name).await.unwrap().tasks.len(), 500);
    check(&coordinator, &before, &[("Txn", 1)]);
}

async fn one_renewal_per_third_of_the_ttl_however_many_plans(fixture: Fixture) {
    let session = session(&fixture, "one").await;
    let coordinator = session.coordinator().clone();
    let mut owned = Vec::new();
    for n in 0..20 {
        let name = PlanName::new(format!("p{n}")).unwrap();
        coordinator.import(&name, &spec(), |_| {}).await.unwrap();
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
    until("sixth renewal", SOON, async || {
        let sent = renewals();
        if sent >= start + 6 { Ok(()) } else { Err(sent - start) }
    })
    .await;
    let periods = begin.elapsed().as_secs_f64() / (TTL.as_secs_f64() / 3.0);
    assert!(periods > 4.5, "six renewals in {periods:.1} thirds of the TTL");
}
