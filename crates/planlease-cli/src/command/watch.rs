//! `watch`: every change as it happens, or from a revision on.

pub(super) mod feed;
pub(super) mod reader;

use std::collections::BTreeSet;

use clap::Args;
use planlease::{
    Error,
    core::{PlanName, Revision},
};
use planlease_orchestrator::hold::Inherited;
use planlease_watcher::{ChangeSet, Scope, Snapshot};

use self::feed::{Feed, News};
use super::{
    ended::{has_ended, unfinished},
    holding,
};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, ChangesInWords, Format, SnapshotView, StreamOutputArgs},
    signals::Signals,
};

/// Stream every change of plans and orchestrators, from now or a revision on
///
/// Prints changes of plans and orchestrators in the order of their revisions: all changes of one transaction
/// together, none twice, none missing. With plans named, only their changes. Pauses of the fleet, cordons and
/// pools are not among them: `planlease fleet status` and `planlease pool list` show those.
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
    /// without a person's decision, with 121 when it is cancelled or archived, and with 11 when a signal, or
    /// the end of its reader, comes first
    #[arg(long, requires = "plans")]
    until_finished: bool,
    #[command(flatten)]
    output: StreamOutputArgs,
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
    /// What the commands above this process hold.
    inherited: Inherited,
    format: Format,
}

impl WatchArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plans = self.plans.iter().map(|name| plan_name(name)).collect::<Result<_, _>>()?;
        let format = match self.output.format {
            Format::Table | Format::Wide | Format::Name | Format::Yaml => Format::Table,
            Format::Json | Format::Jsonl => Format::Jsonl, // A stream is no document.
        };
        let inherited = match self.until_finished {
            true => holding::inherited(invocation.environment())?,
            false => Inherited::default(),
        };
        let wanted = Wanted { plans, until_finished: self.until_finished, inherited, format };
        let mut signals = Signals::take()?;
        tokio::select! {
            biased; // An end of its own says more than a signal.
            ended = self.stream(invocation, &wanted) => ended,
            () = reader::gone() => Ok(wanted.interrupted()),
            () = signals.next() => Ok(wanted.interrupted()),
        }
    }

    async fn stream(&self, invocation: &Invocation, wanted: &Wanted) -> Result<Exit, Failure> {
        let coordinator = invocation.connect().await?;
        let layout = coordinator.layout().clone();
        let present = coordinator.clone();
        let scope = Scope::plans(wanted.plans.clone());
        let mut feed = Feed::open(coordinator, &scope, self.from_revision).await?;
        if self.snapshot {
            let plans = feed.snapshot().plans().filter(|plan| wanted.plan(plan.name()));
            invocation.show(wanted.format, &SnapshotView::new(feed.snapshot(), plans.map(AsRef::as_ref)))?;
        }
        // Those that were not there at the revision from which it is watched, and are now.
        let mut to_come = BTreeSet::new();
        for plan in wanted.plans.iter().filter(|plan| feed.snapshot().plan(plan).is_none()) {
            match present.plan(plan).await {
                Ok(_) if self.from_revision.is_some() => drop(to_come.insert(plan.clone())),
                Ok(_) => {}
                Err(Error::PlanNotFound(_)) if !wanted.until_finished => {
                    output::tell(&format!("there is no plan {plan} yet; it is watched all the same"));
                }
                Err(error) if wanted.until_finished => return Err(error.into()),
                Err(error) => output::tell(&format!("{error}; it is watched all the same")),
            }
        }
        loop {
            to_come.retain(|plan| feed.snapshot().plan(plan).is_none());
            if wanted.until_finished && to_come.is_empty() {
                if wanted.have_ended(feed.snapshot())? {
                    return wanted.conclude(feed.snapshot());
                }
                wanted.ensure_not_held(feed.snapshot())?;
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

    /// The status if the watch is ended before it came to an end of its own: what was waited for is not known
    /// to have happened.
    fn interrupted(&self) -> Exit {
        if self.until_finished { Exit::Stopped } else { Exit::Done }
    }

    /// Refuses to wait for a plan whose owner waits for this process.
    fn ensure_not_held(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let mut open =
            self.plans.iter().filter_map(|plan| snapshot.plan(plan)).filter(|plan| !has_ended(plan));
        match open.find(|plan| holding::is_owned_above(plan, &self.inherited)) {
            Some(plan) => Err(holding::held_above(plan.name().as_str())),
            None => Ok(()),
        }
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
