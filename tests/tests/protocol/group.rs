//! Group commit: what is written at the same moment travels together, and each write stands for itself.

use futures_util::future::join_all;
use planlease::{Authority, Outcome, PlanView, Refused, TaskView};
use planlease_core::{
    TaskId,
    spec::{PlanSpec, Policy, TaskSpec},
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    cases,
    suite::{Case, Fixture},
};

use crate::fleet::{audit, committed, coordinator, execute, id, plan, session, spec, try_acquire};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        updates_of_one_moment_travel_together_and_stand_for_themselves,
        a_lone_update_is_one_request,
        two_updates_of_one_task_come_in_their_order,
        a_start_and_the_end_of_what_it_needs_do_not_share_a_request,
        a_bound_on_tasks_in_progress_holds_for_starts_of_one_moment,
        who_does_not_wait_any_more_holds_up_nobody,
    ]
}

/// A plan of `count` tasks that depend on nothing.
fn wide(count: usize, policy: Policy) -> PlanSpec {
    let tasks = (1..=count).map(|n| TaskSpec::new(id(&n.to_string()), "work")).collect();
    PlanSpec { tasks, policy, ..spec() }
}

async fn progress(authority: &Authority, task: &TaskView, text: &str) -> Outcome {
    authority.update(task, None, &Change::Progress(text.into())).await.unwrap()
}

async fn started(authority: &Authority, view: &PlanView) -> Vec<TaskView> {
    let starts: Vec<_> = view.tasks.values().map(|task| (task.clone(), Change::Start)).collect();
    authority.update_all(&starts).await.unwrap().into_iter().map(committed).collect()
}

async fn updates_of_one_moment_travel_together_and_stand_for_themselves(fixture: Fixture) {
    let coordinator = coordinator(&fixture).await;
    coordinator.import(&plan(), &wide(200, Policy::default()), |_| {}).await.unwrap();
    let first = session(&fixture, "first").await;
    let owner = try_acquire(&first).await.unwrap();
    let authority = owner.authority();
    let view = coordinator.plan(&plan()).await.unwrap();
    let mut tasks = started(&authority, &view).await;
    let stale = view.tasks[&tasks[7].id].clone();
    let record = tasks[7].record.clone();
    let present = std::mem::replace(&mut tasks[7], TaskView { record, ..stale });
    let sent = || first.coordinator().traffic().get("Txn").copied().unwrap_or(0);
    let before = sent();
    let outcomes = join_all(tasks.iter().map(|task| progress(&authority, task, "half"))).await;
    let requests = sent() - before;
    assert!(requests <= 8, "{requests} requests for 200 updates of one moment");
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Outcome::Refused(Refused::Conflict(found)) if n == 7 => assert_eq!(*found, present),
            outcome => {
                let written = committed(outcome);
                assert_eq!((&written.id, written.record.progress.as_deref()), (&tasks[n].id, Some("half")));
                assert_eq!(coordinator.task(&plan(), &written.id).await.unwrap(), Some(written));
            }
        }
    }
    owner.release().await.unwrap();
    audit(&fixture).await;
}

async fn a_lone_update_is_one_request(fixture: Fixture) {
    let coordinator = coordinator(&fixture).await;
    coordinator.import(&plan(), &wide(1, Policy::default()), |_| {}).await.unwrap();
    let first = session(&fixture, "first").await;
    let owner = try_acquire(&first).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    let mut task = started(&owner.authority(), &view).await.remove(0);
    let before = first.coordinator().traffic();
    for n in 0..5 {
        task = committed(progress(&owner.authority(), &task, &n.to_string()).await);
    }
    let after = first.coordinator().traffic();
    let since = |method: &str| after.get(method).unwrap_or(&0) - before.get(method).unwrap_or(&0);
    assert_eq!((since("Txn"), since("Range")), (5, 0), "{after:?}");
    audit(&fixture).await;
}

/// Whoever came first is the one that gets through; the other one is told what it wrote.
async fn two_updates_of_one_task_come_in_their_order(fixture: Fixture) {
    let coordinator = coordinator(&fixture).await;
    coordinator.import(&plan(), &wide(40, Policy::default()), |_| {}).await.unwrap();
    let first = session(&fixture, "first").await;
    let owner = try_acquire(&first).await.unwrap();
    let authority = owner.authority();
    let mut tasks = started(&authority, &coordinator.plan(&plan()).await.unwrap()).await;
    for _ in 0..10 {
        let twice = tasks.iter().flat_map(|task| [(task, "first"), (task, "second")]);
        let outcomes = join_all(twice.map(|(task, text)| progress(&authority, task, text))).await;
        let mut outcomes = outcomes.into_iter();
        let mut next = Vec::new();
        while let (Some(one), Some(other)) = (outcomes.next(), outcomes.next()) {
            let one = committed(one);
            let Outcome::Refused(Refused::Conflict(found)) = other else { panic!("{other:?}") };
            assert_eq!((found.revision, found.record.progress.as_deref()), (one.revision, Some("first")));
            next.push(one);
        }
        tasks = next;
    }
    audit(&fixture).await;
}

/// etcd looks at the conditions of a whole request before it does any of it: together, both would get through.
async fn a_start_and_the_end_of_what_it_needs_do_not_share_a_request(fixture: Fixture) {
    let coordinator = coordinator(&fixture).await;
    let needs = |n: usize| {
        let dependencies = if n == 0 { Vec::new() } else { vec![id("1.0")] };
        TaskSpec { depends_on: dependencies, ..TaskSpec::new(id(&format!("1.{n}")), "work") }
    };
    let tasks = (0..20).map(needs).collect();
    coordinator.import(&plan(), &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    let first = session(&fixture, "first").await;
    let owner = try_acquire(&first).await.unwrap();
    let authority = owner.authority();
    execute(&authority, &coordinator.plan(&plan()).await.unwrap(), "1.0").await;
    let view = coordinator.plan(&plan()).await.unwrap();
    // Task 1.1 is under way, so that the others gather behind it.
    let ahead = id("1.1");
    let later: Vec<TaskId> = (2..20).map(|n| id(&format!("1.{n}"))).collect();
    let again = Change::Retry("wrong".into());
    let operator = first.coordinator().operator(&view, "me").unwrap();
    let reopen = operator.update(&view.tasks[&id("1.0")], None, &again);
    let starts = join_all(later.iter().map(|task| authority.start(&view, task)));
    let (ahead, reopened, outcomes) = tokio::join!(authority.start(&view, &ahead), reopen, starts);
    committed(ahead.unwrap());
    let reopened = committed(reopened.unwrap());
    assert_eq!(reopened.record.status, TaskStatus::Pending);
    for outcome in outcomes {
        if let Outcome::Committed(task) = outcome.unwrap() {
            assert!(task.revision < reopened.revision, "{task:?} was started on {reopened:?}");
        }
    }
    audit(&fixture).await;
}

async fn a_bound_on_tasks_in_progress_holds_for_starts_of_one_moment(fixture: Fixture) {
    let coordinator = coordinator(&fixture).await;
    let policy = Policy { max_in_progress: 3, ..Policy::default() };
    coordinator.import(&plan(), &wide(12, policy), |_| {}).await.unwrap();
    let first = session(&fixture, "first").await;
    let owner = try_acquire(&first).await.unwrap();
    let authority = owner.authority();
    let view = coordinator.plan(&plan()).await.unwrap();
    let outcomes = join_all(view.tasks.keys().map(|task| authority.start(&view, task))).await;
    let started = outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Outcome::Committed(_)))).count();
    let in_progress = coordinator.plan(&plan()).await.unwrap().summary().in_progress;
    assert_eq!((started, in_progress), (3, 3));
    audit(&fixture).await;
}

async fn who_does_not_wait_any_more_holds_up_nobody(fixture: Fixture) {
    let coordinator = coordinator(&fixture).await;
    coordinator.import(&plan(), &wide(60, Policy::default()), |_| {}).await.unwrap();
    let first = session(&fixture, "first").await;
    let owner = try_acquire(&first).await.unwrap();
    let authority = owner.authority();
    let mut tasks = started(&authority, &coordinator.plan(&plan()).await.unwrap()).await;
    let last = tasks.pop().unwrap();
    for round in 0..5 {
        let text = round.to_string();
        let many = join_all(tasks.iter().map(|task| progress(&authority, task, &text)));
        tokio::select! {
            biased;
            _ = many => {}
            () = tokio::task::yield_now() => {} // Dropped with most of them under way or waiting.
        }
    }
    committed(progress(&authority, &last, "done").await);
    audit(&fixture).await;
}
