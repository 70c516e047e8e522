//! `task`: looking at tasks, and changing them, by an operator or from a command that a plan runs.

pub(super) mod approve;
mod bulk;
mod cancel;
mod claim;
mod limit;
mod refusal;
pub(super) mod right;
mod select;
mod targets;
mod update;

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use planlease::{
    core::{PlanState, budget::Amount, spec::TaskSpec, transition::Change},
    read_beside,
};

use self::{
    limit::LimitArgs,
    select::FilterArgs,
    targets::{NamedArgs, SelectedArgs},
    update::UpdateArgs,
};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{AllTasks, ListOutputArgs, OutputArgs, TaskDetailView, TaskList, TaskOrder},
};

/// What a command's help says at its end: by which right it changes tasks, and its examples.
macro_rules! after_help {
    ($examples:literal) => {
        concat!(
            "Authority: inside a command that `run` or `hold` started, that of the plan's owner; else an ",
            "operator's, which allows changes of tasks that no process works on at the moment.\n\n",
            $examples
        )
    };
}

const START_HELP: &str = after_help!(
    "\
Examples:
  planlease task start release 2.3
  planlease task start release 2.3 --for 1h
  planlease task start release 2.3 --dry-run"
);

const PROGRESS_HELP: &str = after_help!(
    "\
Examples:
  planlease task progress release 2.3 'half of it is uploaded'
  planlease task progress release 2.3 --spent 12.5"
);

const COMPLETE_HELP: &str = after_help!(
    "\
Examples:
  planlease task complete release 2.3 --notes 'tagged v1.4'
  planlease task complete release 1 2 3 --atomic
  planlease task complete release 2.4 --expect-revision 1042"
);

const FAIL_HELP: &str = after_help!(
    "\
Examples:
  planlease task fail release 2.3 --error 'the registry refused the image'
  planlease task fail release 2.4 --error 'wrong branch' --expect-revision 1042"
);

const SELECT_HELP: &str = "\
Without --status, a selection by label or phase means failed tasks for `retry`, pending and failed ones for `skip`. Each \
task is changed by itself, and listed with what became of it; status 18 says that some were changed and some were not. \
--atomic changes all of them in one transaction, or none.

Authority: inside a command that `run` or `hold` started, that of the plan's owner; else an operator's, which allows \
changes of tasks that no process works on at the moment.

Examples:
  planlease task retry release 2.4 2.5
  planlease task retry release --status failed --label gpu --dry-run
  planlease task retry --all-plans --status failed
  planlease task skip release --phase 3 --reason 'not in this release'";

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
    #[command(after_help = START_HELP)]
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
    /// Report the progress of a task, and what it has spent
    #[command(after_help = PROGRESS_HELP)]
    Progress(ProgressArgs),
    /// Mark tasks completed
    #[command(after_help = COMPLETE_HELP)]
    Complete(CompleteArgs),
    /// Mark tasks failed
    #[command(after_help = FAIL_HELP)]
    Fail(FailArgs),
    /// Skip tasks; tasks that depend on them may start
    #[command(after_help = SELECT_HELP)]
    Skip(SkipArgs),
    /// Reset failed, skipped or completed tasks to pending
    #[command(after_help = SELECT_HELP)]
    Retry(RetryArgs),
    Cancel(cancel::CancelArgs),
}

/// `task list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease task list release\n  planlease task list release --status failed -o jsonl\n  planlease task list --all-plans --status failed --sort ended\n  planlease task list release --phase 2 --label gpu -o name"
)]
pub(crate) struct ListArgs {
    /// The plan
    #[arg(required_unless_present = "all_plans", conflicts_with = "all_plans")]
    plan: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Of all plans, but those that are archived
    #[arg(long)]
    all_plans: bool,
    /// Sort by this; newest or most first [default: the order of the plan]
    #[arg(long, value_name = "KEY", value_parser = orders())]
    sort: Option<TaskOrder>,
    #[command(flatten)]
    output: ListOutputArgs,
}

fn orders() -> impl TypedValueParser<Value = TaskOrder> {
    const KNOWN: [(&str, TaskOrder); 6] = [
        ("status", TaskOrder::Status),
        ("phase", TaskOrder::Phase),
        ("attempt", TaskOrder::Attempt),
        ("revision", TaskOrder::Revision),
        ("started", TaskOrder::Started),
        ("ended", TaskOrder::Ended),
    ];
    PossibleValuesParser::new(KNOWN.map(|(name, _)| name)).map(|name| {
        KNOWN.iter().find(|(known, _)| *known == name).map_or(TaskOrder::Status, |(_, order)| *order)
    })
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
    #[arg(value_name = "TEXT", required_unless_present = "spent")]
    text: Option<String>,
    /// What the attempt has spent so far in all, such as money or tokens; above the budget of the task the
    /// attempt is cancelled
    #[arg(long, value_name = "AMOUNT")]
    spent: Option<Amount>,
}

/// `task complete`.
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    #[command(flatten)]
    tasks: NamedArgs,
    /// What there is to say about it
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
}

/// `task fail`.
#[derive(Debug, Args)]
pub(crate) struct FailArgs {
    #[command(flatten)]
    tasks: NamedArgs,
    /// What went wrong
    #[arg(long, value_name = "TEXT")]
    error: String,
}

/// `task skip`.
#[derive(Debug, Args)]
pub(crate) struct SkipArgs {
    #[command(flatten)]
    tasks: SelectedArgs,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = crate::reason::parse)]
    reason: String,
}

/// `task retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    tasks: SelectedArgs,
    /// Why
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "asked for on the command line",
        value_parser = crate::reason::parse
    )]
    reason: String,
}

impl TaskCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::List(args) => args.run(invocation).await,
            Self::Show(args) => args.run(invocation).await,
            Self::Start(args) => args.update.limited(args.limit).run(invocation, Change::Start).await,
            Self::Claim(args) => args.run(invocation).await,
            Self::Progress(args) => {
                let text = args.text;
                let change = match args.spent {
                    Some(spent) => Change::Spend(spent, text),
                    None => Change::Progress(text.unwrap_or_default()),
                };
                args.update.run(invocation, change).await
            }
            Self::Complete(args) => args.tasks.run(invocation, Change::Complete(args.notes)).await,
            Self::Fail(args) => args.tasks.run(invocation, Change::Fail(args.error)).await,
            Self::Skip(args) => args.tasks.run(invocation, Change::Skip(args.reason)).await,
            Self::Cancel(args) => args.run(invocation).await,
            Self::Retry(args) => args.tasks.run(invocation, Change::Retry(args.reason)).await,
        }
    }
}

impl ListArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = self.plan.as_deref().map(plan_name).transpose()?;
        let coordinator = invocation.connect().await?;
        let meant = |spec: Option<&TaskSpec>, status| self.filter.selects(spec, status);
        let Some(plan) = plan else {
            let plans = coordinator.plans().await?;
            let mut tasks = AllTasks::new(&plans.unreadable);
            for view in plans.iter().filter(|view| PlanState::of(view) != PlanState::Archived) {
                tasks.add(TaskList::selected(view, meant, &coordinator.alive(view).await?));
            }
            invocation.show(self.output.format, &tasks.sorted(self.sort))?;
            return Ok(Exit::Done);
        };
        let view = coordinator.plan(&plan).await?;
        let alive = coordinator.alive(&view).await?;
        invocation.show(self.output.format, &TaskList::selected(&view, meant, &alive).sorted(self.sort))?;
        Ok(Exit::Done)
    }
}

impl ShowArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, task) = (plan_name(&self.plan)?, task_id(&self.task)?);
        let coordinator = invocation.connect().await?;
        let mut excerpt = coordinator.excerpt(&plan, &task).await?;
        let findings = read_beside(&mut excerpt, coordinator.findings(&plan, &task).await)?;
        let alive = coordinator.alive_for(&excerpt).await?;
        invocation.show(self.output.format, &TaskDetailView::new(&excerpt, findings, &alive))?;
        Ok(Exit::Done)
    }
}
