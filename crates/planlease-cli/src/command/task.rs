//! `task`: looking at tasks, and changing them, by an operator or from a command that a plan runs.

mod claim;
mod limit;
pub(super) mod right;
mod update;

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser as _};
use planlease::{
    core::transition::{Change, TaskStatus},
    read_beside,
};

use self::{limit::LimitArgs, update::UpdateArgs};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{OutputArgs, TaskDetailView, TaskList},
};

const UPDATE_HELP: &str = "\
Authority: inside a command that `run` or `hold` started, that of the plan's owner; else an operator's, which allows \
changes of tasks that no process works on at the moment.

Examples:
  planlease task complete release 2.3 --notes 'tagged v1.4'
  planlease task retry release 2.4 --expect-revision 1042";

/// The task commands.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List the tasks of a plan
    List(ListArgs),
    /// Show a task with its record, its last transitions, and its output
    Show(ShowArgs),
    /// Claim a task and start its next attempt; its dependencies must be done
    ///
    /// An operator's claim ends after --for: then the plan's owner recovers the task, or the next claimant
    /// takes it. Each `task progress` extends it to the same time again.
    #[command(after_help = UPDATE_HELP)]
    Start(StartArgs),
    /// Claim one or more ready tasks, by label and priority
    ///
    /// Claims ready tasks in the order in which they are handed out (see `next`): each starts its next
    /// attempt, and no two claimants get the same task. Ends with status 13 if there is none.
    ///
    /// Authority: inside a command that `run` or `hold` started, that of the plan's owner, so that the claims
    /// are recovered when the ownership ends; otherwise an operator's, whose claims end after --for: then the
    /// plan's owner recovers the tasks, or the next claimant takes them. Each `task progress` extends the
    /// claim to the same time again; etcd measures it.
    Claim(claim::ClaimArgs),
    /// Report the progress of a task
    #[command(after_help = UPDATE_HELP)]
    Progress(ProgressArgs),
    /// Mark a task completed
    #[command(after_help = UPDATE_HELP)]
    Complete(CompleteArgs),
    /// Mark a task failed
    #[command(after_help = UPDATE_HELP)]
    Fail(FailArgs),
    /// Skip a task; tasks that depend on it may start
    #[command(after_help = UPDATE_HELP)]
    Skip(SkipArgs),
    /// Reset a failed, skipped or completed task to pending
    #[command(after_help = UPDATE_HELP)]
    Retry(RetryArgs),
}

/// `task list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease task list release\n  planlease task list release --status failed -o jsonl"
)]
pub(crate) struct ListArgs {
    /// The plan
    plan: String,
    /// Only those in this status
    #[arg(long, value_parser = PossibleValuesParser::new(TaskStatus::ALL.map(TaskStatus::as_str)).try_map(status))]
    status: Option<TaskStatus>,
    #[command(flatten)]
    output: OutputArgs,
}

fn status(word: String) -> Result<TaskStatus, String> {
    TaskStatus::ALL.into_iter().find(|status| status.as_str() == word).ok_or(word)
}

/// `task show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The plan
    plan: String,
    /// The task
    task: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// `task start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    update: UpdateArgs,
    #[command(flatten)]
    limit: LimitArgs,
}

/// `task progress`.
#[derive(Debug, Args)]
pub(crate) struct ProgressArgs {
    #[command(flatten)]
    update: UpdateArgs,
    /// The progress, as text or JSON; also counts as a heartbeat where the plan asks for heartbeats
    #[arg(value_name = "TEXT")]
    text: String,
}

/// `task complete`.
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    #[command(flatten)]
    update: UpdateArgs,
    /// What there is to say about it
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
}

/// `task fail`.
#[derive(Debug, Args)]
pub(crate) struct FailArgs {
    #[command(flatten)]
    update: UpdateArgs,
    /// What went wrong
    #[arg(long, value_name = "TEXT")]
    error: String,
}

/// `task skip`.
#[derive(Debug, Args)]
pub(crate) struct SkipArgs {
    #[command(flatten)]
    update: UpdateArgs,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// `task retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    update: UpdateArgs,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "asked for on the command line")]
    reason: String,
}

impl TaskCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::List(args) => args.run(invocation).await,
            Self::Show(args) => args.run(invocation).await,
            Self::Start(args) => args.update.limited(args.limit).run(invocation, Change::Start).await,
            Self::Claim(args) => args.run(invocation).await,
            Self::Progress(args) => args.update.run(invocation, Change::Progress(args.text)).await,
            Self::Complete(args) => args.update.run(invocation, Change::Complete(args.notes)).await,
            Self::Fail(args) => args.update.run(invocation, Change::Fail(args.error)).await,
            Self::Skip(args) => args.update.run(invocation, Change::Skip(args.reason)).await,
            Self::Retry(args) => args.update.run(invocation, Change::Retry(args.reason)).await,
        }
    }
}

impl ListArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let coordinator = invocation.connect().await?;
        let view = coordinator.plan(&plan).await?;
        let alive = coordinator.alive(&view).await?;
        invocation.show(self.output.format, &TaskList::new(&view, self.status, &alive))?;
        Ok(Exit::Done)
    }
}

impl ShowArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, task) = (plan_name(&self.plan)?, task_id(&self.task)?);
        let coordinator = invocation.connect().await?;
        let mut view = coordinator.plan(&plan).await?;
        view.task(&task)?;
        let findings = read_beside(&mut view, coordinator.findings(&plan, &task).await)?;
        let alive = coordinator.alive(&view).await?;
        invocation
            .show(self.output.format, &TaskDetailView::new(&view, view.task(&task)?, findings, &alive))?;
        Ok(Exit::Done)
    }
}
