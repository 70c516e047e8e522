//! `plan pause` and `plan resume` of several plans, and what the commands about halts would do.

use clap::Args;
use planlease::{
    Coordinator, PlanView, Reason,
    core::{PlanName, PlanState, counted, record::Halt, selector::Selector},
};

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{Format, HaltView, HaltViews},
    progress::Progress,
};

/// Several plans.
#[derive(Debug, Args)]
pub(crate) struct PlansArgs {
    /// The plans
    #[arg(
        required_unless_present_any = ["all", "select"],
        conflicts_with_all = ["all", "select"],
        value_name = "PLAN"
    )]
    plans: Vec<String>,
    /// All plans that this can be done to
    #[arg(long)]
    all: bool,
    /// Those of them with these labels: 'team=payments,env!=prod', 'zone in (a,b)', 'key', '!key'
    #[arg(long, value_name = "SELECTOR")]
    select: Option<Selector>,
    /// Show what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
}

impl PlansArgs {
    /// The plan, if it is one and is to be changed.
    pub(super) fn single(&self) -> Option<Result<PlanName, Failure>> {
        match &self.plans[..] {
            [plan] if !self.dry_run => Some(plan_name(plan)),
            _ => None,
        }
    }

    /// Pauses them for this reason, or resumes them without one; each by itself.
    pub(super) async fn run(
        self,
        invocation: &Invocation,
        format: Format,
        pause: Option<&Reason>,
    ) -> Result<Exit, Failure> {
        let named = self.plans.iter().map(|plan| plan_name(plan)).collect::<Result<Vec<_>, _>>()?;
        let coordinator = invocation.connect().await?;
        let any = self.all || self.select.is_some();
        let plans = match any {
            true => selected(&coordinator, pause.is_some(), &self.select.unwrap_or_default()).await?,
            false => named,
        };
        let (mut shown, mut first) = (HaltViews::new(self.dry_run), None);
        let mut progress = Progress::new();
        for (n, plan) in plans.iter().enumerate() {
            progress.say(|| format!("{n} of {} …", counted(plans.len(), "plan")));
            let done = match self.dry_run {
                true => coordinator.plan(plan).await.map(|view| planned(&view, pause)),
                false => change(&coordinator, plan, pause, any).await,
            };
            match done {
                Ok(halt) => shown.add(halt),
                Err(error) => {
                    let failure = Failure::from(error);
                    shown.fail(plan.clone(), pause.map(|_| Halt::Paused), failure.what().to_owned());
                    first = first.or(Some(failure.exit()));
                }
            }
        }
        drop(progress);
        invocation.show(format, &shown)?;
        let (all, failed) = shown.counts();
        let Some(exit) = first.filter(|_| !self.dry_run) else { return Ok(Exit::Done) };
        let exit = if failed < all { Exit::Partial } else { exit };
        let verb = if pause.is_some() { "pause" } else { "resume" };
        Err(Failure::new(exit, format!("cannot {verb} {failed} of {}", counted(all, "plan")))
            .meaning("The list says why; the others are as it says."))
    }
}

/// The plans that `--all` and `--select` mean: those that can be paused, or those that are.
async fn selected(
    coordinator: &Coordinator,
    pause: bool,
    select: &Selector,
) -> Result<Vec<PlanName>, Failure> {
    let plans = coordinator.plans().await?;
    let labels = |plan: &PlanView| {
        select.matches(plan.spec().labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    };
    let meant = plans.iter().filter(|plan| labels(plan)).filter(|plan| match PlanState::of(plan) {
        PlanState::Paused => !pause,
        PlanState::Done | PlanState::Cancelled | PlanState::Archived => false,
        _ => pause,
    });
    Ok(meant.map(|plan| plan.name().clone()).collect())
}

/// Pauses or resumes one plan. Of all plans only pauses are ended: one that is cancelled at the same moment
/// stays cancelled.
async fn change(
    coordinator: &Coordinator,
    plan: &PlanName,
    pause: Option<&Reason>,
    all: bool,
) -> Result<HaltView, planlease::Error> {
    let admin = coordinator.admin();
    Ok(match pause {
        Some(reason) => HaltView::new(plan.clone(), Halt::Paused, admin.pause(plan, reason).await?),
        None if all => HaltView::resumed(plan.clone(), admin.end_pause(plan).await?),
        None => HaltView::resumed(plan.clone(), admin.resume(plan).await?),
    })
}

/// What would be done.
fn planned(view: &PlanView, pause: Option<&Reason>) -> HaltView {
    let halted = view.halt().is_some();
    match pause {
        Some(_) => would(view, Halt::Paused),
        None => HaltView::of(view.name().clone(), None, halted),
    }
}

/// What a halt would do.
pub(super) fn would(view: &PlanView, how: Halt) -> HaltView {
    let halts = view.halts();
    let present = if how == Halt::Paused { &halts.paused } else { &halts.closed };
    match present.as_ref().filter(|(_, record)| record.how == how) {
        Some((_, record)) => {
            let before = planlease::Halted::Unchanged(Box::new(record.clone()));
            HaltView::new(view.name().clone(), how, before)
        }
        None => HaltView::of(view.name().clone(), Some(how), true),
    }
}
