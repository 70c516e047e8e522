//! The network between a client and its server: silent, deaf in one direction, slow, dead for some of the
//! endpoints.

use std::time::Duration;

use planlease::{Loss, Outcome, Refused};
use planlease_core::{
    session::{LossReason, Status},
    transition::Change,
};
use planlease_tests::{
    etcd::{Builder, Etcd, Line},
    plain,
    proxy::{Direction, Way},
    wait::until,
};
use tokio::time::Instant;

use crate::helpers::{
    EXPIRY_LAG, Pair, TTL, acquired, audit, committed, config, connected, ends, finishes, id, observer, plan,
    renewed, report_takeover, session, spec,
};

/// Neither side gets an error: only the owner's clock and the server's decide, and the owner's has to be
/// first.
#[plain(on_etcd)]
async fn f06_a_silent_partition_stops_the_owner_before_expiry() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let (delegation, late) = (pair.owner.delegate(), pair.owner.authority());
    renewed(pair.owner.session()).await;
    let ending = ends(pair.owner);

    let cut = Instant::now();
    etcd.members()[0].proxy().silence();
    let (loss, lost_at, _owner) = ending.await.unwrap();
    assert_eq!(loss, Loss::Session(LossReason::DeadlinePassed));
    let (next, freed_at) = pair.waiting.await.unwrap().unwrap();
    assert!(lost_at < freed_at, "the owner believed in its authority for {:?} too long", lost_at - freed_at);
    // Not only before the server did, which may be late: before it could. The last renewal was sent before
    // the cut.
    assert!(lost_at - cut < TTL, "{:?}", lost_at - cut);
    let took = freed_at - cut;
    assert!(took >= TTL - TTL / 6, "freed too early: {took:?}");
    assert!(took <= TTL + EXPIRY_LAG, "freed too late: {took:?}");
    report_takeover("a silent partition", took);

    // Nothing is even sent by who knows that it is lost; what is sent by who does not know is refused.
    let done = Change::Complete(None);
    let refused = late.update_attempt(&pair.started, 1, &done).await.unwrap();
    assert!(matches!(refused, Outcome::Refused(Refused::AuthorityLost(_))), "{refused:?}");
    etcd.heal();
    let outcome = pair.exposed.delegated(&delegation).update_attempt(&pair.started, 1, &done).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::AuthorityLost(_))), "{outcome:?}");
    finishes(next).await;
    let audited = audit(&etcd).await;
    assert_eq!(audited.report.unclean, 1);
}

/// Requests arrive, answers do not: the server takes the owner for alive, and carries out what it asks.
#[plain(on_etcd)]
async fn f07_an_owner_without_answers_stops_and_resolves_writes_later() {
    let (etcd, op_id) = deaf_owner(Direction::ToClient).await;
    let audited = audit(&etcd).await;
    assert!(audited.audit.find_write(op_id).is_some(), "it arrived, and the authority still held");
}

/// Answers would arrive, requests do not.
#[plain(on_etcd)]
async fn f07_an_owner_whose_requests_are_lost_stops_unwritten() {
    let (etcd, op_id) = deaf_owner(Direction::ToServer).await;
    let audited = audit(&etcd).await;
    assert_eq!(audited.audit.find_write(op_id), None);
}

/// An owner updates a task while one direction loses everything; the id of the update, which it learns
/// nothing of.
async fn deaf_owner(direction: Direction) -> (Etcd, uuid::Uuid) {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let authority = pair.owner.authority();
    renewed(pair.owner.session()).await;
    let ending = ends(pair.owner);

    let cut = Instant::now();
    etcd.members()[0].proxy().set(direction, Way::Swallowed);
    let outcome = authority.update_attempt(&pair.started, 1, &Change::Complete(None)).await.unwrap();
    let Outcome::Unknown { op_id, .. } = outcome else { panic!("it cannot know: {outcome:?}") };
    let (loss, lost_at, _owner) = ending.await.unwrap();
    assert_eq!(loss, Loss::Session(LossReason::DeadlinePassed));
    let (next, freed_at) = pair.waiting.await.unwrap().unwrap();
    assert!(lost_at < freed_at, "two owners for {:?}", lost_at - freed_at);
    assert!(lost_at - cut < TTL, "{:?}", lost_at - cut);
    // A renewal may have arrived, and counts for the server, though its answer was lost.
    let took = freed_at - cut;
    assert!(took <= TTL + TTL / 3 + EXPIRY_LAG, "freed too late: {took:?}");
    report_takeover(&format!("a loss of everything {direction:?}"), took);

    etcd.heal();
    let (_, view) = next.recover().await.unwrap();
    let task = &view.tasks()[&id("1")];
    assert_eq!(task.record.op_id == op_id, direction == Direction::ToClient, "{task:?}");
    next.release().await.unwrap();
    pair.next.close().await.unwrap();
    (etcd, op_id)
}

/// A tenth of a second each way, and little bandwidth: that is slow, but not dead.
#[plain(on_etcd)]
async fn f06_a_wire_that_is_slow_but_not_silent_costs_no_ownership() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let proxy = etcd.members()[0].proxy();
    proxy.set(Direction::ToServer, Way::Delayed(Duration::from_millis(100)));
    proxy.set(Direction::ToClient, Way::Throttled(20_000));
    let pair = Pair::on(&etcd, TTL).await;
    let mut task = pair.started.clone();
    let began = Instant::now();
    while began.elapsed() < TTL * 2 {
        let progress = Change::Progress(format!("{:?}", began.elapsed()));
        task = committed(pair.owner.authority().update_attempt(&task, 1, &progress).await.unwrap());
    }
    assert!(matches!(pair.owner.session().status(), Status::Live { .. }), "the ownership was lost");
    pair.owner.release().await.unwrap();
    finishes(pair.waiting.await.unwrap().unwrap().0).await;
    let audited = audit(&etcd).await;
    assert_eq!(audited.report.unclean, 0);
    assert_eq!(audited.audit.find_write(task.record.op_id), Some(task.revision));
}

#[plain(on_etcd)]
async fn f57_idle_connections_are_not_pinged_too_often() {
    an_idle_fleet(Etcd::builder()).await;
}

#[plain(on_etcd_3_4)]
async fn f57_an_idle_connection_to_an_older_server_is_kept() {
    an_idle_fleet(Etcd::of(Line::V3_4)).await;
}

/// etcd's servers hang up on who tests a connection more often than every 5 s.
async fn an_idle_fleet(builder: Builder) {
    let etcd = builder.proxied(true).start().await;
    let ttl = Duration::from_secs(30);
    let exposed = connected(config(&etcd.proxied_endpoints()).ttl(ttl)).await;
    exposed.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&exposed, "owner").await).await;
    let proxy = etcd.members()[0].proxy();
    let closest = until("pings on an idle connection", Duration::from_secs(40), async || {
        proxy.closest_pings().ok_or("none yet")
    })
    .await;
    assert!(closest >= Duration::from_secs(5), "{closest:?}");
    println!("measured: pings on an idle connection: every {closest:?}");
    owner.release().await.unwrap();
    audit(&etcd).await;
}

/// A client that balances between its endpoints would lose about half of its calls here.
#[plain(on_three_members)]
async fn f40_two_of_three_dead_or_silent_endpoints_fail_no_call() {
    let etcd = Etcd::builder().members(3).proxied(true).start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    // Long enough that the search for the one that answers does not cost the session.
    let exposed = connected(config(&etcd.proxied_endpoints()).ttl(TTL * 4)).await;
    let owner = acquired(&session(&exposed, "owner").await).await;
    let view = exposed.plan(&plan()).await.unwrap();
    let mut task = committed(owner.authority().start(&view, &id("1")).await.unwrap());

    let proxies: Vec<_> = etcd.members().iter().map(planlease_tests::etcd::Member::proxy).collect();
    let mut slowest = Duration::ZERO;
    let mut updates = 0;
    for (dead, silent) in [(0, 1), (1, 2), (2, 0)] {
        proxies[dead].cut();
        proxies[silent].silence();
        let began = Instant::now();
        // Longer than the TTL in all, so that renewals have to find their way, too.
        while began.elapsed() < TTL * 5 / 3 {
            let sent = Instant::now();
            let progress = Change::Progress(format!("{updates}"));
            task = committed(owner.authority().update_attempt(&task, 1, &progress).await.unwrap());
            slowest = slowest.max(sent.elapsed());
            updates += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        etcd.heal();
    }
    assert!(matches!(owner.session().status(), Status::Live { .. }), "the ownership was lost");
    // One request that is never answered, one endpoint that refuses, and the waits between.
    let limit = exposed.config().request_timeout * 2;
    assert!(slowest < limit, "{slowest:?}");
    println!("measured: one endpoint of three alive: {updates} updates, the slowest took {slowest:?}");
    owner.release().await.unwrap();
    let audited = audit(&etcd).await;
    assert_eq!(audited.audit.find_write(task.record.op_id), Some(task.revision));
}
