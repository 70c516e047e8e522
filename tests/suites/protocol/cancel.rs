//! Cancelling attempts: one transaction decides between the cancellation and the completion.

use planlease::{Outcome, Refused, UpdateRequest};
use planlease_core::{
    cancel::Then,
    spec::{PlanSpec, TaskSpec},
    transition::{Change, Refusal, TaskStatus},
};
use planlease_tests::{TestEnv, case, race::Race};

use crate::helpers::{audit, background, committed, id, imported, plan, spec, try_acquire};

fn cancel(then: Then) -> Change {
    Change::Cancel(then, "race".into())
}

/// Both at the same moment, many times: either the attempt is completed and was not cancelled, or it was
/// cancelled and is not completed, not even by a second try.
#[case]
async fn a_cancellation_or_a_completion_wins(env: TestEnv) {
    const ROUNDS: usize = 60;
    let coordinator = env.coordinator().await;
    let tasks = (0..ROUNDS).map(|n| TaskSpec::new(id(&format!("t{n}")), "work")).collect();
    coordinator.admin().import(&plan(), &PlanSpec { tasks, ..spec() }, |_| {}).await.unwrap();
    let owner = try_acquire(&env.session("first").await).await.unwrap();
    let mut race = Race::default();
    for round in 0..ROUNDS {
        let task = id(&format!("t{round}"));
        let view = coordinator.plan(&plan()).await.unwrap();
        let started = committed(owner.authority().start(&view, &task).await.unwrap());
        let complete = UpdateRequest::new(task.clone(), Change::Complete(None)).of_attempt(1);
        let operator = coordinator.operator(&view, "anna").unwrap();
        let asked = UpdateRequest::new(task.clone(), cancel(Then::Retry));
        let [completion, cancellation] = race.waits();
        let cancelling = background(async move {
            tokio::time::sleep(cancellation).await;
            operator.submit(&asked).await
        });
        tokio::time::sleep(completion).await;
        let completed = owner.authority().submit_on(&started, &complete).await.unwrap();
        let cancelled = cancelling.await.unwrap().unwrap();
        match (completed, cancelled) {
            (Outcome::Committed(task), Outcome::Refused(Refused::NotAllowed(_, _))) => {
                assert_eq!(task.record.status, TaskStatus::Completed);
                race.won(0);
            }
            (
                Outcome::Refused(Refused::NotAllowed(Refusal::Cancelled { by, .. }, _)),
                Outcome::Committed(_),
            ) => {
                assert_eq!(by, "anna");
                let again = owner.authority().submit(&complete).await.unwrap();
                assert!(matches!(again, Outcome::Refused(Refused::NotAllowed(..))), "{again:?}");
                let given_up = UpdateRequest::new(task, Change::Return("stopped".into())).of_attempt(1);
                let given_up = committed(owner.authority().submit(&given_up).await.unwrap());
                assert_eq!(given_up.record.status, TaskStatus::Pending);
                race.won(1);
            }
            both => panic!("{both:?}"),
        }
    }
    race.both_have_won();
    audit(&env).await;
}

#[case]
async fn a_cancelled_task_of_a_lost_worker_becomes_what_was_asked(env: TestEnv) {
    let coordinator = imported(&env).await;
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    let session = env.session("worker").await;
    let worker = coordinator.worker(&session, &plan()).unwrap();
    committed(worker.submit(&UpdateRequest::new(id("1"), Change::Start)).await.unwrap());
    let operator = coordinator.as_operator(&plan(), "anna");
    let asked = committed(operator.submit(&UpdateRequest::new(id("1"), cancel(Then::Skip))).await.unwrap());
    assert_eq!(asked.record.status, TaskStatus::InProgress, "its worker may still be at it");
    assert!(owner.recover().await.unwrap().0.is_empty(), "as long as that worker lives");
    session.close().await.unwrap();
    let (recovered, view) = owner.recover().await.unwrap();
    assert_eq!(recovered.len(), 1);
    let record = &view.tasks()[&id("1")].record;
    assert_eq!((record.status, record.lost), (TaskStatus::Skipped, 0), "the loss is not counted");
    audit(&env).await;
}
