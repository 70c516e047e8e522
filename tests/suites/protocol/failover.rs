//! One endpoint at a time, and another one when it fails: members that die, or fall silent, while work goes
//! on.
//!
//! Only with three real members. The etcd library's own several-endpoints mode would lose about half of the
//! calls here.

use std::time::Duration;

use planlease::{Config, Coordinator, Error, Identity, TryAcquire};
use planlease_core::{session::Status, transition::Change};
use planlease_tests::{etcd::Etcd, plain};
use tokio::time::Instant;

use crate::helpers::{PROXIED, committed, id, plan, spec};

/// A configuration lists servers of two clusters, which have the same plan: after a fail-over there would be
/// a second owner.
#[plain(on_etcd)]
async fn an_endpoint_of_another_cluster_is_never_used() {
    let (ours, other) = (Etcd::builder().start().await, Etcd::builder().start().await);
    let at = |etcd: &Etcd| etcd.endpoints()[0].parse().unwrap();
    let alone = Coordinator::connect(Config::with_endpoints(vec![at(&other)])).await.unwrap();
    alone.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    let config = Config::with_endpoints(vec![at(&ours), at(&other)])
        .request_timeout(Duration::from_millis(500))
        .operation_timeout(Duration::from_secs(2));
    let coordinator = Coordinator::connect(config).await.unwrap();
    coordinator.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    let session = coordinator.open_session(Identity::of_process()).await.unwrap();
    ours.members()[0].kill();
    let read = coordinator.plan(&plan()).await;
    assert!(matches!(read, Err(Error::Unreachable(_) | Error::OutcomeUnknown(_))), "{read:?}");
    let acquired = session.try_acquire(&plan()).await;
    assert!(acquired.is_err(), "{acquired:?}");
    assert!(alone.queue(&plan()).await.unwrap().term.is_none(), "no process came over to the other cluster");
}

/// What happens to a member.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Silent,
}

/// Runs a test on a runtime of its own, as the shared tests do.
#[plain(on_three_members)]
async fn a_member_that_dies_costs_nothing() {
    a_fault(Fault::Killed).await;
}

#[plain(on_three_members)]
async fn a_member_that_falls_silent_costs_nothing() {
    a_fault(Fault::Silent).await;
}

/// The first endpoint fails while a plan is owned and updated through it; everything goes on through another
/// one.
async fn a_fault(fault: Fault) {
    let etcd = Etcd::builder().members(3).start().await;
    let endpoints = etcd.endpoints();
    let endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    let config = Config::with_endpoints(endpoints)
        .ttl(Duration::from_secs(12))
        .request_timeout(Duration::from_secs(1));
    let coordinator = Coordinator::connect(config).await.unwrap();
    coordinator.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    let session = coordinator.open_session(Identity::of_process()).await.unwrap();
    let TryAcquire::Acquired(owner) = session.try_acquire(&plan()).await.unwrap() else { panic!("taken") };
    let view = coordinator.plan(&plan()).await.unwrap();
    let mut task = committed(owner.authority().start(&view, &id("1")).await.unwrap());

    let first = &etcd.members()[0];
    match fault {
        Fault::Killed => first.kill(),
        Fault::Silent => first.pause(),
    }
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut updates = 0u32;
    // Longer than the TTL: the session has to be renewed through another member, too.
    while began.elapsed() < Duration::from_secs(15) {
        let sent = Instant::now();
        let note = Change::Progress(format!("{updates}"));
        task = committed(owner.authority().update_attempt(&task, 1, &note).await.unwrap());
        slowest = slowest.max(sent.elapsed());
        updates += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(session.status(), Status::Live { .. }), "the ownership was lost");
    println!("measured: {fault:?}: {updates} updates, the slowest took {slowest:?}");
    owner.release().await.unwrap();
    if let Fault::Silent = fault {
        first.resume();
    }
    let audited = coordinator.admin().audit(|_| {}).await.unwrap();
    assert_eq!(audited.report.violations, []);
    assert_eq!(audited.audit.find_write(task.record.op_id), Some(task.revision));
}

/// The proxy answers renewals up to a third of the TTL and half a second late. They are sent on schedule
/// nevertheless, and a stream that only answers late is kept.
#[plain(on_grpc_proxy)]
async fn a_session_lasts_behind_a_proxy_that_answers_late() {
    let etcd = Etcd::builder().behind_grpc_proxy().start().await;
    let config = Config::with_endpoints(vec![etcd.endpoints()[0].parse().unwrap()]).ttl(PROXIED);
    let coordinator = Coordinator::connect(config).await.unwrap();
    let session = coordinator.open_session(Identity::of_process()).await.unwrap();
    let mut status = session.watch_status();
    let lost = status.wait_for(|status| matches!(status, Status::Lost(_)));
    let lost = tokio::time::timeout(PROXIED * 5, lost).await;
    assert!(lost.is_err(), "{lost:?}");
    let traffic = coordinator.traffic();
    let opened = traffic["LeaseKeepAlive"];
    println!("measured: {opened} streams of renewals in five TTLs: {traffic:?}");
    assert!(opened <= 4, "{traffic:?}");
    session.close().await.unwrap();
}
