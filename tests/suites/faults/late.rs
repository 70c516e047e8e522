//! Requests that arrive long after they were sent again and answered: when the world has moved on, and what
//! they compare would hold again. Each of them has to compare something that never comes back.

use std::time::Duration;

use planlease::{AcquireOptions, Error, Findings, Imported, Outcome, Reason};
use planlease_core::{
    LockName, OrchestratorId, TermNumber,
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    etcd::Etcd,
    plain,
    proxy::Proxy,
    wait::{SOON, until},
};

use crate::{
    answers::{deliver_and_see, unhurried},
    helpers::{
        acquired, audit, background, committed, config, connected, id, in_queue, observer, plan, session,
        spec, waits,
    },
};

#[plain(on_etcd)]
async fn f11_an_import_after_the_plans_deletion_makes_no_plan() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let (exposed, observer) = (unhurried(&etcd).await, observer(&etcd).await);
    let trap = etcd.members()[0].proxy().hold_request("KV/Txn");
    let imported = exposed.admin().import(&plan(), &spec(2), |_| {}).await.unwrap();
    assert!(trap.has_sprung() && matches!(imported, Imported::Created(_)), "{imported:?}");
    observer.admin().delete(&plan()).await.unwrap();
    deliver_and_see(&etcd, &trap).await;
    assert!(observer.plans().await.unwrap().is_empty(), "what was deleted stays deleted");
    audit(&etcd).await;
}

/// The first try was carried out, and then the plan was deleted, and another one imported under its name:
/// what is there now says nothing of the first try.
#[plain(on_etcd)]
async fn f11_an_update_resent_to_a_recreated_plan_is_unknown() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let exposed = unhurried(&etcd).await;
    exposed.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let session = session(&exposed, "worker").await;
    let view = exposed.plan(&plan()).await.unwrap();
    let worker = exposed.worker(&session, &plan()).unwrap();
    let proxy = etcd.members()[0].proxy();
    let (lost, held) = (proxy.lose_answer("KV/Txn"), proxy.hold_request("KV/Txn"));
    let started = background(async move { worker.start(&view, &id("1")).await });
    held.sprung().await;
    assert!(lost.has_sprung());
    let observer = observer(&etcd).await;
    assert_eq!(observer.plan(&plan()).await.unwrap().status(&id("1")), Some(TaskStatus::InProgress));
    observer.admin().delete(&plan()).await.unwrap();
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    held.deliver();
    let outcome = started.await.unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    audit(&etcd).await;
}

#[plain(on_etcd)]
async fn f11_a_late_deletion_spares_the_next_plan_of_that_name() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let (exposed, observer) = (unhurried(&etcd).await, observer(&etcd).await);
    observer.admin().import(&plan(), &spec(2), |_| {}).await.unwrap();
    let trap = etcd.members()[0].proxy().hold_nth_request("KV/Txn", 2); // The first one looks what is there.
    exposed.admin().delete(&plan()).await.unwrap();
    assert!(trap.has_sprung());
    observer.admin().import(&plan(), &spec(3), |_| {}).await.unwrap();
    deliver_and_see(&etcd, &trap).await;
    assert_eq!(observer.plan(&plan()).await.unwrap().tasks().len(), 3);
    audit(&etcd).await;
}

#[plain(on_etcd)]
async fn f11_a_late_output_does_not_replace_a_newer_one() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let exposed = unhurried(&etcd).await;
    exposed.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&exposed, "owner").await).await;
    let (authority, task) = (owner.authority(), id("1"));
    let view = exposed.plan(&plan()).await.unwrap();
    let started = committed(authority.start(&view, &task).await.unwrap());
    let trap = etcd.members()[0].proxy().hold_nth_request("KV/Txn", 2); // The first one looks what is there.
    authority.write_findings(&task, &Findings::of_attempt(1, "first")).await.unwrap();
    assert!(trap.has_sprung());
    let given_back = Change::Return("again".to_owned());
    let given_back = committed(authority.update_attempt(&started, 1, &given_back).await.unwrap());
    committed(authority.update(&given_back, &Change::Start).await.unwrap());
    authority.write_findings(&task, &Findings::of_attempt(2, "second")).await.unwrap();
    deliver_and_see(&etcd, &trap).await;
    let findings = exposed.findings(&plan(), &task).await.unwrap().unwrap();
    assert_eq!((findings.attempt, findings.text.as_str()), (2, "second"));
    audit(&etcd).await;
}

/// Each write of a cordon arrives late once, when another operator has ended it; then an end of one, when
/// there is a newer one.
#[plain(on_etcd)]
async fn f11_a_late_cordon_or_uncordon_undoes_nothing_newer() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let (exposed, observer) = (unhurried(&etcd).await, observer(&etcd).await);
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let (proxy, name) = (etcd.members()[0].proxy(), OrchestratorId::new("build-7").unwrap());
    let reason = Reason::by("kim").because("maintenance");
    for nth in [2, 3] {
        let trap = proxy.hold_nth_request("KV/Txn", nth); // The first one looks what is there.
        exposed.admin().cordon(&name, &reason).await.unwrap();
        assert!(trap.has_sprung());
        assert!(observer.admin().uncordon(&name).await.unwrap());
        deliver_and_see(&etcd, &trap).await;
        assert!(observer.steering().await.unwrap().0.cordons.is_empty());
    }
    observer.admin().cordon(&name, &reason).await.unwrap();
    let trap = proxy.hold_nth_request("KV/Txn", 2);
    assert!(exposed.admin().uncordon(&name).await.unwrap());
    assert!(trap.has_sprung());
    observer.admin().cordon(&name, &reason).await.unwrap();
    deliver_and_see(&etcd, &trap).await;
    assert!(observer.steering().await.unwrap().0.cordons.contains_key(&name));
    audit(&etcd).await;
}

#[plain(on_etcd)]
async fn f11_a_late_resume_ends_no_newer_pause() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let (exposed, observer) = (unhurried(&etcd).await, observer(&etcd).await);
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let (proxy, reason) = (etcd.members()[0].proxy(), Reason::by("kim").because("the registry is down"));
    observer.admin().pause_fleet(&reason).await.unwrap();
    let trap = proxy.hold_nth_request("KV/Txn", 2); // The first one looks what is there.
    assert!(exposed.admin().resume_fleet().await.unwrap());
    assert!(trap.has_sprung());
    observer.admin().pause_fleet(&reason).await.unwrap();
    deliver_and_see(&etcd, &trap).await;
    assert!(observer.steering().await.unwrap().0.pause.is_some());

    observer.admin().pause(&plan(), &reason).await.unwrap();
    let trap = proxy.hold_nth_request("KV/Txn", 2);
    assert!(exposed.admin().resume(&plan()).await.unwrap());
    assert!(trap.has_sprung());
    observer.admin().pause(&plan(), &reason).await.unwrap();
    deliver_and_see(&etcd, &trap).await;
    assert!(observer.plan(&plan()).await.unwrap().halt().is_some());
    audit(&etcd).await;
}

/// A waiter gives up while its request to join the queue is under way; then the request arrives.
#[plain(on_etcd)]
async fn f10_a_late_join_after_giving_up_does_not_stay() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let (exposed, observer) = (unhurried(&etcd).await, observer(&etcd).await);
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&observer, "owner").await).await;
    let impatient = session(&exposed, "impatient").await;
    exposed.queue(&plan()).await.unwrap(); // The term is known: the next transaction is the one that joins.
    let trap = etcd.members()[0].proxy().hold_request("KV/Txn");
    let wait = Some(Duration::from_secs(3)); // The request is sent again after one.
    let options = AcquireOptions::default().wait(wait);
    impatient.acquire(&plan(), options).await.unwrap_err();
    assert!(trap.has_sprung());
    in_queue(&observer, 1).await;
    deliver_and_see(&etcd, &trap).await;
    only_next_is_served(&etcd, *owner).await;
    audit(&etcd).await;
}

/// The same after the plan was acquired by the second try, and released.
#[plain(on_etcd)]
async fn f10_a_late_join_after_the_release_does_not_stay() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let (exposed, observer) = (unhurried(&etcd).await, observer(&etcd).await);
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let first = session(&exposed, "first").await;
    exposed.queue(&plan()).await.unwrap();
    let trap = etcd.members()[0].proxy().hold_request("KV/Txn");
    let owner = first.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    assert!(trap.has_sprung());
    owner.release().await.unwrap();
    deliver_and_see(&etcd, &trap).await;
    let again = first.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    assert_eq!(again.term().number, TermNumber(2), "and the session itself is as good as before");
    only_next_is_served(&etcd, again).await;
    audit(&etcd).await;
}

/// The first try of a forced release is lost while the candidate that it means takes the plan over: nothing
/// is released, and the operator learns it.
#[plain(on_etcd)]
async fn f10_an_overtaken_forced_release_is_no_success() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&observer, "owner").await).await;
    let (proxy, way) = (
        etcd.members()[0].proxy(),
        Proxy::before(etcd.endpoints()[0].strip_prefix("http://").unwrap().parse().unwrap()),
    );
    // They send a request again only when its connection breaks.
    let patient =
        |endpoint| config(&[endpoint]).ttl(SOON * 3).request_timeout(SOON).operation_timeout(SOON * 2);
    let candidate = session(&connected(patient(proxy.endpoint())).await, "candidate").await;
    let waiting = waits(&candidate);
    in_queue(&observer, 2).await;
    let takeover = proxy.hold_request("KV/Txn");
    owner.release().await.unwrap();
    takeover.sprung().await;
    let operator = connected(patient(way.endpoint())).await;
    let forced = way.hold_nth_request("KV/Txn", 2); // The first one reads the queue.
    let reason = Reason::by("kim").because("it is stuck");
    let releasing = background(async move { operator.admin().force_release(&plan(), None, &reason).await });
    forced.sprung().await;
    takeover.deliver();
    let (next, _) = waiting.await.unwrap().unwrap();
    way.reset_connections();
    let outcome = releasing.await.unwrap();
    assert!(matches!(outcome, Err(Error::AuthorityLost(_))), "{outcome:?}");
    proxy.reset_connections(); // Nothing that follows a held request arrives.
    next.release().await.unwrap();
    audit(&etcd).await;
}

/// A lock is dropped, and the session takes it again: under a key of the same name, which is another one.
#[plain(on_etcd)]
async fn f10_a_late_clean_up_of_a_lock_spares_the_next_one() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let (exposed, observer) = (unhurried(&etcd).await, observer(&etcd).await);
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let session = session(&exposed, "holder").await;
    let deploy = LockName::new("deploy").unwrap();
    let mut lock = session.lock(&plan(), &deploy, None).await.unwrap();
    for nth in [1, 2] {
        // What looks at the key, and what deletes it.
        let trap = etcd.members()[0].proxy().hold_nth_request("KV/Txn", nth);
        drop(lock);
        lock = session.lock(&plan(), &deploy, None).await.unwrap(); // As soon as that is cleaned up.
        assert!(trap.has_sprung());
        deliver_and_see(&etcd, &trap).await;
        let locks = observer.locks(&plan()).await.unwrap();
        let holder = locks.first().map(|view| view.queue.candidates()[0].joined);
        assert_eq!(holder, Some(lock.revision()));
    }
    lock.release().await.unwrap();
    audit(&etcd).await;
}

/// The successor leaves the queue while the hand-over is under way: the owner stays the owner, and the others
/// keep their places.
#[plain(on_etcd)]
async fn f10_a_hand_over_to_one_that_has_left_changes_nothing() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let (exposed, observer) = (unhurried(&etcd).await, observer(&etcd).await);
    observer.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&exposed, "owner").await).await;
    let mut waiting = Vec::new();
    for (n, name) in ["patient", "named"].iter().enumerate() {
        let session = session(&observer, name).await;
        waiting.push(background(async move { session.acquire(&plan(), AcquireOptions::default()).await }));
        in_queue(&observer, n + 2).await;
    }
    let before = observer.queue(&plan()).await.unwrap();
    let trap = etcd.members()[0].proxy().hold_nth_request("KV/Txn", 2); // The first one reads the queue.
    let named = OrchestratorId::new("named").unwrap();
    let handing_over = background(async move { owner.hand_over(&named).await });
    trap.sprung().await;
    waiting.pop().unwrap().abort();
    in_queue(&observer, 2).await;
    let (owner, error) = handing_over.await.unwrap().unwrap_err().into_parts();
    assert!(error.to_string().contains("named does not wait for the plan"), "{error}");
    deliver_and_see(&etcd, &trap).await;
    let after = observer.queue(&plan()).await.unwrap();
    assert_eq!(after.candidates(), &before.candidates()[..2]);
    assert_eq!(after.term.unwrap().1.ended, None);
    waiting.pop().unwrap().abort();
    in_queue(&observer, 1).await;
    only_next_is_served(&etcd, owner).await;
    audit(&etcd).await;
}

/// The owner releases: the next process gets the plan, and no candidate is left that does not know of itself.
async fn only_next_is_served(etcd: &Etcd, owner: planlease::Ownership) {
    let observer = observer(etcd).await;
    owner.release().await.unwrap();
    let next = session(&observer, "next").await;
    let next = tokio::time::timeout(SOON, next.acquire(&plan(), AcquireOptions::default())).await;
    next.expect("the queue is free").unwrap().release().await.unwrap();
    until("empty line", SOON, async || {
        let line = observer.queue(&plan()).await.unwrap();
        if line.candidates().is_empty() { Ok(()) } else { Err(line.candidates().len()) }
    })
    .await;
}
