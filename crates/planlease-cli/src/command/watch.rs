//! `watch`: every change as it happens, or from a revision on.

pub(super) mod feed;
mod reader;

use std::collections::BTreeSet;

use clap::Args;
use planlease::{
    Error,
    core::{PlanName, Revision},
};
use planlease_core::{record::TaskRecord, transition::TaskStatus};
use planlease_watcher::{ChangeSet, PlanState, Snapshot};

use self::feed::{Feed, News};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{self, ChangesShown, Format, OutputArgs, SnapshotShown},
    signals::Signals,
};

/// Streams every change of plans and orchestrators, in the order of their revisions: what one transaction did comes
/// together, nothing comes twice, nothing is left out. With plans named, only what is about them.
///
/// As JSON: one object a line and change set (`planlease.changes.v1`), with `revision`, `resynced` and `changes`. Whoever
/// has dealt with a revision can go on after it with --from-revision, as far back as etcd keeps its history. If the history
/// is compacted away while this is cut off, the differences are told, with `resynced`.
///
/// Ends at Ctrl-C, SIGTERM, or when nobody reads what it prints.
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
    /// End when all tasks of these plans have come to an end, well or not
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
        let plans = self.plans.iter().map(|name| super::plan_name(name)).collect::<Result<_, _>>()?;
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
            invocation.show(
                wanted.format,
                &SnapshotShown::new(feed.snapshot().revision(), plans.map(AsRef::as_ref)),
            )?;
        }
        for plan in wanted.plans.iter().filter(|plan| feed.snapshot().plan(plan).is_none()) {
            if wanted.until_finished {
                return Err(Error::PlanNotFound(plan.clone()).into());
            }
            output::tell(&format!("there is no plan {plan} yet; it is watched all the same"));
        }
        loop {
            if wanted.until_finished && wanted.is_finished(feed.snapshot())? {
                return Ok(Exit::Done);
            }
            match feed.next().await? {
                News::Changes(set) => {
                    if let Some(set) = wanted.part_of(set) {
                        invocation.show(wanted.format, &ChangesShown::new(&set, &layout))?;
                    }
                }
                News::Broken(why) => {
                    output::tell(&format!(
                        "the connection broke ({why}); it goes on where it was once there is another"
                    ));
                }
                News::Mended => output::tell("connected again"),
            }
        }
    }
}

impl Wanted {
    fn plan(&self, plan: &PlanName) -> bool {
        self.plans.is_empty() || self.plans.contains(plan)
    }

    /// What of it is asked for; `None` if nothing. That a gap was closed is told in any case.
    fn part_of(&self, mut set: ChangeSet) -> Option<ChangeSet> {
        if !self.plans.is_empty() {
            set.changes.retain(|change| change.plan().is_some_and(|plan| self.plans.contains(plan)));
        }
        (set.resynced || !set.changes.is_empty()).then_some(set)
    }

    fn is_finished(&self, snapshot: &Snapshot) -> Result<bool, Failure> {
        for plan in &self.plans {
            let Some(state) = snapshot.plan(plan) else {
                let what = format!("plan {plan} was deleted before it was finished");
                return Err(Failure::new(Exit::NoSuchPlan, what));
            };
            if !is_finished(state) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether everything has come to an end for good.
fn is_finished(plan: &PlanState) -> bool {
    let owned = plan.line().owner().is_some();
    plan.tasks().all(|task| {
        let retries = plan.spec().task(&task.id).map_or(0, |spec| plan.spec().policy_of(spec).max_retries);
        has_ended(&task.record, retries, owned)
    })
}

/// Whether a task has come to an end for good: a failed one that the owner will put back in a moment has not.
fn has_ended(task: &TaskRecord, retries: u32, owned: bool) -> bool {
    match task.status {
        TaskStatus::Completed | TaskStatus::Skipped => true,
        TaskStatus::Failed => !owned || task.parked.is_some() || task.failures > retries,
        TaskStatus::Pending | TaskStatus::InProgress => false,
    }
}

#[cfg(test)]
mod tests {
    use planlease_core::{
        LeaseId,
        record::{Guard, Role, Writer},
    };
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_failed_task_that_will_be_tried_again_has_not_ended() {
        let guard =
            Guard::Owner { lease: LeaseId::from_wire(1).unwrap(), revision: Revision::from_wire(1).unwrap() };
        let writer = Writer { who: "x".into(), role: Role::Owner, term: None, guard };
        let pending = TaskRecord::new(writer, Uuid::nil());
        assert!(!has_ended(&pending, 0, false));
        let failed = TaskRecord { status: TaskStatus::Failed, failures: 1, ..pending };
        assert!(!has_ended(&failed, 1, true));
        assert!(has_ended(&failed, 0, true));
        assert!(has_ended(&failed, 1, false), "nobody is there to try it again");
        assert!(has_ended(&TaskRecord { parked: Some("?".into()), ..failed }, 1, true));
    }
}
