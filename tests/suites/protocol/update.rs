//! Task updates: compared, fenced, answered in three values, exactly once.

use planlease::{AcquireOptions, Findings, Outcome, Refused};
use planlease_core::{
    spec::{OnLost, PlanSpec, Policy},
    transition::{Change, Refusal, TaskStatus},
};
use planlease_tests::{TestEnv, case, wait::SOON};

use crate::helpers::{TTL, audit, committed, execute, id, imported, plan, spec, try_acquire};

#[case]
async fn a_plan_is_executed_and_every_update_is_in_the_history_once(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let mut done = Vec::new();
    loop {
        let view = coordinator.plan(&plan()).await.unwrap();
        let Some(task) = view.ready().next().cloned() else { break };
        done.push(execute(&owner.authority(), &view, task.as_str()).await);
    }
    let view = coordinator.plan(&plan()).await.unwrap();
    assert!(view.summary().is_finished() && view.summary().completed == 3);
    owner.release().await.unwrap();
    let audited = audit(&env).await;
    for task in done {
        assert_eq!(audited.audit.find_write(task.record.op_id), Some(task.revision));
    }
}

#[case]
async fn an_update_of_a_stale_record_is_refused_with_the_present_one(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let stale = view.tasks()[&id("1")].clone();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let outcome = owner.authority().update(&stale, &Change::Skip("x".into())).await.unwrap();
    let Outcome::Refused(Refused::Conflict(present)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(*present, started);
    let outcome = owner.authority().update_attempt(&started, 0, &Change::Complete(None)).await.unwrap();
    let Outcome::Refused(Refused::NotAllowed(Refusal::StaleAttempt { .. }, _)) = outcome else {
        panic!("{outcome:?}")
    };
    audit(&env).await;
}

#[case]
async fn a_start_before_its_dependencies_is_refused(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let outcome = owner.authority().start(&view, &id("2")).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::Dependency)), "{outcome:?}");
    let outcome = owner.authority().start(&view, &id("9")).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::NoSuchTask)), "{outcome:?}");
}

#[case]
async fn however_a_task_is_started_it_waits_for_what_it_depends_on(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let (authority, early) = (owner.authority(), view.tasks()[&id("2")].clone());
    let by_operator = coordinator.operator(&view, "me").unwrap();
    let all: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    let mut outcomes = authority.update_all(&all).await.unwrap();
    committed(outcomes.remove(0)); // Task 1 depends on nothing.
    outcomes.push(authority.update(&early, &Change::Start).await.unwrap());
    outcomes.push(authority.modify(&early.id, |_| Some(Change::Start)).await.unwrap());
    outcomes.push(by_operator.update(&early, &Change::Start).await.unwrap());
    for outcome in outcomes {
        assert!(matches!(outcome, Outcome::Refused(Refused::Dependency)), "{outcome:?}");
    }
    let started = coordinator.task(&plan(), &id("1")).await.unwrap().unwrap();
    committed(authority.update(&started, &Change::Complete(None)).await.unwrap());
    committed(authority.update(&early, &Change::Start).await.unwrap());
    audit(&env).await;
}

#[case]
async fn a_dependency_that_is_reopened_meanwhile_refuses_the_start(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    execute(&owner.authority(), &view, "1").await;
    let view = coordinator.plan(&plan()).await.unwrap(); // Task 1 is done, as seen here.
    let operator = coordinator.operator(&view, "me").unwrap();
    committed(operator.update(&view.tasks()[&id("1")], &Change::Retry("wrong".into())).await.unwrap());
    let outcome = owner.authority().start(&view, &id("2")).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::Dependency)), "{outcome:?}");
    audit(&env).await;
}

#[case]
async fn a_former_owner_writes_nothing(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let late = owner.authority(); // Kept by a part of the program that has not heard of the loss.
    owner.release().await.unwrap();
    let next = second.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    let outcome = late.update_attempt(&started, 1, &Change::Complete(None)).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::AuthorityLost(_))), "{outcome:?}");
    let (recovered, view) = next.recover().await.unwrap();
    assert_eq!(recovered.len(), 1);
    execute(&next.authority(), &view, "1").await;
    audit(&env).await;
}

#[case]
async fn a_delegation_is_worth_what_the_ownership_is_worth(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let text = serde_json::to_string(&owner.delegate()).unwrap();
    let delegated = coordinator.delegated(&serde_json::from_str(&text).unwrap());
    let view = coordinator.plan(&plan()).await.unwrap();
    let started = committed(delegated.start(&view, &id("1")).await.unwrap());
    owner.release().await.unwrap();
    let outcome = delegated.update(&started, &Change::Complete(None)).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::AuthorityLost(_))), "{outcome:?}");
    audit(&env).await;
}

#[case]
async fn workers_claim_each_task_once_and_die_with_their_claims(env: TestEnv) {
    let coordinator = imported(&env).await;
    let owner_session = env.session("owner").await;
    let owner = try_acquire(&owner_session).await.unwrap();
    let (a, b) = (env.session("a").await, env.session("b").await);
    let view = coordinator.plan(&plan()).await.unwrap();
    let (a_authority, b_authority) =
        (coordinator.worker(&a, &plan()).unwrap(), coordinator.worker(&b, &plan()).unwrap());
    let task = id("1");
    let (one, other) = tokio::join!(a_authority.start(&view, &task), b_authority.start(&view, &task));
    let won =
        [one.unwrap(), other.unwrap()].into_iter().filter(|o| matches!(o, Outcome::Committed(_))).count();
    assert_eq!(won, 1, "one task, one claimant");
    a.close().await.unwrap();
    b.close().await.unwrap();
    let (recovered, _) = owner.recover().await.unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].record.status, TaskStatus::Pending);
    assert_eq!((recovered[0].record.lost, recovered[0].record.failures), (1, 0));
    audit(&env).await;
}

#[case]
async fn an_owner_hears_of_a_worker_that_is_lost(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let mut claimants = owner.claimants();
    let worker = env.session("worker").await;
    let view = coordinator.plan(&plan()).await.unwrap();
    let claimed = coordinator.worker(&worker, &plan()).unwrap().start(&view, &id("1")).await.unwrap();
    let claimed = committed(claimed);
    let view = coordinator.plan(&plan()).await.unwrap();
    claimants.follow(&view).await;
    assert!(tokio::time::timeout(TTL / 2, claimants.gone()).await.is_err(), "it is there");
    worker.close().await.unwrap();
    tokio::time::timeout(SOON, claimants.gone()).await.expect("its registration is gone");
    let (recovered, view) = owner.recover().await.unwrap();
    assert_eq!((recovered.len(), recovered[0].id.clone()), (1, claimed.id));
    // It is reported once, and no process is watched that has nothing in progress.
    claimants.follow(&view).await;
    assert!(tokio::time::timeout(TTL / 2, claimants.gone()).await.is_err());
    audit(&env).await;
}

#[case]
async fn orphans_are_recovered_by_the_next_owner(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let tasks =
        (0..150).map(|n| planlease_core::spec::TaskSpec::new(id(&format!("1.{n}")), "work")).collect();
    let policy = Policy { on_lost: OnLost::Ask, ..Policy::default() };
    let many = PlanSpec { tasks, policy, ..spec() };
    coordinator.admin().import(&plan(), &many, |_| {}).await.unwrap();
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let starts: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    for outcome in owner.authority().update_all(&starts).await.unwrap() {
        committed(outcome);
    }
    drop(owner);
    let second = env.session("second").await;
    let next = second.acquire(&plan(), AcquireOptions::default()).await.unwrap();
    let (recovered, view) = next.recover().await.unwrap();
    assert_eq!(recovered.len(), 150);
    assert!(recovered.iter().all(|task| task.record.parked.is_some()));
    assert_eq!(view.summary().failed, 150);
    audit(&env).await;
}

#[case]
async fn a_batch_succeeds_and_fails_task_by_task(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let tasks = (1..=3).map(|n| planlease_core::spec::TaskSpec::new(id(&n.to_string()), "work")).collect();
    coordinator.admin().import(&plan(), &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    committed(owner.authority().start(&view, &id("2")).await.unwrap());
    let batch: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    let outcomes = owner.authority().update_all(&batch).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Committed(_)), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Refused(Refused::Conflict(_))), "{outcomes:?}");
    assert!(matches!(outcomes[2], Outcome::Committed(_)), "{outcomes:?}");
    drop(owner);
    first.close().await.unwrap();
    audit(&env).await;
}

#[case]
async fn an_operator_does_not_write_past_an_unseen_owner(env: TestEnv) {
    let coordinator = imported(&env).await;
    let view = coordinator.plan(&plan()).await.unwrap(); // Without an owner, as seen here.
    let operator = coordinator.operator(&view, "me").unwrap();
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let outcome = operator.update(&view.tasks()[&id("1")], &Change::Skip("x".into())).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::AuthorityLost(_))), "{outcome:?}");
    let view = coordinator.plan(&plan()).await.unwrap();
    let operator = coordinator.operator(&view, "me").unwrap();
    committed(operator.update(&view.tasks()[&id("1")], &Change::Skip("x".into())).await.unwrap());
    owner.release().await.unwrap();
    audit(&env).await;
}

/// Two writers change one task as fast as they can; each acknowledged change is there, none twice.
#[case]
async fn two_writers_of_one_task_lose_nothing(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let write = async |name: &str| {
        let authority = env.coordinator().await.delegated(&owner.delegate());
        let mut written = Vec::new();
        for n in 0..40 {
            let note = Change::Progress(format!("{name} {n}"));
            written.push(committed(authority.modify(&id("1"), |_| Some(note.clone())).await.unwrap()));
        }
        written
    };
    let (mut a, b) = tokio::join!(write("a"), write("b"));
    a.extend(b);
    let audited = audit(&env).await;
    for task in &a {
        assert_eq!(
            audited.audit.find_write(task.record.op_id),
            Some(task.revision),
            "an acknowledged update"
        );
    }
    a.sort_by_key(|task| task.revision);
    a.dedup_by_key(|task| task.revision);
    assert_eq!(a.len(), 80, "each at a revision of its own");
}

#[case]
async fn findings_are_kept_with_their_task(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let authority = owner.authority();
    authority.write_findings(&id("1"), &Findings::of_attempt(1, "line\n".repeat(100_000))).await.unwrap();
    let findings = coordinator.findings(&plan(), &id("1")).await.unwrap().unwrap();
    assert_eq!(findings.bytes, 500_000);
    assert!(findings.text.len() <= planlease_core::codec::MAX_FINDINGS);
    assert_eq!(coordinator.findings(&plan(), &id("2")).await.unwrap(), None);
    let missing = authority.write_findings(&id("9"), &Findings::of_attempt(1, "x")).await;
    assert!(matches!(missing, Err(planlease::Error::TaskNotFound { .. })));
    owner.release().await.unwrap();
    let late = authority.write_findings(&id("1"), &Findings::of_attempt(1, "late")).await;
    assert!(matches!(late, Err(planlease::Error::AuthorityLost(_))));
}
