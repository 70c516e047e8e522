//! Single requests and answers: lost before or after they were carried out, late, cut off by a server that
//! goes away.

use std::time::Duration;

use planlease::Outcome;
use planlease_core::{TermNumber, session::Status, transition::Change};
use planlease_oracle::{History, Journal, judge};
use planlease_tests::{
    etcd::Etcd,
    plain,
    proxy::{GoAway, Proxy, Trap},
    wait::{SOON, until},
};
use planlease_watcher::{Filter, Watcher};
use tokio::time::Instant;

use crate::helpers::{
    acquired, audit, background, committed, config, connected, exposed, id, observer, plan, session, spec,
};

/// Sessions that are renewed so seldom that a renewal never gets in the way.
pub(crate) async fn unhurried(etcd: &Etcd) -> planlease::Coordinator {
    let ttl = Duration::from_secs(60);
    connected(config(&etcd.proxied_endpoints()).ttl(ttl)).await
}

#[plain(on_etcd)]
async fn f08_an_acquisition_whose_answer_is_lost_is_one_ownership() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let exposed = unhurried(&etcd).await;
    exposed.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = session(&exposed, "owner").await;
    exposed.queue(&plan()).await.unwrap(); // The term is known: the next transaction is the one that acquires.
    let trap = etcd.members()[0].proxy().lose_answer("KV/Txn");
    let ownership = acquired(&owner).await;
    assert!(trap.has_sprung());
    assert_eq!(ownership.term().number, TermNumber(1), "one term, not two");
    assert_eq!(exposed.queue(&plan()).await.unwrap().candidates().len(), 1);
    ownership.release().await.unwrap();
    owner.close().await.unwrap();
    assert_eq!(audit(&etcd).await.report.terms, 1);
}

#[plain(on_etcd)]
async fn f09_a_grant_whose_answer_is_lost_leaks_no_lease() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let exposed = unhurried(&etcd).await;
    exposed.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let trap = etcd.members()[0].proxy().lose_answer("Lease/LeaseGrant");
    let session = session(&exposed, "once").await;
    assert!(trap.has_sprung());
    let mut client = etcd.client(0).await;
    let leases: Vec<i64> =
        client.leases().await.unwrap().leases().iter().map(etcd_client::LeaseStatus::id).collect();
    assert_eq!(leases, [session.lease().to_wire()]);
    session.close().await.unwrap();
    assert!(client.leases().await.unwrap().leases().is_empty());
    audit(&etcd).await;
}

/// A release is under way for so long that its sender has sent it again, acquired the plan again, and works.
#[plain(on_etcd)]
async fn f10_a_late_release_does_not_touch_the_next_ownership() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let exposed = unhurried(&etcd).await;
    exposed.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let session = session(&exposed, "owner").await;
    let first = acquired(&session).await;
    let trap = etcd.members()[0].proxy().hold_request("KV/Txn");
    first.release().await.unwrap();
    assert!(trap.has_sprung());
    let second = acquired(&session).await;
    assert_eq!(second.term().number, TermNumber(2));
    let view = exposed.plan(&plan()).await.unwrap();
    let started = committed(second.authority().start(&view, &id("1")).await.unwrap());

    deliver_and_see(&etcd, &trap).await;
    let line = exposed.queue(&plan()).await.unwrap();
    assert_eq!(line.owner().map(|(_, term)| term.number), Some(TermNumber(2)));
    committed(second.authority().update_attempt(&started, 1, &Change::Complete(None)).await.unwrap());
    second.release().await.unwrap();
    let audited = audit(&etcd).await;
    assert_eq!((audited.report.terms, audited.report.unclean), (2, 0));
}

/// Delivers a transaction that is expected to change nothing, and waits until the server has answered it.
pub(crate) async fn deliver_and_see(etcd: &Etcd, trap: &Trap) {
    let answered = requests(etcd).await;
    trap.deliver();
    until("answer to the late transaction", SOON, async || {
        let now = requests(etcd).await;
        if now > answered { Ok(()) } else { Err(now) }
    })
    .await;
}

/// How many transactions the server has handled, by its metrics.
async fn requests(etcd: &Etcd) -> u64 {
    let metrics = etcd.members()[0].metrics().await;
    let handled = metrics.lines().filter(|line| {
        line.starts_with("grpc_server_handled_total") && line.contains(r#"grpc_method="Txn""#)
    });
    let numbers = handled.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    let total: u64 = numbers.map(|number| format!("{number:.0}").parse::<u64>().unwrap()).sum();
    assert!(total > 0, "transactions are counted");
    total
}

/// The same transaction arrives twice, the first one last.
#[plain(on_etcd)]
async fn f11_a_late_update_that_was_resent_has_one_effect() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let exposed = unhurried(&etcd).await;
    exposed.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&exposed, "owner").await).await;
    let view = exposed.plan(&plan()).await.unwrap();
    let trap = etcd.members()[0].proxy().hold_request("KV/Txn");
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    assert!(trap.has_sprung());
    deliver_and_see(&etcd, &trap).await;
    let task = exposed.task(&plan(), &id("1")).await.unwrap().unwrap();
    assert_eq!(task, started, "the late one changed nothing");
    owner.release().await.unwrap();
    let audited = audit(&etcd).await;
    assert_eq!(audited.audit.find_write(started.record.op_id), Some(started.revision));
    assert_eq!(audited.report.updates, 2, "the import's and this one");
}

/// "Read back, and not there" proves nothing: the write comes later.
#[plain(on_etcd)]
async fn f11_a_late_update_is_found_by_its_id() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let observer = observer(&etcd).await;
    let exposed = unhurried(&etcd).await;
    exposed.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&exposed, "owner").await).await;
    let view = exposed.plan(&plan()).await.unwrap();
    let proxy = etcd.members()[0].proxy();
    let trap = proxy.hold_request("KV/Txn");
    let authority = owner.authority();
    let starting = background(async move { authority.start(&view, &id("1")).await.unwrap() });
    trap.sprung().await;
    proxy.cut_others(&trap);
    let Outcome::Unknown { op_id, .. } = starting.await.unwrap() else { panic!("it cannot know") };
    let before = observer.task(&plan(), &id("1")).await.unwrap().unwrap();
    assert_ne!(before.record.op_id, op_id, "not there yet");
    assert_eq!(audit(&etcd).await.audit.find_write(op_id), None);
    trap.deliver();
    let after = until("late effect", SOON, async || {
        let task = observer.task(&plan(), &id("1")).await.unwrap().unwrap();
        if task.record.op_id == op_id { Ok(task) } else { Err(task.revision) }
    })
    .await;
    let audited = audit(&etcd).await;
    assert_eq!(audited.audit.find_write(op_id), Some(after.revision));
    proxy.heal();
    owner.release().await.unwrap();
    audit(&etcd).await;
}

/// Every kind of request that the library sends for an ordinary life, once each with this fault.
async fn one_life_with(fault: fn(&Proxy, &str) -> Trap) {
    let etcd = Etcd::builder().proxied(true).start().await;
    let proxy = etcd.members()[0].proxy();
    let watcher_side = exposed(&etcd).await;
    watcher_side.admin().import(&plan(), &spec(2), |_| {}).await.unwrap();
    let mut traps = vec![("status", fault(proxy, "Maintenance/Status"))];
    let exposed = exposed(&etcd).await;
    traps.push(("watch", fault(proxy, "Watch/Watch")));
    let watcher = Watcher::start(watcher_side);
    let mut changes = watcher.subscribe(Filter::default(), None).await.unwrap();
    traps.push(("grant", fault(proxy, "Lease/LeaseGrant")));
    traps.push(("renewal", fault(proxy, "Lease/LeaseKeepAlive")));
    let session = session(&exposed, "owner").await;
    traps.push(("acquisition", fault(proxy, "KV/Txn")));
    let owner = acquired(&session).await;
    traps.push(("read of a plan", fault(proxy, "KV/Txn")));
    let view = exposed.plan(&plan()).await.unwrap();
    traps.push(("start", fault(proxy, "KV/Txn")));
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    traps.push(("update", fault(proxy, "KV/Txn")));
    let done =
        committed(owner.authority().update_attempt(&started, 1, &Change::Complete(None)).await.unwrap());
    traps.push(("range", fault(proxy, "KV/Range")));
    assert_eq!(exposed.orchestrators().await.unwrap().len(), 1);
    let renewal = traps.iter().position(|(name, _)| *name == "renewal").unwrap();
    traps[renewal].1.sprung().await;
    until("change reported", SOON, async || {
        let snapshot = watcher.snapshot().ok_or("nothing yet")?;
        if snapshot.revision() >= done.revision { Ok(()) } else { Err("not that far") }
    })
    .await;
    assert!(changes.next().await.is_some());
    assert!(matches!(session.status(), Status::Live { .. }), "{:?}", session.status());
    traps.push(("release", fault(proxy, "KV/Txn")));
    owner.release().await.unwrap();
    traps.push(("revoke", fault(proxy, "Lease/LeaseRevoke")));
    session.close().await.unwrap();
    for (name, trap) in traps {
        assert!(trap.has_sprung(), "nothing happened to the {name}");
    }
    watcher.close().await.unwrap();
    let mut client = etcd.client(0).await;
    assert!(client.leases().await.unwrap().leases().is_empty(), "no lease is left");
    let audited = audit(&etcd).await;
    assert_eq!(audited.report.updates, 4, "two at the import, and two once each");
    assert_eq!((audited.report.terms, audited.report.unclean), (1, 0));
}

#[plain(on_etcd)]
async fn f12_every_kind_of_request_survives_the_loss_of_its_answer() {
    one_life_with(Proxy::lose_answer).await;
}

#[plain(on_etcd)]
async fn f12_every_kind_of_request_survives_its_own_loss() {
    one_life_with(Proxy::lose_request).await;
}

/// Several write the same tasks as fast as they can, while answers, requests and connections are lost all the
/// time. The answers to each are checked against the history by an independent observer.
#[plain(on_etcd)]
async fn f12_concurrent_writers_on_a_bad_network_get_true_answers() {
    const WRITERS: usize = 4;
    let etcd = Etcd::builder().proxied(true).start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(3), |_| {}).await.unwrap();
    let owner = acquired(&session(&observer, "owner").await).await;
    let view = observer.plan(&plan()).await.unwrap();
    let began = Instant::now();
    let journal = Journal::new(move || began.elapsed());
    let starter = planlease_oracle::Client::new("owner", journal.clone());
    for task in view.tasks().keys() {
        committed(starter.start(&owner.authority(), &view, task).await.unwrap());
    }
    let until_then = began + Duration::from_secs(10);
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        // An operation is given up soon, so that some outcomes stay unknown.
        let settings = config(&etcd.proxied_endpoints()).operation_timeout(Duration::from_millis(1500));
        let authority = connected(settings).await.delegated(&owner.delegate());
        let client = planlease_oracle::Client::new(format!("w{n}"), journal.clone());
        writers.push(background(async move {
            let (mut reported, mut unknown) = (0, 0);
            while Instant::now() < until_then {
                let task = id(&format!("{}", reported % 3 + 1));
                let progress = format!("w{n} {reported}");
                match client.modify(&authority, &task, |_| Some(Change::Progress(progress.clone()))).await {
                    Ok(Outcome::Unknown { .. }) | Err(_) => unknown += 1,
                    Ok(_) => {}
                }
                reported += 1;
            }
            (reported, unknown)
        }));
    }
    let proxy = etcd.members()[0].proxy();
    for n in 0_u32.. {
        if Instant::now() >= until_then {
            break;
        }
        let trap = match n % 4 {
            0 | 1 => proxy.lose_answer("KV/Txn"),
            2 => proxy.lose_request("KV/Txn"),
            _ => proxy.hold_request("KV/Txn"),
        };
        trap.sprung().await;
        if n % 4 == 3 {
            // Late, but not too late to do harm.
            tokio::time::sleep(Duration::from_millis(u64::from(n % 5) * 400)).await;
            trap.deliver();
        }
    }
    proxy.heal();
    let (mut calls, mut unknown) = (0, 0);
    for writer in writers {
        let reported = writer.await.unwrap();
        calls += reported.0;
        unknown += reported.1;
    }
    owner.release().await.unwrap();
    let history = History::new(observer.layout().clone());
    history.complete(&etcd.client(0).await).await.unwrap();
    let verdict = judge(&history, &journal);
    assert_eq!(verdict.violations(), Vec::<String>::new());
    println!("measured: {calls} calls over a bad wire, {unknown} of them of unknown outcome, all settled");
    assert!(calls > 50, "{calls}");
    audit(&etcd).await;
}

#[plain(on_etcd)]
async fn f12_a_server_that_goes_away_politely_costs_nothing() {
    a_server_that_goes_away(GoAway::Graceful).await;
}

#[plain(on_etcd)]
async fn f12_a_server_that_hangs_up_for_too_many_pings_costs_nothing() {
    a_server_that_goes_away(GoAway::TooManyPings).await;
}

/// While requests are under way: those are answered or were never taken, and the library finds out which.
async fn a_server_that_goes_away(how: GoAway) {
    let etcd = Etcd::builder().proxied(true).start().await;
    let proxy = etcd.members()[0].proxy();
    let exposed = exposed(&etcd).await;
    let tasks = 60;
    exposed.admin().import(&plan(), &spec(tasks), |_| {}).await.unwrap();
    let owner = acquired(&session(&exposed, "owner").await).await;
    let view = exposed.plan(&plan()).await.unwrap();
    for (n, task) in view.tasks().keys().enumerate() {
        let (authority, view, task) = (owner.authority(), view.clone(), task.clone());
        let starting = background(async move { authority.start(&view, &task).await.unwrap() });
        // Not faster than a connection is made on a busy machine: then there would be none.
        if n % 4 == 0 {
            proxy.go_away(how);
        }
        let started = committed(starting.await.unwrap());
        let done = Change::Complete(None);
        committed(owner.authority().update_attempt(&started, 1, &done).await.unwrap());
    }
    assert!(proxy.accepted() > 10, "{} connections: none was dropped", proxy.accepted());
    assert!(matches!(owner.session().status(), Status::Live { .. }));
    owner.release().await.unwrap();
    let audited = audit(&etcd).await;
    assert_eq!(audited.report.updates, 3 * u64::try_from(tasks).unwrap());
}
