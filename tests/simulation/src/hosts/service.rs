//! An orchestrator that stays up: follows the plans, and takes those that it has a job for. The first takes
//! all plans and can do everything, the others one team's. Each keeps its name over its starts.

use std::{sync::Arc, time::Duration};

use planlease::{Error, core::OrchestratorId};
use planlease_orchestrator::{Options, Orchestrator, Plans, Report, Reporter, Stop, TaskCommand};
use tokio::sync::watch;

use super::{Ended, operator::GPU, orchestrator::count, work::Workshop};
use crate::world::{AGAIN, Life, World};

/// How long its service manager waits before it starts it again.
const REST: Duration = Duration::from_secs(2);

/// How many plans one owns at once.
pub const MAX_PLANS: usize = 3;

/// Runs until it is killed.
///
/// # Errors
/// Never.
pub async fn run(world: Arc<World>, host: String) -> Ended {
    let life = world.start(&host);
    let coordinator = world.connect(&life).await;
    let (_run, stop) = watch::channel(Stop::Run);
    loop {
        let opened = watch::Sender::new(false);
        let reporter = Reporter::new({
            let (world, opened) = (Arc::clone(&world), opened.clone());
            move |report| {
                if let Report::SessionOpened(_) = report {
                    opened.send_replace(true);
                }
                count(&world, report);
            }
        });
        let options = options(&world, &life);
        match Orchestrator::new(coordinator.clone(), options, reporter, stop.clone()).run().await {
            Ok(summary) => world.problem(format!("{host} ended although it was not asked to: {summary:?}")),
            // The session of the process before it lives on until its TTL is over.
            Err(Error::IdentityTaken(_)) if !*opened.borrow() => world.count("name still taken"),
            Err(error) if *opened.borrow() => world.problem(format!("{host} did not stay up: {error}")),
            Err(error) => world.expect(&host, "serve", &error),
        }
        tokio::time::sleep(REST).await;
    }
}

/// What it is started with.
fn options(world: &Arc<World>, life: &Life) -> Options {
    let id = OrchestratorId::new(life.host.as_str()).expect("a name");
    let options = Options::new(Plans::Follow, Arc::new(Workshop::new(Arc::clone(world), life.clone())))
        .jobs(world.options.jobs)
        .max_plans(MAX_PLANS)
        .command(TaskCommand::Program(vec!["work".into()]))
        .grace(AGAIN)
        .identity(world.identity(life).id(id));
    if life.host == "service-0" {
        options.can([GPU.to_owned()].into())
    } else {
        options.select("team=a".parse().expect("a selector"))
    }
}
