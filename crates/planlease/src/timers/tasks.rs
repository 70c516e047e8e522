//! The timers of the tasks of one plan: looks what is due, and writes it.

use std::time::Duration;

use planlease_core::{
    BootTime, TaskId,
    overdue::{Circumstances, Due, Ours, Overdue, Seen},
    spec::{PlanSpec, Policies, Policy},
    transition::Change,
    view::{PlanView, TaskView},
};

use crate::{
    authority::Authority,
    error::{AuthorityLoss, Error},
    update::{Outcome, Refused},
};

/// In which hands a task is, as its owner sees it.
#[derive(Clone, Copy, Debug)]
pub enum Hands {
    /// An attempt runs under the owner's own eyes.
    Ours(Ours),
    /// If it is in progress by the owner's authority, another process works on it: it is timed as a worker's.
    Delegated,
    /// If it is in progress by the owner's authority, it is not timed.
    Other,
}

/// The timers of the tasks of one plan, during one ownership.
#[derive(Debug)]
pub struct TaskTimers {
    policies: Policies,
    overdue: Overdue,
}

/// What came of writing what was due.
#[derive(Debug, Default)]
pub struct Carried {
    /// What was written, each with the task as it is then.
    pub written: Vec<(TaskView, Change)>,
    /// Whether something was refused or its outcome is unknown: the plan is to be read again.
    pub again: bool,
    /// The authority is lost.
    pub lost: Option<AuthorityLoss>,
}

impl TaskTimers {
    /// Nothing is measured yet.
    #[must_use]
    pub fn new(spec: &PlanSpec) -> Self {
        Self { policies: Policies::of(spec), overdue: Overdue::default() }
    }

    /// Goes on with the policies of an edited definition.
    pub fn redefine(&mut self, spec: &PlanSpec) {
        self.policies = Policies::of(spec);
    }

    /// How the tasks are treated.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Looks what is due in the plan as it is seen here, and when to look again.
    /// `startable`: whether nothing keeps a pending task from being started. `hands`: in which hands each is.
    pub fn look(
        &mut self,
        view: &PlanView,
        now: Circumstances,
        startable: impl Fn(&TaskId) -> bool,
        hands: impl Fn(&TaskView) -> Hands,
    ) -> Due {
        let policies = &self.policies;
        let seen = view.tasks().values().map(|task| {
            let hands = hands(task);
            Seen {
                task: &task.id,
                record: &task.record,
                policy: policies.of_task(&task.id),
                startable: startable(&task.id),
                ours: if let Hands::Ours(ours) = hands { Some(ours) } else { None },
                delegated: matches!(hands, Hands::Delegated),
            }
        });
        let mut due = self.overdue.look(seen, now);
        due.changes.extend(view.consequences(policies));
        due
    }

    /// How this task is treated.
    #[must_use]
    pub fn policy(&self, task: &TaskId) -> &Policy {
        self.policies.of_task(task)
    }

    /// How much of its total time a task has used up, if it is bounded.
    #[must_use]
    pub fn spent(&self, task: &TaskId, now: BootTime) -> Option<Duration> {
        self.policy(task).total_deadline()?;
        self.overdue.spent(task, now)
    }

    /// Whether all the time that the task has is used up: it is not started any more, but parked.
    #[must_use]
    pub fn is_used_up(&self, view: &PlanView, task: &TaskId, now: BootTime) -> bool {
        self.policy(task).total_deadline().is_some_and(|total| {
            let stored = || view.tasks().get(task).map(|task| task.record.spent());
            self.overdue.spent(task, now).or_else(stored).is_some_and(|spent| spent >= total)
        })
    }

    /// Writes what is due: one request for up to about a hundred tasks, each with what was measured of it.
    /// What is refused since its task has changed meanwhile is due again only if the next look finds so. What
    /// is written is entered in `view`.
    ///
    /// # Errors
    /// As for any request; a lost authority is in [`Carried::lost`].
    ///
    /// # Cancel safety
    /// If the future is dropped, what is due is written or not; the next look, on the plan as it is then,
    /// finds what is left.
    pub async fn carry_out(
        &mut self,
        authority: &Authority,
        view: &mut PlanView,
        changes: Vec<(TaskId, Change)>,
        now: BootTime,
    ) -> Result<Carried, Error> {
        let measured = |task: &TaskId| Some(view.tasks().get(task)?.measured(self.spent(task, now)));
        let updates: Vec<(TaskView, Change)> =
            changes.into_iter().filter_map(|(task, change)| Some((measured(&task)?, change))).collect();
        let mut carried = Carried::default();
        if updates.is_empty() {
            return Ok(carried);
        }
        // The time of a claim is up, and its claimant is silent: it may still work.
        let outcomes = authority.leaving_permits().update_all_of(Some(view), &updates).await?;
        for ((_, change), outcome) in updates.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Committed(task) => {
                    self.overdue.wrote(&task.id, task.record.op_id);
                    view.apply_task(task.clone());
                    carried.written.push((task, change));
                }
                Outcome::Refused(Refused::AuthorityLost(loss)) => carried.lost = Some(loss),
                Outcome::Refused(_) | Outcome::Unknown { .. } => carried.again = true,
            }
        }
        Ok(carried)
    }
}
