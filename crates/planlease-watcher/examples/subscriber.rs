//! Prints every change of a namespace, as it happens:
//! `subscriber ENDPOINT… [--namespace NAME] [--plan NAME]`.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use planlease::{Config, Coordinator, Endpoint};
use planlease_core::{Namespace, PlanName};
use planlease_watcher::{Change, Delivery, Filter, Watcher};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut namespace = Namespace::default();
    let mut filter = Filter::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--namespace" => namespace = Namespace::new(value()?)?,
            "--plan" => filter = Filter::plan(PlanName::new(value()?)?),
            endpoint => endpoints.push(endpoint.parse()?),
        }
    }
    let config = Config::with_endpoints(endpoints).namespace(namespace);
    let watcher = Watcher::start(Coordinator::connect(config).await?);
    let mut subscription = watcher.subscribe(filter, None).await?;
    while let Some(delivery) = subscription.next().await {
        match delivery {
            Delivery::Snapshot(snapshot, why) => {
                println!("{} {why:?}", snapshot.revision());
                for plan in snapshot.plans() {
                    let owner = plan.queue().owner().map(|(owner, _)| owner.name());
                    println!("  {} owned by {owner:?}: {:?}", plan.name(), plan.summary());
                }
            }
            Delivery::Changes(set) => {
                println!("{}{}", set.revision, if set.resynced { " resynced" } else { "" });
                set.changes.iter().for_each(print);
            }
        }
    }
    watcher.close().await?;
    Ok(())
}

fn print(change: &Change) {
    match change {
        Change::PlanAppeared(plan) => println!("  + plan {}: {:?}", plan.name(), plan.summary()),
        Change::PlanGone { plan } => println!("  - plan {plan}"),
        Change::Task { plan, task, before } => {
            let before = before.as_ref().map(|before| before.record.status);
            println!(
                "  {plan}/{}: {before:?} -> {:?}, attempt {}",
                task.id, task.record.status, task.record.attempt
            );
        }
        Change::Ownership { plan, what, .. } => println!("  {plan}: {what:?}"),
        Change::OrchestratorAppeared(one) => println!("  + orchestrator {}", one.id),
        Change::OrchestratorGone(one) => println!("  - orchestrator {}", one.id),
        other => println!("  {other:?}"),
    }
}
