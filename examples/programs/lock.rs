//! Excludes others from a resource that belongs to no plan's owner: a lock, held as long as a session lives.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::time::Duration;

use planlease::{Coordinator, Identity, LockName, PlanName, TryLock};
use planlease_examples::{Result, Store, import_release};
use tokio::sync::Notify;

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let coordinator = store.connect().await?;
    let plan = import_release(&coordinator).await?;
    let lock = LockName::new("package-registry")?;
    let held = Notify::new();
    tokio::try_join!(
        hold_for_a_moment(&coordinator, &plan, &lock, &held),
        wait_for_it(&coordinator, &plan, &lock, &held),
    )?;
    Ok(())
}

async fn hold_for_a_moment(
    coordinator: &Coordinator,
    plan: &PlanName,
    lock: &LockName,
    held: &Notify,
) -> Result {
    let session = coordinator.open_session(Identity::of_process()).await?;
    let locked = session.lock(plan, lock, None).await?;
    println!("the first holds {lock}");
    held.notify_one();
    // Whatever the lock protects, until `locked.lost()` resolves. The resource gets `locked.token()`.
    tokio::time::sleep(Duration::from_millis(200)).await;
    println!("the first releases it");
    locked.release().await?;
    session.close().await?;
    Ok(())
}

async fn wait_for_it(coordinator: &Coordinator, plan: &PlanName, lock: &LockName, held: &Notify) -> Result {
    let session = coordinator.open_session(Identity::of_process()).await?;
    held.notified().await;
    match session.try_lock(plan, lock).await? {
        TryLock::HeldBy(_) => println!("the second waits in the queue"),
        TryLock::Locked(_) => return Err("two hold the lock".into()),
    }
    let locked = session.lock(plan, lock, Some(Duration::from_secs(30))).await?;
    println!("the second holds {lock}");
    locked.release().await?;
    session.close().await?;
    Ok(())
}
