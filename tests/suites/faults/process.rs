//! What happens to a process: stopped, starved, suspended, dead at any request; and what an operator does to
//! it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all, stream};
use planlease::{
    AcquireOptions, AuthorityLoss, Coordinator, Error, Loss, Outcome, Ownership, Reason, Refused,
    RenewalRuntime, TaskView, TryAcquire,
    clock::{Clock, SystemClock},
};
use planlease_core::{
    BootTime, WallTime,
    keys::PlanKey,
    session::{LossReason, Status},
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    etcd::Etcd,
    plain,
    proxy::Proxy,
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::helpers::{
    EXPIRY_LAG, Pair, TTL, acquired, audit, background, committed, config, connected, ends, finishes, id,
    in_queue, observer, plan, renewed, report_takeover, session, spec, waits,
};

/// Its connections are reset, as the kernel does with those of a process that was killed.
#[plain(on_etcd)]
async fn f01_an_owner_that_dies_is_followed_within_the_bound() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let died = Instant::now();
    etcd.members()[0].proxy().cut();
    let (next, freed_at) = pair.waiting.await.unwrap().unwrap();
    let took = freed_at - died;
    assert!(took >= TTL * 2 / 3 && took <= TTL + EXPIRY_LAG, "{took:?}");
    report_takeover("a crash", took);
    assert_eq!(next.term().number.0, pair.owner.term().number.0 + 1);
    assert!(next.token() > pair.owner.token());
    finishes(next).await;
    assert_eq!(audit(&etcd).await.report.unclean, 1);
}

/// Shorter than what a session can bear: no takeover, and no loss is reported.
#[plain(on_etcd)]
async fn f03_a_short_silence_costs_nothing() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let mut task = pair.started;
    for n in 0..3 {
        // From right after a renewal, so that the deadline is as far away as it can be.
        renewed(pair.owner.session()).await;
        etcd.members()[0].proxy().silence();
        let healed = Instant::now() + TTL / 2;
        tokio::time::sleep_until(healed).await; // The length of the silence.
        etcd.heal();
        let progress = Change::Progress(format!("{n}"));
        task = committed(pair.owner.authority().update_attempt(&task, 1, &progress).await.unwrap());
        assert!(pair.owner.deadline().is_some(), "{:?}", pair.owner.session().status());
    }
    assert!(!pair.waiting.is_finished());
    pair.owner.release().await.unwrap();
    finishes(pair.waiting.await.unwrap().unwrap().0).await;
    assert_eq!(audit(&etcd).await.report.unclean, 0);
}

/// The system's clocks, as a test bends them.
#[derive(Debug, Default)]
pub(crate) struct Bent {
    /// How long the host was suspended so far.
    suspended_millis: AtomicU64,
    /// By how much the boot clock runs too fast, in thousandths; negative if too slow.
    drift: i64,
    /// How often the wall clock was looked at; it jumps each time.
    looks: AtomicI64,
}

impl Clock for Bent {
    fn boot(&self) -> BootTime {
        let real = SystemClock.boot().as_duration();
        let drift = real.mul_f64(f64::from(i32::try_from(self.drift.abs()).unwrap()) / 1000.0);
        let bent = if self.drift < 0 { real - drift } else { real + drift };
        BootTime::since_boot(bent + Duration::from_millis(self.suspended_millis.load(Ordering::SeqCst)))
    }

    fn wall(&self) -> WallTime {
        const HOUR_MILLIS: i64 = 3_600_000;
        let sign = if self.looks.fetch_add(1, Ordering::SeqCst) % 2 == 0 { 1 } else { -1 };
        WallTime(SystemClock.wall().0 + sign * HOUR_MILLIS)
    }
}

/// An owner that has outlived its session reports a result: nothing is sent but a note of it.
async fn too_late(coordinator: &Coordinator, owner: &Ownership, started: &TaskView) {
    let before = coordinator.traffic().get("Txn").copied();
    let late = owner.authority().update_attempt(started, 1, &Change::Complete(None)).await;
    let passed = AuthorityLoss::Session(LossReason::DeadlinePassed);
    assert!(
        matches!(&late, Ok(Outcome::Refused(Refused::AuthorityLost(loss))) if *loss == passed),
        "{late:?}"
    );
    let sent = coordinator.traffic().get("Txn").copied();
    assert_eq!(sent, before.map(|before| before + 2), "a read and a note");
    let kept = coordinator.late_results(&plan(), &started.id).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|late| (late.attempt, late.status)).collect();
    assert_eq!(kept, [(Some(1), TaskStatus::Completed)]);
}

/// The boot clock counts the suspend, timers do not: a caller learns it from the clock, before any timer has
/// fired.
#[plain(on_etcd)]
async fn f04_a_suspended_host_trusts_nothing_when_it_wakes() {
    let etcd = Etcd::builder().start().await;
    let clock = Arc::new(Bent::default());
    let settings = config(&etcd.endpoints()).clock(clock.clone());
    let suspended = connected(settings).await;
    suspended.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let owner = acquired(&session(&suspended, "owner").await).await;
    let view = suspended.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let next = session(&observer(&etcd).await, "next").await;
    let waiting = waits(&next);
    in_queue(&suspended, 2).await;

    clock.suspended_millis.store(600_000, Ordering::SeqCst);
    assert_eq!(owner.session().status(), Status::Lost(LossReason::DeadlinePassed));
    assert_eq!(owner.deadline(), None);
    let woke = Instant::now();
    too_late(&suspended, &owner, &started).await;
    assert_eq!(owner.lost().await, Loss::Session(LossReason::DeadlinePassed));
    assert!(woke.elapsed() < Duration::from_secs(1), "{:?}", woke.elapsed());
    // The server has counted other seconds: it frees the plan without further renewals.
    let (next, freed_at) = waiting.await.unwrap().unwrap();
    assert!(freed_at - woke <= TTL + EXPIRY_LAG, "{:?}", freed_at - woke);
    report_takeover("a suspend, counted from the awakening", freed_at - woke);
    drop(owner);
    finishes(next).await;
    audit(&etcd).await;
}

#[plain(on_etcd)]
async fn f05_jumping_and_drifting_clocks_change_nothing() {
    let runs = [-10, 10].map(|drift| async move {
        let etcd = Etcd::builder().proxied(true).start().await;
        let observer = observer(&etcd).await;
        observer.admin().import(&plan(), &spec(3), |_| {}).await.unwrap();
        let clock = Arc::new(Bent { drift, ..Bent::default() });
        let bent = connected(config(&etcd.proxied_endpoints()).clock(clock)).await;
        let owner = acquired(&session(&bent, "bent").await).await;
        let view = bent.plan(&plan()).await.unwrap();
        let mut task = committed(owner.authority().start(&view, &id("1")).await.unwrap());
        let next = session(&observer, "next").await;
        let waiting = waits(&next);
        in_queue(&observer, 2).await;
        let began = Instant::now();
        while began.elapsed() < TTL * 2 {
            let progress = Change::Progress(format!("{:?}", began.elapsed()));
            task = committed(owner.authority().update_attempt(&task, 1, &progress).await.unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!waiting.is_finished() && owner.deadline().is_some());
        // One hundredth is less than the margin: the owner still stops before the server does.
        let ending = ends(owner);
        etcd.members()[0].proxy().silence();
        let (_, lost_at, _owner) = ending.await.unwrap();
        let (next, freed_at) = waiting.await.unwrap().unwrap();
        assert!(lost_at < freed_at, "drift {drift}: two owners for {:?}", lost_at - freed_at);
        etcd.heal();
        finishes(next).await;
        let audited = audit(&etcd).await;
        assert_eq!(audited.audit.find_write(task.record.op_id), Some(task.revision));
    });
    join_all(runs).await;
}

/// An owner and a waiter, and what is done to the owner's key or lease from outside; the loss and
/// when.
async fn done_by_operator(
    etcd: &Etcd,
    pair: Pair,
    action: impl AsyncFnOnce(&mut etcd_client::Client, &Ownership),
) -> (Loss, Duration, Box<Ownership>) {
    let mut client = etcd.client(0).await;
    let late = pair.owner.authority();
    action(&mut client, &pair.owner).await;
    let done = Instant::now();
    let (loss, lost_at, owner) = ends(pair.owner).await.unwrap();
    let reported = lost_at - done;
    assert!(reported <= Duration::from_secs(1), "reported after {reported:?}");
    let (next, freed_at) = pair.waiting.await.unwrap().unwrap();
    report_takeover("a forced end", freed_at.saturating_duration_since(done));
    let outcome = late.update_attempt(&pair.started, 1, &Change::Complete(None)).await;
    assert!(!matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
    finishes(next).await;
    (loss, reported, owner)
}

/// Renewals go on and are answered; that counts for nothing.
#[plain(on_etcd)]
async fn f17_an_owner_learns_of_its_deleted_key_at_once() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let key = pair.observer.layout().of(&plan(), &PlanKey::Owner(pair.owner.session().lease()));
    let (loss, reported, owner) = done_by_operator(&etcd, pair, async |client, _| {
        client.delete(key, None).await.unwrap();
    })
    .await;
    assert_eq!(loss, Loss::KeyGone);
    assert!(matches!(owner.session().status(), Status::Live { .. }));
    println!("measured: notified of the end of its key after {reported:?}");
    assert_eq!(audit(&etcd).await.report.unclean, 1);
}

#[plain(on_etcd)]
async fn f18_a_revoked_lease_is_noticed_on_an_open_stream() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let (_, _, owner) = done_by_operator(&etcd, pair, async |client, owner| {
        client.lease_revoke(owner.session().lease().to_wire()).await.unwrap();
    })
    .await;
    is_reported_once(&owner).await;
    assert_eq!(audit(&etcd).await.report.unclean, 1);
}

#[plain(on_etcd)]
async fn f18_a_revoked_lease_is_noticed_on_a_new_stream() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let proxy = etcd.members()[0].proxy();
    let (_, _, owner) = done_by_operator(&etcd, pair, async |client, owner| {
        // While it has no stream: the next one begins with the refusal.
        proxy.cut();
        client.lease_revoke(owner.session().lease().to_wire()).await.unwrap();
        proxy.heal();
    })
    .await;
    is_reported_once(&owner).await;
    assert_eq!(audit(&etcd).await.report.unclean, 1);
}

/// The session says why, and never says anything else again.
async fn is_reported_once(owner: &Ownership) {
    let session = owner.session();
    let reason = tokio::time::timeout(SOON, session.lost()).await.expect("the end of the session");
    assert_eq!(reason, LossReason::LeaseGone);
    let mut status = session.watch_status();
    assert_eq!(*status.borrow_and_update(), Status::Lost(LossReason::LeaseGone));
    assert!(status.changed().await.is_err(), "the task has ended, and said nothing more");
}

#[plain(on_etcd)]
async fn f19_the_owner_notices_a_forced_release_within_a_second() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let operator = pair.observer.clone();
    let token = pair.owner.token();
    let (loss, reported, owner) = done_by_operator(&etcd, pair, async |_, owner| {
        let released = operator
            .admin()
            .force_release(&plan(), Some(owner.session().id()), &Reason::by("kim").because("it is stuck"))
            .await
            .unwrap();
        assert_eq!(released.term, Some(owner.term().number));
    })
    .await;
    assert_eq!(loss, Loss::KeyGone);
    let why = owner.explain_loss().await.unwrap();
    assert!(why.contains("kim ended it: it is stuck"), "{why}");
    let line = operator.queue(&plan()).await.unwrap();
    assert!(line.term.unwrap().1.token() > token);
    println!("measured: notified of a forced end after {reported:?}");
    audit(&etcd).await;
}

/// A coordinator that dies at its nth transaction: with a proxy of its own, below a root of its own.
async fn mortal(etcd: &Etcd, nth: u32) -> (Proxy, Coordinator, Coordinator) {
    let address = etcd.endpoints()[0].strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::before(address);
    let root = format!("/dies-at-{nth}");
    let settings = |endpoint: String| config(&[endpoint]).root(root.clone());
    let observer = connected(settings(etcd.endpoints()[0].clone())).await;
    // What is dead need not try for long; but it has to have connected, beside all others.
    let brief = settings(proxy.endpoint()).operation_timeout(Duration::from_secs(4));
    let mortal = connected(brief).await;
    (proxy, mortal, observer)
}

/// How many of them die at a time. All share one thread: with too many, the sessions of some wait there
/// beyond their TTL while others are audited.
const DYING: usize = 6;

/// Tries the first, the second, … transaction, until one is beyond the last: how many there were.
async fn at_any_transaction<F: Future<Output = bool>>(most: u32, dies_at: impl Fn(u32) -> F) -> usize {
    let deaths = stream::iter(1..=most).map(|nth| {
        let dies = dies_at(nth);
        async move { (nth, dies.await) }
    });
    let died: BTreeMap<u32, bool> = deaths.buffer_unordered(DYING).collect().await;
    // How many there are differs a little where updates travel together: by how many of them meet.
    let deaths = died.values().take_while(|died| **died).count();
    assert!(deaths > 3 && !died[&most], "all requests are covered: {died:?}");
    deaths
}

#[plain(on_etcd)]
async fn f41_an_import_that_dies_anywhere_is_whole_or_repeatable() {
    const TASKS: usize = 450;
    let etcd = Etcd::builder().start().await;
    let etcd = &etcd;
    let deaths = at_any_transaction(12, |nth| async move {
        let (proxy, mortal, observer) = mortal(etcd, nth).await;
        let trap = proxy.crash_at("KV/Txn", nth);
        let imported = mortal.admin().import(&plan(), &spec(TASKS), |_| {}).await;
        // Dead after the plan was there, it has still to store excerpts of it, and succeeds without.
        assert!(imported.is_ok() || trap.has_sprung(), "{imported:?}");
        let whole = observer.plan(&plan()).await;
        assert!(whole.is_ok() || imported.is_err(), "{whole:?}");
        match &whole {
            Ok(view) => assert_eq!(view.tasks().len(), TASKS, "half a plan"),
            Err(Error::PlanNotFound(_)) => {
                assert!(observer.plans().await.unwrap().is_empty());
                // Dead candidates are in the way until their sessions end.
                until("import after a death", SOON, async || {
                    observer
                        .admin()
                        .import(&plan(), &spec(TASKS), |_| {})
                        .await
                        .map_err(|error| error.to_string())
                })
                .await;
                assert_eq!(observer.plan(&plan()).await.unwrap().tasks().len(), TASKS);
            }
            Err(error) => panic!("{error}"),
        }
        let audited = observer.admin().audit(|_| {}).await.unwrap();
        assert_eq!(audited.report.violations, []);
        trap.has_sprung()
    })
    .await;
    println!("measured: an import died at each of {deaths} transactions");
}

#[plain(on_etcd)]
async fn f41_the_next_owner_finishes_a_recovery_that_died() {
    const TASKS: usize = 250;
    let etcd = Etcd::builder().start().await;
    let etcd = &etcd;
    let deaths = at_any_transaction(24, |nth| async move {
        let (proxy, mortal, observer) = mortal(etcd, nth).await;
        observer.admin().import(&plan(), &spec(TASKS), |_| {}).await.unwrap();
        let first = session(&observer, "first").await;
        let owner = acquired(&first).await;
        let view = observer.plan(&plan()).await.unwrap();
        let starts: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
        owner.authority().update_all(&starts).await.unwrap().into_iter().for_each(|o| drop(committed(o)));
        first.close().await.unwrap();

        let trap = proxy.crash_at("KV/Txn", nth);
        let recovered = async {
            let session = mortal.open_session(planlease::Identity::of_process()).await?;
            let TryAcquire::Acquired(owner) = session.try_acquire(&plan()).await? else { panic!("taken") };
            owner.recover().await?;
            owner.release().await?;
            session.close().await
        };
        let recovered = recovered.await;
        assert_eq!(recovered.is_err(), trap.has_sprung(), "{recovered:?}");
        let third = session(&observer, "third").await;
        let owner = third.acquire(&plan(), AcquireOptions::default()).await.unwrap();
        let (_, view) = owner.recover().await.unwrap();
        for task in view.tasks().values() {
            let found = (task.record.status, task.record.attempt, task.record.lost);
            let expected = (TaskStatus::Pending, 1, 1);
            assert_eq!(found, expected, "task {}: recovered once, by whomever", task.id);
        }
        owner.release().await.unwrap();
        let audited = observer.admin().audit(|_| {}).await.unwrap();
        assert_eq!(audited.report.violations, []);
        assert_eq!(audited.report.updates, 3 * u64::try_from(TASKS).unwrap());
        trap.has_sprung()
    })
    .await;
    println!("measured: a takeover died at each of {deaths} transactions");
}

#[plain(on_etcd)]
async fn f55_one_release_wakes_one_of_three_hundred_waiters() {
    const WAITING: usize = 300;
    const HANDOVERS: usize = 20;
    let etcd = Etcd::builder().start().await;
    let patient = connected(config(&etcd.endpoints()).ttl(Duration::from_secs(60))).await;
    patient.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let mut owner = acquired(&session(&patient, "first").await).await;
    let mut places = std::collections::VecDeque::new();
    for n in 0..WAITING {
        let next = session(&patient, &format!("w{n}")).await;
        places.push_back((next.id().clone(), waits(&next)));
        in_queue(&patient, n + 2).await;
    }
    let before = patient.traffic();
    let began = Instant::now();
    for n in 0..HANDOVERS {
        owner.release().await.unwrap();
        let (expected, place) = places.pop_front().unwrap();
        let (next, _) = place.await.unwrap().unwrap();
        assert_eq!(next.session().id(), &expected, "in the order of their arrival");
        assert_eq!(next.term().number.0, u64::try_from(n).unwrap() + 2);
        owner = Box::new(next);
    }
    let took = began.elapsed();
    let since = |method: &str| patient.traffic().get(method).unwrap_or(&0) - before.get(method).unwrap_or(&0);
    // A release, and two for a takeover: a waiter behind another waiter has to look once how it
    // became owner. The first one waited behind the owner itself.
    assert_eq!(since("Txn"), 3 * u64::try_from(HANDOVERS).unwrap() - 1);
    assert_eq!(since("Range"), 0);
    assert!(places.iter().all(|(_, place)| !place.is_finished()));
    println!("measured: {HANDOVERS} of {WAITING} who wait took over in {took:?}, {:?} each", took / 20);
    places.iter().for_each(|(_, place)| place.abort());
    drop(owner);
    audit(&etcd).await;
}

/// A whole fleet dies in one moment, with its registrations; who lives is renewed in time.
#[plain(on_etcd)]
async fn f56_thousands_of_expiring_leases_spare_the_live_ones() {
    const DYING: usize = 5_000;
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL * 2).await;
    let mut client = etcd.client(0).await;
    let mut leases = Vec::new();
    for n in 0..DYING {
        let lease = client.lease_grant(5, None).await.unwrap().id();
        leases.push(lease);
        let options = etcd_client::PutOptions::new().with_lease(lease);
        client.put(format!("dying/{n}"), "", Some(options)).await.unwrap();
    }
    let granted = Instant::now();
    let mut task = pair.started;
    let mut updates = 0;
    let options = etcd_client::GetOptions::new().with_prefix().with_count_only();
    until("end of all that die", Duration::from_secs(60), async || {
        let progress = Change::Progress(format!("{updates}"));
        updates += 1;
        task = committed(pair.owner.authority().update_attempt(&task, 1, &progress).await.unwrap());
        match client.get("dying/", Some(options.clone())).await.unwrap().count() {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
    println!("measured: {DYING} leases that died at once were gone after {:?}", granted.elapsed());
    assert!(pair.owner.deadline().is_some() && !pair.waiting.is_finished(), "a living one was lost");
    pair.owner.release().await.unwrap();
    finishes(pair.waiting.await.unwrap().unwrap().0).await;
    assert_eq!(audit(&etcd).await.report.unclean, 0);
}

/// The owner's runtime runs nothing for longer than the TTL, and was to renew the session itself: only the
/// clock shows that it is lost. With renewals on their own thread it is not: `protocol::starved`.
#[plain(on_etcd)]
async fn f58_a_runtime_that_is_blocked_loses_its_plans_and_knows_it() {
    let etcd = Etcd::builder().start().await;
    let observer = observer(&etcd).await;
    observer.admin().import(&plan(), &spec(3), |_| {}).await.unwrap();
    let settings = config(&etcd.endpoints()).renewals(RenewalRuntime::Ambient);
    let (owned, owns) = tokio::sync::oneshot::channel();
    let (block, blocked) = std::sync::mpsc::channel::<()>();
    let stuck = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let coordinator = connected(settings).await;
            let owner = acquired(&session(&coordinator, "stuck").await).await;
            let view = coordinator.plan(&plan()).await.unwrap();
            let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
            owned.send(()).unwrap();
            blocked.recv().unwrap_err(); // Blocks everything on this runtime.
            assert_eq!(owner.session().status(), Status::Lost(LossReason::DeadlinePassed));
            too_late(&coordinator, &owner, &started).await;
            owner.lost().await
        })
    });
    owns.await.unwrap();
    let next = session(&observer, "next").await;
    let waiting = waits(&next);
    let began = Instant::now();
    let (next, freed_at) = waiting.await.unwrap().unwrap();
    assert!(freed_at - began <= TTL + EXPIRY_LAG, "{:?}", freed_at - began);
    report_takeover("a runtime that was blocked", freed_at - began);
    drop(block);
    let loss = tokio::task::spawn_blocking(|| stuck.join().unwrap()).await.unwrap();
    assert_eq!(loss, Loss::Session(LossReason::DeadlinePassed));
    finishes(next).await;
    audit(&etcd).await;
}

#[plain(on_etcd)]
async fn f58_a_panic_lets_go_of_the_plan() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    let owner = pair.owner;
    let began = Instant::now();
    let panicking = background(async move {
        let _owner = owner;
        std::panic::resume_unwind(Box::new("the work went wrong")); // Without the message of a failed test.
    });
    assert!(panicking.await.unwrap_err().is_panic());
    let (next, freed_at) = pair.waiting.await.unwrap().unwrap();
    assert!(freed_at - began < TTL / 2, "released, and not left to expire: {:?}", freed_at - began);
    report_takeover("a panic", freed_at - began);
    finishes(next).await;
    assert_eq!(audit(&etcd).await.report.unclean, 0);
}
