//! People who approve and reject what waits for it: one alone, or two who have seen the same, of whom one is
//! too late.

use planlease::{
    Coordinator, Error, Outcome, PlanView, TaskView,
    core::{approval::Awaits, cancel::Then, transition::Change},
};
use planlease_oracle::Client;
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom as _};

use crate::world::{Life, World};

/// Decides about one task that waits for it, if there is one.
///
/// # Errors
/// As for any request.
pub async fn decide(
    world: &World,
    life: &Life,
    client: &Client,
    coordinator: &Coordinator,
    rng: &mut StdRng,
) -> Result<(), Error> {
    let plans = coordinator.plans().await?;
    let waiting: Vec<(&PlanView, &TaskView, Awaits)> = plans
        .iter()
        .flat_map(|plan| plan.approvals().map(move |(task, awaits)| (plan, task, awaits)))
        .collect();
    let Some((plan, task, awaits)) = waiting.choose(rng).copied() else { return Ok(()) };
    let one = coordinator.operator(plan, "the operator")?;
    let decision = drawn(awaits, rng);
    let attempt = Some(awaits.attempt());
    if !rng.random_bool(0.3) {
        note(world, &decision, &client.update(&one, task, attempt, &decision).await?);
        return Ok(());
    }
    let other_client = Client::new(format!("{}.{} too", life.host, life.start), world.journal.clone());
    let other = coordinator.operator(plan, "another person")?;
    let other_decision = drawn(awaits, rng);
    let (first, second) = tokio::join!(
        biased; // The order does not matter: the network has its own.
        client.update(&one, task, attempt, &decision),
        other_client.update(&other, task, attempt, &other_decision),
    );
    note(world, &decision, &first?);
    note(world, &other_decision, &second?);
    world.count("decided by two");
    Ok(())
}

/// What a person decides, drawn.
fn drawn(awaits: Awaits, rng: &mut StdRng) -> Change {
    let why = "because".to_owned();
    if rng.random_bool(0.7) {
        return Change::Approve(why);
    }
    let then: &[Option<Then>] = match awaits {
        Awaits::Start(_) => &[None, Some(Then::Skip), Some(Then::Fail)], // No attempt is there to be retried.
        Awaits::Result(_) => &[None, Some(Then::Retry), Some(Then::Fail)],
    };
    Change::Reject(then.choose(rng).copied().flatten(), why)
}

/// Counts a decision that was carried out.
fn note(world: &World, decision: &Change, outcome: &Outcome) {
    if let Outcome::Committed(_) = outcome {
        world.count(if matches!(decision, Change::Approve(_)) { "approved" } else { "rejected" });
    }
}
