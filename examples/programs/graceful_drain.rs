//! Ends in order: at SIGTERM (or Ctrl-C) nothing new is started, what is under way is finished, and the plan
//! is released, so that the next owner starts at once and has nothing to recover.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::{pin::pin, time::Duration};

use planlease::{AcquireOptions, Change, Identity, Outcome, Ownership, PlanView, TaskId, UpdateRequest};
use planlease_examples::{Result, Store, import_release};
use tokio::signal::unix::{SignalKind, signal};

/// How long the work of a task takes.
const WORK: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let coordinator = store.connect().await?;
    let plan = import_release(&coordinator).await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut asked_to_end = pin!(async {
        tokio::select! {
            biased; // Either will do.
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });

    let session = coordinator.open_session(Identity::of_process()).await?;
    let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    let mut draining = false;
    while !draining {
        let view = coordinator.plan(&plan).await?;
        let Some(task) = view.ready().next() else { break };
        let mut work = pin!(execute(&ownership, &view, task));
        tokio::select! {
            biased; // A signal counts even if the task ends at the same moment.
            () = &mut asked_to_end => {
                println!("draining");
                draining = true;
                work.await?;
            }
            done = &mut work => done?,
            loss = ownership.lost() => return Err(format!("the plan is lost: {loss}").into()),
        }
    }
    ownership.release().await?;
    session.close().await?;
    println!("released");
    Ok(())
}

/// Starts a task, works on it, and completes it.
async fn execute(ownership: &Ownership, view: &PlanView, task: &TaskId) -> Result {
    let outcome = ownership.authority().start(view, task).await?;
    let Outcome::Committed(started) = outcome else {
        return Err(format!("{task} was not started: {outcome:?}").into());
    };
    println!("{task} started");
    tokio::time::sleep(WORK).await;
    let done = UpdateRequest::new(task.clone(), Change::Complete(None)).of_attempt(started.record.attempt);
    let outcome = ownership.authority().submit(&done).await?;
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    println!("{task} completed");
    Ok(())
}
