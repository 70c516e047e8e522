//! Prints every change of all plans, as it happens: one list and one watch for any number of subscribers.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use planlease::{AcquireOptions, Identity, Outcome};
use planlease_examples::{Result, Store, import_release};
use planlease_watcher::{Change, Delivery, Filter, OwnershipChange, Watcher};

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let coordinator = store.connect().await?;
    let watcher = Watcher::start(coordinator.clone());
    let mut subscription = watcher.subscribe(Filter::default(), None).await?;
    // The first delivery is a snapshot: all that came before it is in it, and not reported again.
    let Some(Delivery::Snapshot(snapshot, _)) = subscription.next().await else {
        return Err("the watcher has ended".into());
    };
    println!("{} plans at the beginning", snapshot.plans().count());

    // What there is to be seen. Usually other processes do this.
    let plan = import_release(&coordinator).await?;
    let session = coordinator.open_session(Identity::of_process()).await?;
    let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    let view = coordinator.plan(&plan).await?;
    if let Some(task) = view.ready().next() {
        let outcome = ownership.authority().start(&view, task).await?;
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }
    ownership.release().await?;

    let mut released = false;
    while !released && let Some(delivery) = subscription.next().await {
        match delivery {
            // If this subscriber read too slowly: replaces what it held.
            Delivery::Snapshot(snapshot, _) => println!("{} plans now", snapshot.plans().count()),
            // All changes of one revision, in the order of revisions, none left out.
            Delivery::Changes(set) => {
                for change in &set.changes {
                    released |= print(change);
                }
            }
        }
    }
    watcher.close().await?;
    session.close().await?;
    Ok(())
}

/// Prints a change, and returns whether a plan was released.
fn print(change: &Change) -> bool {
    match change {
        Change::PlanAppeared(plan) => {
            println!("{} appeared with {} tasks", plan.name(), plan.tasks().len())
        }
        Change::Task { plan, task, .. } => println!("{plan} {}: {}", task.id, task.record.status),
        Change::Ownership { plan, what: OwnershipChange::Acquired { token, .. }, .. } => {
            println!("{plan} acquired with token {token}");
        }
        Change::Ownership { plan, what: OwnershipChange::Released { token, .. }, .. } => {
            println!("{plan} released by the owner with token {token}");
            return true;
        }
        _ => {}
    }
    false
}
