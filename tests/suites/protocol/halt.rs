//! Pausing, cancelling and archiving plans; bounding how many tasks are in progress at once.

use planlease::{AcquireOptions, Error, Halted, Outcome, Reason, Refused};
use planlease_core::{
    record::Halt,
    spec::{PlanSpec, Policy, TaskSpec},
    transition::{Change, TaskStatus},
};
use planlease_tests::{TestEnv, case, race::Race};

use crate::helpers::{audit, background, committed, id, imported, in_queue, plan, spec, try_acquire};

#[case]
async fn in_a_paused_plan_nothing_is_started_and_what_runs_goes_on(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let tasks = ["1", "3"].map(|name| TaskSpec::new(id(name), "work")).to_vec();
    coordinator.admin().import(&plan(), &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    let owner = try_acquire(&env.session("first").await).await.unwrap();
    let before = coordinator.plan(&plan()).await.unwrap();
    let running = committed(owner.authority().start(&before, &id("1")).await.unwrap());
    let seen = coordinator.plan(&plan()).await.unwrap();
    let paused = coordinator.admin().pause(&plan(), &Reason::by("me").because("lunch")).await.unwrap();
    assert!(matches!(paused, Halted::Done(_)), "{paused:?}");
    let again = coordinator.admin().pause(&plan(), &Reason::by("you").because("tea")).await.unwrap();
    assert!(matches!(&again, Halted::Unchanged(by) if by.by == "me"), "{again:?}");

    // A writer that has not seen the pause is refused by etcd, one that has by itself.
    let third = id("3");
    let unaware = owner.authority().start(&seen, &third).await.unwrap();
    assert!(matches!(unaware, Outcome::Refused(Refused::Dependency)), "{unaware:?}");
    let view = coordinator.plan(&plan()).await.unwrap();
    let worker = coordinator.worker(&env.session("worker").await, &plan()).unwrap();
    for authority in [&owner.authority(), &worker] {
        let aware = authority.start(&view, &third).await.unwrap();
        assert!(
            matches!(&aware, Outcome::Refused(Refused::Halted(by)) if by.how == Halt::Paused),
            "{aware:?}"
        );
    }
    committed(owner.authority().update_attempt(&running, 1, &Change::Complete(None)).await.unwrap());

    assert!(coordinator.admin().resume(&plan()).await.unwrap());
    assert!(!coordinator.admin().resume(&plan()).await.unwrap(), "there is nothing to resume any more");
    let view = coordinator.plan(&plan()).await.unwrap();
    committed(owner.authority().start(&view, &third).await.unwrap());
    audit(&env).await;
}

#[case]
async fn a_cancelled_plan_gets_no_owner_until_it_is_resumed(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let running = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let waits = second.clone();
    let waiting = background(async move { waits.acquire(&plan(), AcquireOptions::default()).await });
    in_queue(&coordinator, 2).await;

    let cancelled =
        coordinator.admin().cancel(&plan(), &Reason::by("me").because("not needed")).await.unwrap();
    assert!(matches!(cancelled, Halted::Done(_)), "{cancelled:?}");
    owner.lost().await;
    assert!(owner.explain_loss().await.unwrap().contains("cancelled: not needed"));
    let late = owner.authority().update_attempt(&running, 1, &Change::Complete(None)).await.unwrap();
    assert!(matches!(late, Outcome::Refused(Refused::AuthorityLost(_))), "{late:?}");
    let reported = waiting.await.unwrap().unwrap_err();
    assert!(matches!(&reported, Error::PlanClosed { by, .. } if by == "me"), "{reported:?}");
    let reported = second.try_acquire(&plan()).await.unwrap_err();
    assert!(matches!(reported, Error::PlanClosed { .. }), "{reported:?}");

    assert!(coordinator.admin().resume(&plan()).await.unwrap());
    let next = try_acquire(&second).await.unwrap();
    let (recovered, _) = next.recover().await.unwrap();
    assert_eq!(recovered.len(), 1, "what was in progress when it was cancelled");
    audit(&env).await;
}

/// Both at the same moment, many times: either the plan is finished and was not cancelled, or it was
/// cancelled and its last task was not completed.
#[case]
async fn a_cancellation_or_the_last_completion_wins(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let first = env.session("first").await;
    let mut race = Race::default();
    for round in 0..40 {
        let plan = planlease_core::PlanName::new(format!("race-{round}")).unwrap();
        let one = PlanSpec { tasks: vec![TaskSpec::new(id("1"), "work")], ..spec() };
        coordinator.admin().import(&plan, &one, |_| {}).await.unwrap();
        let planlease::TryAcquire::Acquired(owner) = first.try_acquire(&plan).await.unwrap() else {
            panic!("it is new")
        };
        let view = coordinator.plan(&plan).await.unwrap();
        let running = committed(owner.authority().start(&view, &id("1")).await.unwrap());
        let (other, name) = (coordinator.clone(), plan.clone());
        let [completion, cancellation] = race.waits();
        let cancelling = background(async move {
            tokio::time::sleep(cancellation).await;
            other.admin().cancel(&name, &Reason::by("me").because("race")).await
        });
        tokio::time::sleep(completion).await;
        let completed = owner.authority().update_attempt(&running, 1, &Change::Complete(None)).await.unwrap();
        let cancelled = cancelling.await.unwrap();
        let view = coordinator.plan(&plan).await.unwrap();
        let done = view.status(&id("1")) == Some(TaskStatus::Completed);
        match (completed, cancelled) {
            (Outcome::Committed(_), Err(Error::PlanFinished(_))) => {
                assert!(done && view.halts().closed.is_none());
                race.won(0);
            }
            (Outcome::Refused(Refused::AuthorityLost(_)), Ok(Halted::Done(_))) => {
                assert!(!done && view.halts().closed.is_some());
                race.won(1);
            }
            both => panic!("{both:?}"),
        }
        drop(owner.release().await);
    }
    race.both_have_won();
    audit(&env).await;
}

#[case]
async fn an_archived_plan_is_left_alone(env: TestEnv) {
    let coordinator = imported(&env).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let refused = coordinator.admin().archive(&plan(), &Reason::by("me").because("old")).await.unwrap_err();
    assert!(matches!(refused, Error::PlanOwned { .. }), "{refused:?}");
    owner.release().await.unwrap();
    coordinator.admin().archive(&plan(), &Reason::by("me").because("old")).await.unwrap();
    let reported = first.try_acquire(&plan()).await.unwrap_err();
    assert!(matches!(reported, Error::PlanClosed { how: Halt::Archived, .. }), "{reported:?}");
    coordinator.admin().delete(&plan()).await.unwrap();
    coordinator.admin().import(&plan(), &spec(), |_| {}).await.unwrap();
    assert!(try_acquire(&first).await.is_some(), "the next plan of that name is another one");
    audit(&env).await;
}

#[case]
async fn never_are_more_tasks_in_progress_than_the_plan_allows(env: TestEnv) {
    const MOST: usize = 2;
    let coordinator = env.coordinator().await;
    let tasks = (1..=12).map(|n| TaskSpec::new(id(&n.to_string()), "work")).collect();
    let policy = Policy { max_in_progress: 2, ..Policy::default() };
    let bounded = PlanSpec { title: "bounded".into(), tasks, policy, ..PlanSpec::default() };
    coordinator.admin().import(&plan(), &bounded, |_| {}).await.unwrap();
    let mut workers = Vec::new();
    for n in 0..4 {
        let (coordinator, session) = (coordinator.clone(), env.session(&format!("worker-{n}")).await);
        workers.push(background(async move {
            let mut most = 0;
            loop {
                let view = coordinator.plan(&plan()).await.unwrap();
                most = most.max(view.summary().in_progress);
                let Some(task) = view.ready().nth(n % 3).or(view.ready().next()).cloned() else { break };
                let worker = coordinator.worker(&session, &plan()).unwrap();
                if let Outcome::Committed(started) = worker.start(&view, &task).await.unwrap() {
                    most = most.max(coordinator.plan(&plan()).await.unwrap().summary().in_progress);
                    let attempt = started.record.attempt;
                    let done = Change::Complete(None);
                    committed(worker.update_attempt(&started, attempt, &done).await.unwrap());
                }
            }
            most
        }));
    }
    for worker in workers {
        let most = worker.await.unwrap();
        assert!(most <= MOST, "{most} at once");
    }
    assert!(coordinator.plan(&plan()).await.unwrap().summary().completed == 12);
    audit(&env).await;
}
