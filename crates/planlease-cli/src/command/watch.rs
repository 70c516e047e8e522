//! `watch`: every change as it happens, or from a revision on.

pub(super) mod feed;
mod reader;

use std::collections::BTreeSet;

use clap::Args;
use planlease::{
    Error,
    core::{PlanName, Revision, counted},
};
use planlease_core::{record::HaltRecord, standing::Outlook, transition::TaskStatus};
use planlease_watcher::{ChangeSet, PlanView, Snapshot};

use self::feed::{Feed, News};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, ChangesInWords, Format, OutputArgs, SnapshotView},
    signals::Signals,
};

/// Stream every change, as it happens or from a revision on
///
/// Prints changes of plans and orchestrators in the order of their revisions: all changes of one transaction
/// together, none twice, none missing. With plans named, only their changes.
///
/// As JSON: one object a line and change set (`planlease.changes.v1`), with `revision`, `resynced` and
/// `changes`. A reader that has handled a revision can continue after it with --from-revision, as far back as
/// etcd keeps its history. If the history is compacted while this command is cut off, it prints the
/// differences, with `resynced`.
///
/// Ends at Ctrl-C, SIGTERM, or when its reader has gone.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// The plans [default: all, and the orchestrators]
    plans: Vec<String>,
    /// Begin with the changes after this revision [default: the present one]
    #[arg(long, value_name = "REVISION")]
    from_revision: Option<Revision>,
    /// Show first how everything was at that moment
    #[arg(long)]
    snapshot: bool,
    /// End when every task of these plans is completed or skipped; with status 10 when a plan cannot go on
    /// without a person's decision, and with 121 when it is cancelled or archived
    #[arg(long, requires = "plans")]
    until_finished: bool,
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  planlease watch
  planlease watch release --until-finished
  planlease watch --snapshot -o jsonl | jq -c '{revision, changes}'
  planlease watch --from-revision 1042 -o jsonl";

/// What is asked for, understood.
struct Wanted {
    /// Empty for everything.
    plans: BTreeSet<PlanName>,
    until_finished: bool,
    format: Format,
}

impl WatchArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plans = self.plans.iter().map(|name| plan_name(name)).collect::<Result<_, _>>()?;
        let format = match self.output.format {
            Format::Table => Format::Table,
            Format::Json | Format::Jsonl => Format::Jsonl, // A stream is no document.
        };
        let wanted = Wanted { plans, until_finished: self.until_finished, format };
        let mut signals = Signals::take()?;
        tokio::select! {
            biased; // An end of its own says more than a signal.
            ended = self.stream(invocation, &wanted) => ended,
            () = reader::gone() => Ok(Exit::Done),
            () = signals.next() => Ok(Exit::Done),
        }
    }

    async fn stream(&self, invocation: &Invocation, wanted: &Wanted) -> Result<Exit, Failure> {
        let coordinator = invocation.connect().await?;
        let layout = coordinator.layout().clone();
        let mut feed = Feed::open(coordinator, self.from_revision).await?;
        if self.snapshot {
            let plans = feed.snapshot().plans().filter(|plan| wanted.plan(plan.name()));
            invocation.show(wanted.format, &SnapshotView::new(feed.snapshot(), plans.map(AsRef::as_ref)))?;
        }
        for plan in wanted.plans.iter().filter(|plan| feed.snapshot().plan(plan).is_none()) {
            if wanted.until_finished {
                return Err(Error::PlanNotFound(plan.clone()).into());
            }
            output::tell(&format!("there is no plan {plan} yet; it is watched all the same"));
        }
        loop {
            if wanted.until_finished && wanted.have_ended(feed.snapshot())? {
                return wanted.conclude(feed.snapshot());
            }
            match feed.next().await? {
                News::Changes(set) => {
                    if let Some(set) = wanted.part_of(set) {
                        invocation.show(wanted.format, &ChangesInWords::new(&set, &layout))?;
                    }
                }
                News::Broken(why) => {
                    output::tell(&format!(
                        "the connection broke ({why}); it goes on where it was once there is another"
                    ));
                }
                News::Reconnected => output::tell("connected again"),
            }
        }
    }
}

impl Wanted {
    fn plan(&self, plan: &PlanName) -> bool {
        self.plans.is_empty() || self.plans.contains(plan)
    }

    /// What of it is asked for; `None` if nothing. That a gap was closed is shown in any case.
    fn part_of(&self, mut set: ChangeSet) -> Option<ChangeSet> {
        if !self.plans.is_empty() {
            set.changes.retain(|change| change.plan().is_some_and(|plan| self.plans.contains(plan)));
        }
        (set.resynced || !set.changes.is_empty()).then_some(set)
    }

    /// Whether nothing more comes of any of the plans by itself.
    fn have_ended(&self, snapshot: &Snapshot) -> Result<bool, Failure> {
        for plan in &self.plans {
            let Some(state) = snapshot.plan(plan) else {
                if let Some(unreadable) = snapshot.unreadable().find(|one| one.plan() == Some(plan)) {
                    return Err(Error::from(unreadable).into());
                }
                let what = format!("plan {plan} was deleted before it was finished");
                return Err(Failure::new(Exit::NoSuchPlan, what));
            };
            if !has_ended(state) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The status to end with, and what went wrong in the first plan in which something did.
    fn conclude(&self, snapshot: &Snapshot) -> Result<Exit, Failure> {
        let plans = self.plans.iter().filter_map(|plan| snapshot.plan(plan));
        plans.map(AsRef::as_ref).find_map(unfinished).map_or(Ok(Exit::Done), Err)
    }
}

/// Whether nothing more comes of the plan by itself: what only an owner would go on with counts if there is
/// one.
fn has_ended(plan: &PlanView) -> bool {
    plan.halts().closed.is_some()
        || match plan.outlook() {
            Outlook::Done | Outlook::Stuck => true,
            Outlook::Retries => plan.line().candidates().is_empty(),
            Outlook::Open => false,
        }
}

/// What is wrong with a plan that has ended; `None` if every task is completed or skipped.
fn unfinished(plan: &PlanView) -> Option<Failure> {
    let name = plan.name();
    if plan.outlook() == Outlook::Done {
        return None;
    }
    if let Some((_, HaltRecord { how, by, why, .. })) = &plan.halts().closed {
        let (plan, by, why) = (name.clone(), by.clone(), why.clone());
        return Some(Error::PlanClosed { plan, how: *how, by, why }.into());
    }
    let summary = plan.summary();
    let failed = plan.tasks().values().find(|task| task.record.status == TaskStatus::Failed);
    let failed = failed.map(|task| {
        let why = task.record.parked.as_deref().or(task.record.error.as_deref()).unwrap_or_default();
        format!("; task {}: {}", task.id, output::plain(why))
    });
    let what = format!(
        "plan {name} cannot go on: {} failed, {} waiting{}",
        counted(summary.failed, "task"),
        summary.pending,
        failed.unwrap_or_default()
    );
    Some(Failure::new(Exit::TasksFailed, what).remedy(format!(
        "`planlease why {name}` shows what holds it up; `planlease task retry` puts a task back."
    )))
}
