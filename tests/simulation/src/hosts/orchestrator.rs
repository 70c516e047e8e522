//! An orchestrator as users run it: takes all plans there are, and starts again when it has finished
//! them.

use std::{sync::Arc, time::Duration};

use planlease::core::transition::TaskStatus;
use planlease_orchestrator::{Options, Orchestrator, Plans, Report, Reporter, Stop, TaskCommand};
use tokio::sync::watch;

use super::{Ended, work::Workshop};
use crate::world::{AGAIN, World};

/// How long it rests when there is nothing left that it can do.
const REST: Duration = Duration::from_secs(2);

/// Runs until it is killed.
///
/// # Errors
/// Never.
pub async fn run(world: Arc<World>, host: String) -> Ended {
    let life = world.start(&host);
    let coordinator = world.connect(&life).await;
    let (_run, stop) = watch::channel(Stop::Run);
    loop {
        let options = Options::new(Plans::All, Arc::new(Workshop::new(Arc::clone(&world), life.clone())))
            .jobs(world.options.jobs)
            .max_plans(2)
            .command(TaskCommand::Program(vec!["work".into()]))
            .grace(AGAIN)
            .identity(world.identity(&life));
        let began = watch::Sender::new(false);
        let reporter = Reporter::new({
            let (world, began) = (Arc::clone(&world), began.clone());
            move |report| {
                began.send_replace(true);
                if let Report::Finished { plan, summary, .. } = report
                    && summary.in_progress > 0
                {
                    world.problem(format!("{plan} was called finished with tasks in progress: {summary:?}"));
                }
                count(&world, report);
            }
        });
        let ended = Orchestrator::new(coordinator.clone(), options, reporter, stop.clone()).run().await;
        if let Err(error) = ended {
            world.expect(&host, "orchestrate", &error);
            if *began.borrow() {
                world.problem(format!("{host} gave up what it had begun: {error}"));
            }
        }
        // As a service manager would: two orchestrators that restart all the time would own a plan by
        // turns, and leave no moment to an operator, whose writes compare that the plan has no new owner.
        tokio::time::sleep(REST).await;
    }
}

pub(super) fn count(world: &World, report: &Report) {
    world.count(match report {
        Report::Acquired { recovered: 0, .. } => "acquired by an orchestrator",
        Report::Acquired { .. } => "acquired by an orchestrator, with orphans",
        Report::Started { .. } => "attempts",
        Report::Ended { .. } => "attempts recorded",
        Report::Overdue { status: TaskStatus::Failed, .. } => "given up because of the time",
        Report::Overdue { .. } => "put back after a time",
        Report::NotRecorded { .. } => "attempts not recorded",
        Report::Lost { .. } => "lost by an orchestrator",
        Report::Trouble(_) => "trouble",
        _ => return,
    });
}
