//! Claiming whatever is ready: for workers that ask for work rather than for a task.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    PoolName, TaskId, reading,
    spec::TaskSpec,
    transition::Change,
    view::{PlanView, TaskView},
};

use crate::{
    authority::Authority,
    error::Error,
    update::{Outcome, Refused},
};

/// How often it is tried while others take what was wanted.
const TRIES: usize = 32;

/// What asking for work came to.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The tasks that are the claimant's now, each in progress with its attempt, in the order in which they
    /// were handed out.
    pub tasks: Vec<TaskView>,
    /// Tasks that may be the claimant's: the outcome is unknown. If they are, they carry this id.
    pub unknown: Vec<(TaskId, uuid::Uuid)>,
    /// Why there are no more, if not because nothing else is ready.
    pub refused: Option<Refused>,
}

impl Authority {
    /// Claims up to `count` ready tasks that have all of these labels, in the order in which they are handed
    /// out: by priority, by phase, by number. One read; then one transaction for up to about a hundred tasks,
    /// in which each claim stands for itself; both again for those that another process took in between. No
    /// task is claimed by two. If there are fewer ready ones, the claims of operators whose time limit has
    /// passed are ended first.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest/store.in"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # with_plan(async |coordinator, session, plan| {
    /// use planlease::Change;
    ///
    /// let authority = coordinator.worker(&session, &plan)?;
    /// for task in authority.claim(2, &[]).await?.tasks {
    ///     authority.update_attempt(&task, task.record.attempt, &Change::Complete(None)).await?;
    /// }
    /// assert_eq!(coordinator.plan(&plan).await?.summary().completed, 2);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Authority::update`]. What was claimed before the error stays claimed: the tasks are recovered
    /// when the claimant's session ends.
    ///
    /// # Cancel safety
    /// A dropped future may leave tasks claimed, likewise.
    pub async fn claim(&self, count: usize, labels: &[String]) -> Result<Claimed, Error> {
        self.claim_from(None, count, labels).await
    }

    /// As [`Authority::claim`], with the plan as the caller has read it: no read, if what is ready there is
    /// still ready. Whatever is refused by it is decided on the plan as it is now.
    ///
    /// # Errors
    /// As [`Authority::claim`].
    ///
    /// # Cancel safety
    /// As [`Authority::claim`].
    pub async fn claim_on(&self, seen: &PlanView, count: usize, labels: &[String]) -> Result<Claimed, Error> {
        // Where those in progress are counted, each claim reads the plan anyway.
        let seen = Some(seen).filter(|plan| !reading::start_counts(&plan.spec().policy));
        let hopeful = |plan: &&PlanView| {
            plan.halt().is_none()
                && !wanted(plan, count, labels, &Claimed::default(), &BTreeSet::new()).is_empty()
        };
        self.claim_from(seen.filter(hopeful), count, labels).await
    }

    async fn claim_from(
        &self,
        mut seen: Option<&PlanView>,
        count: usize,
        labels: &[String],
    ) -> Result<Claimed, Error> {
        let (mut claimed, mut full) = (Claimed::default(), BTreeSet::new());
        for _ in 0..TRIES {
            let mut plan = match seen.take() {
                Some(plan) => plan.clone(),
                None => self.coordinator().plan(self.plan()).await?,
            };
            if let Some(halt) = plan.halt() {
                claimed.refused = Some(Refused::Halted(Box::new(halt.clone())));
                return Ok(claimed);
            }
            let missing = count.saturating_sub(claimed.tasks.len() + claimed.unknown.len());
            let mut wanted = wanted(&plan, missing, labels, &claimed, &full);
            if wanted.len() < missing
                && let Some(freed) = self.end_expired_claims(&plan, |_| true).await?
            {
                plan = freed;
                wanted = self::wanted(&plan, missing, labels, &claimed, &full);
            }
            if wanted.is_empty() {
                return Ok(claimed);
            }
            let outcomes = if !reading::start_counts(&plan.spec().policy) {
                let starts: Vec<_> = wanted.into_iter().map(|task| (task, Change::Start)).collect();
                let outcomes = self.update_all_of(Some(&plan), &starts).await?;
                starts.into_iter().map(|(task, _)| task.id).zip(outcomes).collect()
            } else {
                self.one_by_one(&plan, wanted).await?
            };
            if !claimed.take_in(outcomes, &mut full) {
                return Ok(claimed);
            }
        }
        Ok(claimed)
    }

    /// In a plan that bounds how many are in progress, each has to see that the one before it has started.
    async fn one_by_one(
        &self,
        plan: &PlanView,
        wanted: Vec<TaskView>,
    ) -> Result<Vec<(TaskId, Outcome)>, Error> {
        let mut outcomes = Vec::new();
        for task in wanted {
            let outcome = self.start(plan, &task.id).await?;
            let last = matches!(outcome, Outcome::Refused(Refused::Full(_)));
            outcomes.push((task.id, outcome));
            if last {
                break;
            }
        }
        Ok(outcomes)
    }
}

impl Claimed {
    /// Enters what came of claims, and which pools have too few permits left; whether another look can bring
    /// more.
    fn take_in(&mut self, outcomes: Vec<(TaskId, Outcome)>, full: &mut BTreeSet<PoolName>) -> bool {
        let mut again = false;
        for (task, outcome) in outcomes {
            match outcome {
                Outcome::Committed(task) => self.tasks.push(task),
                Outcome::Unknown { op_id, .. } => self.unknown.push((task, op_id)),
                Outcome::Refused(
                    Refused::Conflict(_)
                    | Refused::NotAllowed(..)
                    | Refused::Dependency
                    | Refused::NoSuchTask,
                ) => {
                    again = true; // Another process was faster.
                }
                Outcome::Refused(Refused::Pool(wait)) => {
                    again = true; // For tasks that do not use it.
                    full.insert(wait.pool().clone());
                    self.refused = Some(Refused::Pool(wait));
                }
                Outcome::Refused(refused) => {
                    self.refused = Some(refused);
                    return false;
                }
            }
        }
        again
    }
}

/// The next ready tasks with these labels, but for those of which it is not known, and those that use a pool
/// which is full.
fn wanted(
    plan: &PlanView,
    count: usize,
    labels: &[String],
    claimed: &Claimed,
    full: &BTreeSet<PoolName>,
) -> Vec<TaskView> {
    let specs: BTreeMap<&TaskId, &TaskSpec> = plan.spec().tasks.iter().map(|task| (&task.id, task)).collect();
    let asked_for = |task: &&TaskId| {
        specs.get(task).is_some_and(|spec| labels.iter().all(|label| spec.labels.contains(label)))
            && !claimed.unknown.iter().any(|(unknown, _)| unknown == *task)
            && !plan.graph().uses_any(task, full)
    };
    plan.ready().filter(asked_for).take(count).filter_map(|task| plan.tasks().get(task)).cloned().collect()
}
