//! One change of one task, and what is said about its outcome.

use clap::Args;
use planlease::{
    Coordinator, Error, Outcome, PlanView, Refused, TaskView, UpdateRequest,
    core::{
        PlanName, Revision,
        transition::{Change, Refusal},
    },
};
use uuid::Uuid;

use super::{limit::LimitArgs, right::Right};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{Format, OutputArgs, TaskUpdate, describe_task, plain},
};

/// What every change takes.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The plan
    plan: String,
    /// The task
    task: String,
    /// Change it only if its record is still the one of this revision
    #[arg(long, value_name = "REVISION")]
    expect_revision: Option<Revision>,
    #[arg(skip)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The request, with what its outcome is reported by.
struct Update<'a> {
    coordinator: &'a Coordinator,
    plan: PlanName,
    right: Right,
    request: UpdateRequest,
}

impl UpdateArgs {
    /// The same with a time limit of the claim.
    pub(super) fn limited(self, limit: LimitArgs) -> Self {
        Self { limit, ..self }
    }

    pub(super) async fn run(self, invocation: &Invocation, change: Change) -> Result<Exit, Failure> {
        let (plan, task) = (plan_name(&self.plan)?, task_id(&self.task)?);
        let right = Right::of(invocation, &plan, &task)?;
        self.limit.check(&right)?;
        let coordinator = &invocation.connect().await?;
        let request = UpdateRequest::new(task, change).of_attempt(right.attempt());
        let request = match self.expect_revision {
            Some(revision) => request.expecting(revision),
            None => request,
        };
        let authority = self.limit.apply(right.over(coordinator, &plan));
        let outcome = authority.submit(&request).await?;
        let update = Update { coordinator, plan, right, request };
        update.report(invocation, self.output.format, outcome).await
    }
}

impl Update<'_> {
    async fn report(
        self,
        invocation: &Invocation,
        format: Format,
        outcome: Outcome,
    ) -> Result<Exit, Failure> {
        let (verb, task) = (self.request.change.verb(), &self.request.task);
        let (document, failure) = match outcome {
            Outcome::Committed(task) => (TaskUpdate::committed(self.plan, verb, &task), None),
            Outcome::Refused(refused) => {
                let view = self.coordinator.plan(&self.plan).await?;
                let (failure, present) = self.refusal(&view, &refused);
                let reason = failure.lines().next().unwrap_or_default().to_owned();
                let task = task.clone();
                (TaskUpdate::refused(self.plan, task, verb, reason, present), Some(failure))
            }
            Outcome::Unknown { op_id, reason } => {
                let failure = self.unknown(op_id, &reason).await;
                let task = task.clone();
                (TaskUpdate::unknown(self.plan, task, verb, reason), Some(failure))
            }
        };
        invocation.show(format, &document)?;
        failure.map_or(Ok(Exit::Done), Err)
    }

    /// Whether etcd's database is full, as its alarm says. etcd may carry out a write and say that it is
    /// full; but it has answered a read after that, so that what the record does not show was not done, and
    /// as long as the alarm lasts, it is not done later either.
    async fn is_full(&self, op_id: Uuid) -> bool {
        let healths = Coordinator::diagnose(self.coordinator.config().clone()).await.unwrap_or_default();
        let statuses = healths.iter().filter_map(|health| health.status.as_ref().ok());
        let full = statuses.flat_map(|status| &status.alarms).any(|alarm| alarm.contains("NOSPACE"));
        if !full {
            return false;
        }
        let present = self.coordinator.task(&self.plan, &self.request.task).await;
        matches!(present, Ok(Some(present)) if present.record.op_id != op_id)
    }

    /// What it means that no answer came, or none that settles it.
    async fn unknown(&self, op_id: Uuid, reason: &str) -> Failure {
        let Self { plan, request: UpdateRequest { task, .. }, .. } = self;
        if self.is_full(op_id).await {
            return Failure::new(Exit::NoSpace, format!("etcd's database is full (alarm NOSPACE): {reason}"))
                .meaning("Nothing was changed; nothing can be written until there is room.")
                .remedy("etcdctl compact REVISION; etcdctl defrag; etcdctl alarm disarm.");
        }
        Failure::new(Exit::OutcomeUnknown, format!("it is not known what became of it: {reason}"))
            .meaning("The change may have been made, or may still be.")
            .remedy(format!("Look at `planlease task show {plan} {task}`: it was made if op_id is {op_id}."))
    }

    /// What a refusal means, and the record that is in the way.
    fn refusal<'a>(&self, view: &'a PlanView, refused: &'a Refused) -> (Failure, Option<&'a TaskView>) {
        let Self { plan, request: UpdateRequest { task, change, expect, .. }, .. } = self;
        let verb = change.verb();
        let what = |why: String| format!("cannot {verb} task {task} of {plan}: {why}");
        let present = match refused {
            Refused::Conflict(present) | Refused::NotAllowed(_, present) => Some(&**present),
            _ => view.tasks().get(task),
        };
        let failure = match refused {
            Refused::Conflict(_) => {
                let expected = expect.map_or_else(String::new, |revision| format!(" (revision {revision})"));
                Failure::new(Exit::Stale, what(format!("it was changed since it was looked at{expected}")))
                    .remedy("Look at it, and decide again with its present revision.")
            }
            Refused::NotAllowed(refusal, _) => {
                Failure::new(exit_of(refusal), what(why(refusal))).remedy(remedy_of(refusal))
            }
            Refused::AuthorityLost(_) => {
                let why = if self.right.is_delegated() {
                    "the ownership by which this process may do that is over"
                } else {
                    "the plan's ownership changes all the time"
                };
                Failure::new(Exit::RightGone, what(why.to_owned()))
                    .remedy("`planlease owner show` shows who owns the plan now.")
            }
            Refused::Dependency => {
                let blockers: Vec<&str> = view.blockers(task).map(|wait| wait.on.as_str()).collect();
                let why = match &blockers[..] {
                    [] => "the tasks that it depends on changed at the same moment".to_owned(),
                    blockers => format!("it waits for {}", blockers.join(", ")),
                };
                Failure::new(Exit::Blocked, what(why)).remedy("Complete or skip them first.")
            }
            Refused::Halted(halt) => {
                let why = format!("the plan was {} by {}: {}", halt.how, plain(&halt.by), plain(&halt.why));
                Failure::new(Exit::Halted, what(why))
                    .remedy(format!("`planlease plan resume {plan}` lets it go on."))
            }
            Refused::Full(most) => {
                let why = format!(
                    "no more tasks of the plan may be in progress at once (max_in_progress = {most})"
                );
                Failure::new(Exit::Blocked, what(why))
                    .remedy("Wait until one ends, or raise max_in_progress in the plan's policy.")
            }
            Refused::NoSuchTask => {
                Failure::from(Error::TaskNotFound { plan: plan.clone(), task: task.clone() })
            }
            _ => Failure::new(Exit::Unexpected, what("etcd refused it".to_owned())),
        };
        match present {
            Some(present) => {
                (failure.meaning(format!("Nothing was changed; {}.", describe_task(present))), Some(present))
            }
            None => (failure.meaning("Nothing was changed."), None),
        }
    }
}

/// The refusal as the end of a sentence that names the task and the change.
fn why(refusal: &Refusal) -> String {
    match refusal {
        Refusal::WrongStatus { status, .. } => format!("it is {status}"),
        Refusal::ClaimedBy { by } => format!("it is claimed by {by}"),
        other => other.to_string(),
    }
}

fn exit_of(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::ClaimedBy { .. } => Exit::Claimed,
        Refusal::StaleAttempt { .. } => Exit::Stale,
        _ => Exit::WrongTransition,
    }
}

fn remedy_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::ClaimedBy { .. } => {
            "Wait until it ends; `planlease owner release` takes the plan from its owner."
        }
        Refusal::StaleAttempt { .. } => "This result is of an attempt that was given up; stop working on it.",
        _ => "`planlease task show` shows its history.",
    }
}

#[cfg(test)]
mod tests {
    use planlease::core::transition::TaskStatus;

    use super::*;

    #[test]
    fn each_kind_of_refusal_has_its_own_status() {
        let by_other = Refusal::ClaimedBy { by: "x".into() };
        let late = Refusal::StaleAttempt { given: 1, present: 2 };
        let wrong = Refusal::WrongStatus { verb: "start", status: TaskStatus::Completed };
        let exits = [by_other, late, wrong].map(|refusal| exit_of(&refusal));
        assert_eq!(exits, [Exit::Claimed, Exit::Stale, Exit::WrongTransition]);
    }
}
