//! `why`: what led to the present state.

use clap::Args;
use planlease::{core::keys::PlanKey, read_beside};

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
        let mut view = coordinator.plan(&plan).await?;
        let alive = coordinator.alive(&view).await?;
        match task {
            Some(task) => {
                view.require(&PlanKey::Task(task.clone()))?;
                let late = coordinator.late_results(&plan, &task).await.map(Some);
                let late = read_beside(&mut view, late)?.unwrap_or_default();
                let Some(shown) = WhyTask::new(&view, &task, &late, &alive) else {
                    return Err(Failure::new(Exit::NoSuchTask, format!("{plan} has no task {task}"))
                        .remedy(format!("`planlease task list {plan}` lists them.")));
                };
                invocation.show(self.output.format, &shown)?;
            }
            None => {
                let past = coordinator.past_terms(&plan).await?;
                invocation.show(self.output.format, &WhyPlan::new(&view, &past, &alive))?;
            }
        }
        Ok(Exit::Done)
    }
}
