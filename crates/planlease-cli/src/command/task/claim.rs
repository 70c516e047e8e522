//! `task claim`: claims ready tasks for a worker.

use clap::Args;
use planlease::{AuthorityLoss, Claimed, Coordinator, Identity, PlanView, Refused, core::orphan::is_orphan};

use super::{limit::LimitArgs, right::Right};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{ClaimView, OutputArgs, plain, pool_remedy},
};

/// `task claim`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease task claim release\n  planlease task claim release --for 1h\n  planlease task claim release --count 4 --label gpu -o jsonl\n  planlease hold release -- sh -c 'planlease task claim release -o json | jq -r .tasks[0].task'"
)]
pub(crate) struct ClaimArgs {
    /// The plan
    plan: String,
    /// No task: `planlease task start` claims the one that is named
    #[arg(hide = true)]
    named: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Only tasks with this label; with each of them if given more than once
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How often a claim is decided again because the plan got another owner, or lost it, at the same moment.
const OWNERS_MAX: u32 = 5;

impl Right {
    /// Whether the claim was refused because the plan's owner changed, which a person's claim follows.
    fn follows(&self, claimed: &Claimed) -> bool {
        let changed = matches!(claimed.refused, Some(Refused::AuthorityLost(AuthorityLoss::OwnerChanged(_))));
        changed && matches!(self, Self::Operator(_))
    }
}

/// Puts back what lost claimants have left in a plan without an owner, who would do it; whether there was
/// anything.
async fn recovered(coordinator: &Coordinator, view: &PlanView) -> Result<bool, Failure> {
    let has_claims = view.tasks().values().any(|task| task.record.claim.is_some());
    if !has_claims || !view.queue().candidates().is_empty() {
        return Ok(false);
    }
    let alive = coordinator.alive(view).await?;
    if !view.tasks().values().any(|task| is_orphan(&task.record, &alive)) {
        return Ok(false);
    }
    let session = coordinator.open_unregistered_session(Identity::of_process()).await?;
    let recovered = session.recover_abandoned(view.name()).await;
    session.close().await?;
    Ok(recovered?)
}

impl ClaimArgs {
    pub(super) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        if let Some(task) = &self.named {
            let task = task_id(task)?;
            return Err(Failure::usage("`task claim` takes whichever task is ready, and none by its name")
                .meaning("Nothing was changed.")
                .remedy(format!(
                    "This one: `planlease task start {q_plan} {q_task}`.",
                    q_plan = plan.quoted(),
                    q_task = task.quoted()
                )));
        }
        let right = Right::of_plan(invocation, &plan)?;
        self.limit.check(&right)?;
        let coordinator = invocation.connect().await?;
        let mut view = coordinator.plan(&plan).await?;
        if let Right::Operator(_) = right
            && recovered(&coordinator, &view).await?
        {
            view = coordinator.plan(&plan).await?;
        }
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let mut rounds = 0;
        let claimed = loop {
            let authority = self.limit.apply(right.authority(&coordinator, &view)?);
            let claimed = authority.claim_on(&view, count, &self.labels).await?;
            rounds += 1;
            if rounds >= OWNERS_MAX || !(claimed.tasks.is_empty() && right.follows(&claimed)) {
                break claimed;
            }
            view = coordinator.plan(&plan).await?;
        };
        invocation.show(self.output.format, &ClaimView::new(&view, &claimed))?;
        if let Some((task, op_id)) = claimed.unknown.first() {
            return Err(Failure::new(
                Exit::OutcomeUnknown,
                format!("it is not known whether task {task} is claimed"),
            )
            .meaning("No answer came.")
            .remedy(format!(
                "Look at `planlease task show {q_plan} {q_task}`: it is if op_id is {op_id}.",
                q_plan = plan.quoted(),
                q_task = task.quoted()
            )));
        }
        match &claimed.refused {
            _ if !claimed.tasks.is_empty() => Ok(Exit::Done),
            None => Ok(Exit::NothingReady),
            Some(Refused::Halted(halt)) => Err(Failure::new(
                Exit::Halted,
                format!("{plan} was {} by {}: {}", halt.how, plain(&halt.by), plain(&halt.why)),
            )
            .remedy(format!("`planlease plan resume {q_plan}` lets it go on.", q_plan = plan.quoted()))),
            Some(Refused::FleetPaused(pause)) => Err(Failure::new(
                Exit::Halted,
                format!("the fleet was paused by {}: {}", plain(&pause.by), plain(&pause.why)),
            )
            .remedy("`planlease fleet resume` lets it go on.")),
            Some(Refused::Full(most)) => Err(Failure::new(
                Exit::Blocked,
                format!("no more tasks of {plan} may be in progress at once (max_in_progress = {most})"),
            )
            .remedy("Wait until one ends, or raise max_in_progress in the plan's policy.")),
            Some(Refused::Pool(wait)) => Err(Failure::new(
                Exit::Blocked,
                format!("no task of {plan} is free: {}", plain(&wait.to_string())),
            )
            .remedy(pool_remedy(wait))),
            Some(_) => {
                Err(Failure::new(Exit::AuthorityLost, format!("the right to claim tasks of {plan} is over"))
                    .remedy("`planlease owner show` shows who owns the plan now."))
            }
        }
    }
}
