//! `why`: what led to the present state.

use clap::Args;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{OutputArgs, WhyPlan, WhyTask},
};

/// Explain the state of a plan or task, and what happens next
///
/// Shows the history of the plan, or of one of its tasks (what happened, when, under which ownership), the
/// rule behind the present state, and what happens next or what an operator must do.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease why release          why is it not done?\n  planlease why release 2.1      why does 2.1 not start, or why did it fail?\n  planlease why release 2.1 -o json"
)]
pub(crate) struct WhyArgs {
    /// The plan
    plan: String,
    /// One of its tasks
    task: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl WhyArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let task = self.task.as_deref().map(task_id).transpose()?;
        let coordinator = invocation.connect().await?;
        match task {
            Some(task) => {
                let offers = coordinator.offers().await?;
                let why = WhyTask::read(&coordinator, &plan, &task, &offers).await?;
                invocation.show(self.output.format, &why)?;
            }
            None => {
                let why = WhyPlan::read(&coordinator, &plan).await?;
                invocation.show(self.output.format, &why)?;
            }
        }
        Ok(Exit::Done)
    }
}
