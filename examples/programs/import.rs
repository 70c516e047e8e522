//! Imports a plan file, follows an edit of it, and refuses one that would undo what was done.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use planlease::{AcquireOptions, Change, Identity, Outcome, PlanName, UpdateRequest};
use planlease_examples::{RELEASE, Result, Store, release};

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let coordinator = store.connect().await?;
    let plan = PlanName::new("release")?;

    // What a file says is checked before anything is written; each problem has its line and column.
    let circle = RELEASE.replace("Write the changelog", "Write the changelog (depends: 2.1)");
    if let Err(problems) = planlease_formats::parse("release.md", circle.as_bytes()) {
        println!("{problems}");
    }

    // However large the plan is, others see it whole or not at all.
    let imported = coordinator.admin().import(&plan, &release()?, |_| {}).await?;
    println!("{imported:?}");

    let session = coordinator.open_session(Identity::of_process()).await?;
    let ownership = session.acquire(&plan, AcquireOptions::default()).await?;
    let view = coordinator.plan(&plan).await?;
    let first = view.ready().next().ok_or("nothing is ready")?.clone();
    let outcome = ownership.authority().start(&view, &first).await?;
    let Outcome::Committed(started) = outcome else {
        return Err(format!("{first} was not started: {outcome:?}").into());
    };
    let done = UpdateRequest::new(first, Change::Complete(None)).of_attempt(started.record.attempt);
    let outcome = ownership.authority().submit(&done).await?;
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");

    // An edit keeps what was done, and adds what is new.
    let longer = format!("{RELEASE}- [ ] 2.2 Announce (depends: 2.1)\n");
    let edited = planlease_formats::parse("release.md", longer.as_bytes())?.spec;
    coordinator.admin().edit(&plan, &edited).await?;
    let view = coordinator.plan(&plan).await?;
    println!("{} of {} tasks completed", view.summary().completed, view.tasks().len());

    ownership.release().await?;
    session.close().await?;
    Ok(())
}
