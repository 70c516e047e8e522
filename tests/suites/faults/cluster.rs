//! Members, leaders, majorities: stopped, killed, cut off from each other, back again.

use std::time::Duration;

use planlease::{AuthorityLoss, Coordinator, Error, Loss, Outcome, Ownership, Refused};
use planlease_core::{
    session::{LossReason, Status},
    transition::Change,
};
use planlease_tests::{
    etcd::Etcd,
    plain,
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::helpers::{
    ELECTION, EXPIRY_LAG, Pair, TTL, acquired, audit, committed, config, connected, ends, finishes, id,
    in_queue, observer, plan, report_takeover, session, spec, waits,
};

/// With a TTL that leaves time for an election and another endpoint.
const PATIENT: Duration = Duration::from_secs(9);

/// The numbers of the members, the leader first.
async fn leader_first(etcd: &Etcd) -> Vec<usize> {
    let leader = etcd.leader().await.endpoint();
    let mut numbers: Vec<usize> = (0..etcd.members().len()).collect();
    numbers.sort_by_key(|number| etcd.members()[*number].endpoint() != leader);
    numbers
}

/// An owner whose first endpoint is the leader; and what the test uses to look, which prefers another one.
async fn owner_at_the_leader(etcd: &Etcd) -> (usize, Box<Ownership>, Coordinator) {
    let order = leader_first(etcd).await;
    let endpoints = |order: &mut dyn Iterator<Item = usize>| -> Vec<String> {
        order.map(|number| etcd.members()[number].endpoint()).collect()
    };
    let observer = connected(config(&endpoints(&mut order.iter().rev().copied()))).await;
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let settings = config(&endpoints(&mut order.iter().copied())).ttl(PATIENT);
    let owner = acquired(&session(&connected(settings).await, "owner").await).await;
    (order[0], owner, observer)
}

/// Updates for as long as that; how many, and how long the slowest took.
async fn works(owner: &Ownership, lasting: Duration) -> (u32, Duration) {
    let coordinator = owner.session().coordinator();
    let (began, mut updates) = (Instant::now(), 0);
    let view = coordinator.plan(&plan()).await.unwrap();
    let mut slowest = began.elapsed();
    let mut task = view.tasks()[&id("1")].clone();
    if task.record.attempt == 0 {
        task = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    }
    while began.elapsed() < lasting {
        let sent = Instant::now();
        let progress = Change::Progress(format!("{updates} {:?}", began.elapsed()));
        task = committed(owner.authority().update_attempt(&task, 1, &progress).await.unwrap());
        slowest = slowest.max(sent.elapsed());
        updates += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (updates, slowest)
}

/// The end of those tests in which nothing is to be lost.
async fn nothing_was_lost(etcd: &Etcd, owner: Box<Ownership>) {
    assert!(matches!(owner.session().status(), Status::Live { .. }), "{:?}", owner.session().status());
    let task = owner.session().coordinator().task(&plan(), &id("1")).await.unwrap().unwrap();
    committed(owner.authority().update_attempt(&task, 1, &Change::Complete(None)).await.unwrap());
    owner.release().await.unwrap();
    let audited = audit(etcd).await;
    assert_eq!((audited.report.terms, audited.report.unclean), (1, 0));
}

#[plain(on_three_members)]
async fn f13_a_leader_that_is_killed_costs_no_ownership() {
    let etcd = Etcd::builder().members(3).start().await;
    let (leader, owner, _observer) = owner_at_the_leader(&etcd).await;
    works(&owner, Duration::from_millis(500)).await;
    etcd.members()[leader].kill();
    let (updates, slowest) = works(&owner, PATIENT * 3 / 2).await;
    println!("measured: the leader killed: {updates} updates, the slowest took {slowest:?}");
    etcd.members()[leader].restart().await;
    nothing_was_lost(&etcd, owner).await;
}

/// While it is stopped nothing is lost. When it comes back it believes for a moment to be the leader still,
/// and that the lease was not renewed for long: some of etcd's servers, 3.5.30 among them, pass that on to
/// the new leader, which deletes the key of a living owner. Then the owner is notified at once, and writes
/// nothing more.
#[plain(on_three_members)]
async fn f13_a_leader_that_stops_and_comes_back_costs_no_write() {
    let etcd = Etcd::builder().members(3).start().await;
    let (leader, owner, observer) = owner_at_the_leader(&etcd).await;
    works(&owner, Duration::from_millis(500)).await;
    etcd.members()[leader].pause();
    let (updates, slowest) = works(&owner, PATIENT * 3 / 2).await;
    println!("measured: the leader stopped: {updates} updates, the slowest took {slowest:?}");
    let ending = ends(owner);
    etcd.members()[leader].resume();
    let resumed = Instant::now();
    // It hears of the new leader at once; what it does in its old belief, it does until then.
    let key =
        until("leader that is known to all", SOON, async || match etcd.members()[leader].leader().await {
            Some(known) if Some(known) == etcd.leader().await.id() => observer
                .queue(&plan())
                .await
                .map(|line| line.owner().is_some())
                .map_err(|error| error.to_string()),
            other => Err(format!("{other:?}")),
        })
        .await;
    if key {
        ending.abort();
        println!("measured: the stopped leader came back and revoked nothing");
    } else {
        let (loss, lost_at, owner) = ending.await.unwrap();
        assert_eq!(loss, Loss::KeyGone);
        println!("measured: revoked by a leader that came back; noticed {:?} after that", lost_at - resumed);
        let task = observer.task(&plan(), &id("1")).await.unwrap().unwrap();
        let outcome = owner.authority().update_attempt(&task, 1, &Change::Complete(None)).await;
        let refused = matches!(outcome, Ok(Outcome::Refused(Refused::AuthorityLost(_))));
        assert!(refused, "{outcome:?}");
    }
    let audited = audit(&etcd).await;
    assert_eq!(audited.report.terms, 1);
}

/// It runs, answers its clients, and knows nothing: the owner has to find that out.
#[plain(on_three_members)]
async fn f13_a_partitioned_leader_costs_no_ownership() {
    let etcd = Etcd::builder().members(3).proxied(true).start().await;
    let (leader, owner, _observer) = owner_at_the_leader(&etcd).await;
    works(&owner, Duration::from_millis(500)).await;
    etcd.isolate(leader);
    let (updates, slowest) = works(&owner, PATIENT * 3 / 2).await;
    println!("measured: the leader cut off: {updates} updates, the slowest took {slowest:?}");
    etcd.heal();
    works(&owner, PATIENT / 2).await;
    nothing_was_lost(&etcd, owner).await;
}

/// Its last renewal may have been known to the dead leader only: the new one gives the lease a full TTL.
#[plain(on_three_members)]
async fn f13_an_owner_that_dies_with_the_leader_is_replaced_in_time() {
    let etcd = Etcd::builder().members(3).proxied(true).start().await;
    let pair = Pair::on(&etcd, PATIENT).await;
    let leader = leader_first(&etcd).await[0];
    let died = Instant::now();
    etcd.members().iter().for_each(|member| member.proxy().silence()); // Still the owner by the store's state.
    etcd.members()[leader].kill();
    let (next, freed_at) = pair.waiting.await.unwrap().unwrap();
    let took = freed_at - died;
    assert!(took <= TTL + ELECTION + TTL + EXPIRY_LAG, "{took:?}");
    report_takeover("the death of owner and leader", took);
    finishes(next).await;
    etcd.members()[leader].restart().await;
    audit(&etcd).await;
}

/// Each new leader gives every lease a full TTL: the bound grows with each, and holds.
#[plain(on_three_members)]
async fn f14_changes_of_leader_delay_a_takeover_and_no_more() {
    let etcd = Etcd::builder().members(3).proxied(true).start().await;
    let pair = Pair::on(&etcd, PATIENT).await;
    let died = Instant::now();
    etcd.members().iter().for_each(|member| member.proxy().silence());
    let mut last_change = died;
    for _ in 0..4 {
        let due = last_change + TTL / 2;
        tokio::time::sleep_until(due).await; // The schedule is what is tested, not a guess.
        etcd.move_leader().await;
        last_change = Instant::now();
    }
    assert!(!pair.waiting.is_finished(), "freed although no leader lasted for a TTL");
    let (next, freed_at) = pair.waiting.await.unwrap().unwrap();
    assert!(freed_at - last_change <= TTL + EXPIRY_LAG, "{:?}", freed_at - last_change);
    report_takeover("a crash and four changes of leader, half a TTL apart", freed_at - died);
    finishes(next).await;
    audit(&etcd).await;
}

/// Every member runs and answers, and none of them can do anything: no renewal, write or takeover. When
/// they find each other again, a new leader gives each lease a full TTL: the dead seem to live, and the queue
/// keeps its order.
#[plain(on_three_members)]
async fn f15_without_a_majority_the_owner_stops_and_none_follows() {
    let etcd = Etcd::builder().members(3).proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let others = [session(&pair.observer, "third").await, session(&pair.observer, "fourth").await];
    let places = others.each_ref().map(waits);
    in_queue(&pair.observer, 4).await;
    let late = pair.owner.authority();
    let ending = ends(pair.owner);
    let began = Instant::now();
    (0..3).for_each(|member| etcd.isolate(member));
    let (loss, lost_at, _owner) = ending.await.unwrap();
    assert_eq!(loss, Loss::Session(LossReason::DeadlinePassed));
    // A leader that is cut off answers renewals until it notices that.
    assert!(lost_at - began <= ELECTION + TTL, "{:?}", lost_at - began);
    // The waiter has lost its session, too: its place in the queue is worth nothing any more.
    for place in [pair.waiting].into_iter().chain(places) {
        assert!(matches!(
            place.await.unwrap(),
            Err(Error::AuthorityLost(AuthorityLoss::Session(LossReason::DeadlinePassed)))
        ));
    }
    tokio::time::sleep_until(began + ELECTION + TTL * 3).await; // For how long there is no majority.
    etcd.heal();
    let healed = Instant::now();

    let observer = until("answer of a majority", SOON, async || {
        Coordinator::connect(config(&etcd.endpoints())).await.map_err(|error| error.to_string())
    })
    .await;
    let line = observer.queue(&plan()).await.unwrap();
    assert_eq!(line.candidates().len(), 4, "the keys of the dead are there still");
    assert_eq!(line.owner().unwrap().0.name(), "owner");
    let done = Change::Complete(None);
    let refused = late.update_attempt(&pair.started, 1, &done).await.unwrap();
    let lost = matches!(refused, Outcome::Refused(Refused::AuthorityLost(_)));
    assert!(lost, "it has to acquire again: {refused:?}");
    let after = waits(&session(&observer, "after").await);
    in_queue(&observer, 5).await;
    let behind = waits(&session(&observer, "behind").await);
    let mut terms = Vec::new();
    for next in [after, behind] {
        let (next, freed_at) = next.await.unwrap().unwrap();
        if terms.is_empty() {
            let took = freed_at - healed;
            assert!(took <= ELECTION + TTL + EXPIRY_LAG, "{took:?}");
            report_takeover("a lost majority, counted from its return", took);
            next.recover().await.unwrap();
        }
        terms.push(next.term().number.0);
        next.release().await.unwrap();
    }
    assert_eq!(terms, [2, 3], "one after the other, in the order of their arrival");
    let audited = audit(&etcd).await;
    assert_eq!((audited.report.terms, audited.report.unclean), (3, 1));
}

/// The server was down for longer than the TTL, with an owner that died meanwhile: nothing of it is stuck.
#[plain(on_etcd)]
async fn f16_a_restart_gives_dead_sessions_a_full_ttl_again() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, PATIENT).await;
    let member = &etcd.members()[0];
    let died = Instant::now();
    member.proxy().silence();
    member.kill();
    tokio::time::sleep_until(died + TTL / 2).await; // For how long it is down.
    member.restart().await;
    let restarted = Instant::now();
    let (next, freed_at) = pair.waiting.await.unwrap().unwrap();
    assert!(freed_at - restarted <= TTL + ELECTION + EXPIRY_LAG, "{:?}", freed_at - restarted);
    report_takeover("a crash and a restart of the only member half a TTL later", freed_at - died);
    finishes(next).await;
    audit(&etcd).await;
}

#[plain(on_three_members)]
async fn f37_learners_and_removed_members_are_skipped() {
    let mut etcd = Etcd::builder().members(3).start().await;
    observer(&etcd).await.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let learner = etcd.add_member(true).await;
    let endpoint = |number: usize| etcd.members()[number].endpoint();
    let settings = config(&[endpoint(learner), endpoint(2), endpoint(1)]).ttl(PATIENT);
    let owner = acquired(&session(&connected(settings).await, "owner").await).await;
    works(&owner, Duration::from_millis(500)).await;
    etcd.remove_member(2).await;
    let (updates, slowest) = works(&owner, PATIENT).await;
    println!("measured: a learner and a removed member: {updates} updates, the slowest took {slowest:?}");
    until("end of the removed member", SOON, async || match etcd.members()[2].is_running() {
        false => Ok(()),
        true => Err("it runs"),
    })
    .await;
    nothing_was_lost(&etcd, owner).await;
    in_queue(&observer(&etcd).await, 0).await;
}
