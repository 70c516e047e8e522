//! An owner dies with a task in progress; the next one in the queue takes over and recovers the task.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::time::Duration;

use planlease::{AcquireOptions, Config, Coordinator, Identity, Outcome, PlanName};
use planlease_examples::{Result, Store, import_release};
use tokio::runtime;

/// How long a plan stays taken after its owner has died. The default is 15 s.
const TTL: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let config = store.config()?.ttl(TTL);
    let coordinator = Coordinator::connect(config.clone()).await?;
    let plan = import_release(&coordinator).await?;

    // Stands for a process: all of its tasks end at once, the renewal of its lease too.
    let doomed = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let started = doomed.spawn(own_and_start(config, plan.clone())).await??;
    println!("the first owner started {started}, with token 1.1");

    let session = coordinator.open_session(Identity::of_process()).await?;
    let waiting = session.acquire(&plan, AcquireOptions::default().wait(Duration::from_secs(30)));
    doomed.shutdown_background();
    println!("the first owner died");

    let ownership = waiting.await?;
    println!("the second owner acquired {plan} with token {}", ownership.token());
    let (recovered, view) = ownership.recover().await?;
    for task in &recovered {
        println!("recovered {}: {} again", task.id, task.record.status);
    }
    // The former owner's claim is void: the next attempt has a number of its own.
    if let Some(task) = view.ready().next()
        && let Outcome::Committed(again) = ownership.authority().start(&view, task).await?
    {
        println!("{task} started, attempt {}", again.record.attempt);
    }
    ownership.release().await?;
    session.close().await?;
    Ok(())
}

/// Owns the plan, starts its first task, and returns with the ownership still held.
async fn own_and_start(config: Config, plan: PlanName) -> Result<String> {
    let coordinator = Coordinator::connect(config).await?;
    let session = coordinator.open_session(Identity::of_process()).await?;
    let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    let view = coordinator.plan(&plan).await?;
    let task = view.ready().next().ok_or("nothing is ready")?.clone();
    let outcome = ownership.authority().start(&view, &task).await?;
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    std::mem::forget(ownership); // A process that dies releases nothing.
    std::mem::forget(session);
    Ok(task.to_string())
}
