//! Owns a plan and completes its tasks, in the order of their dependencies.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use planlease::{AcquireOptions, Change, Identity, Outcome, UpdateRequest};
use planlease_examples::{Result, Store, import_release};

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let coordinator = store.connect().await?;
    let plan = import_release(&coordinator).await?;

    // A session is an etcd lease that is kept alive: what it owns is free again when this process dies.
    let session = coordinator.open_session(Identity::of_process()).await?;
    let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    println!("owns {plan} with token {}", ownership.token());

    // A former owner may have left tasks in progress.
    let (recovered, mut view) = ownership.recover().await?;
    println!("recovered {} tasks", recovered.len());

    let authority = ownership.authority();
    loop {
        let next = view.ready().next().cloned();
        let Some(task) = next else { break };
        // Refused if the plan has passed to another process, if the task has changed since `view`, or if
        // something that it depends on was reopened: all of it is compared in the transaction that writes.
        let started = match authority.start(&view, &task).await? {
            Outcome::Committed(started) => started,
            other => return Err(format!("{task} was not started: {other:?}").into()),
        };
        println!("{task} started, attempt {}", started.record.attempt);
        // Here the work would be done, until `ownership.lost()` resolves.
        let done = Change::Complete(Some("done".to_owned()));
        let request = UpdateRequest::new(task.clone(), done).of_attempt(started.record.attempt);
        let outcome = authority.submit(&request).await?;
        let Outcome::Committed(completed) = outcome else {
            return Err(format!("{task} was not completed: {outcome:?}").into());
        };
        println!("{task} {}", completed.record.status);
        view = coordinator.plan(&plan).await?;
    }
    println!("{} of {} tasks completed", view.summary().completed, view.tasks().len());

    ownership.release().await?; // The next one in the queue takes over at once.
    session.close().await?;
    Ok(())
}
