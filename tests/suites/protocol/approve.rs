//! Approvals: one transaction decides between a person's decision and whatever else happens to the task.

use planlease::{Coordinator, Outcome, Refused, UpdateRequest};
use planlease_core::{
    approval::{ApprovalOf, Awaits},
    cancel::Then,
    spec::{PlanSpec, Policy, TaskSpec},
    transition::{Change, Refusal, TaskStatus},
};
use planlease_tests::{TestEnv, case, race::Race};
use uuid::Uuid;

use crate::helpers::{audit, background, committed, id, plan, spec, try_acquire};

fn approve() -> Change {
    Change::Approve("looked at it".into())
}

/// Tasks without dependencies that need this approval.
fn asked(of: ApprovalOf, count: usize) -> PlanSpec {
    let task = |n| TaskSpec { approval: Some(of), ..TaskSpec::new(id(&format!("t{n}")), "work") };
    PlanSpec { tasks: (0..count).map(task).collect(), ..spec() }
}

async fn import(env: &TestEnv, spec: &PlanSpec) -> Coordinator {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan(), spec, |_| {}).await.unwrap();
    coordinator
}

fn request(task: &str, change: Change) -> UpdateRequest {
    UpdateRequest::new(id(task), change)
}

#[track_caller]
fn refusal(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(Refused::NotAllowed(refusal, _)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[case]
async fn a_task_starts_once_per_approval(env: TestEnv) {
    let coordinator = import(&env, &asked(ApprovalOf::Before, 2)).await;
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let session = env.session("worker").await;
    let worker = coordinator.worker(&session, &plan()).unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!(view.ready().count(), 0, "nothing is handed out");
    assert!(worker.claim(5, &[]).await.unwrap().tasks.is_empty());
    let operator = coordinator.as_operator(&plan(), "anna");
    let starts = [
        owner.authority().start(&view, &id("t0")).await.unwrap(),
        worker.start(&view, &id("t0")).await.unwrap(),
        operator.submit(&request("t0", Change::Start)).await.unwrap(),
    ];
    for start in starts {
        assert_eq!(refusal(start), Refusal::NotApproved { attempt: 1 });
    }
    let approved = committed(operator.submit(&request("t0", approve())).await.unwrap());
    assert_eq!(approved.record.status, TaskStatus::Pending);
    let claimed = worker.claim(5, &[]).await.unwrap().tasks;
    assert_eq!(claimed.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["t0"]);
    committed(worker.update_attempt(&claimed[0], 1, &Change::Return("no time".into())).await.unwrap());
    assert!(worker.claim(5, &[]).await.unwrap().tasks.is_empty(), "the second attempt needs another one");
    let stale = operator.submit(&request("t0", approve()).of_attempt(1)).await.unwrap();
    assert_eq!(refusal(stale), Refusal::StaleAttempt { given: 1, present: 2 });
    audit(&env).await;
}

/// What waits is no process's any more: neither the end of its worker nor that of the owner ends the wait.
#[case]
async fn a_result_waits_through_a_takeover(env: TestEnv) {
    let mut spec = asked(ApprovalOf::After, 1);
    spec.tasks.push(TaskSpec { depends_on: vec![id("t0")], ..TaskSpec::new(id("next"), "after it") });
    spec.tasks
        .push(TaskSpec { approval: Some(ApprovalOf::After), ..TaskSpec::new(id("own"), "the owner's") });
    let coordinator = import(&env, &spec).await;
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    let session = env.session("worker").await;
    let worker = coordinator.worker(&session, &plan()).unwrap();
    committed(worker.submit(&request("t0", Change::Start)).await.unwrap());
    let complete = || Change::Complete(Some("see branch t0".into()));
    let ended = committed(worker.submit(&request("t0", complete()).of_attempt(1)).await.unwrap());
    assert_eq!(ended.record.awaits(), Some(Awaits::Result(1)));
    let view = coordinator.plan(&plan()).await.unwrap();
    let own = committed(owner.authority().start(&view, &id("own")).await.unwrap());
    committed(owner.authority().update_attempt(&own, 1, &complete()).await.unwrap());
    session.close().await.unwrap();
    assert!(owner.recover().await.unwrap().0.is_empty(), "nothing is lost with its worker");
    drop(owner);
    first.close().await.unwrap();
    let owner = try_acquire(&env.session("second").await).await.unwrap();
    let (recovered, view) = owner.recover().await.unwrap();
    assert!(recovered.is_empty(), "{recovered:?}");
    assert_eq!(view.tasks()[&id("t0")].record.notes.as_deref(), Some("see branch t0"));
    assert_eq!(view.ready().count(), 0, "what depends on it waits");
    let early = owner.authority().start(&view, &id("next")).await.unwrap();
    assert!(matches!(early, Outcome::Refused(Refused::Dependency)), "{early:?}");
    let operator = coordinator.as_operator(&plan(), "anna");
    let done = committed(operator.submit(&request("t0", approve())).await.unwrap());
    assert_eq!((done.record.status, done.record.lost), (TaskStatus::Completed, 0));
    let why = done.record.transitions.last().unwrap();
    assert_eq!((why.by.as_str(), why.why.as_deref()), ("anna", Some("approved: looked at it")));
    let view = coordinator.plan(&plan()).await.unwrap();
    committed(owner.authority().start(&view, &id("next")).await.unwrap());
    audit(&env).await;
}

/// Of a decision and a cancellation at the same moment exactly one counts.
#[case]
async fn an_approval_or_a_cancellation_wins(env: TestEnv) {
    const ROUNDS: usize = 40;
    let coordinator = import(&env, &asked(ApprovalOf::After, ROUNDS)).await;
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let mut race = Race::default();
    for round in 0..ROUNDS {
        let task = format!("t{round}");
        let view = coordinator.plan(&plan()).await.unwrap();
        let started = committed(owner.authority().start(&view, &id(&task)).await.unwrap());
        committed(owner.authority().update_attempt(&started, 1, &Change::Complete(None)).await.unwrap());
        let [approving, cancelling] = race.waits();
        let (anna, bob) = (coordinator.as_operator(&plan(), "anna"), coordinator.as_operator(&plan(), "bob"));
        let cancel = request(&task, Change::Cancel(Then::Skip, "race".into()));
        let cancelled = background(async move {
            tokio::time::sleep(cancelling).await;
            bob.submit(&cancel).await
        });
        tokio::time::sleep(approving).await;
        let approved = anna.submit(&request(&task, approve())).await.unwrap();
        let cancelled = cancelled.await.unwrap().unwrap();
        let status = coordinator.plan(&plan()).await.unwrap().status(&id(&task));
        match (&approved, &cancelled) {
            (Outcome::Committed(_), Outcome::Refused(_)) => {
                assert_eq!(status, Some(TaskStatus::Completed));
                race.won(0);
            }
            (Outcome::Refused(_), Outcome::Committed(_)) => {
                assert_eq!(status, Some(TaskStatus::Skipped));
                race.won(1);
            }
            both => panic!("{both:?}"),
        }
    }
    race.both_have_won();
    audit(&env).await;
}

/// An approval is of the task as it was defined then: after an edit of the task, it needs another one.
#[case]
async fn an_approval_or_an_edit_wins(env: TestEnv) {
    const ROUNDS: usize = 30;
    let mut spec = asked(ApprovalOf::Before, ROUNDS);
    let coordinator = import(&env, &spec).await;
    let session = env.session("worker").await;
    let worker = coordinator.worker(&session, &plan()).unwrap();
    let mut race = Race::default();
    for round in 0..ROUNDS {
        spec.tasks[round].description = "something else".into();
        let task = format!("t{round}");
        let [approving, editing] = race.waits();
        let edited = background({
            let (coordinator, spec) = (coordinator.clone(), spec.clone());
            async move {
                tokio::time::sleep(editing).await;
                coordinator.admin().edit(&plan(), &spec).await
            }
        });
        tokio::time::sleep(approving).await;
        let anna = coordinator.as_operator(&plan(), "anna");
        let approved = anna.submit(&request(&task, approve())).await.unwrap();
        let edited = edited.await.unwrap().unwrap().revision.unwrap();
        let claimed = worker.claim(5, &[]).await.unwrap().tasks;
        match approved {
            Outcome::Committed(task) if task.revision < edited => {
                assert!(claimed.is_empty(), "it was approved as another one");
                race.won(0);
            }
            Outcome::Committed(_) => {
                assert_eq!(claimed.len(), 1);
                race.won(1);
            }
            Outcome::Refused(Refused::Conflict(_)) => {
                assert!(claimed.is_empty());
                race.won(1);
            }
            other => panic!("{other:?}"),
        }
    }
    race.both_have_won();
    audit(&env).await;
}

#[case]
async fn an_edit_asks_for_an_approval_or_none(env: TestEnv) {
    let mut spec = asked(ApprovalOf::Before, 3);
    let coordinator = import(&env, &spec).await;
    let before = coordinator.plan(&plan()).await.unwrap();
    spec.tasks[0].approval = None;
    spec.tasks[1].approval = Some(ApprovalOf::After);
    coordinator.admin().edit(&plan(), &spec).await.unwrap();
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let stale = owner.authority().start(&before, &id("t0")).await.unwrap();
    assert!(matches!(stale, Outcome::Refused(_)), "{stale:?}");
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!(view.ready().map(planlease::TaskId::as_str).collect::<Vec<_>>(), ["t0", "t1"]);
    let started = committed(owner.authority().start(&view, &id("t1")).await.unwrap());
    // Asked for while it runs, an approval is needed at its end; a result that waits goes on waiting.
    let ended = owner.authority().update_attempt(&started, 1, &Change::Complete(None)).await.unwrap();
    assert!(committed(ended).record.result_waits());
    spec.tasks[1].approval = None;
    coordinator.admin().edit(&plan(), &spec).await.unwrap();
    let operator = coordinator.as_operator(&plan(), "anna");
    let done = committed(operator.submit(&request("t1", approve())).await.unwrap());
    assert_eq!(done.record.status, TaskStatus::Completed);
    audit(&env).await;
}

#[case]
async fn a_repeated_approval_is_carried_out_once(env: TestEnv) {
    let coordinator = import(&env, &asked(ApprovalOf::Before, 1)).await;
    let operator = coordinator.as_operator(&plan(), "anna");
    let once = request("t0", approve()).idempotent(Uuid::from_u128(7));
    let first = committed(operator.submit(&once).await.unwrap());
    let again = committed(operator.submit(&once).await.unwrap());
    assert_eq!((first.revision, &first.record), (again.revision, &again.record));
    let other = operator.submit(&request("t0", approve())).await.unwrap();
    assert_eq!(refusal(other), Refusal::NothingWaits { approved: Some((1, "anna".into())) });
    audit(&env).await;
}

#[case]
async fn an_attempt_above_its_budget_is_parked(env: TestEnv) {
    let policy = Policy { budget: "10".parse().unwrap(), max_attempts: 3, ..Policy::default() };
    let coordinator = import(&env, &PlanSpec { policy, ..spec() }).await;
    let session = env.session("worker").await;
    let worker = coordinator.worker(&session, &plan()).unwrap();
    let spend = |amount: &str| Change::Spend(amount.parse().unwrap(), Some("on it".into()));
    let started = committed(worker.submit(&request("1", Change::Start)).await.unwrap());
    assert_eq!(started.record.budget.as_ref().unwrap().max_attempts, 3);
    let half = committed(worker.submit(&request("1", spend("6.5"))).await.unwrap());
    assert_eq!(half.record.progress.as_deref(), Some("on it"));
    committed(worker.submit(&request("1", Change::Return("not mine".into()))).await.unwrap());
    committed(worker.submit(&request("1", Change::Start)).await.unwrap());
    let over = committed(worker.submit(&request("1", spend("3.6"))).await.unwrap());
    assert_eq!(over.record.cancel.as_ref().unwrap().why, "spent 10.1 of 10");
    let complete = worker.submit(&request("1", Change::Complete(None))).await.unwrap();
    assert!(matches!(refusal(complete), Refusal::Cancelled { .. }));
    session.close().await.unwrap();
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let (_, view) = owner.recover().await.unwrap();
    let record = &view.tasks()[&id("1")].record;
    assert_eq!((record.status, record.lost), (TaskStatus::Failed, 0));
    assert!(record.parked.as_ref().unwrap().contains("its budget: spent 10.1 of 10;"), "{record:?}");
    // A higher budget and a retry go on.
    let policy = Policy { budget: "20".parse().unwrap(), ..view.spec().policy.clone() };
    coordinator.admin().edit(&plan(), &PlanSpec { policy, ..spec() }).await.unwrap();
    let operator = coordinator.as_operator(&plan(), "anna");
    committed(operator.submit(&request("1", Change::Retry("go on".into()))).await.unwrap());
    let view = coordinator.plan(&plan()).await.unwrap();
    let again = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let budget = again.record.budget.unwrap();
    assert_eq!((budget.budget.to_string().as_str(), budget.spent_in_all().is_zero()), ("20", true));
    audit(&env).await;
}
