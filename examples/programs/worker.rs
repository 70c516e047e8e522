//! Two workers share the tasks of a plan without owning it: each claims what is ready, and no task twice.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::collections::BTreeSet;

use planlease::{Change, Coordinator, Identity, Outcome, PlanName, TaskId, UpdateRequest};
use planlease_examples::{Result, Store};

const TASKS: usize = 6;

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let coordinator = store.connect().await?;
    let plan = PlanName::new("checks")?;
    let tasks: String = (1..=TASKS).map(|n| format!("- [ ] 1.{n} Check host {n}\n")).collect();
    let text = format!("# Plan: Checks\n\n## Phase 1: Hosts\n{tasks}");
    let spec = planlease_formats::parse("checks.md", text.as_bytes())?.spec;
    coordinator.admin().import(&plan, &spec, |_| {}).await?;

    let (first, second) = tokio::try_join!(work(&coordinator, &plan), work(&coordinator, &plan))?;
    println!("claimed by both: {}", first.intersection(&second).count());
    println!("claimed in all: {}", first.len() + second.len());
    println!("completed: {}", coordinator.plan(&plan).await?.summary().completed);
    Ok(())
}

/// Claims tasks two at a time until nothing is ready, and returns which.
async fn work(coordinator: &Coordinator, plan: &PlanName) -> Result<BTreeSet<TaskId>> {
    // Should this process die, its claims end with its session, and the tasks are recovered.
    let session = coordinator.open_session(Identity::of_process()).await?;
    let authority = coordinator.worker(&session, plan)?;
    let mut done = BTreeSet::new();
    loop {
        let claimed = authority.claim(2, &[]).await?;
        if claimed.tasks.is_empty() {
            break;
        }
        for task in claimed.tasks {
            let request = UpdateRequest::new(task.id.clone(), Change::Complete(None));
            let outcome = authority.submit(&request.of_attempt(task.record.attempt)).await?;
            if !matches!(outcome, Outcome::Committed(_)) {
                return Err(format!("{} was not completed: {outcome:?}", task.id).into());
            }
            done.insert(task.id);
        }
    }
    session.close().await?;
    Ok(done)
}
