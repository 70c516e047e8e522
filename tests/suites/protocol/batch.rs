//! All-or-nothing batches: one revision or none, also beside other writers and when an answer is lost.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use planlease::{Authority, BatchOutcome, Coordinator, Error, MAX_BATCH, Refused, TaskView, UpdateRequest};
use planlease_core::{
    Revision,
    spec::{PlanSpec, TaskSpec},
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};
use uuid::Uuid;

use crate::{
    helpers::{audit, committed, id, imported, plan, spec, try_acquire},
    lost_answers::Loss,
};

/// A plan of tasks that wait for nothing, named `t1` and so on.
async fn wide(env: &TestEnv, tasks: usize) -> Coordinator {
    let coordinator = env.coordinator().await;
    let tasks = (1..=tasks).map(|n| TaskSpec::new(id(&format!("t{n}")), "work")).collect();
    coordinator.admin().import(&plan(), &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    coordinator
}

fn skip(task: &str) -> UpdateRequest {
    UpdateRequest::new(id(task), Change::Skip("not needed".to_owned()))
}

fn skips(tasks: usize) -> Vec<UpdateRequest> {
    (1..=tasks).map(|n| skip(&format!("t{n}"))).collect()
}

fn all(outcome: BatchOutcome) -> Vec<TaskView> {
    match outcome {
        BatchOutcome::Committed(tasks) => tasks,
        other => panic!("not committed: {other:?}"),
    }
}

fn refused(outcome: BatchOutcome) -> Vec<String> {
    match outcome {
        BatchOutcome::Refused(tasks) => tasks.into_iter().map(|(task, _)| task.to_string()).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

/// The revisions of the plan's tasks.
async fn revisions(coordinator: &Coordinator) -> BTreeSet<Revision> {
    let view = coordinator.plan(&plan()).await.unwrap();
    view.tasks().values().map(|task| task.revision).collect()
}

#[case]
async fn a_batch_is_one_revision_or_none(env: TestEnv) {
    let coordinator = wide(&env, 3).await;
    let before = revisions(&coordinator).await;
    let operator = coordinator.as_operator(&plan(), "anna");
    let complete = |task: &str| UpdateRequest::new(id(task), Change::Complete(None));
    // No task is in progress, so that one completion refuses two skips.
    let outcome = operator.submit_atomic(&[skip("t1"), complete("t2"), skip("t3")]).await.unwrap();
    assert_eq!(refused(outcome), ["t2"]);
    assert_eq!(revisions(&coordinator).await, before, "nothing was written");
    let missing = operator.submit_atomic(&[skip("t1"), skip("t9")]).await;
    assert!(matches!(missing, Err(Error::TaskNotFound { .. })), "{missing:?}");

    let done = all(operator.submit_atomic(&skips(3)).await.unwrap());
    let written: BTreeSet<Revision> = done.iter().map(|task| task.revision).collect();
    assert_eq!((written.len(), &written), (1, &revisions(&coordinator).await));
    let ids: BTreeSet<Uuid> = done.iter().map(|task| task.record.op_id).collect();
    assert_eq!(ids.len(), 3, "each record has an id of its own");
    audit(&env).await;
}

#[case]
async fn a_batch_beyond_a_transaction_is_refused_unsent(env: TestEnv) {
    let coordinator = wide(&env, MAX_BATCH + 1).await;
    let operator = coordinator.as_operator(&plan(), "anna");
    let before = revisions(&coordinator).await;
    let too_many = operator.submit_atomic(&skips(MAX_BATCH + 1)).await;
    assert!(
        matches!(too_many, Err(Error::BatchTooLarge { size: 101, most: MAX_BATCH, unit: "tasks" })),
        "{too_many:?}"
    );
    let long = "x".repeat(20 * 1024);
    let wide: Vec<_> = (1..=MAX_BATCH)
        .map(|n| UpdateRequest::new(id(&format!("t{n}")), Change::Skip(long.clone())))
        .collect();
    let too_wide = operator.submit_atomic(&wide).await;
    assert!(matches!(too_wide, Err(Error::BatchTooLarge { unit: "bytes of records", .. })), "{too_wide:?}");
    for wrong in [vec![], vec![skip("t1"), skip("t1")], vec![UpdateRequest::new(id("t1"), Change::Start)]] {
        let outcome = operator.submit_atomic(&wrong).await;
        assert!(matches!(outcome, Err(Error::BatchNotPossible(_))), "{outcome:?}");
    }
    assert_eq!(revisions(&coordinator).await, before, "nothing was written");
    assert_eq!(all(operator.submit_atomic(&skips(MAX_BATCH)).await.unwrap()).len(), MAX_BATCH);
    audit(&env).await;
}

/// The former owner's batch is refused as a whole; an operator's follows the plan to its next owner.
#[case]
async fn a_batch_is_fenced_by_its_authority(env: TestEnv) {
    let coordinator = wide(&env, 3).await;
    let first = try_acquire(&env.session("first").await).await.unwrap();
    let former = first.authority();
    first.release().await.unwrap();
    let outcome = former.submit_atomic(&skips(3)).await.unwrap();
    assert!(
        matches!(&outcome, BatchOutcome::Refused(tasks)
            if tasks.len() == 3 && tasks.iter().all(|(_, why)| matches!(why, Refused::AuthorityLost(_)))),
        "{outcome:?}"
    );
    let operator = coordinator.as_operator(&plan(), "anna");
    let second = try_acquire(&env.session("second").await).await.unwrap();
    assert_eq!(all(operator.submit_atomic(&skips(3)).await.unwrap()).len(), 3);
    second.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn an_expected_revision_guards_the_whole_batch(env: TestEnv) {
    let coordinator = wide(&env, 2).await;
    let operator = coordinator.as_operator(&plan(), "anna");
    let before = coordinator.plan(&plan()).await.unwrap();
    let seen = before.tasks()[&id("t2")].revision;
    let _ = all(operator.submit_atomic(&[skip("t2")]).await.unwrap());
    let retry = UpdateRequest::new(id("t2"), Change::Retry("again".to_owned()));
    let batch = [skip("t1"), retry.clone().expecting(seen)];
    assert_eq!(refused(operator.submit_atomic(&batch).await.unwrap()), ["t2"]);
    let present = coordinator.task(&plan(), &id("t1")).await.unwrap().unwrap();
    assert_eq!(present.record.status, TaskStatus::Pending);
    // The same requests again, under their ids, find what they wrote.
    let batch = [skip("t1").identified(Uuid::from_u128(1)), retry.identified(Uuid::from_u128(2))];
    let done = all(operator.submit_atomic(&batch).await.unwrap());
    assert_eq!(all(operator.submit_atomic(&batch).await.unwrap()), done);
    audit(&env).await;
}

/// The connection breaks after the batch was sent, and there is none for a while: the outcome is found in the
/// records, and the batch is carried out once.
#[case]
async fn a_batch_whose_answer_is_lost_is_all_or_nothing(env: TestEnv) {
    let observer = wide(&env, 40).await;
    let short = Duration::from_millis(300);
    for outage in [Duration::ZERO, Duration::from_secs(1)] {
        let loss = Loss::new();
        *loss.outage.lock().unwrap() = outage;
        let settings = env.config.clone().connector(Arc::new(loss.clone()));
        let settings = settings.request_timeout(short).operation_timeout(short);
        let coordinator = Coordinator::connect(settings).await.unwrap();
        let operator = coordinator.as_operator(&plan(), "anna");
        let change = match outage.is_zero() {
            true => Change::Skip("by a batch".to_owned()),
            false => Change::Retry("by a batch".to_owned()),
        };
        let batch: Vec<_> =
            (1..=40).map(|n| UpdateRequest::new(id(&format!("t{n}")), change.clone())).collect();
        loss.arm_for("by a batch");
        let done = all(operator.submit_atomic(&batch).await.unwrap());
        loss.check();
        assert_eq!(revisions(&observer).await.len(), 1, "all at one revision");
        assert_eq!(done.len(), 40);
    }
    let audited = audit(&env).await;
    assert_eq!(audited.report.updates, 40 + 2 * 40, "the import, and each batch once");
}

/// Batches that share all tasks but the first: one of them is carried out, and nothing of the others.
#[case]
async fn batches_at_the_same_moment_never_mix(env: TestEnv) {
    const BATCHES: usize = 6;
    let coordinator = wide(&env, BATCHES + 10).await;
    let operator = coordinator.as_operator(&plan(), "anna");
    for round in 0..6 {
        let (change, to) = match round % 2 {
            0 => (Change::Skip("by a batch".to_owned()), TaskStatus::Skipped),
            _ => (Change::Retry("by a batch".to_owned()), TaskStatus::Pending),
        };
        let request = |n: usize| UpdateRequest::new(id(&format!("t{n}")), change.clone());
        let shared = BATCHES + 1..=BATCHES + 10;
        let batches: Vec<Vec<_>> = (1..=BATCHES)
            .map(|own| std::iter::once(own).chain(shared.clone()).map(request).collect())
            .collect();
        let outcomes = join_all(batches.iter().map(|batch| submitted(&operator, batch))).await;
        assert_eq!(outcomes.iter().flatten().count(), 1, "{outcomes:?}");
        let view = coordinator.plan(&plan()).await.unwrap();
        for (own, outcome) in (1..=BATCHES).zip(&outcomes) {
            let task = &view.tasks()[&id(&format!("t{own}"))];
            match outcome {
                Some(tasks) => {
                    let revisions: BTreeSet<Revision> = tasks.iter().map(|task| task.revision).collect();
                    assert_eq!(revisions, BTreeSet::from([task.revision]));
                }
                None => {
                    assert_ne!(task.record.status, to, "a batch that was refused has written");
                    let _ = committed_one(&operator, &request(own)).await; // For the next round.
                }
            }
        }
    }
    audit(&env).await;
}

async fn committed_one(authority: &Authority, request: &UpdateRequest) -> TaskView {
    committed(authority.submit(request).await.unwrap())
}

/// What the batch wrote, if it was carried out.
async fn submitted(authority: &Authority, batch: &[UpdateRequest]) -> Option<Vec<TaskView>> {
    match authority.submit_atomic(batch).await.unwrap() {
        BatchOutcome::Committed(tasks) => Some(tasks),
        BatchOutcome::Refused(tasks) => {
            assert!(!tasks.is_empty());
            None
        }
        BatchOutcome::Unknown { reason, .. } => panic!("{reason}"),
    }
}

#[case]
async fn each_of_many_updates_succeeds_or_fails_by_itself(env: TestEnv) {
    let coordinator = imported(&env).await;
    let operator = coordinator.as_operator(&plan(), "anna");
    let view = coordinator.plan(&plan()).await.unwrap();
    let complete = UpdateRequest::new(id("2"), Change::Complete(None));
    let missing = skip("9");
    let outcomes = operator.submit_all(&view, &[skip("1"), complete, missing, skip("3")]).await;
    let words: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(planlease::Outcome::Committed(_)) => "committed",
            Ok(planlease::Outcome::Refused(Refused::NotAllowed(..))) => "refused",
            Err(Error::TaskNotFound { .. }) => "missing",
            _ => "else",
        })
        .collect();
    assert_eq!(words, ["committed", "refused", "missing", "committed"]);
    until("both skipped", SOON, async || {
        let skipped = coordinator.plan(&plan()).await.unwrap().summary().skipped;
        if skipped == 2 { Ok(()) } else { Err(skipped) }
    })
    .await;
    audit(&env).await;
}
