//! Acquire, wait in the queue, take over, release, hand over, force: one owner at a time, always.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use planlease::{
    AcquireOptions, AuthorityLoss, Coordinator, Error, Identity, Loss, Outcome, Reason, Refused, TryAcquire,
};
use planlease_core::{
    OrchestratorId, PlanName, TermNumber,
    record::Ending,
    session::LossReason,
    spec::{PlanSpec, Policy},
};
use planlease_tests::{
    TestEnv, case, plain,
    wait::{SOON, until},
};

use crate::helpers::{TTL, audit, background, execute, imported, in_queue, plan, spec, try_acquire};

#[case]
async fn the_first_owns_and_the_second_learns_the_owner(env: TestEnv) {
    imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let ownership = try_acquire(&first).await.unwrap();
    assert_eq!(ownership.token().to_string(), "1.1");
    let TryAcquire::HeldBy(holder) = second.try_acquire(&plan()).await.unwrap() else { panic!("two owners") };
    assert_eq!(holder.candidate.name(), "first");
    assert_eq!(holder.term.unwrap().number, TermNumber(1));
    assert_eq!(holder.waiting, 0);
    ownership.release().await.unwrap();
    assert!(try_acquire(&second).await.is_some());
    audit(&env).await;
}

#[case]
async fn a_term_that_is_remembered_from_earlier_is_not_used_again(env: TestEnv) {
    imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    for (number, session) in [(1, &first), (2, &second), (3, &first)] {
        let ownership = try_acquire(session).await.unwrap();
        assert_eq!(ownership.term().number, TermNumber(number));
        ownership.release().await.unwrap();
    }
    audit(&env).await;
}

#[case]
async fn a_release_passes_the_plan_on_in_the_order_of_arrival(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let mut owner = try_acquire(&first).await.unwrap();
    let mut waiting = Vec::new();
    for n in 0..3 {
        let session = env.session(&format!("waiting-{n}")).await;
        waiting.push(background(async move {
            let name = plan();
            let ownership = session.acquire(&name, AcquireOptions::default()).await.unwrap();
            (session, ownership)
        }));
        in_queue(&coordinator, n + 2).await;
    }
    for (n, waiting) in waiting.into_iter().enumerate() {
        owner.release().await.unwrap();
        let (session, ownership) = waiting.await.unwrap();
        assert_eq!(session.id().as_str(), format!("waiting-{n}"));
        assert_eq!(ownership.term().number, TermNumber(n as u64 + 2));
        *owner = ownership;
    }
    owner.release().await.unwrap();
    let ends = coordinator.history(&plan()).terms().await.unwrap();
    assert_eq!(ends.len(), 4);
    assert!(ends.iter().all(|term| term.ended.as_ref().unwrap().how == Ending::Clean));
    audit(&env).await;
}

#[case]
async fn a_dropped_ownership_is_released(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    drop(try_acquire(&first).await.unwrap());
    in_queue(&coordinator, 0).await;
    assert!(try_acquire(&first).await.is_some(), "and the same process can acquire it again");
    audit(&env).await;
}

#[case]
async fn a_dropped_wait_leaves_the_queue(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let _owner = try_acquire(&first).await.unwrap();
    let options = AcquireOptions::default().wait(Duration::from_millis(300));
    let refused = second.acquire(&plan(), options).await;
    assert!(matches!(refused, Err(Error::TimedOut(_))), "{refused:?}");
    in_queue(&coordinator, 1).await;
    audit(&env).await;
}

/// The one behind it is woken, and has to find out that another is still ahead.
#[case]
async fn a_leaving_candidate_lets_no_other_past_the_owner(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let second = env.session("second").await;
    let leaving =
        background(async move { second.acquire(&plan(), AcquireOptions::default()).await.map(drop) });
    in_queue(&coordinator, 2).await;
    let third = env.session("third").await;
    let before = third.coordinator().traffic();
    let waiting = background({
        let third = third.clone();
        async move { third.acquire(&plan(), AcquireOptions::default()).await.unwrap() }
    });
    in_queue(&coordinator, 3).await;
    leaving.abort();
    in_queue(&coordinator, 2).await;
    // It has been woken when it has made one more request than it took to join.
    let asked = |traffic: &std::collections::BTreeMap<String, u64>| traffic.get("Txn").copied().unwrap_or(0);
    let joined = asked(&before) + 2;
    until("look at the line", SOON, async || {
        let now = asked(&third.coordinator().traffic());
        if now > joined { Ok(()) } else { Err(now) }
    })
    .await;
    let line = coordinator.queue(&plan()).await.unwrap();
    assert_eq!(line.owner().map(|(owner, _)| owner.name()), Some("first".to_owned()), "passed over");
    assert!(owner.deadline().is_some());
    owner.release().await.unwrap();
    waiting.await.unwrap().release().await.unwrap();
    audit(&env).await;
}

/// Both hang on the same key of the same lease, and what was dropped is cleaned up in the background.
#[case]
async fn a_dropped_ownership_spares_one_acquired_later(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    drop(try_acquire(&first).await.unwrap());
    let owner = try_acquire(&first).await.expect("a release of our own is waited for");
    let name = plan();
    let mut waiting = Box::pin(second.acquire(&name, AcquireOptions::default()));
    tokio::select! {
        biased; // The queue first, which is what is waited for.
        () = in_queue(&coordinator, 2) => {}
        acquired = &mut waiting => panic!("two owners: {acquired:?}"),
    }
    owner.release().await.unwrap();
    drop(waiting); // It may be the owner by now, or still in the queue.
    let next = second.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    let (recovered, view) = next.recover().await.unwrap();
    assert_eq!(recovered, []);
    for task in ["1", "2", "3"] {
        let view = if task == "1" { view.clone() } else { coordinator.plan(&plan()).await.unwrap() };
        execute(&next.authority(), &view, task).await;
    }
    next.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn a_session_that_ends_frees_its_plans_uncleanly(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let ownership = try_acquire(&first).await.unwrap();
    first.clone().close().await.unwrap();
    assert_eq!(ownership.lost().await, Loss::Session(LossReason::Closed));
    let next = second.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    assert_eq!(next.term().number, TermNumber(2));
    let past = coordinator.history(&plan()).term(TermNumber(1)).await.unwrap().unwrap();
    assert_eq!(past.ended.unwrap().how, Ending::Unclean);
    let refused = ownership
        .authority()
        .start(&coordinator.plan(&plan()).await.unwrap(), &crate::helpers::id("1"))
        .await;
    let Ok(Outcome::Refused(Refused::AuthorityLost(AuthorityLoss::Session(_)))) = refused else {
        panic!("{refused:?}")
    };
    audit(&env).await;
}

/// The lease of a process that is cut off from etcd expires; the next waiter takes over.
#[case]
async fn an_unrenewed_session_frees_its_plans_within_the_bound(env: TestEnv) {
    imported(&env).await;
    // A session on a runtime of its own that is stopped dead: nothing renews, nothing is released.
    let owner_config = env.config.clone();
    let dead = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ownership = runtime.block_on(async {
            let coordinator = Coordinator::connect(owner_config).await.unwrap();
            let session = coordinator.open_session(Identity::of_process()).await.unwrap();
            try_acquire(&session).await.unwrap()
        });
        runtime.shutdown_background();
        std::mem::forget(ownership);
        tokio::time::Instant::now()
    });
    let died_at = tokio::task::spawn_blocking(|| dead.join().unwrap()).await.unwrap();
    let second = env.session("second").await;
    let next = second.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    let took = died_at.elapsed();
    assert!(took <= TTL + Duration::from_secs(1), "the takeover took {took:?}");
    assert!(took >= TTL - Duration::from_secs(1), "an early loss, after {took:?}");
    assert_eq!(next.term().number, TermNumber(2));
    audit(&env).await;
}

/// Imports the plan with this lock delay.
async fn imported_with_delay(env: &TestEnv, seconds: u64) -> Coordinator {
    let coordinator = env.coordinator().await;
    let policy = Policy { lock_delay_s: seconds, ..Policy::default() };
    coordinator.admin().import(&plan(), &PlanSpec { policy, ..spec() }, |_| {}).await.unwrap();
    coordinator
}

/// Both ends that are not orderly, and every way to the next ownership: a try, a wait, and a wait that began
/// before the end.
#[case]
async fn every_way_to_an_ownership_keeps_the_lock_delay(env: TestEnv) {
    let coordinator = imported_with_delay(&env, 1).await;
    let delay = Duration::from_secs(1);
    for (n, (forced, way)) in
        [false, true].into_iter().flat_map(|forced| [0, 1, 2].map(|way| (forced, way))).enumerate()
    {
        let first = env.session(&format!("first-{n}")).await;
        let owner = first.acquire(&plan(), AcquireOptions::default()).await.unwrap();
        let term = owner.term().number;
        let next = env.session(&format!("next-{n}")).await;
        let mut waiting = None;
        if way == 2 {
            let next = next.clone();
            waiting =
                Some(background(
                    async move { next.acquire(&plan(), AcquireOptions::default()).await.unwrap() },
                ));
            in_queue(&coordinator, 2).await;
        }
        let ended = tokio::time::Instant::now();
        if forced {
            coordinator
                .admin()
                .force_release(&plan(), Some(first.id()), &Reason::by("me").because("stuck"))
                .await
                .unwrap();
        } else {
            first.clone().close().await.unwrap(); // As a crash does: the term stays without an end.
        }
        let successor = match (waiting, way) {
            (Some(waiting), _) => waiting.await.unwrap(),
            (None, 0) => loop {
                match next.try_acquire(&plan()).await.unwrap() {
                    TryAcquire::Acquired(owner) => break *owner,
                    TryAcquire::Delayed(left) => tokio::time::sleep(left).await,
                    TryAcquire::HeldBy(holder) => panic!("held by {holder:?}"),
                }
            },
            (None, _) => next.acquire(&plan(), AcquireOptions::default()).await.unwrap(),
        };
        let took = ended.elapsed();
        assert!(took >= delay, "way {way}, forced {forced}: {took:?}");
        assert_eq!(successor.term().number, term.next(), "no term in between");
        drop(owner);
        successor.release().await.unwrap();
        let after = tokio::time::Instant::now();
        let owner = try_acquire(&next).await.expect("none after a release");
        assert!(after.elapsed() < delay);
        owner.release().await.unwrap();
    }
    audit(&env).await;
}

/// A process that asks again and again, each time for less than the delay, is not sent back to its beginning.
#[case]
async fn a_lock_delay_goes_on_between_two_tries(env: TestEnv) {
    imported_with_delay(&env, 2).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let _owner = try_acquire(&first).await.unwrap();
    first.clone().close().await.unwrap();
    let begun = tokio::time::Instant::now();
    let options = AcquireOptions::default().wait(Duration::from_millis(300));
    let owner = loop {
        match second.acquire(&plan(), options).await {
            Ok(owner) => break owner,
            Err(Error::TimedOut(why)) => assert!(why.contains("lock delay"), "{why}"),
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < SOON, "never acquired");
    };
    assert!(begun.elapsed() >= Duration::from_secs(2));
    owner.release().await.unwrap();
    audit(&env).await;
}

/// The definition may be edited while a candidate waits: what counts is the delay at the end of the
/// ownership.
#[case]
async fn a_lock_delay_that_is_edited_while_a_candidate_waits_counts(env: TestEnv) {
    let coordinator = imported_with_delay(&env, 0).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let _owner = try_acquire(&first).await.unwrap();
    let waiting =
        background(async move { second.acquire(&plan(), AcquireOptions::default()).await.unwrap() });
    in_queue(&coordinator, 2).await;
    let policy = Policy { lock_delay_s: 1, ..Policy::default() };
    coordinator.admin().edit(&plan(), &PlanSpec { policy, ..spec() }).await.unwrap();
    let ended = tokio::time::Instant::now();
    first.clone().close().await.unwrap();
    let owner = waiting.await.unwrap();
    assert!(ended.elapsed() >= Duration::from_secs(1), "taken over after {:?}", ended.elapsed());
    owner.release().await.unwrap();
    audit(&env).await;
}

/// A candidate that is there for the plan's work begins no term for a plan that has none left.
#[case]
async fn a_waiter_for_work_leaves_the_queue_of_a_finished_plan(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let options = AcquireOptions::default().only_for_work(true);
    let mut waiting = Vec::new();
    for n in 0..3 {
        let session = env.session(&format!("w{n}")).await;
        waiting.push(background(async move { session.acquire(&plan(), options).await }));
    }
    in_queue(&coordinator, 4).await;
    for task in ["1", "2", "3"] {
        execute(&owner.authority(), &coordinator.plan(&plan()).await.unwrap(), task).await;
    }
    owner.release().await.unwrap();
    for waiting in waiting {
        let left = waiting.await.unwrap();
        assert!(
            matches!(left, Err(Error::NothingLeft { summary, .. }) if summary.completed == 3),
            "{left:?}"
        );
    }
    in_queue(&coordinator, 0).await;
    let tried = first.try_acquire_with(&plan(), options).await;
    assert!(matches!(tried, Err(Error::NothingLeft { .. })), "{tried:?}");
    assert_eq!(coordinator.history(&plan()).terms().await.unwrap().len(), 1, "no empty terms");
    try_acquire(&first).await.expect("without the condition it can be owned").release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn a_lock_delay_is_kept_after_an_unclean_end_and_only_then(env: TestEnv) {
    imported(&env).await;
    let delay = Duration::from_secs(1);
    let options = AcquireOptions::default().lock_delay(delay);
    let first = env.session("first").await;
    drop(first.acquire(&plan(), options).await.unwrap());
    let begun = tokio::time::Instant::now();
    let second = env.session("second").await;
    let owner = second.acquire(&plan(), options).await.unwrap();
    assert!(begun.elapsed() < delay, "a clean end needs no delay");

    second.clone().close().await.unwrap(); // As a crash does: how the term ended is not written.
    drop(owner);
    let begun = tokio::time::Instant::now();
    let third = env.session("third").await;
    let owner = third.acquire(&plan(), options).await.unwrap();
    assert!(begun.elapsed() >= delay, "the queue was empty, and still it waits");
    assert_eq!(owner.term().number, TermNumber(3));
    owner.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn a_session_without_required_progress_loses_its_plans(env: TestEnv) {
    imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let progress = first.require_progress(Duration::from_secs(1));
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < TTL * 2 {
        progress.note();
        assert!(owner.deadline().is_some(), "lost although there was progress");
        tokio::time::sleep(Duration::from_millis(200)).await; // The work.
    }
    let lost = tokio::time::timeout(TTL * 2, owner.lost()).await.expect("a stuck owner loses its plan");
    assert_eq!(lost, Loss::Session(LossReason::NoProgress));
    let second = env.session("second").await;
    let next = second.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    assert_eq!(next.term().number, TermNumber(2));
    next.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn one_process_does_not_own_a_plan_twice(env: TestEnv) {
    imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    assert!(matches!(first.try_acquire(&plan()).await, Err(Error::HeldLocally(_))));
    owner.release().await.unwrap();
    assert!(try_acquire(&first).await.is_some());
    audit(&env).await;
}

#[case]
async fn a_plan_that_is_not_there_cannot_be_acquired(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let missing = PlanName::new("missing").unwrap();
    assert!(matches!(first.try_acquire(&missing).await, Err(Error::PlanNotFound(_))));
    let waiting = first.acquire(&missing, AcquireOptions::default()).await;
    assert!(matches!(waiting, Err(Error::PlanNotFound(_))));
    assert!(
        coordinator.queue(&missing).await.unwrap().candidates().is_empty(),
        "a plan that does not exist has no queue"
    );
}

#[case]
async fn a_forced_release_reaches_the_owner_and_fences_it(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let authority = owner.authority();
    let released = coordinator
        .admin()
        .force_release(&plan(), Some(first.id()), &Reason::by("me@here").because("stuck"))
        .await
        .unwrap();
    assert_eq!(released.term, Some(TermNumber(1)));
    let lost =
        tokio::time::timeout(Duration::from_secs(2), owner.lost()).await.expect("the holder is notified");
    assert_eq!(lost, Loss::KeyGone);
    assert_eq!(owner.explain_loss().await.unwrap(), "me@here ended it: stuck");
    let outcome = authority.start(&view, &crate::helpers::id("1")).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::AuthorityLost(_))), "{outcome:?}");
    assert!(matches!(owner.release().await, Err(Error::AuthorityLost(AuthorityLoss::Ownership(_)))));
    audit(&env).await;
}

#[case]
async fn a_forced_release_of_an_unexpected_owner_is_refused(env: TestEnv) {
    let coordinator = imported(&env).await;
    let refused = coordinator.admin().force_release(&plan(), None, &Reason::by("me").because("x")).await;
    assert!(matches!(refused, Err(Error::NotOwned(_))));
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let other = OrchestratorId::new("other").unwrap();
    let refused =
        coordinator.admin().force_release(&plan(), Some(&other), &Reason::by("me").because("x")).await;
    assert!(matches!(refused, Err(Error::OtherOwner { .. })), "{refused:?}");
    owner.release().await.unwrap();
}

#[case]
async fn a_hand_over_goes_to_the_named_one(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let mut waiting = Vec::new();
    for (n, name) in ["second", "third", "fourth"].iter().enumerate() {
        let session = env.session(name).await;
        waiting.push(background(async move {
            session.acquire(&plan(), AcquireOptions::default()).await.map(|ownership| (session, ownership))
        }));
        in_queue(&coordinator, n + 2).await;
    }
    let absent = OrchestratorId::new("absent").unwrap();
    let (owner, error) = owner.hand_over(&absent).await.unwrap_err().into_parts();
    assert!(matches!(error, Error::HandOver(_)), "{error:?}");
    owner.hand_over(&OrchestratorId::new("fourth").unwrap()).await.unwrap();
    let (_session, ownership) = waiting.pop().unwrap().await.unwrap().unwrap();
    assert_eq!(ownership.session().id().as_str(), "fourth");
    let past = coordinator.history(&plan()).term(TermNumber(1)).await.unwrap().unwrap();
    assert!(matches!(past.ended.unwrap().how, Ending::HandedOver { .. }));
    // The others have joined again.
    in_queue(&coordinator, 3).await;
    ownership.release().await.unwrap();
    let mut waiting: futures_util::stream::FuturesUnordered<_> = waiting.into_iter().collect();
    while let Some(waiting) = futures_util::StreamExt::next(&mut waiting).await {
        let (_session, ownership) = waiting.unwrap().unwrap();
        ownership.release().await.unwrap();
    }
    audit(&env).await;
}

/// Joins the queue as `etcdctl elect` and Go's `concurrency.Election` do.
#[case]
async fn an_unmanaged_candidate_waits_in_the_same_queue(mut env: TestEnv) {
    let coordinator = imported(&env).await;
    let election = coordinator.layout().election(&plan());
    let lease = env.client.lease_grant(60, None).await.unwrap().id();
    let key = format!("{election}/{lease:x}");
    let put = TxnOp::put(key.as_str(), "unmanaged", Some(PutOptions::new().with_lease(lease)));
    let campaign =
        Txn::new().when([Compare::create_revision(key.as_str(), CompareOp::Equal, 0)]).and_then([put]);
    env.client.txn(campaign).await.unwrap();

    let first = env.session("first").await;
    let TryAcquire::HeldBy(holder) = first.try_acquire(&plan()).await.unwrap() else { panic!("two owners") };
    assert!(holder.candidate.name().contains("unmanaged candidate"), "{}", holder.candidate.name());
    let waiting = background(async move {
        let ownership = first.acquire(&plan(), AcquireOptions::default()).await.unwrap();
        (first, ownership)
    });
    in_queue(&coordinator, 2).await;
    env.client.lease_revoke(lease).await.unwrap();
    let (_session, ownership) = waiting.await.unwrap();
    assert_eq!(ownership.term().number, TermNumber(1), "the unmanaged candidate had no term");
    ownership.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn tokens_grow_even_over_a_deletion(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let before = owner.token();
    assert!(matches!(coordinator.admin().delete(&plan()).await, Err(Error::PlanOwned { .. })));
    owner.release().await.unwrap();
    coordinator.admin().delete(&plan()).await.unwrap();
    assert!(matches!(coordinator.plan(&plan()).await, Err(Error::PlanNotFound(_))));
    coordinator.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    let owner = try_acquire(&first).await.unwrap();
    assert!(owner.token() > before, "{} after {before}", owner.token());
    owner.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn many_at_once_and_exactly_one_owns(env: TestEnv) {
    imported(&env).await;
    let mut sessions = Vec::new();
    for n in 0..12 {
        sessions.push(env.session(&format!("s{n}")).await);
    }
    for round in 0..5 {
        let tries = sessions.iter().map(|session| async { try_acquire(session).await });
        let owned: Vec<_> = futures_util::future::join_all(tries).await.into_iter().flatten().collect();
        assert_eq!(owned.len(), 1, "in round {round}");
        for ownership in owned {
            let view = env.coordinator().await.plan(&plan()).await.unwrap();
            if round == 0 {
                execute(&ownership.authority(), &view, "1").await;
            }
            ownership.release().await.unwrap();
        }
    }
    audit(&env).await;
}

#[case]
async fn an_identity_is_used_once(env: TestEnv) {
    let first = env.session("one").await;
    let identity = Identity::of_process().id(first.id().clone());
    let second = env.coordinator().await.open_session(identity).await;
    assert!(matches!(second, Err(Error::IdentityTaken(_))), "{second:?}");
    let listed = env.coordinator().await.orchestrators().await.unwrap();
    assert_eq!(listed.len(), 1);
    first.close().await.unwrap();
    assert!(env.coordinator().await.orchestrators().await.unwrap().is_empty());
}

/// etcd forgets a token that is not used for some seconds; requests, watches and renewals get a new one.
#[plain(on_etcd)]
async fn a_token_that_expires_costs_nothing() {
    const TOKEN_TTL: Duration = Duration::from_secs(2);
    let etcd = planlease_tests::etcd::Etcd::builder().argument("--auth-token-ttl=2").start().await;
    let mut admin = etcd_client::Client::connect(etcd.endpoints(), None).await.unwrap();
    admin.user_add("root", "secret", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.auth_enable().await.unwrap();
    let config = |password: &str| {
        planlease::Config::with_endpoints(etcd.endpoints().iter().map(|at| at.parse().unwrap()).collect())
            .credentials(planlease::Credentials::of_user("root").password(password))
            .ttl(Duration::from_secs(9))
    };
    let wrong = Coordinator::connect(config("wrong")).await;
    assert!(matches!(wrong, Err(Error::Unauthenticated(_))), "{wrong:?}");
    let coordinator = Coordinator::connect(config("secret")).await.unwrap();
    coordinator.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    let first = coordinator.open_session(Identity::of_process()).await.unwrap();
    let owner = try_acquire(&first).await.unwrap();
    for task in ["1", "2"] {
        tokio::time::sleep(TOKEN_TTL * 2).await; // What etcd needs to forget the token.
        let view = coordinator.plan(&plan()).await.unwrap();
        execute(&owner.authority(), &view, task).await;
    }
    assert!(owner.deadline().is_some(), "the session was renewed with new tokens");
    coordinator
        .admin()
        .force_release(&plan(), None, &Reason::by("me").because("to see whether the watch still stands"))
        .await
        .unwrap();
    let lost = tokio::time::timeout(Duration::from_secs(5), owner.lost()).await;
    assert_eq!(lost, Ok(Loss::KeyGone));
}

#[plain(on_etcd)]
async fn a_ttl_that_the_server_does_not_grant_is_refused() {
    let slow = ["--election-timeout=4000", "--heartbeat-interval=400"];
    let etcd =
        slow.into_iter().fold(planlease_tests::etcd::Etcd::builder(), |etcd, flag| etcd.argument(flag));
    let etcd = etcd.start().await;
    let endpoints = || etcd.endpoints().iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    let config = |seconds| planlease::Config::with_endpoints(endpoints()).ttl(Duration::from_secs(seconds));
    let coordinator = Coordinator::connect(config(3)).await.unwrap();
    let refused = coordinator.open_session(Identity::of_process()).await;
    let Err(Error::TtlNotGranted { asked, granted }) = refused else { panic!("{refused:?}") };
    assert_eq!((asked, granted), (Duration::from_secs(3), Duration::from_secs(6)));
    assert!(coordinator.orchestrators().await.unwrap().is_empty(), "nothing is left behind");
    let coordinator = Coordinator::connect(config(6)).await.unwrap();
    coordinator.open_session(Identity::of_process()).await.unwrap().close().await.unwrap();
}
